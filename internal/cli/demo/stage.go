//go:build voice

package demo

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// endPatience is how long each part of a stage may take to end.
const endPatience = 10 * time.Second

// stage is what runs for a demo, oldest part first. Nothing but strike ends any
// of it.
type stage struct {
	over  context.CancelCauseFunc // ends the demo when a part fails
	parts []part
}

type part struct {
	name string
	end  func(context.Context) error
}

// add puts a part on the stage. Its end gives up when its context does.
func (s *stage) add(name string, end func(context.Context) error) {
	s.parts = append(s.parts, part{name, end})
}

// closing adds a part whose end cannot be told to hurry.
func (s *stage) closing(name string, end func() error) {
	s.add(name, func(ctx context.Context) error {
		ended := make(chan error, 1)
		go func() { ended <- end() }()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return problem.New(problem.Internal, "the demo's %s did not stop in time", name)
		}
	})
}

// run adds a part that runs until its context ends. One that fails before ends
// the demo.
func (s *stage) run(name string, run func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		err := run(ctx)
		if err != nil && ctx.Err() == nil {
			s.over(err)
			err = nil // told already
		}
		ended <- err
	}()
	s.closing(name, func() error { stop(); return <-ended })
}

// strike ends every part, the newest first, and waits for each. When ctx has
// ended nobody wants to wait.
func (s *stage) strike(ctx context.Context) error {
	var failed []error
	for _, p := range slices.Backward(s.parts) {
		within, cancel := context.WithTimeout(ctx, endPatience)
		if err := p.end(within); err != nil && ctx.Err() == nil {
			failed = append(failed, err)
		}
		cancel()
	}
	s.parts = nil
	return errors.Join(failed...)
}
