//go:build voice

package demo

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
)

// chromium is a browser in a process group of its own: a terminal's ^C does not
// reach it, and what it leaves behind can be ended with it.
type chromium struct {
	cmd    *exec.Cmd
	ended  chan struct{} // closed when its first process has ended
	log    string        // file of what it complains about
	failed error         // of its first process; read after ended
}

// startChromium starts a browser that keeps what it writes outside its profile
// in the folder.
func startChromium(path, folder string, args []string) (*chromium, error) {
	log := filepath.Join(folder, "chromium.log")
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c := &chromium{cmd: exec.Command(path, args...), ended: make(chan struct{}), log: log}
	// A file, because a pipe stays open as long as any of its processes.
	c.cmd.Stderr = out
	c.cmd.Env = append(c.cmd.Environ(), "TMPDIR="+folder)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		return nil, problem.New(problem.NotFound, "cannot start %s: %w", path, problem.Reason(err)).
			WithHint("set CHROMIUM to the path of a Chromium")
	}
	go func() {
		c.failed = c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// verdict is the error of a browser that ended by itself; being closed is none.
func (c *chromium) verdict() error {
	if c.failed == nil {
		return nil
	}
	why := ""
	if said, err := os.ReadFile(c.log); err == nil {
		said = bytes.TrimSpace(said)
		why = string(said[bytes.LastIndexByte(said, '\n')+1:])
	}
	p := problem.New(problem.NotFound, "the browser exited unexpectedly: %w", c.failed)
	if why != "" {
		p = problem.New(problem.NotFound, "the browser exited unexpectedly: %w: %s", c.failed, ui.Clean(why))
	}
	return p.WithHint("check that it runs: %s --version; or set CHROMIUM to another browser", c.cmd.Path)
}

// killPatience is how long killed processes may take to be gone.
const killPatience = 3 * time.Second

// end asks all processes of the browser to end, kills those that have not when
// ctx ends, and returns when there is none.
func (c *chromium) end(ctx context.Context) error {
	asked, cancel := context.WithTimeout(ctx, endPatience/2)
	defer cancel()
	if asked.Err() == nil {
		_ = c.signal(syscall.SIGTERM)
	}
	if c.gone(asked) {
		return nil
	}
	_ = c.signal(syscall.SIGKILL)
	killed, cancel := context.WithTimeout(context.WithoutCancel(ctx), killPatience)
	defer cancel()
	if !c.gone(killed) {
		return problem.New(problem.Internal, "cannot stop the browser (process %d)", c.cmd.Process.Pid)
	}
	return nil
}

// signal fails when there is no process of the group any more.
func (c *chromium) signal(s syscall.Signal) error { return syscall.Kill(-c.cmd.Process.Pid, s) }

// gone waits until no process of the browser is left; it is false when ctx ends
// first. There is no event for the end of a grandchild.
func (c *chromium) gone(ctx context.Context) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ended := c.ended
	for {
		select {
		case <-ended:
			ended = nil
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
		if ended == nil && c.signal(0) != nil {
			return true
		}
	}
}
