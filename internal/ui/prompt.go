package ui

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/flexvc/flexvc/internal/problem"
)

// Confirm asks question and reports whether the answer was exactly "yes". It
// never prompts when nobody can answer: that is ConfirmationNeeded. A context that
// ends while waiting ends the wait.
func (s *Streams) Confirm(ctx context.Context, question string) (bool, error) {
	return s.ask(ctx, question, `Only "yes" is accepted: `, "yes")
}

// ConfirmName is Confirm where the answer has to be the name of what is changed.
func (s *Streams) ConfirmName(ctx context.Context, question, what, name string) (bool, error) {
	return s.ask(ctx, question, fmt.Sprintf("Type the name of the %s, %s, to continue: ", what, name), name)
}

func (s *Streams) ask(ctx context.Context, question, accepted, wanted string) (bool, error) {
	why := ""
	switch {
	case s.NoInput:
		why = "--no-input was given"
	case !s.InTTY:
		why = "standard input is not a terminal"
	}
	if why != "" {
		return false, problem.New(problem.ConfirmationNeeded, "cannot ask for confirmation: %s", why).
			WithHint("review with --dry-run, then run again with --yes")
	}
	if !strings.HasSuffix(question, "\n") {
		question += " "
	}
	fmt.Fprint(s.Err, question, accepted)
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(s.In).ReadString('\n')
		answers <- answer{strings.TrimSpace(line), err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(s.Err)
		return false, interrupted(ctx)
	case a := <-answers:
		if a.err != nil && a.err != io.EOF {
			return false, problem.New(problem.ConfirmationNeeded, "cannot read the answer: %w", a.err)
		}
		if a.err == io.EOF {
			fmt.Fprintln(s.Err)
		}
		return a.text == wanted, nil
	}
}

// interrupted is the end of a question that was not answered.
func interrupted(ctx context.Context) error {
	return problem.New(problem.Interrupted, "interrupted before anything was changed").Because(ctx.Err())
}
