package cli

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/buildinfo"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/ui"
)

// Group is commands that the help lists under one title.
type Group struct {
	ID, Title string
	Commands  []*cobra.Command
}

// NewRoot is `flexvc` itself over its commands: what every command line has.
func NewRoot(app *App, groups []Group, topics []*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:   "flexvc <command>",
		Short: "Keep Flex calls alive when the browser tab dies",
		Long: `flexvc moves the voice client of Twilio Flex from the browser tab into a Chrome
extension, so that agents can refresh, close or crash the tab without the customer
noticing. It provisions Flex, switches workers over, packs the extension and serves
its tokens.`,
		Example: `  $ flexvc demo                              the whole story, no account needed
  $ flexvc init                              prepare Flex
  $ flexvc workers enable --all --dry-run    what would change`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              noSuchCommand,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	version := root.Flags().Bool("version", false, "print the version")
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		if *version {
			return PrintVersion(app)
		}
		return cmd.Help()
	}
	root.SetIn(app.UI.In)
	root.SetOut(app.UI.Out)
	root.SetErr(app.UI.Err)
	root.SetUsageFunc(printUsage)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// A flag of a command that is misspelt is none of its parent's.
		if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
			return noSuchCommand(cmd, cmd.Flags().Args())
		}
		return UsageError{err}
	})

	g := &app.Global
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVarP(&g.Profile, "profile", "p", "", "profile of flexvc.yaml or of the twilio CLI, or \"emulator\" [env: FLEXVC_PROFILE]")
	flags.StringVar(&g.Config, "config", "", "settings file (default ~/.config/flexvc/flexvc.yaml) [env: FLEXVC_CONFIG]")
	flags.StringVarP(&g.Output, "output", "o", "text", "text or json")
	flags.BoolVarP(&g.Quiet, "quiet", "q", false, "print results and errors only")
	flags.BoolVarP(&g.Verbose, "verbose", "v", false, "log each step")
	flags.BoolVar(&g.NoInput, "no-input", false, "never prompt")
	flags.StringVar(&g.Color, "color", "auto", "auto, always or never [env: NO_COLOR]")
	flags.DurationVar(&g.Timeout, "timeout", 0, "stop after this long, such as 90s (default: no limit)")
	if err := root.RegisterFlagCompletionFunc("profile", completeProfiles(app)); err != nil {
		panic(err) // the flag is not defined: a mistake in the code above
	}
	Complete(root, "output", "text", "json")
	Complete(root, "color", "auto", "always", "never")

	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return app.Prepare(cmd) }

	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.ID, Title: g.Title})
		for _, c := range g.Commands {
			c.GroupID = g.ID
			root.AddCommand(c)
		}
	}
	root.SetHelpCommandGroupID(groups[len(groups)-1].ID)
	root.AddCommand(topics...)
	return root
}

// Prepare applies the global flags before any command runs.
func (a *App) Prepare(cmd *cobra.Command) error {
	g := &a.Global
	if g.Output != "text" && g.Output != "json" {
		bad := g.Output
		g.Output = "text"
		return Usagef("--output %q is not text or json", bad)
	}
	if err := a.UI.SetColor(g.Color); err != nil {
		return Usagef("--color %w", err)
	}
	if g.Timeout < 0 {
		return Usagef("--timeout %s is negative", g.Timeout)
	}
	a.UI.Retype = retype(cmd, g.Profile, g.Config)
	if g.Profile == "" {
		g.Profile = a.Getenv("FLEXVC_PROFILE")
	}
	if g.Profile == config.Emulator && g.Config != "" {
		return Usagef("--config and -p emulator cannot be combined: the emulator keeps its settings with its data")
	}
	if g.Config == "" {
		g.Config = a.Getenv("FLEXVC_CONFIG")
	}
	if g.Profile == "" && g.Config == "" && a.namesEmulated() {
		g.Profile, a.settings.ownEmulated = config.Emulator, true
	}
	a.UI.Quiet, a.UI.Verbose, a.UI.NoInput = g.Quiet, g.Verbose, g.NoInput
	if g.Timeout > 0 {
		ctx, cancel := context.WithTimeout(cmd.Context(), g.Timeout)
		a.release = cancel
		cmd.SetContext(ctx)
	}
	return nil
}

