package emulator

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/store"
	"github.com/flexvc/flexvc/internal/problem"
)

// principal is who sent a request: the account itself or one of its keys.
type principal struct {
	key *store.Key // nil is the account with its auth token
}

// authenticate checks HTTP basic authentication the way Twilio answers it.
func (e *Emulator) authenticate(r *http.Request) (principal, *Reply) {
	user, password, ok := r.BasicAuth()
	if !ok || user == "" && password == "" {
		return principal{}, Unauthorized("Authentication Error - No credentials provided")
	}
	e.store.RLock()
	defer e.store.RUnlock()
	var who principal
	var secret string
	switch {
	case user == e.store.Meta.Account.SID:
		secret = e.store.Meta.Account.AuthToken
	default:
		if who.key = e.store.Keys.Find(user); who.key == nil {
			return principal{}, Unauthorized("Authentication Error - invalid username")
		}
		secret = who.key.Secret
	}
	if subtle.ConstantTimeCompare([]byte(password), []byte(secret)) != 1 {
		return principal{}, Unauthorized("Authenticate")
	}
	return who, nil
}

// may reports whether the credentials are good for the operation.
func (p principal) may(op *Operation) bool {
	switch {
	case p.key == nil || p.key.Type == store.KeyMain:
		return true
	case p.key.Type == store.KeyStandard:
		return op.Guard != GuardAdmin
	}
	// A permission reads /twilio/taskrouter/workers/update. Products are told
	// apart, the resources and verbs below them are not.
	for _, allowed := range AllowedBy(p.key.Policy) {
		if strings.HasPrefix(allowed, "/twilio/"+op.Product+"/") {
			return true
		}
	}
	return false
}

// AllowedBy returns the permissions that the policy of a restricted key lists.
func AllowedBy(policy json.RawMessage) []string {
	var p struct {
		Allow []string `json:"allow"`
	}
	if json.Unmarshal(policy, &p) != nil {
		return nil
	}
	return p.Allow
}

// KeySecret is the secret of an API key of the account, for who checks what was
// signed with it. A Restricted key signs no token that Twilio accepts, so it is
// not found.
func (e *Emulator) KeySecret(sid string) (secret string, ok bool) {
	e.store.RLock()
	defer e.store.RUnlock()
	k := e.store.Keys.Find(sid)
	if k == nil || k.Type == store.KeyRestricted {
		return "", false
	}
	return k.Secret, true
}

// MaxTokenLife is how long a Flex token may live at most.
const MaxTokenLife = 24 * time.Hour

// MintFlexToken returns a Flex token for a worker, as a login would.
func (e *Emulator) MintFlexToken(workerSID string, ttl time.Duration) (string, error) {
	now := e.Now()
	e.store.Lock()
	defer e.store.Unlock()
	_, w := e.store.Worker(workerSID)
	if w == nil {
		return "", problem.New(problem.NotFound, "cannot mint a Flex token: no worker %s", workerSID)
	}
	text, _, changes := mint(e.store, w, ttl, now)
	if err := e.store.Write(changes...); err != nil {
		return "", err
	}
	return text, nil
}

// Mint makes a Flex token for a worker.
func (c *Call) Mint(w *store.Worker, ttl time.Duration) (string, *store.Token, *Reply) {
	text, t, changes := mint(c.Store, w, ttl, c.Now)
	return text, t, c.Write(changes...)
}

// mint makes a token for a worker. The token looks like the compact JWE Flex
// hands out and holds nothing. The caller holds the lock.
func mint(s *store.Store, w *store.Worker, ttl time.Duration, now time.Time) (string, *store.Token, []store.Change) {
	s.Meta.Seq++
	part := func(what string, n int) string {
		raw, _ := hex.DecodeString(store.Derive(n, s.Meta.Origin.SeedValue, s.Meta.Seq, what))
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RSA-OAEP-256","enc":"A128CBC-HS256","kid":"` + SIDMarker + `"}`))
	text := strings.Join([]string{header, part("key", 64), part("iv", 32), part("payload", 64), part("tag", 32)}, ".")
	t, changes := s.AddToken(text, w.SID, now.Add(ttl), now)
	return text, t, changes
}

// Holder is who a good Flex token stands for.
type Holder struct {
	Worker  *store.Worker
	Expires time.Time
}

// Identity is the client identity of the Flex user.
func (h Holder) Identity() string { return store.EncodeIdentity(h.Worker.Profile().Email) }

// Holder finds the holder of a token or says why there is none.
func (c *Call) Holder(token string) (h Holder, code int, why string) {
	return holder(c.Store, token, c.Now)
}

func holder(s *store.Store, token string, now time.Time) (h Holder, code int, why string) {
	t := s.Token(token)
	if t == nil {
		return Holder{}, codeAuth, "Token is not valid"
	}
	if !now.Before(t.Expires) {
		return Holder{}, codeExpired, "Token has expired"
	}
	_, w := s.Worker(t.Worker)
	if w == nil {
		return Holder{}, codeAuth, "Token is not valid: its user is gone"
	}
	return Holder{w, t.Expires}, 0, ""
}
