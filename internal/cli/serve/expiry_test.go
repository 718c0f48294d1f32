package serve

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestCertificateExpiryIsMeasured(t *testing.T) {
	var o Options
	var out bytes.Buffer
	if o.writeExpiry(&out); out.Len() > 0 {
		t.Errorf("without a certificate: %s", out.String())
	}
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	served := server.TLS.Certificates[0]
	served.Leaf = server.Certificate()
	o.secure.Store(&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &served, nil }})
	o.writeExpiry(&out)
	if want := fmt.Sprintf("flexvc_tls_certificate_expiry_timestamp_seconds %d\n", served.Leaf.NotAfter.Unix()); out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
