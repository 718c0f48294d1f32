package cli

import (
	"errors"
	"fmt"

	"github.com/flexvc/flexvc/internal/problem"
)

// UsageError is a command line flexvc does not understand.
type UsageError struct{ error }

// Unwrap returns the cause.
func (e UsageError) Unwrap() error { return e.error }

func Usagef(format string, args ...any) error {
	return UsageError{fmt.Errorf(format, args...)}
}

// SilentError carries an exit code for something the command has already told.
type SilentError struct{ err error }

func (e SilentError) Error() string { return e.err.Error() }

func (e SilentError) Unwrap() error { return e.err }

// Silent wraps a problem whose message has been printed as part of the result.
func Silent(code problem.Code) error {
	return SilentError{problem.New(code, "%s", code)}
}

func unwritten(err error) error {
	return problem.New(problem.OutputUnwritable, "cannot write results: %w", problem.Reason(err)).
		WithHint("check that the disk is not full")
}

// Told wraps an error whose message the command has printed in its own way: only
// its exit code is left to give.
func Told(err error) error { return SilentError{err} }

// Innermost is the error at the bottom: "connection refused" without the layers
// that repeat the address the sentence around it names.
func Innermost(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}
