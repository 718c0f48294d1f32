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
		return Usagef("%s takes no arguments, got %q", cmd.CommandPath(), ui.Clean(args[0]))
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
	cmd.Flags().IntVar(value, "concurrency", workers.DefaultConcurrency, "workers processed at once; the request rate follows Twilio's limit")
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
	cmd.Flags().BoolVar(dryRun, "dry-run", false, "show the plan without changing anything")
	cmd.Flags().BoolVar(exitCode, "exit-code", false, "with --dry-run: exit with 5 if changes are pending")
	cmd.Flags().BoolVar(yes, "yes", false, "skip the confirmation")
}

func CheckPlanFlags(dryRun, exitCode bool) error {
	if exitCode && !dryRun {
		return Usagef("--exit-code requires --dry-run")
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
		return 0, Usagef("--stage %q is not a percentage between 0.01%% and 100%%, such as 10%%", text)
	}
	return int(share*100 + 0.5), nil
}
