//go:build voice

package emulator

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/durable"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/flexui"
	"github.com/flexvc/flexvc/internal/emulator/voice"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
)

type emulatorCallOptions struct {
	app     *cli.App
	worker  string
	from    string
	seconds float64
	audio   string
	record  string
	task    bool
}

func newCall(app *cli.App, runF func(context.Context, *emulatorCallOptions) error) *cobra.Command {
	o := &emulatorCallOptions{app: app}
	cmd := &cobra.Command{
		Use:   "call <worker>",
		Short: "Let a customer call an emulated agent",
		Long: `Let a customer call an emulated agent: every voice client registered under the
worker's contact_uri rings. Reports when the call rings, is answered and ends, and the
quality of its audio.

Requires a running emulator with a voice edge: flexvc emulator --voice-listen
127.0.0.1:8443. The customer loops the WAV file, or speaks made-up syllables without
one. Ctrl-C hangs up.

With --task the call is offered in Flex first, and the voice client rings once the
agent accepts it: flexvc emulator --flex-listen 127.0.0.1:8443.`,
		Example: `  $ flexvc emulator call alice --seconds 20
  $ flexvc emulator call alice --audio customer.wav --record agent.wav`,
		Args: cli.NameArgs(1, "name one worker of the emulator"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.worker = args[0]
			if runF != nil {
				return runF(cmd.Context(), o)
			}
			return emulatorCallRun(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.from, "from", "+15550100", "the customer's number")
	f.Float64Var(&o.seconds, "seconds", 0, "hang up this long after the answer (default: when the agent does)")
	f.StringVar(&o.audio, "audio", "", "WAV file the customer plays")
	f.StringVar(&o.record, "record", "", "WAV file to record what the customer hears")
	f.BoolVar(&o.task, "task", false, "offer the call in Flex, for the agent to accept")
	cmd.MarkFlagsMutuallyExclusive("task", "audio")
	cmd.MarkFlagsMutuallyExclusive("task", "record")
	return cmd
}

func emulatorCallRun(ctx context.Context, o *emulatorCallOptions) error {
	if o.seconds < 0 {
		return cli.Usagef("--seconds %g is negative", o.seconds)
	}
	dir, err := o.app.EmulatorDir()
	if err != nil {
		return err
	}
	name := ui.Clean(o.worker)
	at, _, ok := cli.RunningEmulator(ctx, dir)
	if !ok {
		return problem.New(problem.NotFound, "cannot call %s: no emulator is running", name).
			WithHint("start one in another terminal: flexvc emulator --voice-listen 127.0.0.1:8443")
	}
	plane := voicePlane{at}
	if o.task {
		return o.offer(ctx, plane)
	}
	var sockets []voice.Socket
	if err := plane.order(ctx, "sockets", voice.Order{}, &sockets); err != nil {
		return problem.New(problem.NotFound, "cannot call %s: the emulator at %s has no voice edge", name, at).
			WithHint("restart it: flexvc emulator --voice-listen 127.0.0.1:8443").Because(err)
	}
	identity, err := o.identity(ctx, at)
	if err != nil {
		return err
	}
	order := voice.Order{Identity: identity, From: o.from, Speech: true, Record: o.record != ""}
	if o.audio != "" {
		const audioLimit = 64 << 20 // bytes
		if order.WAV, err = config.ReadText(o.audio, audioLimit); err != nil {
			return problem.New(problem.InputUnreadable, "cannot play %s: %w", o.audio, problem.Reason(err)).
				WithHint("name a WAV file with --audio")
		}
	}
	if !registered(sockets, identity) {
		return problem.New(problem.WorkerOffline, "cannot call %s: no voice client is registered as %s", name, ui.Clean(identity)).
			WithHint("sign the agent in to Flex with the extension, in a browser pointed at the emulator")
	}
	var sid string
	// Whoever interrupts while the edge already rings still has to hang up, and
	// needs the call's SID for that.
	if err := plane.order(context.WithoutCancel(ctx), "call", order, &sid); err != nil {
		return err
	}
	stats, err := o.follow(ctx, plane, sid)
	if err != nil {
		return err
	}
	if o.record != "" {
		if err := o.keep(plane, sid); err != nil {
			return err
		}
	}
	return o.verdict(stats)
}

// offer lets Flex offer the call, and follows it once the agent has accepted.
func (o *emulatorCallOptions) offer(ctx context.Context, plane voicePlane) error {
	ask := func(verb string, order flexui.Order, into any) error {
		return cli.AskEmulator(context.WithoutCancel(ctx), plane.at, http.MethodPost, "flex/"+verb, order, into)
	}
	name := ui.Clean(o.worker)
	var r flexui.Reservation
	if err := ask("reservations", flexui.Order{}, new([]flexui.Reservation)); err != nil {
		return problem.New(problem.NotFound, "cannot offer %s a call: the emulator at %s does not serve Flex UI", name, plane.at).
			WithHint("restart it: flexvc emulator --flex-listen 127.0.0.1:8443").Because(err)
	}
	if err := ask("offer", flexui.Order{Incoming: flexui.Incoming{Worker: o.worker, From: o.from}}, &r); err != nil {
		return err
	}
	if !o.app.JSON() {
		o.app.UI.Printf("offered       %s in Flex\n", o.app.UI.SID(r.Task))
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	stopped := ctx.Done()
	for r.CallSID == "" {
		select {
		case <-tick.C:
		case <-stopped:
			stopped = nil
			var none any
			if err := ask("hangup", flexui.Order{Reservation: r.SID}, &none); err != nil {
				return err
			}
		}
		var all []flexui.Reservation
		if err := ask("reservations", flexui.Order{}, &all); err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(other flexui.Reservation) bool { return other.SID == r.SID })
		if i < 0 {
			return problem.New(problem.NotFound, "lost track of the call to %s: the emulator was reset", name)
		}
		r = all[i]
		switch {
		case r.CallSID != "":
		case r.Status == "canceled" && stopped == nil:
			return nil // we hung up
		case r.Status != "pending":
			return problem.New(problem.WorkerOffline, "%s did not take the call: %s", name, r.Status).
				WithHint("check that the voice client in the worker's contact_uri is registered: flexvc -p emulator workers show %s", r.Worker)
		}
	}
	stats, err := o.follow(ctx, plane, r.CallSID)
	if err != nil {
		return err
	}
	return o.verdict(stats)
}

func registered(sockets []voice.Socket, identity string) bool {
	for _, s := range sockets {
		if s.Registered && s.Identity == identity {
			return true
		}
	}
	return false
}

// identity is the name that the worker's contact_uri rings.
func (o *emulatorCallOptions) identity(ctx context.Context, at *url.URL) (string, error) {
	var state emulator.State
	if err := cli.AskEmulator(ctx, at, http.MethodGet, "state", nil, &state); err != nil {
		return "", err
	}
	for _, w := range state.Workers {
		if w.SID != o.worker && !strings.EqualFold(w.FriendlyName, o.worker) {
			continue
		}
		var attributes struct {
			ContactURI string `json:"contact_uri"`
		}
		_ = json.Unmarshal([]byte(w.Attributes), &attributes) // broken ones have no contact_uri
		address, _, _ := strings.Cut(attributes.ContactURI, "?")
		identity, ok := strings.CutPrefix(address, "client:")
		if !ok || identity == "" {
			return "", problem.New(problem.AttributesInvalid, "cannot call %s: the worker's contact_uri %q is not a voice client", ui.Clean(o.worker), ui.Clean(attributes.ContactURI)).
				WithHint("flexvc -p emulator workers show %s", w.SID)
		}
		return identity, nil
	}
	return "", problem.New(problem.WorkerNotFound, "cannot call %q: the emulator has no such worker", ui.Clean(o.worker)).
		WithHint("flexvc -p emulator workers list")
}

// voicePlane is the control plane of a running emulator's voice edge.
type voicePlane struct{ at *url.URL }

func (p voicePlane) order(ctx context.Context, verb string, o voice.Order, into any) error {
	return cli.AskEmulator(ctx, p.at, http.MethodPost, "voice/"+verb, o, into)
}

// follow tells what happens to the call until it ends. An interrupt is the
// customer who hangs up.
func (o *emulatorCallOptions) follow(ctx context.Context, plane voicePlane, sid string) (voice.Stats, error) {
	// The hang-up and the figures after it are asked for when ctx has ended.
	asking := context.WithoutCancel(ctx)
	hangup := func() error {
		var none any
		return plane.order(asking, "hangup", voice.Order{SID: sid}, &none)
	}
	var told voice.State
	var answered time.Duration
	var left bool
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	stopped := ctx.Done()
	for {
		var s voice.Stats
		if err := plane.order(asking, "stats", voice.Order{SID: sid}, &s); err != nil {
			return s, err
		}
		if told == "" {
			// It may be over before it is first looked at; it rang all the same.
			told = voice.Ringing
			rang := s
			rang.State, rang.Reason = voice.Ringing, ""
			o.tell(rang)
		}
		if s.State != told && s.State != voice.Answering {
			told = s.State
			o.tell(s)
		}
		if s.State == voice.Ended {
			return s, nil
		}
		if at, ok := s.Marks[voice.MarkAnswer]; ok {
			answered = at
		}
		long := time.Duration(o.seconds * float64(time.Second))
		if !left && long > 0 && answered > 0 && s.Age-answered >= long {
			left = true
			if err := hangup(); err != nil {
				return s, err
			}
		}
		select {
		case <-tick.C:
		case <-stopped:
			stopped, left = nil, true
			if err := hangup(); err != nil {
				return s, err
			}
		}
	}
}

// tell prints one change of the call.
func (o *emulatorCallOptions) tell(s voice.Stats) {
	out := o.app.UI
	if o.app.JSON() {
		_ = ui.JSON(out.Out).Encode(struct {
			V     int    `json:"v"`
			Event string `json:"event"`
			voice.Stats
		}{1, string(s.State), s})
		return
	}
	switch s.State {
	case voice.Ringing:
		out.Printf("ringing       %s, %s calls %s\n", out.SID(s.SID), ui.Clean(s.From), ui.Clean(s.To))
	case voice.InProgress:
		if s.Reconnects > 0 {
			out.Printf("back          the agent's client has the call again\n")
			return
		}
		out.Printf("answered      after %s\n", milliseconds(s.InviteToConnect))
	case voice.Reconnecting:
		out.Printf("reconnecting  the agent's client lost its signalling\n")
	case voice.Ended:
		out.Printf("ended         after %.1f s: %s\n", s.Age.Seconds(), s.Reason)
		if s.Heard.Packets > 0 {
			out.Printf("heard         %d packets, %d lost, longest gap %s, first after %s\n",
				s.Heard.Packets, s.Heard.Lost, milliseconds(s.Heard.LongestGap), milliseconds(s.InviteToFirstPacket))
			out.Printf("said          %d packets, %d lost, longest gap %s\n", s.Said.Packets, s.Reported.Lost, milliseconds(s.Said.LongestGap))
		}
	}
}

func milliseconds(d time.Duration) string { return d.Round(time.Millisecond / 10).String() }

// keep fetches the recording.
func (o *emulatorCallOptions) keep(plane voicePlane, sid string) error {
	var content []byte
	if err := plane.order(context.Background(), "recording", voice.Order{SID: sid}, &content); err != nil {
		return err
	}
	path, err := filepath.Abs(o.record)
	if err == nil {
		err = durable.WriteFile(path, content, 0o600)
	}
	if err != nil {
		return problem.New(problem.OutputUnwritable, "cannot record to %s: %w", o.record, problem.Reason(err)).
			WithHint("choose a file in a writable folder with --record")
	}
	o.app.UI.Note("recorded to %s", o.record)
	return nil
}

// verdict is the error of a call that nobody took, or that was lost.
func (o *emulatorCallOptions) verdict(s voice.Stats) error {
	_, answered := s.Marks[voice.MarkAnswer]
	switch {
	case s.Reason == voice.ReasonLost || s.Reason == voice.ReasonFailed:
		return problem.New(problem.RequestRefused, "the call to %s was lost: %s", ui.Clean(o.worker), s.Reason)
	case !answered && s.Reason != voice.ReasonCanceled:
		return problem.New(problem.WorkerOffline, "%s did not take the call: %s", ui.Clean(o.worker), s.Reason)
	}
	return nil
}
