// Package webstore publishes an extension in the Chrome Web Store through its
// API v2: it asks for the item's status, uploads a package and submits it.
// Packages come from internal/crx; organisations that serve their own use
// internal/rollout.
//
// Source: https://developer.chrome.com/docs/webstore/api/reference/rest/v2/publishers.items
package webstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// Address is the store's own.
const Address = "https://chromewebstore.googleapis.com"

const (
	attempts    = 5                // of a request that the store does not answer well
	requestTime = 2 * time.Minute  // for one of them
	longestWait = 30 * time.Second // that a Retry-After may ask for
	answerLimit = 1 << 20          // bytes
	uploadPolls = 60               // questions whether the store has taken an upload in
	pollPause   = 2 * time.Second
)

// Item names an item: both IDs are in the address bar of the developer
// dashboard, chrome.google.com/webstore/devconsole/PUBLISHER/ITEM.
type Item struct{ Publisher, ID string }

// ParseItem reads "PUBLISHER/ITEM".
func ParseItem(text string) (Item, error) {
	publisher, id, _ := strings.Cut(text, "/")
	plain := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}
	if publisher == "" || strings.ContainsFunc(publisher, plain) || len(id) != 32 || strings.Trim(id, "abcdefghijklmnop") != "" {
		return Item{}, fmt.Errorf("%q is not a publisher and an item of 32 letters, PUBLISHER/ITEM, as in the address of the developer dashboard", text)
	}
	return Item{publisher, id}, nil
}

func (i Item) String() string { return "publishers/" + i.Publisher + "/items/" + i.ID }

// Options are what a Client needs of the world; zero fields get the real thing.
type Options struct {
	URL       string // of the store; Address
	Transport http.RoundTripper
	Now       func() time.Time
	Wait      func(context.Context, time.Duration) error
}

// Client speaks for one item.
type Client struct {
	item    Item
	account *Account
	o       Options
	http    *http.Client
	token   string
	until   time.Time
}

