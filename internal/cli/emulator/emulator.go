// Package emulator is flexvc emulator: its flags, what it runs, and what it
// prints. What is emulated belongs to internal/emulator.
package emulator

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/products"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
)

type options struct {
	app *cli.App

	listen         string
	data           string
	memory         bool
	seed           string
	agents         int
	seedValue      uint64
	reset          bool
	listAttributes string
	validate       string
	noFlex         bool
	limits         emulator.Limits
	faults         []string
	voiceListen    string
	flexListen     string
	flexScript     string
	flexPlugins    []string
}

func New(app *cli.App, runF func(context.Context, *options) error) *cobra.Command {
	o := &options{app: app}
	cmd := &cobra.Command{
		Use:   "emulator",
		Short: "Serve an emulated Twilio account on this machine",
		Long: `Serve an emulated Twilio account: TaskRouter, Flex, API keys and Flex tokens.
Commands with -p emulator use it while it runs; otherwise they start one themselves on
the same data folder. With the two variables that it prints, commands use it without -p,
as they would use your account.

The account is kept in the data folder and reused; --reset recreates it. COVERAGE.md
lists what is emulated and what is not.

A fault is OPERATION:EFFECT, with *N for how many times and @K for the first call:
  --fault 'UpdateWorker:429*5'           five updates are answered 429
  --fault 'UpdateWorker:drop-after@3'    the response is lost from the third on
  --fault 'FetchWorker:delay=200ms'      every fetch takes 200 ms longer`,
		Example: `  $ flexvc emulator --agents 500
  $ flexvc emulator --memory --agents 10000 --rate 200 --listen 127.0.0.1:0`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(cmd.Context(), o)
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.listen, "listen", "127.0.0.1:8021", "loopback address to listen on; port 0 picks a free one")
	f.StringVar(&o.data, "data", "", "data folder (default ~/.local/state/flexvc/emulator)")
	f.BoolVar(&o.memory, "memory", false, "keep the account in memory only")
	f.BoolVar(&o.reset, "reset", false, "delete the account in the data folder first")
	f.IntVar(&o.agents, "agents", cli.DefaultAgents, "number of workers in a new account")
	f.Uint64Var(&o.seedValue, "seed-value", 0, "seed for a new account's SIDs and workers")
	f.StringVar(&o.seed, "seed", "", "JSON file with the initial state of a new account")
	f.StringVar(&o.listAttributes, "list-attributes", "present", "attributes in worker lists: present or null")
	f.StringVar(&o.validate, "validate-failure", "", "how a bad Flex token is refused: see COVERAGE.md")
	f.BoolVar(&o.noFlex, "no-flex", false, "emulate an account that never set up Flex")
	f.Float64Var(&o.limits.RequestsPerSecond, "rate", 0, "request rate limit per second (default unlimited)")
	f.IntVar(&o.limits.Burst, "burst", 0, "burst allowed by --rate (default one second's worth)")
	f.IntVar(&o.limits.Concurrency, "max-in-flight", 0, "concurrent requests (default unlimited)")
	f.BoolVar(&o.limits.RetryAfter, "retry-after", false, "send Retry-After with 429")
	f.DurationVar(&o.limits.Latency, "latency", 0, "latency added to every request")
	f.StringArrayVar(&o.faults, "fault", nil, "fault to inject; may be repeated")
	cli.Complete(cmd, "list-attributes", "present", "null")
	f.StringVar(&o.flexListen, "flex-listen", "", "loopback address of Flex UI's back end, such as 127.0.0.1:8443")
	f.StringVar(&o.flexScript, "flex-script", "", "Flex UI script built by make flex-host")
	f.StringArrayVar(&o.flexPlugins, "flex-plugin", nil, "plugin for Flex UI to load, as NAME=FILE; may be repeated")
	cmd.AddCommand(newToken(app, nil))
	addVoice(cmd, o)
	return cmd
}

