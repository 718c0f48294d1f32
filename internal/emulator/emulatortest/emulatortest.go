// Package emulatortest is what the tests of the emulator share: an emulator that
// ends with its test, a client that holds every answer against Twilio's OpenAPI
// files, and a customer's server that is told of events. What one product's
// tests alone need belongs beside them.
package emulatortest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/products"
)

// New returns an emulator of every product.
func New(opts emulator.Options) (*emulator.Emulator, error) {
	opts.Products = products.All()
	return emulator.New(opts)
}

// Start returns an emulator of every product that the test closes.
func Start(t testing.TB, opts emulator.Options) *emulator.Emulator {
	t.Helper()
	e, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// Answer is a response with its body read.
type Answer struct {
	*http.Response
	Text string
}

// JSON is the body, which has to be an object.
func (a Answer) JSON(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.Text), &v); err != nil {
		t.Fatalf("%s %s answered %d with no JSON object: %q", a.Request.Method, a.Request.URL, a.StatusCode, a.Text)
	}
	return v
}

// Client sends requests to one emulator, in process, as one user.
type Client struct {
	testing.TB
	E              *emulator.Emulator
	User, Password string
	Transport      http.RoundTripper
}

// As returns a client with the account's own credentials.
func As(t testing.TB, e *emulator.Emulator) *Client {
	a := e.Account()
	return &Client{t, e, a.SID, a.AuthToken, Contract(t, e.Transport())}
}

// Send sends a request with alternating names and values of headers.
func (c *Client) Send(method, target, contentType, body string, header ...string) (Answer, error) {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), method, target, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if c.User != "" {
		r.SetBasicAuth(c.User, c.Password)
	}
	resp, err := c.Transport.RoundTrip(r)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return Answer{resp, string(text)}, err
}

// Must sends a request that has to be answered.
func (c *Client) Must(method, target, contentType, body string, header ...string) Answer {
	c.Helper()
	a, err := c.Send(method, target, contentType, body, header...)
	if err != nil {
		c.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

// Get sends a request without a body.
func (c *Client) Get(target string, header ...string) Answer {
	c.Helper()
	return c.Must(http.MethodGet, target, "", "", header...)
}

// Post sends a form of alternating names and values.
func (c *Client) Post(target string, fields []string, header ...string) Answer {
	c.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return c.Must(http.MethodPost, target, "application/x-www-form-urlencoded", form.Encode(), header...)
}

// Workspace is the URL of the Flex workspace.
func (c *Client) Workspace() string {
	return "https://taskrouter.twilio.com/v1/Workspaces/" + c.E.Account().WorkspaceSID
}

// Want ends the test unless the answer has the status.
func (a Answer) Want(t testing.TB, status int) Answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s answered %d, want %d: %s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.Text)
	}
	return a
}

// Made is the SID of what the request made.
func (a Answer) Made(t testing.TB) string {
	t.Helper()
	return a.Want(t, 201).JSON(t)["sid"].(string)
}

// Must ends the test on an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// IsMadeUp reports whether an emulator made up the SID.
func IsMadeUp(sid string) bool {
	return len(sid) == 34 && strings.HasPrefix(sid[2:], emulator.SIDMarker)
}

// SeedNamed is a seed of workers with these names.
func SeedNamed(names ...string) *emulator.Seed {
	s := &emulator.Seed{}
	for _, name := range names {
		s.Workers = append(s.Workers, emulator.SeedWorker{FriendlyName: name})
	}
	return s
}

// Names reads the friendly names of a page.
func Names(t testing.TB, a Answer, key string) (list []string, next, previous string) {
	t.Helper()
	v := a.Want(t, 200).JSON(t)
	for _, row := range v[key].([]any) {
		list = append(list, row.(map[string]any)["friendly_name"].(string))
	}
	meta := v["meta"].(map[string]any)
	next, _ = meta["next_page_url"].(string)
	previous, _ = meta["previous_page_url"].(string)
	return list, next, previous
}

// Walk follows a list to its end, or backwards from its end when back is set,
// and returns the pages and the URL of the last.
func Walk(t testing.TB, c *Client, url string, back bool) (pages [][]string, last string) {
	t.Helper()
	for url != "" {
		if len(pages) == 5000 {
			t.Fatalf("%s is the next page for ever", url)
		}
		page, next, previous := Names(t, c.Get(url), "workers")
		pages, last, url = append(pages, page), url, next
		if back {
			url = previous
		}
	}
	return pages, last
}

// Login mints a token the way a client can.
func (c *Client) Login(t testing.TB, body string) (token string, info map[string]any) {
	t.Helper()
	a := c.E.Account()
	users := c.Get("https://flex-api.twilio.com/v1/Instances/"+a.FlexInstanceSID+"/Users").Want(t, 200).JSON(t)["users"].([]any)
	user := users[0].(map[string]any)["flex_user_sid"].(string)
	v := c.Must("POST", "https://flex-api.twilio.com/v4/Instances/"+a.FlexInstanceSID+"/Users/"+user+"/Tokens", "application/json", body).Want(t, 201).JSON(t)
	return v["access_token"].(string), v["token_info"].(map[string]any)
}