// New returns a Client. Nothing is asked yet.
func New(item Item, account *Account, o Options) *Client {
	if o.URL == "" {
		o.URL = Address
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	return &Client{item: item, account: account, o: o, http: &http.Client{
		Transport: o.Transport,
		Timeout:   requestTime,
		// A redirect would take the access token to where nobody sent it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Revision is a version on its way, or arrived.
type Revision struct {
	State   string // PENDING_REVIEW, STAGED, PUBLISHED, PUBLISHED_TO_TESTERS, REJECTED or CANCELLED
	Version string // "" when the store does not say
	Percent int    // of users
}

// Status is what the store says of the item.
type Status struct {
	Published *Revision // nil: never published
	Submitted *Revision // nil: nothing submitted since
	Upload    string    // SUCCEEDED, IN_PROGRESS, FAILED, NOT_FOUND or ""
	TakenDown bool
}

type revisionJSON struct {
	State    string `json:"state"`
	Channels []struct {
		Percent int    `json:"deployPercentage"`
		Version string `json:"crxVersion"`
	} `json:"distributionChannels"`
}

func (r *revisionJSON) revision() *Revision {
	if r == nil {
		return nil
	}
	out := &Revision{State: r.State}
	if len(r.Channels) > 0 {
		out.Version, out.Percent = r.Channels[0].Version, r.Channels[0].Percent
	}
	return out
}

// Status asks how the item is.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	var answer struct {
		Published *revisionJSON `json:"publishedItemRevisionStatus"`
		Submitted *revisionJSON `json:"submittedItemRevisionStatus"`
		Upload    string        `json:"lastAsyncUploadState"`
		TakenDown bool          `json:"takenDown"`
	}
	if err := c.ask(ctx, http.MethodGet, "/v2/"+c.item.String()+":fetchStatus", "", nil, &answer); err != nil {
		return nil, err
	}
	return &Status{answer.Published.revision(), answer.Submitted.revision(), answer.Upload, answer.TakenDown}, nil
}

// Upload puts a package, the ZIP archive, in the place of the item's draft, and
// returns when the store has taken it in. Uploading again is harmless.
func (c *Client) Upload(ctx context.Context, archive []byte, version string) error {
	var answer struct {
		State   string `json:"uploadState"`
		Version string `json:"crxVersion"`
	}
	if err := c.ask(ctx, http.MethodPost, "/upload/v2/"+c.item.String()+":upload", "application/zip", archive, &answer); err != nil {
		return err
	}
	state := answer.State
	for i := 0; inProgress(state); i++ {
		if i == uploadPolls {
			return problem.New(problem.StoreUnavailable, "cannot publish %s: the store has not processed the upload after %s", version, uploadPolls*pollPause).
				WithHint("run the command again to continue")
		}
		if err := c.o.Wait(ctx, pollPause); err != nil {
			return err
		}
		status, err := c.Status(ctx)
		if err != nil {
			return err
		}
		state = status.Upload
	}
	switch {
	case strings.TrimPrefix(state, "UPLOAD_") != "SUCCEEDED":
		return problem.New(problem.StoreRefused, "cannot publish %s: the store did not take the package, its state is %q", version, state).
			WithHint("see why in the developer dashboard: https://chrome.google.com/webstore/devconsole")
	case answer.Version != "" && answer.Version != version:
		return problem.New(problem.StoreRefused, "cannot publish %s: the store reports the package as version %q", version, answer.Version)
	}
	return nil
}

func inProgress(state string) bool { return strings.TrimPrefix(state, "UPLOAD_") == "IN_PROGRESS" }

// Publish submits the item's draft, for percent of users or, with 0, for all, and
// returns the state the store gives it. When the answer is lost on the way, the
// status tells whether version was submitted: nothing is submitted twice.
func (c *Client) Publish(ctx context.Context, version string, percent int) (state string, err error) {
	request := map[string]any{"publishType": "DEFAULT_PUBLISH"}
	if percent > 0 {
		request["deployInfos"] = []any{map[string]any{"deployPercentage": percent}}
	}
	body, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	for i := 1; ; i++ {
		var answer struct {
			State string `json:"state"`
		}
		err := c.once(ctx, http.MethodPost, "/v2/"+c.item.String()+":publish", "application/json", body, &answer)
		var lost *lostError
		if err == nil {
			return answer.State, nil
		}
		if !errors.As(err, &lost) {
			return "", err
		}
		if err := c.o.Wait(ctx, lost.pause(i)); err != nil {
			return "", err
		}
		status, err := c.Status(ctx)
		if err != nil {
			return "", err
		}
		if r := status.Has(version); r != nil {
			return r.State, nil
		}
		if i == attempts {
			return "", lost.problem()
		}
	}
}

// Has returns the revision of a version that is submitted or published, or nil.
// A rejected or cancelled one may be submitted again.
func (s *Status) Has(version string) *Revision {
	for _, r := range []*Revision{s.Submitted, s.Published} {
		if r != nil && r.Version == version && !slices.Contains([]string{"REJECTED", "CANCELLED"}, r.State) {
			return r
		}
	}
	return nil
}

// lostError is a request that may be repeated: no answer, or one that says so.
type lostError struct {
	what  string // what happened, without anything secret
	after time.Duration
}

func (e *lostError) Error() string { return e.what }

func (e *lostError) problem() error {
	return problem.New(problem.StoreUnavailable, "cannot reach the Chrome Web Store: %s", e.what).
		WithHint("run the command again later to continue")
}

func (e *lostError) pause(attempt int) time.Duration {
	return min(max(e.after, time.Second<<(attempt-1)), longestWait)
}

// ask makes a request that is harmless to repeat, and repeats it.
func (c *Client) ask(ctx context.Context, method, path, kind string, body []byte, into any) error {
	for i := 1; ; i++ {
		err := c.once(ctx, method, path, kind, body, into)
		var lost *lostError
		if !errors.As(err, &lost) {
			return err
		}
		if i == attempts {
			return lost.problem()
		}
		if err := c.o.Wait(ctx, lost.pause(i)); err != nil {
			return err
		}
	}
}

func (c *Client) once(ctx context.Context, method, path, kind string, body []byte, into any) error {
	token, err := c.accessToken(ctx)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.o.URL+path, bytes.NewReader(body))
	if err != nil {
		return problem.New(problem.Usage, "cannot reach the Chrome Web Store: invalid address")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	status, text, err := c.do(req)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return c.refused(status, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return problem.New(problem.StoreRefused, "cannot read the Chrome Web Store's response: it is not JSON")
	}
	return nil
}

// do returns an answer, or a lostError when there is none worth having.
func (c *Client) do(req *http.Request) (status int, text []byte, err error) {
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx := req.Context(); ctx.Err() != nil {
			return 0, nil, ctx.Err()
		}
		return 0, nil, &lostError{what: problem.Reason(err).Error()}
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return 0, nil, &lostError{what: "its response was cut short"}
	}
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // absent or a date: our own pause
		return 0, nil, &lostError{what: "it responded with " + resp.Status, after: time.Duration(max(seconds, 0)) * time.Second}
	}
	return resp.StatusCode, text, nil
}

// refused turns Google's error object into a problem.
func (c *Client) refused(status int, text []byte) error {
	var answer struct {
		Error struct{ Message, Status string }
	}
	_ = json.Unmarshal(text, &answer) // the status says it too
	said := problemText(answer.Error.Message)
	if said == "" {
		said = http.StatusText(status)
	}
	switch status {
	case http.StatusUnauthorized:
		return problem.New(problem.CredentialsRefused, "cannot publish: the Chrome Web Store does not accept the service account: %s", said).
			WithHint("add %s in the developer dashboard, under Account", c.account.Email)
	case http.StatusForbidden:
		return problem.New(problem.PermissionDenied, "cannot publish: the service account may not change %s: %s", c.item, said).
			WithHint("add %s in the developer dashboard, under Account, and enable the Chrome Web Store API in its project", c.account.Email)
	case http.StatusNotFound:
		return problem.New(problem.StoreRefused, "cannot publish: the Chrome Web Store does not know %s", c.item).
			WithHint("create the item in the developer dashboard with a first manual upload: the API cannot")
	}
	return problem.New(problem.StoreRefused, "cannot publish: the Chrome Web Store refused (%d): %s", status, said)
}

// problemText is one line of what somebody else wrote.
func problemText(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return strings.TrimSuffix(text, ".")
}
