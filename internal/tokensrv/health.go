package tokensrv

import (
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// Degraded is something that does not work while the server goes on.
type Degraded struct {
	What string `json:"what"` // a stable word: start, validator, redis, clock, descriptors, or a guest's
	Why  string `json:"why"`
}

func (s *Server) live(w http.ResponseWriter, _ *http.Request) { health(w, http.StatusOK, "ok\n") }

// ready says whether to send requests here: not while draining, and not while
// Twilio is away and nothing can be answered without it.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	why := ""
	switch {
	case s.draining.Load():
		health(w, http.StatusServiceUnavailable, "draining\n")
		return
	case !s.start.done.Load():
		why = "starting: waiting for Twilio"
	case s.verifier.breaker.State() == gobreaker.StateOpen:
		why = "the validator is down"
	}
	switch {
	case why == "":
		health(w, http.StatusOK, "ok\n")
	case s.worksWithoutTwilio():
		health(w, http.StatusOK, "degraded: "+why+"\n")
	default:
		health(w, http.StatusServiceUnavailable, why+"\n")
	}
}

// worksWithoutTwilio reports whether some requests can be answered: agents whom
// Twilio has just vouched for, or what guests have. Before the first question
// has failed there is no telling whether the signing key is any good.
func (s *Server) worksWithoutTwilio() bool {
	if !s.start.done.Load() && s.start.fault.Load() == nil {
		return false
	}
	return s.verifier.verdicts.fresh() || s.otherWork != nil && s.otherWork()
}

func health(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h["Content-Type"] = plainType
	h["Cache-Control"] = noStore
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// Degradations lists what does not work at the moment.
func (s *Server) Degradations() []Degraded {
	all := []Degraded{}
	add := func(bad bool, what, why string) {
		if bad {
			all = append(all, Degraded{what, why})
		}
	}
	if fault := s.start.fault.Load(); fault != nil && !s.start.done.Load() {
		add(true, "start", *fault)
	}
	add(s.verifier.breaker.State() != gobreaker.StateClosed, "validator", "Twilio does not validate Flex tokens: only agents validated in the last minute get tokens")
	add(s.shared != nil && s.m.redisUp.Get() == 0, "redis", "Redis does not answer: limits and verdicts are this replica's own")
	add(s.drifting.Load(), "clock", "this machine's clock differs from Twilio's: tokens may be refused as early or expired")
	add(s.crowded(), "descriptors", "file descriptors ran out within the last minute: new connections got 503")
	for _, more := range s.degraded {
		all = append(all, more()...)
	}
	return all
}

func (s *Server) showDegraded(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = jsonType
	w.Header()["Cache-Control"] = noStore
	_ = json.NewEncoder(w).Encode(struct { // the reader may be gone
		Degraded []Degraded `json:"degraded"`
	}{s.Degradations()})
}

// startup is what the server has learnt from Twilio so far.
type startup struct {
	done  atomic.Bool
	fault atomic.Pointer[string] // why not yet
}

const (
	askTwilioFor = 15 * time.Second // one attempt
	startRest    = time.Second      // after the first attempt that failed; it doubles
	longestRest  = 30 * time.Second
)

// Start asks Twilio what must be known before the server is ready, until Twilio
// answers or ctx ends. It may run beside Run: requests are answered meanwhile.
// tried is told of every attempt that failed because Twilio was away. The error
// is a refusal, a problem: nothing will be better next time.
func (s *Server) Start(ctx context.Context, tried func(error)) error {
	for rest := startRest; !s.start.done.Load(); rest = min(2*rest, longestRest) {
		err := s.ask(ctx)
		switch {
		case err == nil:
			s.start.done.Store(true)
			return nil
		case ctx.Err() != nil:
			return nil
		case !away(err):
			return err
		}
		why := err.Error()
		s.start.fault.Store(&why)
		tried(err)
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func (s *Server) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTwilioFor)
	defer cancel()
	for _, question := range s.questions {
		switch err := question(ctx); {
		case err == nil:
		case problem.As(err) != nil:
			return err
		default:
			return problem.New(problem.CredentialsRefused, "cannot serve tokens: the signing key %s cannot sign voice tokens", twilio.Short(s.policy.Load().minter.key)).
				WithHint("create a Standard API key for this account in the Twilio Console; a Restricted key cannot sign").Because(err)
		}
	}
	return nil
}

// away reports whether err says that Twilio could not be asked, or had no answer.
func away(err error) bool {
	for _, code := range []problem.Code{problem.NetworkUnreachable, problem.TwilioUnavailable, problem.TwilioAnswer, problem.RateLimited, problem.Timeout} {
		if problem.Is(err, code) {
			return true
		}
	}
	return false
}
