// Package twilioapi talks to Twilio's REST API: TaskRouter workers and
// activities, the Flex configuration and its plugins, Serverless, and the
// account's API keys. What should be at Twilio is decided elsewhere: each method is
// one resource's request, and every error is, or wraps, a *problem.Problem, told
// apart by its code.
//
// twilio-go supplies the paths, the parameters and the models. What carries
// its requests is this package's own client.BaseClient, because the one in
// twilio-go takes no context, drops the headers of error answers and leaves
// their bodies open, never repeats a request, and cuts every ".digits" out of
// a query string (`a.1b@x.com` becomes `ab@x.com`).
//
// One request goes through, in this order: the guard that keeps real SIDs from
// the emulator and made-up ones from Twilio (guard.go), the rate control that
// finds the server's limit (rate.go), one attempt and the decision whether to
// repeat it (request.go), and the translation of what went wrong into a
// *problem.Problem (problems.go).
package twilioapi

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	twiliogo "github.com/twilio/twilio-go/client"

	"github.com/flexvc/flexvc/internal/buildinfo"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// Options says which account to talk to and how. The zero value of every field
// but the credentials is usable.
type Options struct {
	AccountSID string // AC…
	Username   string // the account SID or an API key's SID, SK…
	Password   string // the auth token or the key's secret

	// Region and Edge are Twilio's: "" and "" is US1. A region alone gets the
	// edge that Twilio names for it.
	Region, Edge string

	// Base carries the requests; nil means a clone of http.DefaultTransport
	// that honours the proxy environment. It may not follow redirects.
	Base http.RoundTripper

	// Emulator replaces scheme and host of every request; the Host header
	// stays Twilio's, so that one emulator can serve all products. It must be
	// a loopback address.
	Emulator *url.URL
	// SIDMarker is what follows the two letters of every SID the emulator
	// makes up. With it set, an SID with the marker never goes to Twilio and
	// one without it never goes to the emulator: that is WrongTarget.
	SIDMarker string

	Now   func() time.Time                           // default time.Now
	Sleep func(context.Context, time.Duration) error // default: a timer; returns the context's error
	Rand  *rand.Rand                                 // jitter of the waits between attempts
	Log   *slog.Logger                               // one debug line per attempt, without query and secrets
}

// Client talks to Twilio on behalf of one account. It is safe for concurrent
// use.
type Client struct {
	account            string
	username, password string
	region, edge       string
	emulator           *url.URL
	marker             string
	userAgent          string

	base  http.RoundTripper
	log   *slog.Logger
	now   func() time.Time
	sleep func(context.Context, time.Duration) error

	randMu sync.Mutex
	rand   *rand.Rand

	pace       *pacer // every request but the following
	expression *pacer // lists with an expression: they have a limit of their own

	works                          atomic.Bool // the credentials were accepted at least once
	requests, retries, rateLimited atomic.Int64
}

// Stats counts what a client did so far.
type Stats struct {
	Requests    int64   // attempts sent, repeated ones included
	Retries     int64   // attempts that repeated an earlier one
	RateLimited int64   // attempts answered 429
	Rate        float64 // requests per second the rate control allows now
}

// New checks the options and returns a client. It sends nothing. Errors are
// CredentialsMissing, CredentialsRefused, ConfigInvalid and WrongTarget.
func New(o Options) (*Client, error) {
	if err := checkCredentials(o); err != nil {
		return nil, err
	}
	if err := checkEmulator(o.Emulator); err != nil {
		return nil, err
	}
	region, edge, err := route(o.Region, o.Edge)
	if err != nil {
		return nil, err
	}
	c := &Client{
		account:   o.AccountSID,
		username:  o.Username,
		password:  o.Password,
		region:    region,
		edge:      edge,
		emulator:  o.Emulator,
		marker:    o.SIDMarker,
		userAgent: "flexvc/" + buildinfo.Version + " twilio-go/" + twiliogo.LibraryVersion + " (" + runtime.GOOS + " " + runtime.GOARCH + ")",
		base:      o.Base,
		log:       o.Log,
		now:       o.Now,
		sleep:     o.Sleep,
		rand:      o.Rand,
	}
	if c.base == nil {
		c.base = newTransport(o)
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.sleep == nil {
		c.sleep = sleep
	}
	if c.rand == nil {
		c.rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	c.pace = newPacer(newControl(firstRate, 0), c.now, c.sleep)
	c.expression = newPacer(newControl(expressionRate, expressionRate), c.now, c.sleep)

	if err := c.checkTarget(o.AccountSID, o.Username); err != nil {
		return nil, err
	}
	return c, nil
}

// Stats returns the counters so far.
func (c *Client) Stats() Stats {
	return Stats{
		Requests:    c.requests.Load(),
		Retries:     c.retries.Load(),
		RateLimited: c.rateLimited.Load(),
		Rate:        c.pace.rate(),
	}
}

// CheckCredentials asks Twilio whether the credentials are accepted, with the
// smallest request that an auth token and any kind of API key may make.
func (c *Client) CheckCredentials(ctx context.Context) error {
	o := op{what: "use the credentials of account " + twilio.Short(c.account), repeat: always}
	u, err := c.url(taskrouterURL + "/v1/Workspaces?PageSize=1")
	if err != nil {
		return c.problem(ctx, o, err)
	}
	err = c.send(ctx, o, request{method: http.MethodGet, url: u}, func(_ http.Header, r io.Reader) error {
		_, err := readPage(r, "workspaces", nil, func(skip func(any) error) error { return skip(new(struct{})) })
		return err
	})
	return c.problem(ctx, o, err)
}

func checkCredentials(o Options) error {
	switch {
	case o.AccountSID == "" || o.Username == "" || o.Password == "":
		return problem.New(problem.CredentialsMissing, "cannot reach Twilio: no credentials").
			WithHint("set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or use -p emulator")
	case !sidOf("AC", o.AccountSID):
		return problem.New(problem.ConfigInvalid, "cannot reach Twilio: the account SID is not AC followed by 32 hexadecimal digits").
			WithHint("copy the Account SID from the Twilio Console")
	case !sidOf("AC", o.Username) && !sidOf("SK", o.Username):
		return problem.New(problem.ConfigInvalid, "cannot reach Twilio: the user name is neither an account SID (AC…) nor an API key SID (SK…)").
			WithHint("set TWILIO_API_KEY to the key's SID and TWILIO_API_SECRET to its secret")
	case !alphanumeric(o.Password):
		return problem.New(problem.CredentialsRefused, "cannot use the credentials of %s: the secret contains an invalid character", twilio.Short(o.Username)).
			WithHint("copy it again: it may include a space, quote or line break")
	}
	return nil
}

func alphanumeric(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !('0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	}) < 0
}

func newTransport(o Options) http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 32
	t.MaxIdleConns = 4 * 32 // taskrouter, flex-api, iam
	if o.Emulator != nil {
		t.Proxy = nil
	}
	return t
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
