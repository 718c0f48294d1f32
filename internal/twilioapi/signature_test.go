package twilioapi

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"testing"
)

// sign is how Twilio signs a request with a JSON body.
func sign(token, address string) string {
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(address))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestAttackForgedSignatures(t *testing.T) {
	const token, body = "12345", `[{"id":"1"}]`
	sum := sha256.Sum256([]byte(body))
	address := "https://voice.example.com/events/twilio?bodySHA256=" + hex.EncodeToString(sum[:])
	good := sign(token, address)
	for name, try := range map[string]struct {
		token, address, body, signature string
		want                            bool
	}{
		"the real one":           {token, address, body, good, true},
		"with the port":          {token, "https://voice.example.com:443/events/twilio?bodySHA256=" + hex.EncodeToString(sum[:]), body, good, true},
		"another body":           {token, address, body + " ", good, false},
		"another address":        {token, "https://other.example.com/events/twilio?bodySHA256=" + hex.EncodeToString(sum[:]), body, good, false},
		"over plain HTTP":        {token, "http://voice.example.com/events/twilio?bodySHA256=" + hex.EncodeToString(sum[:]), body, good, false},
		"no signature":           {token, address, body, "", false},
		"without the digest":     {token, "https://voice.example.com/events/twilio", body, sign(token, "https://voice.example.com/events/twilio"), false},
		"an empty auth token":    {"", address, body, sign("", address), false},
		"somebody else's secret": {token, address, body, sign("54321", address), false},
	} {
		if got := Signed(try.token, try.address, []byte(try.body), try.signature); got != try.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
