// Package crx packs, signs and checks the browser extension. How a package gets to
// browsers is the business of internal/rollout and internal/webstore.
package crx

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/flexvc/flexvc/internal/durable"
	"github.com/flexvc/flexvc/internal/problem"
)

// keyBits is the size every packer in the field uses. The key is the identity
// of the extension, so it is made once and never again.
const keyBits = 2048

// GenerateKey makes a signing key. Go reads its own source of randomness
// instead of random unless GODEBUG=cryptocustomrand=1 is set.
func GenerateKey(random io.Reader) (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(random, keyBits)
	if err != nil {
		return nil, problem.New(problem.Internal, "cannot create a signing key: %w", err)
	}
	return key, nil
}

// WriteKey writes key to a new file at path as PKCS#8 PEM, readable by the owner
// only. A file that is there already stays and is SigningKeyInvalid; the name
// never stands for half a key, whatever happens meanwhile.
func WriteKey(path string, key *rsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return problem.New(problem.Internal, "cannot write the signing key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return unwritable(path, err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	err = durable.Create(path, text, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return problem.New(problem.SigningKeyInvalid, "cannot write the signing key: %s already exists", path).
			WithHint("flexvc never replaces a signing key: a new key means a new extension")
	}
	if err != nil {
		return unwritable(path, err)
	}
	return nil
}

// ReadKey reads a signing key: RSA in PEM, PKCS#8 or PKCS#1. open reports that
// others than the owner may read the file, which deserves a warning. The error
// wraps fs.ErrNotExist when there is no file.
func ReadKey(path string) (key *rsa.PrivateKey, open bool, err error) {
	refuse := func(why error) (*rsa.PrivateKey, bool, error) {
		return nil, false, problem.New(problem.SigningKeyInvalid, "cannot use the signing key %s: %w", path, why).
			WithHint("restore it from a backup: a new key means a new extension")
	}
	info, err := os.Stat(path)
	if err != nil {
		return refuse(problem.Reason(err))
	}
	if !info.Mode().IsRegular() {
		return refuse(errors.New("it is not a regular file"))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return refuse(problem.Reason(err))
	}
	if key, err = ParseKey(data); err != nil {
		return refuse(err)
	}
	return key, runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0, nil
}

// ParseKey reads a PEM file's content. Errors say what it is instead, and never
// repeat it.
func ParseKey(data []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	var parsed any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, errors.New("it is encrypted")
		}
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("it is encrypted")
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return nil, errors.New("it is a public key")
	default:
		return nil, errors.New("it is not an RSA private key")
	}
	if err != nil {
		return nil, errors.New("it is damaged")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	switch {
	case !ok:
		return nil, errors.New("it is not an RSA private key")
	case key.N.BitLen() < keyBits:
		return nil, errors.New("it is shorter than 2048 bits")
	}
	return key, nil
}

// ExtensionID returns the ID Chromium gives to an extension signed with the key
// pub belongs to: the first 16 bytes of the SHA-256 of the DER-encoded
// SubjectPublicKeyInfo, each half byte as a letter from a to p.
//
// Source: components/crx_file/id_util.cc in Chromium.
func ExtensionID(pub crypto.PublicKey) (string, error) {
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", problem.New(problem.SigningKeyInvalid, "cannot derive the extension's ID: %w", err)
	}
	return idOf(spki), nil
}

func idOf(spki []byte) string {
	sum := sha256.Sum256(spki)
	id := make([]byte, 0, 32)
	for _, b := range sum[:16] {
		id = append(id, 'a'+b>>4, 'a'+b&0x0f)
	}
	return string(id)
}

func unwritable(path string, err error) error {
	return problem.New(problem.ConfigUnwritable, "cannot write the signing key %s: %w", path, problem.Reason(err)).
		WithHint("make %s writable", filepath.Dir(path))
}
