// Package tui is the screen of flexvc watch. What it shows is judged in
// internal/fleet, and what it changes is a run of internal/workers. bubbletea lives
// here only.
//
// The model never waits and never prompts anyone: what takes time is a command
// that answers with a message. Only the rows that are visible are drawn.
package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/workers"
)

// Source is where the screen's workers come from and what it may do to them.
type Source interface {
	// Follow delivers updates until ctx ends, never two at a time. An error
	// before the first whole picture ends it.
	Follow(ctx context.Context, deliver func(fleet.Update)) error
	// Refresh asks for a sweep now.
	Refresh()
	// Propose plans the repair of a worker. The caller applies or closes it.
	Propose(ctx context.Context, sid string) (*workers.Proposal, error)
}

// Options say how the screen looks.
type Options struct {
	Title    string // of the workspace, such as "Flex Task Assignment WS…91c0"
	Filter   Filter
	Now      func() time.Time
	Location *time.Location // of the times shown
	Color    bool
	ASCII    bool // for terminals that draw nothing else

	// WholeTitle finds a better title while the workers are read. It may be nil.
	WholeTitle func(context.Context) string

	In      io.Reader
	Out     io.Writer
	Environ []string // TERM and COLORTERM are looked at
}

// ErrInterrupted is the end by ^C.
var ErrInterrupted = errors.New("interrupted")

// Run shows the screen until it is left. The terminal is as before when it
// returns, whatever happened. The error is ErrInterrupted, the context's, what
// Follow answered, or a bug.
func Run(ctx context.Context, source Source, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := newModel(ctx, source, o)
	g := &guard{Model: m}
	profile := colorprofile.Env(o.Environ)
	if !o.Color {
		profile = colorprofile.Ascii
	}
	p := tea.NewProgram(g,
		tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithEnvironment(o.Environ),
		tea.WithColorProfile(profile), tea.WithoutSignalHandler(),
		// A frame may wait for the next tick: at 120 a second that is 8 ms.
		tea.WithFPS(120))
	g.quit = p.Quit
	// With the context itself Bubble Tea would end as if killed, and not wait
	// for its reader of keys, which would race with the terminal's restoration.
	defer context.AfterFunc(ctx, p.Quit)()
	var following sync.WaitGroup
	following.Go(func() {
		err := source.Follow(ctx, func(u fleet.Update) { p.Send(updateMsg(u)) })
		if ctx.Err() == nil {
			p.Send(endedMsg{err})
		}
	})
	if o.WholeTitle != nil {
		following.Go(func() { p.Send(titleMsg(o.WholeTitle(ctx))) })
	}
	_, err := p.Run()
	outer := context.Cause(ctx)
	cancel()
	following.Wait()
	m.close()
	switch {
	case g.crash() != nil:
		return g.crash()
	case outer != nil:
		return outer
	case m.err != nil:
		return m.err
	}
	return err
}

// guard turns a panic in the model into an error: Bubble Tea would print it to
// the process's standard error and hide it from the caller.
type guard struct {
	tea.Model
	quit func()

	mu  sync.Mutex
	err error
}

// Update passes the message on.
func (g *guard) Update(msg tea.Msg) (m tea.Model, cmd tea.Cmd) {
	m = g // also after a panic
	if g.crash() != nil {
		return m, tea.Quit
	}
	defer g.caught()
	_, cmd = g.Model.Update(msg)
	return m, cmd
}

// View draws.
func (g *guard) View() (v tea.View) {
	if g.crash() != nil {
		return v
	}
	defer g.caught()
	return g.Model.View()
}

func (g *guard) caught() {
	r := recover()
	if r == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = &crash{fmt.Sprint(r), debug.Stack()}
		go g.quit() // the loop that would take the message is the one that failed
	}
}

func (g *guard) crash() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// crash is a panic of the screen.
type crash struct {
	what  string
	stack []byte
}

func (c *crash) Error() string { return "the watch screen failed: " + c.what }
func (c *crash) Unwrap() error { return errors.New(string(c.stack)) }

// What arrives besides keys.
type (
	updateMsg fleet.Update
	endedMsg  struct{ err error }
	tickMsg   time.Time
	titleMsg  string
	// proposedMsg answers to f, with a proposal or the reason why there is none.
	proposedMsg struct {
		sid      string
		proposal *workers.Proposal
		err      error
	}
	repairedMsg struct {
		name, run string
		err       error
	}
)
