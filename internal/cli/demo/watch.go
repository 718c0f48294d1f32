package demo

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli"
	watchCmd "github.com/flexvc/flexvc/internal/cli/watch"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers"
)

const (
	loginEvery = 300 * time.Millisecond // between two agents who start Flex anew
	driftEvery = 12                     // agents, of whom one is thrown back
)

// watch ends the demo. On a terminal it is the live screen, with agents who
// start Flex one after the other; off one, a single look.
func (d *demo) watch(ctx context.Context) error {
	app := d.command()
	app.Global.Output = "text"
	if err := loadPlugin(ctx, app); err != nil {
		return err
	}
	o := &watchCmd.Options{App: app, Inside: true, Interval: watchCmd.ShortestInterval, Concurrency: workers.DefaultConcurrency}
	if !app.UI.Screen() {
		o.Once = true
		d.announce("Who is on the extension? Each agent moves at the next Flex start.", "watch", "--once")
		return watchCmd.Run(ctx, o)
	}
	d.announce("Watch agents move to the extension as they restart Flex; q quits.", "watch")
	working, stop := context.WithCancel(ctx)
	var agents sync.WaitGroup
	agents.Go(func() { d.logins(working) })
	err := watchCmd.Run(ctx, o)
	stop()
	agents.Wait()
	if problem.Is(err, problem.Interrupted) && ctx.Err() == nil || errors.Is(err, context.Canceled) {
		return nil // ^C is a way out of a screen
	}
	return err
}

// loadPlugin has the emulated Flex load the plugin, whose part logins plays: without
// it nobody would be on the way to the extension.
func loadPlugin(ctx context.Context, app *cli.App) error {
	session, err := app.Open(ctx, cli.SessionOptions{})
	if err != nil {
		return err
	}
	defer session.Release()
	if loaded, err := app.Plugin(session).Loaded(ctx); err != nil || loaded {
		return err
	}
	p, err := session.Client.CreatePlugin(ctx, provision.PluginName, provision.PluginName, "")
	if err != nil {
		return err
	}
	v, err := session.Client.CreatePluginVersion(ctx, p.SID, twilio.PluginVersion{Version: "1.0.0", URL: "https://plugins.example.com/demo.js"})
	if err != nil {
		return err
	}
	configuration, err := session.Client.CreateConfiguration(ctx, "demo", "", []twilio.ConfiguredPlugin{{VersionSID: v.SID, Phase: 3}})
	if err != nil {
		return err
	}
	_, err = session.Client.CreateRelease(ctx, configuration)
	return err
}

// logins does what the Flex plugin does when an agent starts Flex: it writes the
// worker's contact URI as the flag asks for. Now and then something throws one
// back, which is what the watch is for.
func (d *demo) logins(ctx context.Context) {
	clock := time.NewTicker(loginEvery)
	defer clock.Stop()
	moved := 0
	var last string
	for {
		select {
		case <-ctx.Done():
			return
		case <-clock.C:
		}
		if moved++; moved%driftEvery == 0 && last != "" {
			d.rewrite(last, "client:ext_", "client:")
			continue
		}
		for _, w := range d.emulator.ExportWorkers() {
			state, uri := attributes.Inspect(&w.Attributes)
			if state == attributes.Enabled && strings.HasPrefix(uri, "client:") && !strings.HasPrefix(uri, "client:ext_") && w.SID != last {
				d.rewrite(w.SID, "client:", "client:ext_")
				last = w.SID
				break
			}
		}
	}
}

// rewrite changes the beginning of a worker's contact URI.
func (d *demo) rewrite(sid, from, to string) {
	for _, w := range d.emulator.ExportWorkers() {
		if w.SID == sid {
			// The worker may be gone: then there is nothing to show.
			_ = d.emulator.Edit(sid, strings.Replace(w.Attributes, `"`+from, `"`+to, 1))
		}
	}
}