func run(ctx context.Context, o *options) (err error) {
	app := o.app
	listener, err := cli.ListenHere("--listen", o.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	var voiceListener net.Listener
	if o.voiceListen != "" {
		if voiceListener, err = cli.ListenHere("--voice-listen", o.voiceListen); err != nil {
			return err
		}
		defer voiceListener.Close()
	}
	var flexListener net.Listener
	if o.flexListen != "" {
		if flexListener, err = cli.ListenHere("--flex-listen", o.flexListen); err != nil {
			return err
		}
		defer flexListener.Close()
	}
	opts := emulator.Options{
		Products: products.All(),
		Agents:   o.agents, SeedValue: o.seedValue, Limits: o.limits, Faults: o.faults, NoFlex: o.noFlex,
		ListAttributes:  emulator.ListAttributes(o.listAttributes),
		ValidateFailure: emulator.ValidateFailure(o.validate),
		Now:             app.Now, Log: app.Log(),
	}
	if opts.Seed, err = readSeed(o.seed); err != nil {
		return err
	}
	dir := ""
	if !o.memory {
		if dir, err = o.dataDir(); err != nil {
			return err
		}
		opts.DataDir = dir
	}
	e, err := emulator.New(opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if o.reset {
		if err := e.Reseed(opts.Seed, o.agents, o.seedValue); err != nil {
			return err
		}
	}
	edge := &VoiceEdge{}
	if voiceListener != nil || flexListener != nil {
		if edge, err = ServeVoice(app, e, voiceListener, dir); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, edge.Stop()) }()
	}
	desk := &FlexDesk{}
	if flexListener != nil {
		if desk, err = o.serveFlex(e, flexListener, dir, edge); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, desk.Stop()) }()
	}
	at := cli.Address{URL: "http://" + listener.Addr().String(), PID: os.Getpid()}
	leave, err := app.Announce(at)
	if err != nil {
		return err
	}
	defer leave()
	o.print(e, at, dir, edge, desk)
	return e.Run(ctx, listener)
}

type listeningEvent struct {
	V         int    `json:"v"`               // version of the format
	Event     string `json:"event"`           // kind of line
	URL       string `json:"url"`             // address of the emulated APIs
	PID       int    `json:"pid"`             // of the emulator
	Data      string `json:"data"`            // folder; empty: memory only
	Account   string `json:"accountSid"`      // AC…
	Workspace string `json:"workspaceSid"`    // WS…
	Voice     string `json:"voice,omitempty"` // address of the voice edge, in a build that has one
	Flex      string `json:"flex,omitempty"`  // with --flex-listen, address of Flex UI's back end
	SPKI      string `json:"spki,omitempty"`  // hash of the key of those two, for Chromium's --ignore-certificate-errors-spki-list
}

type tokenJSON struct {
	V      int    `json:"v"`      // version of the format
	Worker string `json:"worker"` // SID, WK…
	Token  string `json:"token"`  // a Flex token of the emulator's
	TTL    int    `json:"ttl"`    // seconds it is valid
}

// Shapes are what flexvc emulator prints.
func Shapes() []cli.Shape {
	return []cli.Shape{
		{Commands: []string{"emulator"}, Name: "listening", Of: listeningEvent{}, When: "Alone, when requests are answered."},
		{Commands: []string{"emulator token"}, Name: "token", Of: tokenJSON{}, When: "Alone."},
	}
}

func (o *options) print(e *emulator.Emulator, at cli.Address, dir string, edge *VoiceEdge, desk *FlexDesk) {
	app := o.app
	if app.JSON() {
		account := e.Account()
		listening := listeningEvent{
			V: 1, Event: "listening", URL: at.URL, PID: at.PID, Data: dir, Account: account.SID, Workspace: account.WorkspaceSID,
			Voice: edge.address, Flex: desk.address,
		}
		if edge.address != "" {
			listening.SPKI = edge.spki
		}
		if desk.address != "" {
			listening.SPKI = desk.SPKI
		}
		_ = ui.JSON(app.UI.Out).Encode(listening)
		return
	}
	where := dir
	if where == "" {
		where = "memory only"
	}
	app.UI.Note("emulated account %s, %s, data in %s", app.UI.SID(e.Account().SID), ui.Plural(len(e.ExportWorkers()), "worker"), where)
	app.UI.Note("listening on %s", at.URL)
	app.UI.Note("as if it were yours: export TWILIO_ACCOUNT_SID=%s TWILIO_AUTH_TOKEN=%s", e.Account().SID, e.Account().AuthToken)
	if edge.address != "" {
		app.UI.Note("voice edge on %s; start Chromium with", edge.address)
		for _, flag := range edge.browserFlags() {
			app.UI.Note("  %s", flag)
		}
	}
	if desk.address != "" {
		app.UI.Note("Flex UI on %s: open %s in a Chromium started with", desk.address, FlexAddress)
		for _, flag := range desk.browserFlags() {
			app.UI.Note("  %s", flag)
		}
	}
	app.UI.Hint("in another terminal: flexvc -p emulator workers list")
}

func (o *options) dataDir() (string, error) {
	if o.data != "" {
		return filepath.Abs(o.data)
	}
	return o.app.EmulatorDir()
}

func readSeed(path string) (*emulator.Seed, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, problem.New(problem.InputUnreadable, "cannot read the seed %s: %w", path, problem.Reason(err)).
			WithHint("pass a JSON file with --seed, or use --agents")
	}
	defer file.Close()
	seed, err := emulator.ReadSeed(file)
	if p := problem.As(err); p != nil {
		return nil, p.WithHint("pass a JSON file with --seed instead of %s, or use --agents", path)
	}
	return seed, err
}
