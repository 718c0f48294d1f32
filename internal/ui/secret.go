package ui

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"time"

	"golang.org/x/term"

	"github.com/flexvc/flexvc/internal/problem"
)

// AskSecret reads a line from the terminal without showing it. Where nobody can
// be asked it is ConfirmationNeeded with the given hint.
func (s *Streams) AskSecret(ctx context.Context, question, hint string) (string, error) {
	file, ok := s.In.(*os.File)
	if s.NoInput || !s.InTTY || !ok {
		return "", problem.New(problem.ConfirmationNeeded, "cannot ask for the %s: nobody is at a terminal", question).WithHint("%s", hint)
	}
	fd := int(file.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", problem.New(problem.ConfirmationNeeded, "cannot ask for the %s: %w", question, err).WithHint("%s", hint)
	}
	if ctx.Err() != nil {
		return "", interrupted(ctx)
	}
	fmt.Fprintf(s.Err, "%s: ", question)
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		answers <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		// The reader turns the echo off, and may be about to: a terminal that is put
		// right before it does stays without.
		for hidden := false; !hidden; {
			select {
			case <-answers:
				hidden = true
			case <-time.After(time.Millisecond):
				now, err := term.GetState(fd)
				hidden = err != nil || !reflect.DeepEqual(now, before)
			}
		}
		_ = term.Restore(fd, before)
		fmt.Fprintln(s.Err)
		return "", interrupted(ctx)
	case a := <-answers:
		fmt.Fprintln(s.Err)
		if a.err != nil {
			return "", problem.New(problem.ConfirmationNeeded, "cannot read the %s: %w", question, a.err).WithHint("%s", hint)
		}
		return string(a.text), nil
	}
}
