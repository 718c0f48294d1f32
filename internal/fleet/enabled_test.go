package fleet

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

// inListing keeps a listing of f on virtual time.
func inListing(t *testing.T, f *workerstest.Workspace, story func(e *Enabled, ask func(worker int) bool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := NewEnabled(f, time.Now, func(error) {})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { e.Run(ctx, time.Minute); close(ended) }()
		story(e, func(worker int) bool {
			t.Helper()
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			on, err := e.Enabled(ctx, workerstest.SID(worker))
			if err != nil {
				t.Error(err)
			}
			return on
		})
		cancel()
		<-ended
	})
}

// TestLoginStormCostsListingsOnly: thousands ask at once, before the first listing
// has come, and nobody is fetched.
func TestLoginStormCostsListingsOnly(t *testing.T) {
	const agents = 2500
	var texts []string
	for range agents {
		texts = append(texts, onExtension)
	}
	f := workerstest.New(texts...)
	inListing(t, f, func(_ *Enabled, ask func(int) bool) {
		answers := make(chan bool)
		for i := range agents {
			go func() { answers <- ask(i) }()
		}
		for range agents {
			if !<-answers {
				t.Error("an enabled agent is refused")
			}
		}
		if pages := (agents + twilio.PageSize - 1) / twilio.PageSize; f.Requests != pages {
			t.Errorf("%d requests, want %d pages", f.Requests, pages)
		}
	})
}

// TestWhoIsTurnedOnOrOffIsSeen: at once when turned on, with the next listing when
// turned off; also a worker whom a fetch found enabled.
func TestWhoIsTurnedOnOrOffIsSeen(t *testing.T) {
	f := workerstest.New(onExtension, staleText)
	inListing(t, f, func(_ *Enabled, ask func(int) bool) {
		if !ask(0) || ask(1) {
			t.Fatal("the first listing is not believed")
		}
		f.Set(1, onExtension)
		if !ask(1) {
			t.Error("an agent who was just enabled is refused")
		}
		f.Set(0, staleText)
		f.Set(1, staleText)
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if ask(0) || ask(1) {
			t.Error("an agent who was disabled a minute ago is admitted")
		}
	})
}

// TestAttackDisabledAgentsCostLittle: in a pilot most agents are disabled, and all
// of them ask.
func TestAttackDisabledAgentsCostLittle(t *testing.T) {
	var texts []string
	for range 900 {
		texts = append(texts, staleText)
	}
	f := workerstest.New(texts...)
	inListing(t, f, func(_ *Enabled, ask func(int) bool) {
		for i := range 900 {
			if ask(i) {
				t.Error("a disabled agent is admitted")
			}
		}
		if f.Fetched > lookAgainBurst {
			t.Errorf("%d of 900 disabled agents were fetched, want %d at most", f.Fetched, lookAgainBurst)
		}
	})
}

// TestAgentsWithoutAListing: while Twilio does not list, agents are asked for one by
// one, and a worker who does not exist is not enabled.
func TestAgentsWithoutAListing(t *testing.T) {
	f := workerstest.New(onExtension)
	f.Before = func(op, _ string) error {
		if op == "list" {
			return errors.New("no list")
		}
		return nil
	}
	inListing(t, f, func(_ *Enabled, ask func(int) bool) {
		if !ask(0) {
			t.Error("an enabled agent is refused as there is no listing")
		}
		if ask(7) {
			t.Error("a worker who does not exist is admitted")
		}
	})
}

// TestOldListingIsNotBelieved: what was right long ago admits nobody.
func TestOldListingIsNotBelieved(t *testing.T) {
	f := workerstest.New(onExtension)
	inListing(t, f, func(_ *Enabled, ask func(int) bool) {
		if !ask(0) {
			t.Fatal("an enabled agent is refused")
		}
		f.Mu.Lock()
		f.Before = func(op, _ string) error {
			if op == "list" {
				return fmt.Errorf("no %s", op)
			}
			return nil
		}
		f.Mu.Unlock()
		f.Set(0, staleText)
		time.Sleep(stale + time.Minute)
		if ask(0) {
			t.Error("an agent who was disabled is admitted by a listing of long ago")
		}
	})
}
