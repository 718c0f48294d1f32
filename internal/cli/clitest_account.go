package cli

import (
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"sync"

	"github.com/flexvc/flexvc/internal/crx"
)

// Whatever holds one of these is a leak.
const (
	initSecret   = "the-api-secret-nobody-may-see"
	initPassword = "theauthtokennobodymaysee"
)

func initSID(kind, end string) string { return kind + strings.Repeat("0", 32-len(end)) + end }

var initTestKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return crx.GenerateKey(rand.Reader) })

const settingsFile = ".config/flexvc/flexvc.yaml"
