package emulator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
	"github.com/flexvc/flexvc/internal/problem"
)

func TestBrowsersCountTheirVisits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := emulatortest.Start(t, emulator.Options{Agents: 5})
		before := e.ExportWorkers()
		at := time.Now()
		b, err := e.StartBrowser(t.Context(), emulator.BrowserOptions{Overwrites: 100, Interval: time.Second})
		emulatortest.Must(t, err)
		emulatortest.Must(t, b.Wait(t.Context()))
		if took := time.Since(at); took != 100*time.Second {
			t.Errorf("100 overwrites took %v", took)
		}
		emulatortest.Must(t, b.Lost())
		visits := map[string]int{}
		for _, o := range b.Overwrites() {
			if visits[o.Worker]++; o.Seq != visits[o.Worker] || o.Stale {
				t.Errorf("overwrite %+v is number %d of its worker", o, visits[o.Worker])
			}
		}
		if s := e.Stats(); s.BrowserOverwrites != 100 || s.Requests != 0 {
			t.Errorf("the statistics are %+v", s)
		}
		for i, w := range e.ExportWorkers() {
			var was, is map[string]json.RawMessage
			emulatortest.Must(t, json.Unmarshal([]byte(before[i].Attributes), &was))
			emulatortest.Must(t, json.Unmarshal([]byte(w.Attributes), &is))
			if visits[w.SID] == 0 || len(is) != len(was)+1 || w.ETag == before[i].ETag {
				t.Errorf("after %d visits the worker is %+v", visits[w.SID], w)
			}
			for key, raw := range was {
				if string(is[key]) != string(raw) {
					t.Errorf("%s changed from %s to %s", key, raw, is[key])
				}
			}
		}
		// Someone writes an old copy back.
		emulatortest.Must(t, e.Edit(before[0].SID, before[0].Attributes))
		if err := b.Lost(); err == nil || !strings.Contains(err.Error(), before[0].SID) {
			t.Errorf("a lost visit goes unnoticed: %v", err)
		}
	})
}

func TestAStaleBrowserUndoesOthers(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Seed: emulatortest.SeedNamed("a")})
	sid := e.ExportWorkers()[0].SID
	c := emulatortest.As(t, e)
	for _, test := range []struct {
		stale float64
		want  string
	}{{0, `{"ours":true,"browser_seq":1}`}, {1, `{"browser_seq":1}`}} {
		emulatortest.Must(t, e.Reset())
		b, err := e.StartBrowser(t.Context(), emulator.BrowserOptions{Overwrites: 1, AfterFetch: 1, Stale: test.stale})
		emulatortest.Must(t, err)
		emulatortest.Must(t, e.Edit(sid, `{"ours":true}`))
		c.Get(c.Workspace()+"/Workers/"+sid).Want(t, 200)
		emulatortest.Must(t, b.Wait(t.Context()))
		if got := e.ExportWorkers()[0].Attributes; got != test.want {
			t.Errorf("stale %v: the worker holds %s, want %s", test.stale, got, test.want)
		}
		if got := b.Overwrites()[0]; got.Stale != (test.stale == 1) || got.ETag != e.ExportWorkers()[0].ETag {
			t.Errorf("stale %v: the account says %+v", test.stale, got)
		}
	}
}

// TestAStaleBrowserRemembersItsLastVisit: what others wrote before that visit
// stays, what they wrote since is undone.
func TestAStaleBrowserRemembersItsLastVisit(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Seed: emulatortest.SeedNamed("a")})
	c := emulatortest.As(t, e)
	sid := e.ExportWorkers()[0].SID
	b, err := e.StartBrowser(t.Context(), emulator.BrowserOptions{Overwrites: 40, AfterFetch: 1, Stale: 0.5, Key: "visits"})
	emulatortest.Must(t, err)
	known, stale := "{", 0
	for n := 1; n <= 40; n++ {
		emulatortest.Must(t, e.Edit(sid, fmt.Sprintf(`{"theirs":%d}`, n)))
		c.Get(c.Workspace()+"/Workers/"+sid).Want(t, 200)
		if b.Overwrites()[n-1].Stale {
			stale++
		} else {
			known = fmt.Sprintf(`{"theirs":%d,`, n)
		}
		if got, want := e.ExportWorkers()[0].Attributes, fmt.Sprintf(`%s"visits":%d}`, known, n); got != want {
			t.Errorf("visit %d left %s, want %s", n, got, want)
		}
	}
	if stale < 10 || stale > 30 {
		t.Errorf("%d of 40 visits were stale", stale)
	}
}

