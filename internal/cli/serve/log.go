package serve

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/tokenlog"
	"github.com/flexvc/flexvc/internal/ui"
)

// LogOptions is one `flexvc serve log`.
type LogOptions struct {
	App     *cli.App
	Worker  string
	Servers []string
	Limit   int
}

func newLog(app *cli.App, runF func(context.Context, *LogOptions) error) *cobra.Command {
	o := &LogOptions{App: app}
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show which agents got no token, and why",
		Long: `Show which agents a running flexvc serve refused a token lately, and what can be done
about it; with --worker also when that agent got one.

A server keeps the latest 8,192 requests of agents in memory, and each replica knows
its own: repeat --server to ask several. The request id is the one in the extension's
popup and in the server's log.`,
		Example: `  $ flexvc serve log
  $ flexvc serve log --worker alice@example.com
  $ flexvc serve log --server http://10.0.0.7:9464 --server http://10.0.0.8:9464 -o json`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(cmd.Context(), o)
			}
			return LogRun(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.Worker, "worker", "", "this agent's requests only: user name, identity, or worker SID if the server checks workers")
	f.StringArrayVar(&o.Servers, "server", []string{"http://127.0.0.1:9464"}, "the server's --metrics-listen address; may be repeated")
	f.IntVar(&o.Limit, "limit", 50, "how many requests to show, at most 1000")
	return cmd
}

// LogRun asks each server, and shows what they remember as one.
func LogRun(ctx context.Context, o *LogOptions) error {
	if o.Limit < 1 || o.Limit > 1000 {
		return cli.Usagef("--limit %d is not between 1 and 1000", o.Limit)
	}
	q := url.Values{"limit": {strconv.Itoa(o.Limit)}}
	if o.Worker != "" {
		q["worker"] = []string{o.Worker, attributes.EncodeIdentity(o.Worker)}
	}
	var all tokenlog.Answer
	for _, server := range o.Servers {
		at, err := url.Parse(server)
		if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
			return cli.Usagef("--server %q is not an address like http://127.0.0.1:9464", ui.Clean(server))
		}
		at = at.JoinPath(tokenlog.Path)
		at.RawQuery = q.Encode()
		answer, err := askLog(ctx, at)
		if err != nil {
			return err
		}
		if all.Since.Before(answer.Since) { // before it, not every server knows
			all.Since = answer.Since
		}
		all.Entries = append(all.Entries, answer.Entries...)
	}
	slices.SortStableFunc(all.Entries, func(a, b tokenlog.Entry) int { return b.Time.Compare(a.Time) })
	all.Entries = all.Entries[:min(len(all.Entries), o.Limit)]
	if o.App.JSON() {
		return printLogLines(o.App, all)
	}
	printLog(o, all)
	return nil
}

func askLog(ctx context.Context, at *url.URL) (answer tokenlog.Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return answer, err
	}
	server := at.Scheme + "://" + at.Host
	// No proxy: the address is the operator's own.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return answer, problem.New(problem.NetworkUnreachable, "cannot ask the server at %s: %w", server, cli.Innermost(err)).
			WithHint("pass the --metrics-listen address of a running flexvc serve with --server")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answer, problem.New(problem.RequestRefused, "the server at %s responded with %s", server, resp.Status).
			WithHint("pass the --metrics-listen address of a flexvc serve of this version with --server")
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 4<<20)).Decode(&answer); err != nil || answer.V != 1 {
		return answer, problem.New(problem.NotFound, "%s is not a flexvc serve of this version", server).
			WithHint("pass the server's --metrics-listen address with --server")
	}
	return answer, nil
}

// logLine is one request for a token, as flexvc serve log prints it.
type logLine struct {
	V     int    `json:"v"`
	Event string `json:"event"` // "request"
	tokenlog.Entry
	Why    string `json:"why,omitempty"`    // the reason in words
	Remedy string `json:"remedy,omitempty"` // what an operator can do
}

// logEnd closes the list.
type logEnd struct {
	V        int       `json:"v"`
	Event    string    `json:"event"`    // "done"
	Since    time.Time `json:"since"`    // how far back the servers' memory of agents reaches
	Requests int       `json:"requests"` // shown
}

// Shapes are what flexvc serve log prints.
func Shapes() []cli.Shape {
	return []cli.Shape{
		{Commands: []string{"serve log"}, Name: "request", Of: logLine{}, When: "Per request for a token."},
		{Commands: []string{"serve log"}, Name: "done", Of: logEnd{}, When: "Last."},
	}
}

func printLogLines(app *cli.App, all tokenlog.Answer) error {
	for _, e := range all.Entries {
		known := tokenlog.Refusals()[e.Reason]
		if err := cli.PrintJSON(app.UI.Out, logLine{1, "request", e, known.Why, known.Remedy}); err != nil {
			return err
		}
	}
	return cli.PrintJSON(app.UI.Out, logEnd{1, "done", all.Since, len(all.Entries)})
}

func printLog(o *LogOptions, all tokenlog.Answer) {
	out := o.App.UI
	since := all.Since.Local().Format("2006-01-02 15:04")
	if len(all.Entries) == 0 {
		if o.Worker != "" {
			out.Printf("No request by %s since %s: the extension never asked here, or Twilio did not vouch for it.\n", ui.Clean(o.Worker), since)
		} else {
			out.Printf("No refusal since %s.\n", since)
		}
		return
	}
	rows := make([][]string, len(all.Entries))
	var reasons []string
	for i, e := range all.Entries {
		rows[i] = []string{
			e.Time.Local().Format("01-02 15:04:05"), ui.Clean(cmp.Or(e.Identity, e.Worker, "unknown")),
			ui.Clean(cmp.Or(e.Reason, "token issued")), ui.Clean(e.Request), ui.Clean(e.Client),
		}
		if e.Reason != "" && !slices.Contains(reasons, e.Reason) {
			reasons = append(reasons, e.Reason)
		}
	}
	out.Table([]string{"TIME", "AGENT", "REASON", "REQUEST", "CLIENT"}, rows)
	for _, reason := range reasons {
		known := tokenlog.Refusals()[reason]
		out.Printf("\n%s: %s\n  %s\n", ui.Clean(reason), cmp.Or(known.Why, "not known to this version of flexvc"), cmp.Or(known.Remedy, "use the flexvc of the server's version"))
	}
	out.Chat("\nThe server remembers agents' requests since %s.\n", since)
}
