package cli

import (
	"context"
	"os"
	"os/signal"
	"sync"
)

// interrupts turns the first ^C into a request to stop gently, if the command
// knows how to, and the second into the end of the context. A third kills.
type interrupts struct {
	mu     sync.Mutex
	gentle func()
}

func (i *interrupts) watch(signals chan os.Signal, done <-chan struct{}, cancel context.CancelFunc) {
	for asked := false; ; asked = true {
		select {
		case <-done:
			return
		case <-signals:
		}
		i.mu.Lock()
		gentle := i.gentle
		i.mu.Unlock()
		if gentle == nil || asked {
			cancel()
			signal.Stop(signals)
			return
		}
		gentle()
	}
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
