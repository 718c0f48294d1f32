// Package demo is flexvc demo, which runs other commands on an emulated
// account. What those commands do belongs to them.
package demo

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/products"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/plugin"
)

type options struct {
	app         *cli.App
	agents      int
	rate        float64
	browser     bool
	browserArgs []string
	flexScript  string
}

func New(app *cli.App, runF func(context.Context, *options) error) *cobra.Command {
	o := &options{app: app}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the whole story on the emulator, no account needed",
		Long: `Run the whole story on a temporary emulated account: prepare Flex, pack the extension
with its roll-out policy, serve tokens, deploy the plugin, switch every worker to the
extension, look at one before and after, roll everything back, and watch agents move
over as they restart Flex. Every line that starts with $ is a real command; run it
yourself with -p emulator. Nothing is left on this machine.

With --browser, a Chromium opens with the extension and a stand-in for Flex (or Flex
itself with --flex-script), and customers call one after another. It ends when you
close the browser or press Ctrl-C. CHROMIUM selects the browser.`,
		Example: `  $ flexvc demo
  $ flexvc demo --browser`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(cmd.Context(), o)
			}
			if o.browser {
				return o.inBrowser(cmd.Context())
			}
			if o.flexScript != "" || len(o.browserArgs) > 0 {
				return cli.Usagef("--flex-script and --browser-arg require --browser")
			}
			return run(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.agents, "agents", cli.DefaultAgents, "number of agents in the contact centre")
	cmd.Flags().Float64Var(&o.rate, "rate", 120, "request rate of the emulated Twilio, per second")
	cmd.Flags().BoolVar(&o.browser, "browser", false, "open a Chromium with the extension and let customers call")
	cmd.Flags().StringVar(&o.flexScript, "flex-script", "", "with --browser: Flex UI script built by make flex-host")
	cmd.Flags().StringArrayVar(&o.browserArgs, "browser-arg", nil, "with --browser: extra argument for Chromium; may be repeated")
	return cmd
}

