package ui

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/flexvc/flexvc/internal/buildinfo"
	"github.com/flexvc/flexvc/internal/problem"
)

// issuesURL is where a bug is reported.
const issuesURL = "https://github.com/flexvc/flexvc/issues"

// Problem prints err for a person. Detail lines are indented below the summary.
func (s *Streams) Problem(err error) {
	p := asProblem(err)
	text := "flexvc: " + s.Paint(s.Err, Failure, "error:") + " " + lines(p.Summary, "  ")
	if p.Detail != "" {
		text += "\n        " + lines(p.Detail, "        ")
	}
	s.errLine(text)
	if p.Hint != "" {
		s.errLine("flexvc: " + s.Paint(s.Err, Faint, "hint:") + " " + lines(s.Suggest(p.Hint), "              "))
	}
	if cause := p.Unwrap(); cause != nil && s.Verbose {
		s.errLine("flexvc: debug: caused by: " + lines(cause.Error(), "  "))
	}
}

// ErrorJSON is an error as programs see it.
type ErrorJSON struct {
	V       int          `json:"v"`                // version of the format
	Event   string       `json:"event"`            // kind of line
	Code    problem.Code `json:"code"`             // stable; docs/errors.md lists them
	Exit    int          `json:"exit"`             // the exit code
	Summary string       `json:"summary"`          // what failed and why, one clause
	Detail  string       `json:"detail,omitempty"` // more of it, in lines
	Hint    string       `json:"hint,omitempty"`   // a command or an instruction that helps
}

// ProblemJSON prints err as one object on standard error.
func (s *Streams) ProblemJSON(err error) {
	p := asProblem(err)
	var out strings.Builder
	_ = JSON(&out).Encode(ErrorJSON{1, "error", p.Code, problem.Exit(p), p.Summary, p.Detail, s.Suggest(p.Hint)})
	s.errLine(out.String())
}

// asProblem turns any other error into a bug report: what a user can cause has
// a problem of its own.
func asProblem(err error) *problem.Problem {
	if p := problem.As(err); p != nil {
		return p
	}
	return problem.New(problem.Internal, "this is a bug in flexvc: %w", err).
		WithHint("please report it with this line: flexvc %s %s/%s, %s", buildinfo.Version, runtime.GOOS, runtime.GOARCH, issuesURL)
}

// lines cleans each line of text and indents all but the first.
func lines(text, indent string) string {
	parts := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := range parts {
		parts[i] = Clean(parts[i])
	}
	return strings.Join(parts, "\n"+indent)
}

// Plural returns "1 worker" or "3 workers".
func Plural(n int, noun string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
