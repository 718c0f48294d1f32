package emulator

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"
)

// principal is who sent a request: the account itself or one of its keys.
type principal struct {
	key *key // nil is the account with its auth token
}

// authenticate checks HTTP basic authentication the way Twilio answers it.
func (e *Emulator) authenticate(r *http.Request) (principal, reply, bool) {
	user, password, ok := r.BasicAuth()
	if !ok || user == "" && password == "" {
		return principal{}, unauthorized("Authentication Error - No credentials provided"), false
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	var who principal
	var secret string
	switch {
	case user == e.st.meta.Account.SID:
		secret = e.st.meta.Account.AuthToken
	default:
		if who.key = e.st.key(user); who.key == nil {
			return principal{}, unauthorized("Authentication Error - invalid username"), false
		}
		secret = who.key.Secret
	}
	if subtle.ConstantTimeCompare([]byte(password), []byte(secret)) != 1 {
		return principal{}, unauthorized("Authenticate"), false
	}
	return who, reply{}, true
}

// may reports whether the credentials are good for the operation.
func (p principal) may(op *operation) bool {
	switch {
	case p.key == nil || p.key.Type == KeyMain:
		return true
	case p.key.Type == KeyStandard:
		return op.guard != guardAdmin
	}
	// A permission reads /twilio/taskrouter/workers/update. Products are told
	// apart, the resources and verbs below them are not.
	for _, allowed := range allowedBy(p.key.Policy) {
		if strings.HasPrefix(allowed, "/twilio/"+op.product+"/") {
			return true
		}
	}
	return false
}

func allowedBy(policy json.RawMessage) []string {
	var p struct {
		Allow []string `json:"allow"`
	}
	if json.Unmarshal(policy, &p) != nil {
		return nil
	}
	return p.Allow
}
