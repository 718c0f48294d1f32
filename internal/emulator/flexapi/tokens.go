//go:build ignore

package emulator

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// ValidateFailure says how Tokens/validate refuses a Flex token. Twilio
// documents none of it; clients have to live with each.
type ValidateFailure string

// The shapes of a refusal.
const (
	Failure200     ValidateFailure = "200-valid-false" // 200 {"valid":false,...}
	Failure401     ValidateFailure = "401-json"        // 401 and Twilio's error body
	Failure403     ValidateFailure = "403-json"        // 403 and Twilio's error body
	FailureNonJSON ValidateFailure = "non-json"        // 403 and an HTML page
)

func (f ValidateFailure) known() bool {
	return f == Failure200 || f == Failure401 || f == Failure403 || f == FailureNonJSON
}

// maxTTL is how long a Flex token may live at most, in seconds.
const maxTTL = 24 * 60 * 60

// mint makes a token for a worker and remembers its hash. The token looks like
// the compact JWE Flex hands out and holds nothing. The caller holds the lock.
func (e *Emulator) mint(w *worker, ttl time.Duration, now time.Time) (string, *token, error) {
	m := e.st.meta
	m.Seq++
	part := func(what string, n int) string {
		raw, _ := hex.DecodeString(derive(n, m.Origin.SeedValue, m.Seq, what))
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RSA-OAEP-256","enc":"A128CBC-HS256","kid":"` + SIDMarker + `"}`))
	text := strings.Join([]string{header, part("key", 64), part("iv", 32), part("payload", 64), part("tag", 32)}, ".")
	t := &token{Hash: hashOf(text), Worker: w.SID, Expires: now.Add(ttl).Truncate(time.Millisecond)}

	records := []record{m.record(), t.record()}
	var expired []string
	for hash, old := range e.st.tokens {
		// An expired token is remembered for a day, to say so when it comes.
		if now.Sub(old.Expires) > maxTTL*time.Second {
			expired = append(expired, hash)
			records = append(records, forget("token", hash))
		}
	}
	if err := e.st.put(records...); err != nil {
		return "", nil, err
	}
	for _, hash := range expired {
		delete(e.st.tokens, hash)
	}
	e.st.meta = m
	e.st.tokens[t.Hash] = t
	return text, t, nil
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// MintFlexToken returns a Flex token for a worker, as a login would.
func (e *Emulator) MintFlexToken(workerSID string, ttl time.Duration) (string, error) {
	now := e.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	_, w := e.st.worker(workerSID)
	if w == nil {
		return "", problem.New(problem.NotFound, "cannot mint a Flex token: no worker %s", workerSID)
	}
	text, _, err := e.mint(w, ttl, now)
	return text, err
}

// holder is who a good token stands for.
type holder struct {
	worker  *worker
	expires time.Time
}

func (h holder) identity() string { return EncodeIdentity(h.worker.agent().Email) }

// look finds the holder of a token or says why there is none. The caller holds
// the lock.
func (e *Emulator) look(text string, now time.Time) (h holder, code int, why string) {
	t := e.st.tokens[hashOf(text)]
	if t == nil {
		return holder{}, codeAuth, "Token is not valid"
	}
	if !now.Before(t.Expires) {
		return holder{}, codeExpired, "Token has expired"
	}
	_, w := e.st.worker(t.Worker)
	if w == nil {
		return holder{}, codeAuth, "Token is not valid: its user is gone"
	}
	return holder{w, t.Expires}, 0, ""
}

const milliseconds = "2006-01-02T15:04:05.000Z"

func createFlexUserToken(c *call) reply {
	var request struct {
		TTL *int64 `json:"ttl"`
	}
	if json.Unmarshal(c.body, &request) != nil {
		return invalid("The request body is not a JSON object with a number ttl")
	}
	ttl := int64(3600)
	if request.TTL != nil {
		ttl = *request.TTL
	}
	if ttl < 1 || ttl > maxTTL {
		return invalid("Invalid ttl %d: it must be 1 to %d seconds", ttl, maxTTL)
	}
	if c.noFlex || c.vars["InstanceSid"] != c.account.FlexInstanceSID {
		return notFound(c.path)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, w := c.st.worker("WK" + strings.TrimPrefix(c.vars["FlexUserSid"], "FU"))
	if w == nil || !w.FlexUser || w.flexUser() != c.vars["FlexUserSid"] {
		return notFound(c.path)
	}
	text, t, err := c.mint(w, time.Duration(ttl)*time.Second, c.now)
	if err != nil {
		return c.broken(err)
	}
	info := c.info(holder{w, t.Expires})
	info["username"] = w.FriendlyName
	return ok(http.StatusCreated, map[string]any{"access_token": text, "token_info": info})
}

func (c *call) info(h holder) map[string]any {
	return map[string]any{
		"account_sid": c.account.SID, "flex_instance_sid": c.account.FlexInstanceSID, "flex_user_sid": h.worker.flexUser(),
		"identity": h.identity(), "roles": h.worker.agent().Roles, "permissions": []string{},
		"expiration": h.expires.UTC().Format(milliseconds),
	}
}

func validateToken(c *call) reply {
	var request struct {
		Token *string `json:"token"`
	}
	if json.Unmarshal(c.body, &request) != nil || request.Token == nil {
		return invalid("The request body is not a JSON object with a string token")
	}
	settings := c.Settings()
	if c.vars["AccountSid"] != c.account.SID {
		return notFound(c.path)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	h, code, why := c.look(*request.Token, c.now)
	if code == 0 {
		a := h.worker.agent()
		return ok(http.StatusOK, map[string]any{
			"valid": true, "code": 0, "message": nil, "expiration": h.expires.UTC().Format(milliseconds),
			"realm_user_id": a.Email, "identity": h.identity(), "roles": a.Roles, "worker_sid": h.worker.SID,
		})
	}
	switch settings.ValidateFailure {
	case Failure401:
		return refuse(http.StatusUnauthorized, code, "%s", why)
	case Failure403:
		return refuse(http.StatusForbidden, code, "%s", why)
	case FailureNonJSON:
		return htmlPage(http.StatusForbidden)
	}
	return ok(http.StatusOK, map[string]any{"valid": false, "code": code, "message": why})
}

// fetchTokenInfo is what Flex UI 2.17 asks instead: the token is its own
// credential. It does not tell the body's token and the password apart.
func fetchTokenInfo(c *call) reply {
	user, password, _ := c.r.BasicAuth()
	text, _ := c.filled("Token")
	if user != "token" || text == "" || strings.TrimSuffix(password, ")") != text { // the Flex SDK appends a stray ")"
		return unauthorized("Authentication Error - invalid username")
	}
	if c.vars["AccountSid"] != c.account.SID {
		return notFound(c.path)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	h, code, why := c.look(text, c.now)
	if code != 0 {
		return refuse(http.StatusUnauthorized, code, "%d: %s", code, why)
	}
	a := h.worker.agent()
	info := c.info(h)
	info["valid"], info["realm_user_id"], info["name_id"], info["worker_sid"] = true, a.Email, a.Email, h.worker.SID
	return ok(http.StatusOK, info)
}
