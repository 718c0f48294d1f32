// Package cli holds what all commands share: the app, sessions, flags, and
// plans that are shown, confirmed and applied. What one command alone needs
// belongs to that command.
package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/spf13/cobra"
)

// App is what every command may use: streams, environment, clock, randomness
// and the global flags. What costs time or needs credentials is lazy.
type App struct {
	UI     *ui.Streams
	Getenv func(string) string
	Now    func() time.Time
	Sleep  func(context.Context, time.Duration) error
	Random io.Reader

	Global Global

	// Tree makes the command tree. It is a field because the commands know App,
	// and some of them run others.
	Tree func(*App) *cobra.Command

	// Open starts a session with the account that the profile names. Main sets
	// it; a test may put another account in its place.
	Open func(context.Context, SessionOptions) (*Session, error)

	settings  settings // behind Config
	interrupt *interrupts
	release   context.CancelFunc // ends the --timeout clock, nil without one
}

// Global holds the flags every command has.
type Global struct {
	Profile string
	Config  string
	Output  string // "text" or "json"
	Quiet   bool
	Verbose bool
	NoInput bool
	Color   string
	Timeout time.Duration // zero: none
}

// JSON reports whether results are to be JSON.
func (a *App) JSON() bool { return a.Global.Output == "json" }

// Log is the program's technical log: silent unless --verbose.
func (a *App) Log() *slog.Logger {
	if !a.UI.Verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(debugWriter{a.UI}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type debugWriter struct{ ui *ui.Streams }

func (w debugWriter) Write(p []byte) (int, error) {
	w.ui.Debug("%s", p)
	return len(p), nil
}

// Main runs one command line of flexvc and returns its exit code. It touches
// nothing global but the signals.
func Main(args []string, getenv func(string) string, in io.Reader, out, err io.Writer, tree func(*App) *cobra.Command) int {
	app := &App{
		UI:     ui.New(in, out, err, getenv),
		Getenv: getenv,
		Now:    time.Now,
		Sleep:  Sleep,
		Random: rand.Reader,
		Tree:   tree,

		interrupt: &interrupts{},
	}
	app.Open = app.OpenSession
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	defer survivePipes()()
	done := make(chan struct{})
	defer close(done)
	go app.HandleSignals(signals, done, cancel)
	return app.Run(ctx, args)
}

// Child is an App for another command line in this process: the same terminal,
// clock and ^C, in another environment.
func (a *App) Child(getenv func(string) string) *App {
	return &App{UI: a.UI, Getenv: getenv, Now: a.Now, Sleep: a.Sleep, Random: a.Random, Tree: a.Tree, interrupt: a.interrupt}
}

// Run executes one command line and reports its error, if any.
func (a *App) Run(ctx context.Context, args []string) int {
	root := a.Tree(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if a.release != nil {
		a.release()
	}
	if err == nil {
		err = a.UI.Lost()
	}
	if err == nil {
		return problem.ExitDone
	}
	err = a.Explain(ctx, cmd.CommandPath(), err)
	var silent SilentError
	if errors.As(err, &silent) {
		if lost := a.UI.Lost(); lost != nil && !errors.Is(lost, syscall.EPIPE) {
			a.UI.Problem(unwritten(lost)) // what the command told was not told
		}
		return problem.Exit(silent.err)
	}
	if a.JSON() {
		a.UI.ProblemJSON(err)
	} else {
		a.UI.Problem(err)
	}
	return problem.Exit(err)
}

// Explain gives a sentence to the errors that come from outside flexvc's own
// code: flag parsing, an ended context, a reader that went away.
func (a *App) Explain(ctx context.Context, command string, err error) error {
	var flagError UsageError
	switch {
	case errors.As(err, new(SilentError)) || problem.As(err) != nil:
		return err
	case errors.As(err, &flagError):
		return problem.New(problem.Usage, "%s", flagError.Error()).WithHint("%s --help", command)
	case errors.Is(err, syscall.EPIPE):
		return SilentError{problem.New(problem.OutputUnwritable, "cannot write results: %w", err)}
	case a.UI.Lost() != nil && errors.Is(err, a.UI.Lost()):
		return unwritten(a.UI.Lost())
	case errors.Is(err, context.DeadlineExceeded):
		return problem.New(problem.Timeout, "stopped: the --timeout limit was reached").Because(err)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return problem.New(problem.Interrupted, "interrupted").Because(err)
	}
	return err
}