func run(ctx context.Context, o *options) (err error) {
	app := o.app
	dir, err := os.MkdirTemp("", "flexvc-demo")
	if err != nil {
		return problem.New(problem.StateUnwritable, "cannot create a folder for the demo: %w", problem.Reason(err)).
			WithHint("set TMPDIR to a folder with free space")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	e, err := emulator.New(emulator.Options{
		Products: products.All(),
		Agents:   o.agents, Now: app.Now, Log: app.Log(),
		Limits: emulator.Limits{RequestsPerSecond: o.rate},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()

	d := &demo{app: app, dir: dir, emulator: e}
	agent, err := d.agent()
	if err != nil {
		return err
	}
	app.UI.Chat("%s\n", app.UI.Paint(app.UI.Out, ui.Strong, "flexvc demo"))
	app.UI.Chat("An emulated contact centre with %s, on this machine only.\n", ui.Plural(o.agents, "agent"))
	err = d.tell(ctx, []scene{
		{"First, prepare Flex: an activity, a key for the token server, a signing key.", []string{"init", "--yes"}},
	})
	if err != nil {
		return err
	}
	file, err := d.pack(ctx)
	if err != nil {
		return err
	}
	server, err := d.serve(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	enable := []string{"workers", "enable", "--all", "--yes"}
	err = d.tell(ctx, []scene{
		{"Browsers reach it at this address.", []string{"config", "set", "token_url", "http://" + server.address + "/generateToken"}},
	})
	if err == nil && plugin.HasBundle() {
		err = d.tell(ctx, []scene{{"The Flex plugin, which moves each agent over.", []string{"plugin", "deploy", "--yes"}}})
	} else if err == nil {
		app.UI.Chat("\n%s\n", app.UI.Paint(app.UI.Out, ui.Faint, "# The plugin would be deployed here, but this flexvc was built without it (npm builds it). Hence --force below."))
		enable = append(enable, "--force")
	}
	if err != nil {
		return err
	}
	err = d.tell(ctx, []scene{
		{"Today each agent's calls ring in the browser tab. Here is one agent.", []string{"workers", "show", agent}},
		{"What would change? Nothing changes without a plan.", []string{"workers", "enable", "--all", "--dry-run"}},
		{"Switch them all. Every write is journalled first, so it can be undone.", enable},
		{"The same agent: one key added, every other byte unchanged.", []string{"workers", "show", agent}},
	})
	if err != nil {
		return err
	}
	if err := d.token(ctx, server, agent); err != nil {
		return err
	}
	err = d.tell(ctx, []scene{
		{"And the way back.", []string{"runs", "rollback", lastRun, "--yes"}},
		{"The agent is as before.", []string{"workers", "show", agent}},
		{"Now for good.", enable},
	})
	if err != nil {
		return err
	}
	if err := server.stop(); err != nil {
		return err
	}
	if err := d.watch(ctx); err != nil {
		return err
	}
	app.UI.Chat("\n%s\n", app.UI.Paint(app.UI.Out, ui.Faint, "# That was the emulator; nothing is left behind. With your account, the same commands talk to Twilio."))
	app.UI.Chat("Next: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, then flexvc init --dry-run\n")
	return nil
}

// scene is a sentence and the command that it announces.
type scene struct {
	caption string
	args    []string
}

// lastRun stands for the id of the latest run in a scene's arguments.
const lastRun = "LAST-RUN"

type demo struct {
	app      *cli.App
	dir      string
	emulator *emulator.Emulator
}

// tell runs the scenes. One that ends with "partly done" is part of the story:
// some of the emulated workers are broken on purpose.
func (d *demo) tell(ctx context.Context, scenes []scene) error {
	for _, s := range scenes {
		args, err := d.resolve(s.args)
		if err != nil {
			return err
		}
		d.announce(s.caption, args...)
		code := d.command().Run(ctx, args)
		if ctx.Err() != nil {
			return problem.New(problem.Interrupted, "the demo was interrupted; nothing is left behind")
		}
		if code != problem.ExitDone && code != problem.ExitPartly {
			return cli.Told(problem.New(problem.Internal, "the demo's command %v ended with exit code %d", args, code))
		}
	}
	return nil
}

// announce prints a caption and the command line that follows.
func (d *demo) announce(caption string, args ...string) {
	out := d.app.UI
	out.Chat("\n%s\n%s\n", out.Paint(out.Out, ui.Faint, "# "+caption),
		out.Paint(out.Out, ui.Strong, "$ flexvc "+strings.Join(cli.QuoteAll(args), " ")))
}

// command is an App of its own for one command line: same terminal, the demo's
// folders, the demo's account.
func (d *demo) command() *cli.App {
	getenv := func(name string) string {
		switch name {
		case "HOME":
			return d.dir
		case "FLEXVC_PROFILE":
			return "emulator"
		case "FLEXVC_CONFIG", "FLEXVC_STATE_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME":
			return ""
		}
		return d.app.Getenv(name)
	}
	app := d.app.Child(getenv)
	app.Open = func(ctx context.Context, o cli.SessionOptions) (*cli.Session, error) {
		inside := &url.URL{Scheme: "http", Host: "127.0.0.1"}
		return app.Emulated(ctx, o, d.emulator.Account(), inside, d.emulator.Transport(), func() error { return nil })
	}
	return app
}

// agent is the name of the worker the story follows: the first that is on
// neither side yet.
func (d *demo) agent() (string, error) {
	for _, w := range d.emulator.ExportWorkers() {
		if strings.HasPrefix(w.Attributes, "{") && !strings.Contains(w.Attributes, "extensionVoiceClientEnabled") {
			return w.FriendlyName, nil
		}
	}
	return "", problem.New(problem.Usage, "the demo needs an agent who is not on the extension yet").WithHint("flexvc demo --agents %d", cli.DefaultAgents)
}

func (d *demo) resolve(args []string) ([]string, error) {
	var out []string
	for _, arg := range args {
		if arg == lastRun {
			files, err := fs.Glob(os.DirFS(d.dir), ".local/state/flexvc/*/*/*.jsonl")
			if err != nil || len(files) == 0 {
				return nil, problem.New(problem.Internal, "the demo left no journal")
			}
			// Run ids sort by time.
			arg = strings.TrimSuffix(path.Base(files[len(files)-1]), ".jsonl")
		}
		out = append(out, arg)
	}
	return out, nil
}
