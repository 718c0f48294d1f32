package webstore

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/flexvc/flexvc/internal/problem"
)

var item = Item{"acme", strings.Repeat("a", 32)}

const bearer = "an access token"

// store is the emulated Web Store and Google's token endpoint.
type store struct {
	*httptest.Server
	t   *testing.T
	key *rsa.PrivateKey

	// A connection that was cut orders nothing before the request that follows it.
	mu                         sync.Mutex // one request at a time
	tokens, uploads, publishes int
	draft                      []byte
	published, submitted       string // versions
	polls                      int    // answers IN_PROGRESS so often
	fail                       func(w http.ResponseWriter, r *http.Request) bool
	lastPublish                string
}

func newStore(t *testing.T) *store {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s := &store{t: t, key: key}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil && s.fail(w, r) {
		return
	}
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	if r.URL.Path == "/token" {
		s.token(w, r)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+bearer {
		w.WriteHeader(http.StatusUnauthorized)
		answer(map[string]any{"error": map[string]any{"code": 401, "message": "Request had invalid authentication credentials."}})
		return
	}
	name := "publishers/acme/items/" + item.ID
	switch r.Method + " " + r.URL.Path {
	case "GET /v2/" + name + ":fetchStatus":
		status := map[string]any{"name": name, "itemId": item.ID}
		revision := func(state, version string) any {
			return map[string]any{"state": state, "distributionChannels": []any{map[string]any{"deployPercentage": 100, "crxVersion": version}}}
		}
		if s.published != "" {
			status["publishedItemRevisionStatus"] = revision("PUBLISHED", s.published)
		}
		if s.submitted != "" {
			status["submittedItemRevisionStatus"] = revision("PENDING_REVIEW", s.submitted)
		}
		if s.uploads > 0 {
			status["lastAsyncUploadState"] = "SUCCEEDED"
			if s.polls > 0 {
				s.polls--
				status["lastAsyncUploadState"] = "IN_PROGRESS"
			}
		}
		answer(status)
	case "POST /upload/v2/" + name + ":upload":
		s.uploads++
		s.draft, _ = io.ReadAll(r.Body)
		if s.polls > 0 {
			answer(map[string]any{"uploadState": "IN_PROGRESS"})
			return
		}
		answer(map[string]any{"itemId": item.ID, "crxVersion": "1.4.0", "uploadState": "SUCCEEDED"})
	case "POST /v2/" + name + ":publish":
		s.publishes++
		body, _ := io.ReadAll(r.Body)
		s.lastPublish = string(body)
		s.submitted = "1.4.0"
		answer(map[string]any{"name": name, "itemId": item.ID, "state": "PENDING_REVIEW"})
	default:
		w.WriteHeader(http.StatusNotFound)
		answer(map[string]any{"error": map[string]any{"code": 404, "message": "Not found."}})
	}
}

func (s *store) token(w http.ResponseWriter, r *http.Request) {
	s.tokens++
	claims := jwt.MapClaims{}
	token, err := jwt.ParseWithClaims(r.FormValue("assertion"), claims, func(*jwt.Token) (any, error) { return &s.key.PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(s.URL+"/token"), jwt.WithIssuer("publisher@project.test"), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil || r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || claims["scope"] != scope || token.Header["kid"] != "kid1" {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": bearer, "expires_in": 3599, "token_type": "Bearer"})
}

// account writes a key file for key.
func (s *store) account(key *rsa.PrivateKey) string {
	s.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "publisher@project.test", "private_key_id": "kid1", "token_uri": s.URL + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.t.TempDir(), "account.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *store) client() *Client {
	s.t.Helper()
	account, err := ReadAccount(s.account(s.key))
	if err != nil {
		s.t.Fatal(err)
	}
	return New(item, account, Options{URL: s.URL, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
}

func TestUploadThenPublish(t *testing.T) {
	s := newStore(t)
	s.published, s.polls = "1.3.0", 3
	c := s.client()
	status, err := c.Status(t.Context())
	if err != nil || status.Published.Version != "1.3.0" || status.Submitted != nil || status.Has("1.4.0") != nil {
		t.Fatalf("status %+v, %v", status, err)
	}
	if err := c.Upload(t.Context(), []byte("archive"), "1.4.0"); err != nil {
		t.Fatal(err)
	}
	state, err := c.Publish(t.Context(), "1.4.0", 10)
	if err != nil || state != "PENDING_REVIEW" {
		t.Errorf("published: %q, %v", state, err)
	}
	if string(s.draft) != "archive" || s.lastPublish != `{"deployInfos":[{"deployPercentage":10}],"publishType":"DEFAULT_PUBLISH"}` {
		t.Errorf("draft %q, publish %s", s.draft, s.lastPublish)
	}
	if s.tokens != 1 || s.uploads != 1 || s.polls != 0 {
		t.Errorf("%d tokens, %d uploads, %d polls left", s.tokens, s.uploads, s.polls)
	}
}

func TestRequestsAreRepeatedUntilAnswered(t *testing.T) {
	s := newStore(t)
	failures := 0
	s.fail = func(w http.ResponseWriter, r *http.Request) bool {
		if failures++; failures%3 == 0 {
			return false
		}
		if failures%3 == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		panic(http.ErrAbortHandler) // the connection is cut
	}
	if err := s.client().Upload(t.Context(), []byte("archive"), "1.4.0"); err != nil || s.uploads != 1 {
		t.Errorf("%d uploads, %v", s.uploads, err)
	}
	s.fail = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true }
	_, err := s.client().Status(t.Context())
	if !problem.Is(err, problem.StoreUnavailable) {
		t.Errorf("a store that stays away: %v", err)
	}
}

// The answer to a publish is lost: the status shows that it was taken.
func TestNothingIsSubmittedTwice(t *testing.T) {
	s := newStore(t)
	c := s.client()
	s.fail = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ":publish") {
			s.publishes++
			s.submitted = "1.4.0"
			panic(http.ErrAbortHandler)
		}
		return false
	}
	state, err := c.Publish(t.Context(), "1.4.0", 0)
	if err != nil || state != "PENDING_REVIEW" || s.publishes != 1 {
		t.Errorf("%q, %v, submitted %d times", state, err, s.publishes)
	}
}

func TestRefusalsAreExplained(t *testing.T) {
	refusing := func(status int, message string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				return false
			}
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"error":{"code":%d,"message":%q}}`, status, message)
			return true
		}
	}
	for _, tc := range []struct {
		name       string
		fail       func(http.ResponseWriter, *http.Request) bool
		code       problem.Code
		says, hint string
	}{
		{"not added in the dashboard", refusing(403, "The caller does not have permission"), problem.PermissionDenied, "The caller does not have permission", "publisher@project.test"},
		{"no such item", refusing(404, "Not found."), problem.StoreRefused, "does not know publishers/acme/items/", "first manual upload"},
		{"a version that is too low", refusing(400, "Version number 1.4.0\nis not greater."), problem.StoreRefused, "Version number 1.4.0 is not greater", ""},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				return false
			}
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
			return true
		}, problem.StoreRefused, "refused (302)", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStore(t)
			s.fail = tc.fail
			_, err := s.client().Publish(t.Context(), "1.4.0", 0)
			p := problem.As(err)
			if p == nil || p.Code != tc.code || !strings.Contains(p.Summary, tc.says) || !strings.Contains(p.Hint, tc.hint) {
				t.Errorf("%+v", err)
			}
			if strings.Contains(fmt.Sprint(p), bearer) {
				t.Error("the access token is in it")
			}
		})
	}
}

func TestAnotherKeyIsRefusedWithoutTellingIt(t *testing.T) {
	s := newStore(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	account, err := ReadAccount(s.account(other))
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(item, account, Options{URL: s.URL}).Status(t.Context())
	if !problem.Is(err, problem.CredentialsRefused) || !strings.Contains(err.Error(), "invalid_grant: Invalid JWT Signature") {
		t.Errorf("%v", err)
	}
}

func TestReadAccountRefuses(t *testing.T) {
	const secret = "MIIEsecret"
	good := func(change func(map[string]string)) string {
		file := map[string]string{"type": "service_account", "client_email": "a@b.test", "private_key": secret, "token_uri": "https://oauth2.googleapis.com/token"}
		change(file)
		text, _ := json.Marshal(file)
		return string(text)
	}
	for name, text := range map[string]string{
		"no JSON":               secret,
		"another kind":          good(func(f map[string]string) { f["type"] = "authorized_user" }),
		"a key that is not one": good(func(map[string]string) {}),
	} {
		path := filepath.Join(t.TempDir(), "account.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadAccount(path)
		if p := problem.As(err); p == nil || p.Code != problem.InputUnreadable || strings.Contains(fmt.Sprintf("%v %v", p, errors.Unwrap(err)), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := newStore(t)
	path := s.account(s.key)
	text, _ := os.ReadFile(path)
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), s.URL, "http://token.example", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadAccount(path); err == nil || !strings.Contains(err.Error(), "token_uri") {
		t.Errorf("a token_uri without TLS: %v", err)
	}
}

func TestParseItem(t *testing.T) {
	if got, err := ParseItem("acme/" + item.ID); err != nil || got != item {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", item.ID, "acme/", "acme/../x", "a b/" + item.ID, "acme/" + item.ID + "z", "acme/" + strings.Repeat("z", 32)} {
		if _, err := ParseItem(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
