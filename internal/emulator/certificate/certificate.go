// Package certificate makes the certificate with which the emulator serves TLS
// to a browser that takes it for Twilio. The certificates of flexvc serve are files
// that somebody gives it, and none of its business.
package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// A wildcard stands for one label, so each edge has its own.
var names = []string{
	"*.twilio.com", "*.us1.twilio.com", "*.ie1.twilio.com", "*.au1.twilio.com",
	"*.roaming.twilio.com", "*.ashburn.twilio.com", "*.umatilla.twilio.com", "*.dublin.twilio.com",
	"*.frankfurt.twilio.com", "*.singapore.twilio.com", "*.sydney.twilio.com", "*.tokyo.twilio.com",
	"*.sao-paulo.twilio.com", "localhost",
}

const (
	fileName = "voice-edge.pem" // who has one keeps it: it came with the voice edge
	// Life is how long a new certificate is good for: as long as browsers allow.
	Life = 397 * 24 * time.Hour
)

// Load takes the certificate that is kept in the folder while it is good for
// another day, and otherwise makes one and keeps it there; with an empty folder
// it makes one. A browser trusts it by its key's hash, see SPKI, which is why it
// is worth keeping. One that is damaged or cannot be read is
// problem.StateUnreadable, one that cannot be kept problem.StateUnwritable.
func Load(folder string, now time.Time) (tls.Certificate, error) {
	if folder == "" {
		chain, key, err := make509(now)
		if err != nil {
			return tls.Certificate{}, err
		}
		return tls.X509KeyPair(chain, key)
	}
	name := filepath.Join(folder, fileName)
	kept, err := os.ReadFile(name)
	switch {
	case err == nil:
		cert, err := tls.X509KeyPair(kept, kept)
		if err != nil {
			return tls.Certificate{}, problem.New(problem.StateUnreadable, "cannot use the certificate %s: it is damaged", name).
				WithHint("delete it, a new one is made").Because(err)
		}
		if now.Add(24 * time.Hour).Before(cert.Leaf.NotAfter) {
			return cert, nil
		}
	case !errors.Is(err, fs.ErrNotExist):
		return tls.Certificate{}, problem.New(problem.StateUnreadable, "cannot read the certificate %s: %w", name, cause(err))
	}
	chain, key, err := make509(now)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(name, append(key, chain...), 0o600)); err != nil {
		return tls.Certificate{}, problem.New(problem.StateUnwritable, "cannot keep the certificate %s: %w", name, cause(err))
	}
	return tls.X509KeyPair(chain, key)
}

func make509(now time.Time) (chain, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "flexvc emulator"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(Life),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     names,
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

// SPKI is the hash of the certificate's key as Chromium's flag
// --ignore-certificate-errors-spki-list takes it.
func SPKI(cert tls.Certificate) string {
	sum := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// cause leaves out the file's name, which the sentence around it has.
func cause(err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}
