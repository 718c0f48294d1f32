package cli

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// interrupts turns the first ^C into a request to stop gently, if the command
// knows how to, and the second into the end of the context. A third kills.
type interrupts struct {
	mu     sync.Mutex
	gentle func()
}

// watchSignals acts on signals until done is closed or the command is told to
// end at once.
func (a *App) HandleSignals(signals chan os.Signal, done <-chan struct{}, cancel context.CancelFunc) {
	for asked := false; ; asked = true {
		select {
		case <-done:
			return
		case <-signals:
		}
		if asked || !a.Interrupt() {
			cancel()
			signal.Stop(signals)
			return
		}
	}
}

// pressInterrupt does what the first ^C does. It reports false when the command
// that runs does not know how to stop gently.
func (a *App) Interrupt() bool {
	a.interrupt.mu.Lock()
	gentle := a.interrupt.gentle
	a.interrupt.mu.Unlock()
	if gentle != nil {
		gentle()
	}
	return gentle != nil
}

// OnInterrupt registers what the first ^C does instead of ending the context:
// stop must return at once. The returned function takes it back.
func (a *App) OnInterrupt(stop func()) (restore func()) {
	if a.interrupt == nil {
		a.interrupt = &interrupts{}
	}
	a.interrupt.mu.Lock()
	defer a.interrupt.mu.Unlock()
	a.interrupt.gentle = stop
	return func() {
		a.interrupt.mu.Lock()
		defer a.interrupt.mu.Unlock()
		a.interrupt.gentle = nil
	}
}

// OnHangup has SIGHUP call reload, which may take its time, instead of ending the
// program. The returned function takes it back.
func (a *App) OnHangup(reload func()) (restore func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	var reloading sync.WaitGroup
	reloading.Go(func() {
		for {
			select {
			case <-signals:
				reload()
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(signals)
		close(done)
		reloading.Wait()
	}
}

// survivePipes turns the death by SIGPIPE, which meets who writes to a standard
// stream that nobody reads any more, into an error of the write: a run is brought to
// its end, and a server serves on. Programs that are started from here die by it as
// ever. The returned function takes it back.
func survivePipes() (restore func()) {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGPIPE)
	return func() { signal.Stop(ignored) }
}

// Deafen keeps ^C from the commands that the app runs: whoever runs them ends
// them.
func (a *App) Deafen() { a.interrupt = nil }
