package emulator

import (
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// Limits bound what the emulator serves. Zero turns a limit off, except for
// ExpressionPerSecond.
type Limits struct {
	RequestsPerSecond   float64       `json:"requests_per_second,omitempty"`   // of the account, over all products
	Burst               int           `json:"burst,omitempty"`                 // requests at once; 0 is one second's worth
	Concurrency         int           `json:"concurrency,omitempty"`           // requests in flight
	ExpressionPerSecond float64       `json:"expression_per_second,omitempty"` // worker lists with TargetWorkersExpression; 0 is Twilio's 3, negative is off
	RetryAfter          bool          `json:"retry_after,omitempty"`           // 429 answers carry Retry-After
	Latency             time.Duration `json:"latency,omitempty"`               // added to every request, in nanoseconds in JSON
}

// ListAttributes says what a row of a worker list shows as attributes. Twilio's
// documentation and its own examples disagree.
type ListAttributes string

// The two readings of Twilio's documentation.
const (
	AttributesPresent ListAttributes = "present"
	AttributesNull    ListAttributes = "null"
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

// Builds says how builds of Twilio Serverless go.
type Builds struct {
	Time time.Duration `json:"time,omitempty"` // how long they take, in nanoseconds in JSON
	Fail bool          `json:"fail,omitempty"` // they end as failed
}

// Settings are the switches that can be changed while the emulator runs.
type Settings struct {
	ListAttributes  ListAttributes  `json:"list_attributes"`
	ValidateFailure ValidateFailure `json:"validate_failure"`
	Limits          Limits          `json:"limits"`
	Builds          Builds          `json:"builds"`
}

// complete fills in defaults and refuses values that mean nothing.
func (s *Settings) complete() error {
	if s.ListAttributes == "" {
		s.ListAttributes = AttributesPresent
	}
	if s.ListAttributes != AttributesPresent && s.ListAttributes != AttributesNull {
		return problem.New(problem.Usage, "cannot list attributes as %q", s.ListAttributes).
			WithHint("use %q or %q", AttributesPresent, AttributesNull)
	}
	if s.ValidateFailure == "" {
		s.ValidateFailure = Failure200
	}
	if !s.ValidateFailure.known() {
		return problem.New(problem.Usage, "cannot refuse a Flex token as %q", s.ValidateFailure).
			WithHint("use %q, %q, %q or %q", Failure200, Failure401, Failure403, FailureNonJSON)
	}
	l := &s.Limits
	if l.RequestsPerSecond < 0 || l.Burst < 0 || l.Concurrency < 0 || l.Latency < 0 || s.Builds.Time < 0 {
		return problem.New(problem.Usage, "cannot emulate a negative limit or time")
	}
	if l.ExpressionPerSecond == 0 {
		l.ExpressionPerSecond = 3
	}
	return nil
}

// Configure replaces the switches; nonsense is problem.Usage and changes
// nothing.
func (e *Emulator) Configure(s Settings) error {
	if err := s.complete(); err != nil {
		return err
	}
	e.mu.Lock()
	e.settings = s
	e.mu.Unlock()
	e.limit.set(s.Limits)
	return nil
}

// Settings returns the switches in force.
func (e *Emulator) Settings() Settings {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.settings
}
