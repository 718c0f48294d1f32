package tokensrv

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"net/http"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// policy is what Reload replaces: who may get tokens, who vouches, who signs.
type policy struct {
	allowOrigins map[string][]string // the header's value, ready to send
	admission    *admission
	minter       *minter
	authority    *authority
}

func newPolicy(c Config, admission *admission, transport http.RoundTripper, now func() time.Time, sawDate func(time.Duration)) (*policy, error) {
	p := &policy{allowOrigins: make(map[string][]string, len(c.AllowOrigins)), admission: admission, minter: newMinter(c)}
	for _, o := range c.AllowOrigins {
		p.allowOrigins[o] = []string{o}
	}
	var err error
	if p.authority, err = newAuthority(c, transport, now, sawDate); err != nil {
		return nil, problem.New(problem.ConfigInvalid, "cannot serve tokens: invalid validator URL")
	}
	return p, nil
}

// Reload takes up c's credentials, origins, and lists of who may get tokens; the
// rest of c is as it was at the start. may asks Twilio whether a signing key
// that is new may sign; nil believes it. With an error nothing has changed.
// Requests that have begun keep what they began with.
func (s *Server) Reload(ctx context.Context, c Config, may func(context.Context) error) error {
	if err := c.Validate(); err != nil {
		return err
	}
	old := s.policy.Load()
	if c.AccountSID != old.minter.account {
		return problem.New(problem.WrongTarget, "cannot change from account %s to %s while running", twilio.Short(old.minter.account), twilio.Short(c.AccountSID)).
			WithHint("restart the server")
	}
	if may != nil && c.KeySID != old.minter.key {
		ctx, cancel := context.WithTimeout(ctx, askTwilioFor)
		defer cancel()
		if err := may(ctx); err != nil {
			return err
		}
	}
	p, err := newPolicy(c, old.admission.with(c), s.transport, s.now, s.sawDrift)
	if err != nil {
		return err
	}
	s.policy.Store(p)
	if s.shared != nil {
		s.shared.seal.Store(sealOf(c))
	}
	return nil
}

// with has the lists of c, and what was looked up before.
func (a *admission) with(c Config) *admission {
	changed := *a
	changed.roles, changed.workers = c.RequireRoles, setOf(c.AllowWorkers)
	return &changed
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, entry := range list {
		set[entry] = true
	}
	return set
}

// sealOf is what proves that a verdict in Redis is our own. A verdict names an
// identity, so whoever can write to Redis could name theirs. Only holders of the
// signing secret can seal one.
func sealOf(c Config) *[]byte {
	seal := hmac.New(sha256.New, []byte(c.KeySecret))
	seal.Write([]byte("flexvc verdict 1"))
	sum := seal.Sum(nil)
	return &sum
}
