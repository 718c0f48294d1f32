package tokensrv

import (
	"context"
	"crypto/sha256"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/flexvc/flexvc/internal/turns"
)

const (
	keepVerified  = 60 * time.Second // a token revoked at Twilio works here no longer than this
	keepRefused   = 5 * time.Second
	keepAdmission = 5 * time.Second // an agent turned on or off gets a token, or none, soon after
	verdictsKept  = 12 << 10        // about 4 MB; ten thousand agents log in within a minute
	workersKept   = 12 << 10
	refusalsKept  = 4 << 10 // of their own: garbage must not push good agents out
	maxTokenBytes = 16 << 10

	questionsAtOnce = 512     // to Twilio
	waitingMost     = 4 << 10 // for one of them

	breakAfter  = 10              // failures in a row
	breakerRest = 2 * time.Second // before one request tries again
)

// verdict is what is remembered about a token: the agent, or why there is none.
type verdict struct {
	agent
	refused *refusal // nil for a good token
}

// verifier decides whether a Flex token is good, asking Twilio as rarely as it may.
type verifier struct {
	verdicts *memo[verdict]
	refusals *memo[*refusal]
	turns    *turns.Turns  // at Twilio, fair over addresses
	patience time.Duration // with both the wait for a turn and Twilio
	culprits *limiter      // addresses by the tokens that Twilio refused; never shared
	shared   *shared       // nil without Redis
	breaker  *gobreaker.CircuitBreaker[agent]
	ask      func(ctx context.Context, token string) (agent, error)
	needed   func(agent) agent // drops what admission never looks at, a third of a verdict
	now      func() time.Time
	m        *metrics
}

func newVerifier(c Config, ask func(context.Context, string) (agent, error), sh *shared, now func() time.Time, m *metrics, changed func(from, to gobreaker.State)) *verifier {
	return &verifier{
		verdicts: newMemo[verdict](verdictsKept, 2*c.ValidateTimeout, now),
		refusals: newMemo[*refusal](refusalsKept, 0, now),
		turns:    turns.New(questionsAtOnce, waitingMost),
		patience: c.ValidateTimeout,
		culprits: newLimiter("refusal", c.RefusalRate, nil, now),
		shared:   sh,
		ask:      ask,
		needed: func(a agent) agent {
			if len(c.RequireRoles) == 0 {
				a.Roles = nil
			}
			if len(c.AllowWorkers) == 0 && !c.RequireEnabled {
				a.WorkerSID = ""
			}
			return a
		},
		now: now,
		m:   m,
		breaker: gobreaker.NewCircuitBreaker[agent](gobreaker.Settings{
			Name:          "validator",
			MaxRequests:   1,
			Timeout:       breakerRest,
			ReadyToTrip:   func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= breakAfter },
			IsSuccessful:  func(err error) bool { return !validatorDown(err) },
			OnStateChange: func(_ string, from, to gobreaker.State) { changed(from, to) },
		}),
	}
}

// validatorDown tells an outage from an answer. Refusals and nonsense do not
// count: whoever sends odd tokens could otherwise switch everyone off.
func validatorDown(err error) bool {
	var r *refusal
	if !errors.As(err, &r) {
		return err != nil
	}
	if r.shape == noDescriptor {
		return false
	}
	return r.reason == validatorTimeout || r.reason == validatorLost || r.reason == validatorFailing
}

// verify returns the agent a token stands for that came from an address. The
// error is a *refusal, or ctx's own when the caller left.
func (v *verifier) verify(ctx context.Context, token, address string) (agent, error) {
	if len(token) > maxTokenBytes || !flexShaped(token) {
		return agent{}, refuse(malformedToken)
	}
	sum := sha256.Sum256([]byte(token))
	key := string(sum[:])
	d, hit := v.verdicts.peek(key)
	if !hit {
		d.refused, hit = v.refusals.peek(key)
	}
	if hit {
		v.m.cacheHit.Inc()
	} else {
		var err error
		d, err = v.verdicts.get(ctx, key, func(ctx context.Context) (verdict, time.Time, error) {
			return v.find(ctx, key, token, address)
		})
		if err != nil {
			return agent{}, err
		}
	}
	if d.refused != nil {
		return agent{}, d.refused
	}
	return d.agent, nil
}