// TestABrowserComesBetweenFetchAndUpdate is the race that If-Match is for.
func TestABrowserComesBetweenFetchAndUpdate(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 3})
	c := emulatortest.As(t, e)
	b, err := e.StartBrowser(t.Context(), emulator.BrowserOptions{Overwrites: 2, AfterFetch: 2})
	emulatortest.Must(t, err)
	wk := c.Workspace() + "/Workers/" + e.ExportWorkers()[1].SID
	var statuses []int
	for range 5 {
		etag := c.Get(wk).Want(t, 200).Header.Get("ETag")
		statuses = append(statuses, c.Post(wk, []string{"RejectPendingReservations", "false"}, "If-Match", etag).StatusCode)
	}
	if want := []int{200, 412, 200, 412, 200}; !slices.Equal(statuses, want) {
		t.Errorf("the updates are answered %v, want %v", statuses, want)
	}
	emulatortest.Must(t, b.Wait(t.Context()))
	emulatortest.Must(t, b.Lost())
}

func TestABrowserEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := emulatortest.Start(t, emulator.Options{Agents: 2})
		ctx, cancel := context.WithCancel(t.Context())
		endless := emulator.BrowserOptions{Overwrites: 1 << 40, Interval: time.Second}
		cancelled, err := e.StartBrowser(ctx, endless)
		emulatortest.Must(t, err)
		waiting, err := e.StartBrowser(ctx, emulator.BrowserOptions{Overwrites: 1, AfterFetch: 1})
		emulatortest.Must(t, err)
		cancel()
		for _, b := range []*emulator.Browser{cancelled, waiting} {
			if err := b.Wait(t.Context()); err == nil {
				t.Error("a cancelled browser made all its overwrites")
			}
		}
		reset, err := e.StartBrowser(t.Context(), endless)
		emulatortest.Must(t, err)
		emulatortest.Must(t, e.Reset())
		if err := reset.Wait(t.Context()); err == nil {
			t.Error("a browser survives a reset")
		}
		gone, err := e.StartBrowser(t.Context(), endless)
		emulatortest.Must(t, err)
		c := emulatortest.As(t, e)
		for _, w := range e.ExportWorkers() {
			c.Must("DELETE", c.Workspace()+"/Workers/"+w.SID, "", "").Want(t, 204)
		}
		if err := gone.Wait(t.Context()); err == nil {
			t.Error("a browser goes on without workers")
		}
		emulatortest.Must(t, e.Reset())
		impatient, err := e.StartBrowser(t.Context(), endless)
		emulatortest.Must(t, err)
		short, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := impatient.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the wait ended with %v", err)
		}
		// Closing the emulator ends the last one: the bubble would deadlock else.
	})
}

func TestBrowsersThatMakeNoSenseAreRefused(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 1})
	for _, opts := range []emulator.BrowserOptions{
		{}, {Overwrites: -1}, {Overwrites: 1, Stale: 2}, {Overwrites: 1, Stale: -1}, {Overwrites: 1, Interval: -1}, {Overwrites: 1, AfterFetch: -1},
		{Overwrites: 1, AfterFetch: 1, Interval: 1}, {Overwrites: 1, Workers: []string{"WK0"}},
	} {
		if _, err := e.StartBrowser(t.Context(), opts); !problem.Is(err, problem.Usage) {
			t.Errorf("%+v: %v, want a usage problem", opts, err)
		}
	}
}
