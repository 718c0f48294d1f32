package tree

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/problem"
)

// helpTopics are commands without a run function: cobra lists them apart, and
// `flexvc help environment` prints them.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "environment", Short: "Environment variables", Long: environmentTopic},
		{Use: "exit-codes", Short: "Exit codes", Long: exitCodesTopic()},
		{Use: "output", Short: "Output streams and JSON", Long: outputTopic},
	}
}

const environmentTopic = `Flags take precedence over environment variables, those over the profile in
flexvc.yaml, and that over defaults. See where each value comes from with flexvc config
list --origin.

Twilio's own variables
  TWILIO_ACCOUNT_SID    account, AC…; one that flexvc emulator printed means the emulator
  TWILIO_AUTH_TOKEN     its auth token, or instead of it:
  TWILIO_API_KEY        a Main or Standard API key, SK…, preferred when both are set
  TWILIO_API_SECRET     its secret
  TWILIO_REGION         such as ie1; without an edge, the region's own edge is used
  TWILIO_EDGE           such as dublin
  TWILIO_CONFIG_DIR     where the twilio CLI keeps its profiles (read, never written)

flexvc's variables
  FLEXVC_PROFILE        as --profile; "emulator" needs no account
  FLEXVC_CONFIG         as --config
  FLEXVC_REDIS_URL      as serve's --redis-url
  FLEXVC_NOTIFY_URL     as serve's --notify; it is a secret
  FLEXVC_STATE_DIR      where journals and the emulator's data are kept
                        (default $XDG_STATE_HOME/flexvc, or ~/.local/state/flexvc)

Common variables
  NO_COLOR              any value: no colour
  TERM                  "dumb": ASCII signs, no colour
  COLUMNS               width of the terminal
  HTTPS_PROXY NO_PROXY  proxy for requests to Twilio
  XDG_CONFIG_HOME XDG_STATE_HOME
`

const outputTopic = `Results go to standard output; questions, progress, hints and errors to standard
error. Text shortens SIDs to their type and last four characters; JSON never does.
On a terminal, tables are aligned and cut to its width (at least 60 columns). Otherwise
they are complete, tab-separated, without a header and with whole SIDs.

With -o json, standard output is one JSON object per line; each has "v":1, and those of
long operations have an "event". Fields may be added within a version.

  {"v":1,"event":"plan","run":"…","change":507,"same":4,"blocked":1}
  {"v":1,"event":"worker","sid":"WK…","name":"…","status":"enabled","attempts":1}
  {"v":1,"event":"summary","run":"…","enabled":507,"failed":0,"blocked":1,"seconds":63}

An error is one object on standard error:

  {"v":1,"event":"error","code":"worker-not-found","exit":2,"summary":"…","hint":"…"}

The codes are stable; docs/errors.md lists them. docs/schemas has a JSON Schema for the
lines of each command. With -o json, a command that would ask for confirmation requires
--yes.
`

func exitCodesTopic() string {
	var b strings.Builder
	for _, row := range []struct {
		code    int
		meaning string
	}{
		{problem.ExitDone, "done, or nothing to do"},
		{problem.ExitFailed, "failed"},
		{problem.ExitUsage, "the command line or the configuration is wrong; nothing was changed"},
		{problem.ExitPartly, "partly done: some workers failed or were skipped; the journal is kept"},
		{problem.ExitCredentials, "credentials are missing, refused, or may not do this"},
		{problem.ExitPending, "changes are pending (only with --exit-code)"},
		{problem.ExitLocked, "another run holds the lock"},
		{problem.ExitInterrupted, "interrupted by ^C or SIGTERM"},
	} {
		fmt.Fprintf(&b, "%5d  %s\n", row.code, row.meaning)
	}
	b.WriteString("\nAn error's code is more specific than the exit code: see docs/errors.md and -o json.\n")
	return b.String()
}
