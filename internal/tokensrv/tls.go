package tokensrv

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// lookAgain is how often a handshake may look whether the files changed.
const lookAgain = 2 * time.Second

// LoadTLS reads a certificate chain and its key, PEM both, and returns a
// configuration that follows the files: a renewed certificate is served from
// the next handshake on, a broken one is logged and the old one kept. It is for
// Listeners.TLS.
func LoadTLS(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*tls.Config, error) {
	k := &keypair{certFile: certFile, keyFile: keyFile, log: log, now: now}
	if err := k.load(); err != nil {
		return nil, problem.New(problem.InputUnreadable, "cannot serve HTTPS with %s and %s: %w", certFile, keyFile, err).
			WithHint("both must be PEM, and the key must belong to the first certificate")
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   intermediate,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: k.get,
	}, nil
}

// intermediate are the suites of TLS 1.2 that Mozilla's intermediate configuration
// 5.7 has and Go knows; those of TLS 1.3 are not to be chosen. All have forward
// secrecy and authenticated encryption. https://wiki.mozilla.org/Security/Server_Side_TLS
var intermediate = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

type keypair struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu     sync.Mutex
	cert   *tls.Certificate
	stamp  [2]fileStamp
	looked time.Time
}

type fileStamp struct {
	changed time.Time
	size    int64
}

func (k *keypair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.now(); now.Sub(k.looked) >= lookAgain {
		k.looked = now
		if k.stampNow() != k.stamp {
			if err := k.load(); err != nil {
				k.log.Warn("the changed TLS files are unusable; still serving the previous certificate", "cause", err)
			} else {
				k.log.Info("serving the renewed TLS certificate")
			}
		}
	}
	return k.cert, nil
}

func (k *keypair) load() error {
	// Before reading: a file replaced in between is then seen as changed again.
	stamp := k.stampNow()
	cert, err := readPair(k.certFile, k.keyFile)
	if err != nil {
		k.stamp = stamp // do not try, and complain about, the same broken file at every handshake
		return err
	}
	k.cert, k.stamp = &cert, stamp
	return nil
}

func readPair(certFile, keyFile string) (none tls.Certificate, err error) {
	const limit = 1 << 20 // bytes; far above any chain, and a device has no end
	var pem [2][]byte
	for i, name := range []string{certFile, keyFile} {
		file, err := os.Open(name)
		if err != nil {
			return none, err
		}
		pem[i], err = io.ReadAll(io.LimitReader(file, limit+1))
		_ = file.Close()
		if err == nil && len(pem[i]) > limit {
			err = fmt.Errorf("%s is longer than %d MiB", name, limit>>20)
		}
		if err != nil {
			return none, err
		}
	}
	return tls.X509KeyPair(pem[0], pem[1])
}

func (k *keypair) stampNow() (out [2]fileStamp) {
	for i, name := range []string{k.certFile, k.keyFile} {
		if info, err := os.Stat(name); err == nil {
			out[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return out
}
