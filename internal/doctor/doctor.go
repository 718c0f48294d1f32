// Package doctor finds out what is wrong with a set-up: checks as values, each
// of which says what it found, why, and what mends it. It prints nothing and
// changes nothing.
package doctor

import (
	"context"
	"errors"
	"time"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
)

// Status is how a check ended.
type Status string

// The statuses.
const (
	Passed  Status = "passed"
	Warned  Status = "warning"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Result is what a check found. The texts are for people: lower case, no final
// period, whole SIDs, never a secret.
type Result struct {
	Status Status
	Says   string
	Cause  string // of a warning or a failure
	Fix    string // the command to type, or what to do
	Took   time.Duration
	States fleet.Counts // of the check of workers alone
}

// Check is one thing to look at.
type Check struct {
	ID    string // what people name it by: "token-server"
	Title string // what it looks at, for help
	Run   func(context.Context) Result
}

// Patience is how long one check may take.
const Patience = 15 * time.Second

// Run runs all checks at once and tells each result in the order of the checks.
// A check that takes longer than Patience has failed. The error is the
// context's, when it ends first.
func Run(ctx context.Context, checks []Check, now func() time.Time, tell func(Check, Result)) error {
	results := make([]chan Result, len(checks))
	for i, c := range checks {
		results[i] = make(chan Result, 1)
		go func() { results[i] <- c.run(ctx, now) }()
	}
	for i, c := range checks {
		select {
		case r := <-results[i]:
			if err := ctx.Err(); err != nil {
				return err
			}
			tell(c, r)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c Check) run(ctx context.Context, now func() time.Time) Result {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	began := now()
	r := c.Run(ctx)
	r.Took = now().Sub(began)
	return r
}

func pass(says string) Result { return Result{Status: Passed, Says: says} }
func skip(says string) Result { return Result{Status: Skipped, Says: "skipped: " + says} }
func fail(says, cause, fix string) Result {
	return Result{Status: Failed, Says: says, Cause: cause, Fix: fix}
}
func warn(says, cause, fix string) Result {
	return Result{Status: Warned, Says: says, Cause: cause, Fix: fix}
}

// failure turns an error into a result; fix is used when the error has no hint.
func failure(says string, err error, fix string) Result {
	if errors.Is(err, context.DeadlineExceeded) {
		return fail(says, "no answer within "+Patience.String(), "check the network and proxy settings, then try again")
	}
	if p := problem.As(err); p != nil {
		if p.Hint != "" {
			fix = p.Hint
		}
		return fail(says, p.Summary, fix)
	}
	return fail(says, err.Error(), fix)
}
