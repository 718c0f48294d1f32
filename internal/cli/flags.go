package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/workers"
	"github.com/spf13/cobra"
)

// NoArgs refuses arguments as a mistake on the command line.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usagef("%s takes no arguments, but was given %q", cmd.CommandPath(), ui.Clean(args[0]))
	}
	return nil
}

func NameArgs(n int, sentence string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return Usagef("%s", sentence)
		}
		return nil
	}
}

// Complete offers fixed values for a flag.
func Complete(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag is not defined: a mistake in the code above
	}
}

// NoCompletion keeps the shell from offering file names for a flag's value.
func NoCompletion(cmd *cobra.Command, flag string) { Complete(cmd, flag) }

// WorkspaceFlag defines --workspace.
func WorkspaceFlag(cmd *cobra.Command, value *string) {
	cmd.Flags().StringVar(value, "workspace", "", "TaskRouter workspace, WS… (default: the profile's, or Flex's)")
	NoCompletion(cmd, "workspace")
}

func ConcurrencyFlag(cmd *cobra.Command, value *int) {
	cmd.Flags().IntVar(value, "concurrency", workers.DefaultConcurrency, "workers in hand at a time; the pace follows Twilio's limit")
	NoCompletion(cmd, "concurrency")
}

// CheckConcurrency refuses what is not a number of workers.
func CheckConcurrency(n int) error {
	if n < 1 || n > 1000 {
		return UsageError{fmt.Errorf("--concurrency %d is not between 1 and 1000", n)}
	}
	return nil
}

// PlanFlags defines the flags of every command that plans before it changes.
func PlanFlags(cmd *cobra.Command, dryRun, exitCode, yes *bool) {
	cmd.Flags().BoolVar(dryRun, "dry-run", false, "show the plan, change nothing")
	cmd.Flags().BoolVar(exitCode, "exit-code", false, "with --dry-run: exit with 5 when there are changes to make")
	cmd.Flags().BoolVar(yes, "yes", false, "do not ask")
}

func CheckPlanFlags(dryRun, exitCode bool) error {
	if exitCode && !dryRun {
		return Usagef("--exit-code tells about a plan: give --dry-run with it")
	}
	return nil
}

// ParseStage reads "10%", "0.5%" or "10" as hundredths of a percent.
func ParseStage(text string) (int, error) {
	if text == "" {
		return 10_000, nil
	}
	share, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(share >= 0.01 && share <= 100) {
		return 0, Usagef("--stage %q is not a share like 10%%, of at least 0.01%% and at most 100%%", text)
	}
	return int(share*100 + 0.5), nil
}
