package workers

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/bulk"
	"github.com/flexvc/flexvc/internal/workers"
)

type setOptions struct {
	App *cli.App
	selectOptions
	Enable          bool
	ResetContactURI bool
	IncludeForeign  bool
	Workspace       string
	Concurrency     int
	Force           bool
	DryRun          bool
	ExitCode        bool
	Yes             bool
}

const setHelp = `

The plan is shown first and must be confirmed: with yes, or, above 50 workers of a real
account, with the name of the profile. Each worker's attributes are then written with
this change and every other byte unchanged; if they changed in the meantime, flexvc
reads them again, and skips a worker whose flag somebody else has set. Changes that a
browser undoes with an old copy are made again. Each write is journalled first, so a run
can be stopped with ^C, resumed and rolled back: see flexvc runs. Workers whose
attributes are not a JSON object, or would exceed Twilio's 4096 characters, are skipped.`

func newSet(app *cli.App, enable bool, runF func(context.Context, *setOptions) error) *cobra.Command {
	opts := &setOptions{App: app, Enable: enable}
	if runF == nil {
		runF = setRun
	}
	cmd := &cobra.Command{
		Use:   "enable {<worker>... | --all | --filter <expr> | --from <file>}",
		Short: "Switch workers to the extension",
		Long: `Switch workers to the extension: set extensionVoiceClientEnabled to true in their
attributes. The plugin moves each agent over when they next start Flex. The time is kept
in extensionVoiceClientEnabledAt, for flexvc watch to tell who had a chance to move.

What agents would miss is told first: the activity for disconnected agents, the token
endpoint, the published package. Without the released plugin nothing would happen, so
that is refused unless --force is given.

Workers whose calls ring a phone (contact_uri does not begin with client:) are listed
and skipped. With --include-foreign they are moved too: the address is kept in
extensionVoiceClientFormerContactUri, and workers disable puts it back.

` + selectHelp + setHelp,
		Example: `  $ flexvc workers enable --all --dry-run
  $ flexvc workers enable alice bob
  $ flexvc workers enable --from pilot.csv --yes`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeWorkers(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Workers = args
			if err := opts.validate(); err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	opts.flags(cmd)
	if enable {
		cmd.Flags().BoolVar(&opts.Force, "force", false, "enable workers even though Flex does not load the plugin")
		cmd.Flags().BoolVar(&opts.IncludeForeign, "include-foreign", false, "also move workers whose calls ring a phone, and keep the address")
	} else {
		cmd.Use = "disable {<worker>... | --all | --filter <expr> | --from <file>}"
		cmd.Short = "Switch workers back to the Flex tab"
		cmd.Long = `Switch workers back to the Flex tab: set extensionVoiceClientEnabled to false in their
attributes. The plugin moves each agent back when they next start Flex; for agents who
will not start Flex again, --reset-contact-uri removes the extension's prefix from
their contact URI immediately.

` + selectHelp + setHelp
		cmd.Example = `  $ flexvc workers disable alice
  $ flexvc workers disable --all --reset-contact-uri --dry-run`
		cmd.Flags().BoolVar(&opts.ResetContactURI, "reset-contact-uri", false, "also turn contact_uri from client:ext_X back to client:X")
	}
	cli.WorkspaceFlag(cmd, &opts.Workspace)
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	cli.ConcurrencyFlag(cmd, &opts.Concurrency)
	return cmd
}

func (o *setOptions) validate() error {
	if err := o.check(true); err != nil {
		return err
	}
	if err := cli.CheckPlanFlags(o.DryRun, o.ExitCode); err != nil {
		return err
	}
	return cli.CheckConcurrency(o.Concurrency)
}

func setRun(ctx context.Context, opts *setOptions) error {
	selection, err := opts.selection(opts.App.UI.In)
	if err != nil {
		return err
	}
	session, err := opts.App.Open(ctx, cli.SessionOptions{Workspace: opts.Workspace, Discover: true})
	if err != nil {
		return err
	}
	defer session.Release()
	b := &bulk.Job{App: opts.App, Session: session, Concurrency: opts.Concurrency, DryRun: opts.DryRun, ExitCode: opts.ExitCode, Yes: opts.Yes,
		Enables: opts.Enable, Force: opts.Force}
	edit := attributes.Edit{Enable: opts.Enable, ResetContactURI: opts.ResetContactURI, IncludeForeign: opts.IncludeForeign}
	header := workers.Header{Command: "workers disable", Selection: opts.String()}
	if opts.Enable {
		edit.At = opts.App.Now().Unix()
		header.Command = "workers enable"
	}
	if opts.ResetContactURI {
		config, err := opts.App.Config()
		if err != nil {
			return err
		}
		edit.Prefix = config.IdentityPrefix
	}
	header.Edit = &edit
	return b.Run(ctx, header, func(lock *workers.Lock) (*workers.Plan, error) {
		return workers.PlanEdit(ctx, session.Workers, selection, edit, opts.Concurrency, lock)
	})
}
