package tokensrv

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
)

// What Reload takes up holds from the next request on; what it refuses, not.
func TestReload(t *testing.T) {
	var c Config
	f := newFixture(t, func(start *Config, _ *Deps) {
		start.AllowWorkers = []string{"bob"}
		c = *start
	})
	alice, bob := f.agent("alice"), f.agent("bob")
	f.do(post(alice)).want(t, 403, workerNotAllowed)
	f.do(post(bob)).wantToken(t)

	c.AllowWorkers = []string{"alice"}
	c.AllowOrigins = []string{"https://new.example.com"}
	c.KeySID, c.KeySecret = "SK"+strings.Repeat("0", 31)+"3", said.secret("another-secret-of-the-suite")
	c.Validator.Password = said.secret("another-auth-token-of-the-suite")
	refused := errors.New("cannot sign")
	if err := f.Reload(t.Context(), c, func(context.Context) error { return refused }); err != refused {
		t.Fatalf("a key that may not sign: %v", err)
	}
	f.do(post(alice)).want(t, 403, workerNotAllowed)
	if err := f.Reload(t.Context(), c, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	f.do(post(bob)).want(t, 403, workerNotAllowed)
	r := post(alice)
	r.Header.Set("Origin", "https://new.example.com")
	a := f.do(r)
	a.wantToken(t)
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(a.token, ".")[1])
	if err != nil || !strings.Contains(string(claims), `"iss":"`+c.KeySID+`"`) {
		t.Errorf("the new key does not sign: %s, %v", claims, err)
	}
	r = post(alice)
	r.Header.Set("Origin", testConfig().AllowOrigins[0])
	f.do(r).want(t, 403, originNotAllowed)
	asked := ""
	f.twilio.set(func(r *http.Request, _ string) (*http.Response, error) {
		asked = r.Header.Get("Authorization")
		return reply(200, `{"valid":false}`), nil
	})
	f.do(post(flexToken("after the reload")))
	if asked != basic(testAccount, c.Validator.Password) {
		t.Error("the validator is asked with the old credentials")
	}

	c.KeySecret = ""
	if err := f.Reload(t.Context(), c, nil); !problem.Is(err, problem.CredentialsMissing) {
		t.Errorf("an empty secret: %v", err)
	}
	c = testConfig()
	c.AccountSID = "AC" + strings.Repeat("0", 31) + "9"
	c.Validator.User = c.AccountSID
	if err := f.Reload(t.Context(), c, nil); !problem.Is(err, problem.WrongTarget) {
		t.Errorf("another account: %v", err)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, post(alice))
	note(t, w.Result()).wantToken(t)
}
