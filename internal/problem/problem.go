// Package problem holds the one user-facing error type, its codes, and what makes
// its sentences: the reason without the names, the name that was meant. It prints
// nothing and knows no other package, since all of them import it.
//
// A sentence is lower case, has no final period and says what could not be
// done and why: "cannot read flexvc.yaml: permission denied". It names the
// object and its scope and never contains a secret. The hint says what to do
// next, with the command to type.
package problem

import (
	"errors"
	"fmt"
)

// Problem is an error that a person is meant to read.
type Problem struct {
	Code    Code   // stable, listed in docs/errors.md
	Summary string // one sentence: what could not be done: why
	Detail  string // optional: more lines, shown indented below the summary
	Hint    string // optional: what to do next
	Err     error  // optional cause; for errors.Is and for --verbose, not printed otherwise
}

// Error returns the summary alone: Detail and Hint are the printer's business.
func (p *Problem) Error() string { return p.Summary }

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

// New returns a problem with a formatted summary. A %w verb sets the cause.
func New(code Code, format string, args ...any) *Problem {
	err := fmt.Errorf(format, args...)
	return &Problem{Code: code, Summary: err.Error(), Err: errors.Unwrap(err)}
}

// WithHint sets the hint and returns p, so that it can be chained to New.
func (p *Problem) WithHint(format string, args ...any) *Problem {
	p.Hint = fmt.Sprintf(format, args...)
	return p
}

// WithDetail sets the detail and returns p.
func (p *Problem) WithDetail(format string, args ...any) *Problem {
	p.Detail = fmt.Sprintf(format, args...)
	return p
}

// Because sets the cause and returns p. The cause is not printed, so it may be
// technical; it may still never hold a secret.
func (p *Problem) Because(err error) *Problem {
	p.Err = err
	return p
}

// As returns the outermost Problem in err's chain, or nil.
func As(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return nil
}

// Is reports whether the outermost Problem in err's chain has the given code.
func Is(err error, code Code) bool {
	p := As(err)
	return p != nil && p.Code == code
}
