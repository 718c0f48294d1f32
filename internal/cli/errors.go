package cli

import (
	"errors"
	"fmt"

	"github.com/flexvc/flexvc/internal/problem"
)

// usageError is a command line flexvc does not understand.
type usageError struct{ error }

// Unwrap returns the cause.
func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// silentError carries an exit code for something the command has already told.
type silentError struct{ err error }

func (e silentError) Error() string { return e.err.Error() }

func (e silentError) Unwrap() error { return e.err }

// silent wraps a problem whose message has been printed as part of the result.
func silent(code problem.Code) error {
	return silentError{problem.New(code, "%s", code)}
}

func unwritten(err error) error {
	return problem.New(problem.OutputUnwritable, "cannot write results: %w", reason(err)).
		WithHint("see whether the disk is full")
}

// reason is the innermost error: "address already in use" without the layers
// that repeat the address.
func reason(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}
