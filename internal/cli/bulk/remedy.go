package bulk

import (
	"fmt"
	"strings"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/workers"
)

// RemedyHints names the command that can change each worker that was left alone,
// where there is one.
func RemedyHints(s *ui.Streams, left []workers.Outcome) {
	const some = 5
	var commands []string
	names := map[string][]string{}
	for _, o := range left {
		if o.Remedy == "" {
			continue
		}
		if names[o.Remedy] == nil {
			commands = append(commands, o.Remedy)
		}
		names[o.Remedy] = append(names[o.Remedy], ui.Clean(o.Name))
	}
	for _, command := range commands {
		all := names[command]
		more := ""
		if n := len(all) - some; n > 0 {
			more = fmt.Sprintf("     and %d more (all of them: -o json)", n)
		}
		s.Hint("to change %s all the same: flexvc %s %s%s", these(len(all)), command, strings.Join(cli.QuoteAll(all[:min(len(all), some)]), " "), more)
	}
}

func these(n int) string {
	if n == 1 {
		return "it"
	}
	return fmt.Sprintf("the %d", n)
}

// AsOutcomes are workers that the plan leaves alone, as a list of results has them.
func AsOutcomes(blocked []workers.Blocked) []workers.Outcome {
	var all []workers.Outcome
	for _, b := range blocked {
		all = append(all, workers.Outcome{SID: b.SID, Name: b.Name, Status: workers.Skipped, Code: b.Code, Reason: b.Reason, Remedy: b.Remedy})
	}
	return all
}