// find looks where the other replicas look, then asks Twilio, in turn with the
// other addresses: one that sends garbage, which takes Twilio as long as a good
// token, waits behind itself, and soon has asked enough.
func (v *verifier) find(ctx context.Context, key, token, address string) (verdict, time.Time, error) {
	if r, ok := v.refusals.peek(key); ok { // settled between verify and here
		return verdict{refused: r}, time.Time{}, nil
	}
	if wait := v.culprits.due(address); wait > 0 {
		return verdict{}, time.Time{}, refuseFor(refusedTooOften, wait)
	}
	if v.shared != nil {
		if d, until, ok := v.shared.verdict(ctx, key); ok {
			v.m.cacheShared.Inc()
			return v.remember(key, d, until)
		}
	}
	if v.breaker.State() == gobreaker.StateOpen {
		return verdict{}, time.Time{}, refuseFor(validatorOpen, breakerRest) // no turn will help
	}
	// A turn that is waited for is no fault of Twilio's, so this is not the
	// breaker's to see, nor part of the time that Twilio has.
	giveBack, err := v.turns.Take(ctx, address, v.patience)
	if err != nil {
		return verdict{}, time.Time{}, refuseFor(serverBusy, 2*time.Second)
	}
	defer giveBack()
	// Charged now and given back to who is vouched for: of a slow Twilio's refusals
	// the first would come long after hundreds were asked for.
	if wait := v.culprits.wait(ctx, address); wait > 0 {
		return verdict{}, time.Time{}, refuseFor(refusedTooOften, wait)
	}
	ctx, cancel := context.WithTimeout(ctx, v.patience)
	defer cancel()
	v.m.cacheMiss.Inc()
	a, err := v.breaker.Execute(func() (agent, error) {
		started := v.now()
		a, err := v.ask(ctx, token)
		v.m.validator(err, v.now().Sub(started))
		return a, err
	})
	var r *refusal
	if !errors.As(err, &r) || !r.settled() {
		v.culprits.refund(address)
	}
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return verdict{}, time.Time{}, refuseFor(validatorOpen, breakerRest)
	}
	now := v.now()
	d := verdict{agent: a} // whole: another replica may need what this one does not
	until := now.Add(keepVerified)
	switch {
	case r != nil && r.settled():
		d.refused, until = r, now.Add(keepRefused)
	case err != nil:
		return verdict{}, time.Time{}, err
	case a.Expires.IsZero():
		return d, time.Time{}, nil
	case a.Expires.Before(until):
		until = a.Expires
	}
	if v.shared != nil {
		v.shared.keep(ctx, key, d, until)
	}
	return v.remember(key, d, until)
}

// remember keeps refusals apart, and is what an asker returns.
func (v *verifier) remember(key string, d verdict, until time.Time) (verdict, time.Time, error) {
	if d.refused != nil {
		v.refusals.keep(key, d.refused, until)
		return d, time.Time{}, nil
	}
	d.agent = v.needed(d.agent)
	return d, until, nil
}

// settled reports whether asking again at once could not change the answer.
func (r *refusal) settled() bool {
	return r.reason == tokenRefused || r.reason == tokenExpired || r.reason == otherAccount
}

// flexShaped finds what is built as a signed or encrypted token is: three or five
// base64url parts, of which the first is a JSON object ("eyJ" begins one). Flex's are
// JWE. Nobody who has seen one is kept from imitating it, but what floods usually
// send is none. https://www.rfc-editor.org/rfc/rfc7516#section-3.1
var flexShaped = regexp.MustCompile(`^eyJ[\w-]*(\.[\w-]*\.[\w-]*){1,2}$`).MatchString

// admission decides which verified agents get a token.
type admission struct {
	roles   []string
	workers map[string]bool // by worker SID or identity; empty admits all
	enabled func(ctx context.Context, workerSID string) (bool, error)
	lookups *memo[bool]
	now     func() time.Time
}

func newAdmission(c Config, d Deps) *admission {
	a := &admission{roles: c.RequireRoles, now: d.Now, workers: setOf(c.AllowWorkers)}
	if c.RequireEnabled {
		a.enabled = d.WorkerEnabled
		a.lookups = newMemo[bool](workersKept, c.ValidateTimeout, d.Now)
	}
	return a
}

func (a *admission) admit(ctx context.Context, who agent) error {
	if len(a.roles) > 0 && !slices.ContainsFunc(who.Roles, func(r string) bool { return slices.Contains(a.roles, r) }) {
		return refuse(roleMissing)
	}
	if len(a.workers) > 0 && !a.workers[who.Identity] && !(who.WorkerSID != "" && a.workers[who.WorkerSID]) {
		return refuse(workerNotAllowed)
	}
	if a.enabled == nil {
		return nil
	}
	if who.WorkerSID == "" {
		return refuse(workerNotEnabled)
	}
	on, err := a.lookups.get(ctx, who.WorkerSID, func(ctx context.Context) (bool, time.Time, error) {
		on, err := a.enabled(ctx, who.WorkerSID)
		if err != nil {
			return false, time.Time{}, errors.Join(refuseFor(workerUnknown, 2*time.Second), err)
		}
		return on, a.now().Add(keepAdmission), nil
	})
	if err != nil {
		return err
	}
	if !on {
		return refuse(workerNotEnabled)
	}
	return nil
}
