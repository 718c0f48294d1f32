// Package doctor is flexvc doctor: its flags, what it runs, and what it
// prints. The checks belong to internal/doctor.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/extension"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/doctor"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/tokensrv"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/plugin"
)

// doctorOptions is one `flexvc doctor`.
type Options struct {
	App       *cli.App
	Keyring   config.Keyring
	Bundle    func(plugin.Settings) ([]byte, error)
	Extension fs.FS // the extension's folder
	Root      fs.FS // of this machine; nil where browsers keep policies elsewhere
	Web       doctor.Web

	Checks []string
}

func New(app *cli.App, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{App: app, Keyring: config.SystemKeyring{}, Bundle: plugin.Bundle, Extension: extension.App()}
	if runtime.GOOS == "linux" {
		opts.Root = os.DirFS("/")
	}
	if runF == nil {
		runF = Run
	}
	checks := (&doctor.Doctor{}).Checks()
	var list strings.Builder
	for _, c := range checks {
		fmt.Fprintf(&list, "  %-14s %s\n", c.ID, c.Title)
	}
	return &cobra.Command{
		Use:   "doctor [<check>...]",
		Short: "Find out what is wrong and how to fix it",
		Long: `Check everything that calls need to reach the extension, and report the cause and fix
of each fault. Without arguments all checks run:

` + list.String() + `
Nothing is changed. Where the account allows it, the token endpoint is tried with an
agent's Flex token that lives for a minute. Exits with 1 if a check failed, or if one
that was named could not be run; warnings are not failures. A browser without any policy
for the extension is a failure only where browser is named: agents work there.`,
		Example: `  $ flexvc doctor
  $ flexvc doctor token-server browser
  $ flexvc doctor -o json | jq -r 'select(.status=="failed") | .fix'`,
		Args: func(_ *cobra.Command, args []string) error {
			for _, name := range args {
				if !slices.ContainsFunc(checks, func(c doctor.Check) bool { return c.ID == name }) {
					return cli.Usagef("%q is not a check: see flexvc doctor --help", ui.Clean(name))
				}
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			for _, c := range checks {
				if !slices.Contains(args, c.ID) {
					names = append(names, cobra.CompletionWithDesc(c.ID, c.Title))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Checks = args
			return runF(cmd.Context(), opts)
		},
	}
}

// doctorRun runs the checks and prints each as soon as those before it are done.
func Run(ctx context.Context, opts *Options) (err error) {
	d, done := opts.doctor(ctx)
	defer func() { err = errors.Join(err, done()) }()
	checks := slices.DeleteFunc(d.Checks(), func(c doctor.Check) bool {
		return len(opts.Checks) > 0 && !slices.Contains(opts.Checks, c.ID)
	})
	view := newDoctorView(opts.App)
	if err := doctor.Run(ctx, checks, opts.App.Now, view.check); err != nil {
		return err
	}
	if err := view.end(); err != nil {
		return err
	}
	// Whoever names a check has to know that it could not be run.
	if view.count(doctor.Failed) > 0 || len(opts.Checks) > 0 && view.count(doctor.Skipped) > 0 {
		return cli.Silent(problem.ChecksFailed)
	}
	return nil
}

// doctor gathers what there is to look at. What cannot be had is a finding.
func (o *Options) doctor(ctx context.Context) (*doctor.Doctor, func() error) {
	app := o.App
	d := &doctor.Doctor{Now: app.Now, Web: o.Web}
	d.Browser = doctor.Browser{Root: o.Root, OS: runtime.GOOS, Agents: slices.Contains(o.Checks, "browser")}
	if d.Web == nil {
		d.Web = tokensrv.NewTransport(http.ProxyFromEnvironment)
	}
	nothing := func() error { return nil }
	cfg, err := app.Config()
	if err != nil {
		d.Settings.Err = err
		return d, nothing
	}
	d.Settings = doctor.Settings{
		File: filepath.Base(cfg.File), Profile: cfg.Profile, Found: cfg.HasProfile(), Emulated: cfg.Emulated(),
		AccountSID: cfg.AccountSID, WorkspaceSID: cfg.WorkspaceSID, ActivityName: cfg.ActivityName, ActivitySID: cfg.ActivitySID,
		Prefix: cfg.IdentityPrefix, TokenURL: cfg.TokenURL, UpdateURL: cli.UpdateURL(cfg), APIKeySID: cfg.APIKeySID,
		KeySecret: func() (string, error) { return cfg.Secrets(o.Keyring).Get(cfg.APIKeySID) },
	}
	d.Extension = cli.BuiltIn(cfg, o.Extension)
	session, err := app.Open(ctx, cli.SessionOptions{Discover: true})
	if err != nil {
		// What is wrong with Flex is for the checks to say.
		session, err = app.Open(ctx, cli.SessionOptions{})
	}
	if err != nil {
		d.Account.Err = err
		return d, nothing
	}
	d.Web = session.Web(d.Web)
	d.Settings.AccountSID, d.Settings.WorkspaceSID = session.AccountSID, session.WorkspaceSID
	d.Account = doctor.Account{Check: session.Client.CheckCredentials, Time: session.Client.ServerTime, FlexToken: session.Client.FlexToken}
	d.Account.User = session.Credentials.Username
	d.Account.Flex, d.Account.Activities, d.Account.Workers, d.Account.Keys = session.Flex, session.Activities, session.Workers, session.Keys
	d.Account.KeyRestricted = session.KeyRestricted
	d.Account.Plugin = app.Plugin(session).Status
	d.Account.Judgement = func(ctx context.Context) (fleet.Rules, func(context.Context) (bool, error), error) {
		j, err := app.Judgement(ctx, session)
		return j.Rules, j.Loaded, err
	}
	d.Account.Sinks = func(ctx context.Context) ([]doctor.Sink, error) {
		if session.WorkspaceSID == "" {
			return nil, nil
		}
		status, err := session.Events().Status(ctx)
		if err != nil {
			return nil, err
		}
		var sinks []doctor.Sink
		for _, k := range status.Sinks {
			subscribed := slices.ContainsFunc(status.Subscriptions, func(s twilio.Subscription) bool { return s.SinkSID == k.SID && len(status.Types[s.SID]) > 0 })
			sinks = append(sinks, doctor.Sink{SID: k.SID, Active: k.Status == "active", Subscribed: subscribed})
		}
		return sinks, nil
	}
	d.Account.PluginSum = func(version string) (string, error) {
		content, err := cli.PluginBundle(cfg, o.Bundle)(version)
		return provision.BundleSum(content), err
	}
	return d, session.Close
}
