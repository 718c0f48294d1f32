package demo

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	serveCmd "github.com/flexvc/flexvc/internal/cli/serve"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/tokensrv"
	"github.com/flexvc/flexvc/internal/ui"
)

// server is a `flexvc serve` that runs beside the demo.
type server struct {
	address string // host and port
	stop    func() error
}

// serve starts the token server as `flexvc serve` does; extension is the package
// that it offers to browsers, empty for none.
func (d *demo) serve(ctx context.Context, extension string) (*server, error) {
	app := d.command()
	app.Global = cli.Global{Output: "text", Profile: config.Emulator}
	defaults := tokensrv.Defaults()
	addresses := make(chan string, 1)
	o := &serveCmd.Options{
		App: app, Keyring: config.SystemKeyring{}, Inside: true,
		Listen: "127.0.0.1:0", MetricsListen: "none",
		TTL: defaults.TTL, AllowGet: true, IdentityRate: "none", AddressRate: "none", RefusalRate: "none",
		ValidateVia: string(defaults.ValidateVia), ValidateTimeout: defaults.ValidateTimeout,
		Ready: func(public string) { addresses <- public },
	}
	args := []string{"serve"}
	if o.Extension = extension; extension != "" {
		args = append(args, "--extension", extension)
	}
	d.announce("The server that agents' browsers ask for tokens and for the extension.", args...)
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- serveCmd.Run(serving, o) }()
	select {
	case err := <-ended:
		stop()
		return nil, err
	case address := <-addresses:
		return &server{address, sync.OnceValue(func() error {
			stop()
			return <-ended
		})}, nil
	}
}

// token asks the server as the agent's extension does, and shows what is in the
// answer.
func (d *demo) token(ctx context.Context, s *server, agent string) error {
	out := d.app.UI
	out.Chat("\n%s\n", out.Paint(out.Out, ui.Faint, "# The server gives the agent's extension a voice token once Twilio has validated the Flex token."))
	if err := d.ask(ctx, "http://"+s.address+"/generateToken", agent); err != nil {
		return err
	}
	out.Chat("The signature is omitted: with it, this would be the key to the agent's calls.\n")
	return nil
}

// ask trades the agent's Flex token for a voice token and prints the latter's
// two readable parts.
func (d *demo) ask(ctx context.Context, address, agent string) error {
	var flexToken string
	for _, w := range d.emulator.ExportWorkers() {
		if w.FriendlyName == agent {
			var err error
			if flexToken, err = d.emulator.MintFlexToken(w.SID, time.Hour); err != nil {
				return err
			}
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(url.Values{"Token": {flexToken}}.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is this machine
	resp, err := client.Do(req)
	if err != nil {
		return problem.New(problem.Internal, "the demo's token server does not respond: %w", cli.Innermost(err))
	}
	defer resp.Body.Close()
	var answer struct {
		Identity, Token string
		TTL             int
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		return problem.New(problem.Internal, "the demo's token server responded with %s", resp.Status)
	}
	out := d.app.UI
	out.Printf("POST /generateToken  %s  200, identity %s, lives %d s\n", out.Arrow(), answer.Identity, answer.TTL)
	parts := strings.Split(answer.Token, ".")
	if len(parts) != 3 {
		return problem.New(problem.Internal, "the demo's token server returned something that is not a JWT")
	}
	for i, name := range []string{"header", "payload"} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return problem.New(problem.Internal, "the demo's token server returned something that is not a JWT")
		}
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, text, "  ", "  "); err != nil {
			return problem.New(problem.Internal, "the demo's token server returned something that is not a JWT")
		}
		out.Printf("  %s %s\n", out.Paint(out.Out, ui.Faint, name), &pretty)
	}
	return nil
}