// retype adds to the commands in a hint what was typed on the command line: -p and
// --config behind "flexvc", and --workspace behind each command that has it. A hint
// without them would lead to another account or workspace.
func retype(cmd *cobra.Command, profile, file string) func(string) string {
	typed, workspace := "", ""
	if profile != "" {
		typed += " -p " + QuoteAll([]string{profile})[0]
	}
	if file != "" {
		typed += " --config " + QuoteAll([]string{file})[0]
	}
	if f := cmd.Flags().Lookup("workspace"); f != nil && f.Changed {
		workspace = " --workspace " + QuoteAll([]string{f.Value.String()})[0]
	}
	if typed == "" && workspace == "" {
		return nil
	}
	var names []string
	var add func(c *cobra.Command)
	add = func(c *cobra.Command) {
		for _, child := range c.Commands() { // longer paths first: the first that fits is taken
			add(child)
		}
		path := strings.TrimPrefix(c.CommandPath(), "flexvc ")
		where := ""
		if c.Flags().Lookup("workspace") != nil {
			where = workspace
		}
		names = append(names, "flexvc "+path+" -p ", "flexvc "+path+" -p ") // that hint names one
		names = append(names, "flexvc "+path, "flexvc"+typed+" "+path+where)
	}
	for _, c := range cmd.Root().Commands() {
		if c.Name() != "emulator" { // it has a profile of its own
			add(c)
		}
	}
	return strings.NewReplacer(names...).Replace
}

// noSuchCommand answers a first argument that is no command with the nearest
// one that is.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	text := fmt.Sprintf("%q is not a command of %s", ui.Clean(args[0]), cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf(": did you mean %s %s?", cmd.CommandPath(), strings.Join(near, " or "))
	}
	return Usagef("%s", text)
}

// Parent is a command that only groups others.
func Parent(use, short, long string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(children...)
	return cmd
}

type VersionJSON struct {
	V       int    `json:"v"`       // version of the format
	Version string `json:"version"` // of flexvc
	OS      string `json:"os"`      // it was built for, as Go calls it
	Arch    string `json:"arch"`    // it was built for, as Go calls it
	Go      string `json:"go"`      // release that built it
}

// PrintVersion prints the version, and for programs what it was built for.
func PrintVersion(app *App) error {
	if app.JSON() {
		return PrintJSON(app.UI.Out, VersionJSON{1, buildinfo.Version, runtime.GOOS, runtime.GOARCH, runtime.Version()})
	}
	app.UI.Printf("%s\n", VersionLine())
	return nil
}

func VersionLine() string {
	return fmt.Sprintf("flexvc %s (%s/%s, %s)", buildinfo.Version, runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// printUsage is what a command's help ends in. It is code, as cobra's own is by
// now: a template calls methods by name, so the linker has to keep every exported
// method of every type, and flexvc would be half as large again.
func printUsage(cmd *cobra.Command) error {
	w := cmd.OutOrStderr()
	fmt.Fprint(w, "Usage:\n  ")
	if cmd.Runnable() {
		fmt.Fprint(w, cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() && cmd.HasParent() {
		fmt.Fprintf(w, "\n  %s <command>", cmd.CommandPath())
	}
	if cmd.HasExample() {
		fmt.Fprintf(w, "\n\nExamples:\n%s", cmd.Example)
	}
	list := func(title, prefix string, wanted func(*cobra.Command) bool) {
		fmt.Fprintf(w, "\n\n%s", title)
		for _, c := range cmd.Commands() {
			if wanted(c) {
				fmt.Fprintf(w, "\n  %s%-*s %s", prefix, c.NamePadding(), c.Name(), c.Short)
			}
		}
	}
	switch {
	case !cmd.HasAvailableSubCommands():
	case len(cmd.Groups()) == 0:
		list("Commands:", "", (*cobra.Command).IsAvailableCommand)
	default:
		for _, group := range cmd.Groups() {
			list(group.Title, "", func(c *cobra.Command) bool { return c.GroupID == group.ID && c.IsAvailableCommand() })
		}
	}
	if cmd.HasAvailableLocalFlags() {
		fmt.Fprintf(w, "\n\nFlags:\n%s", strings.TrimRight(cmd.LocalFlags().FlagUsages(), " \n"))
	}
	if cmd.HasHelpSubCommands() {
		list("Help topics:", "flexvc help ", (*cobra.Command).IsAdditionalHelpTopicCommand)
	}
	if cmd.HasAvailableInheritedFlags() {
		fmt.Fprint(w, "\n\nGlobal flags: see flexvc --help")
	}
	if cmd.HasParent() {
		fmt.Fprint(w, "\nExit status: see flexvc help exit-codes")
	}
	fmt.Fprintln(w)
	return nil
}
