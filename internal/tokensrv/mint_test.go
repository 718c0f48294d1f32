package tokensrv

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

// What npm twilio 6.2.0 writes for the same account, key and second:
//
//	new AccessToken(account, key, secret, {identity: 'ext_user_40example_2Ecom', ttl: 3600, region})
//	  .addGrant(new AccessToken.VoiceGrant({incomingAllow: true})), at 1767225600
const (
	goldenHeader       = `{"alg":"HS256","typ":"JWT","cty":"twilio-fpa;v=1"}`
	goldenHeaderRegion = `{"alg":"HS256","typ":"JWT","cty":"twilio-fpa;v=1","twr":"ie1"}`
	goldenClaims       = `{"jti":"SK00000000000000000000000000000002-1767225600","grants":{"identity":"ext_user_40example_2Ecom","voice":{"incoming":{"allow":true}}},` +
		`"iat":1767225600,"exp":1767229200,"iss":"SK00000000000000000000000000000002","sub":"AC00000000000000000000000000000001"}`
	// The signatures it computed over them with the test key.
	goldenSignature       = "JRw7hkF-HrGgnvOCktVvkGmIguvNQTaRw2yicw4zfd8"
	goldenSignatureRegion = "6kueeCY_QomHbBULzPU-h7skjmaBI04--bI7R8XQ4Dc"
)

var goldenTime = time.Unix(1767225600, 0)

func TestTokenIsWhatTwilioLibraryWrites(t *testing.T) {
	for _, tt := range []struct{ region, header, signature string }{
		{"", goldenHeader, goldenSignature},
		{"ie1", goldenHeaderRegion, goldenSignatureRegion},
	} {
		c := testConfig()
		c.Region = tt.region
		m, err := newMinter(c).mint("ext_user_40example_2Ecom", time.Time{}, goldenTime)
		if err != nil {
			t.Fatal(err)
		}
		said.secret(string(m.token))
		parts := strings.Split(string(m.token), ".")
		if len(parts) != 3 {
			t.Fatalf("%d parts", len(parts))
		}
		decoded := func(s string) string {
			b, err := base64.RawURLEncoding.DecodeString(s)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		if got := decoded(parts[0]); got != tt.header {
			t.Errorf("header\n %s, want\n %s", got, tt.header)
		}
		if got := decoded(parts[1]); got != goldenClaims {
			t.Errorf("claims\n %s, want\n %s", got, goldenClaims)
		}
		if parts[2] != tt.signature {
			t.Errorf("region %q: the signature differs from the library's", tt.region)
		}
		mac := hmac.New(sha256.New, []byte(testSecret))
		mac.Write([]byte(parts[0] + "." + parts[1]))
		if decoded(parts[2]) != string(mac.Sum(nil)) {
			t.Errorf("region %q: the signature is not HMAC-SHA256 of header and claims", tt.region)
		}
	}
}

func TestTokenLife(t *testing.T) {
	for _, tt := range []struct {
		name    string
		ttl     time.Duration
		capped  bool
		agent   time.Duration // life left of the Flex token
		want    int64         // seconds; 0: refused as expired
		instant time.Duration // past the full second
	}{
		{"an hour", time.Hour, false, time.Minute, 3600, 0},
		{"a minute, which twilio-go cannot", time.Minute, false, time.Hour, 60, 0},
		{"a day", 24 * time.Hour, false, time.Hour, 86400, 0},
		{"capped by the Flex token", time.Hour, true, 10 * time.Minute, 600, 0},
		{"capped, but the Flex token lives longer", time.Hour, true, 2 * time.Hour, 3600, 0},
		{"capped within the second", time.Hour, true, 300 * time.Millisecond, 0, 500 * time.Millisecond},
		{"capped by a dead Flex token", time.Hour, true, -time.Second, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig()
			c.TTL, c.CapToFlexToken = tt.ttl, tt.capped
			now := goldenTime.Add(tt.instant)
			m, err := newMinter(c).mint("ext_a", now.Add(tt.agent), now)
			if tt.want == 0 {
				var r *refusal
				if !errors.As(err, &r) || r.reason != tokenExpired {
					t.Fatalf("minted for %d s, %v; want %s", m.expires-m.issued, err, tokenExpired)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			said.secret(string(m.token))
			if got := m.expires - m.issued; got != tt.want {
				t.Errorf("lives %d s, want %d", got, tt.want)
			}
		})
	}
}

func TestVoiceIdentity(t *testing.T) {
	for s, want := range map[string]bool{
		"ext_user_40example_2Ecom": true,
		"A":                        true,
		strings.Repeat("a", 256):   true,
		strings.Repeat("a", 257):   false,
		"":                         false,
		"a-b":                      false,
		"a b":                      false,
		"a\r\nb":                   false,
		"ä":                        false,
		`a"b`:                      false,
		"a.b@c":                    false,
	} {
		if got := voiceIdentity(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}
