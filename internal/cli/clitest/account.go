package clitest

import (
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"sync"

	"github.com/flexvc/flexvc/internal/crx"
)

// Whatever holds one of these is a leak.
const (
	Secret   = "the-api-secret-nobody-may-see"
	Password = "theauthtokennobodymaysee"
)

func SID(kind, end string) string { return kind + strings.Repeat("0", 32-len(end)) + end }

var SigningKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return crx.GenerateKey(rand.Reader) })

const SettingsFile = ".config/flexvc/flexvc.yaml"
