//go:build ignore

package emulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/emulator"
)

// start returns an emulator that the test closes.
func start(t testing.TB, opts emulator.Options) *emulator.Emulator {
	t.Helper()
	e, err := emulator.New(opts)
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

// answer is a response with its body read.
type answer struct {
	*http.Response
	text string
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.text), &v); err != nil {
		t.Fatalf("%s %s answered %d with no JSON object: %q", a.Request.Method, a.Request.URL, a.StatusCode, a.text)
	}
	return v
}

// client sends requests to one emulator, in process, as one user.
type client struct {
	testing.TB
	e              *emulator.Emulator
	user, password string
	transport      http.RoundTripper
}

func as(t testing.TB, e *emulator.Emulator) *client {
	a := e.Account()
	return &client{t, e, a.SID, a.AuthToken, contract(t, e.Transport())}
}

func (c *client) send(method, target, contentType, body string, header ...string) (answer, error) {
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
	if c.user != "" {
		r.SetBasicAuth(c.user, c.password)
	}
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp, string(text)}, err
}

func (c *client) must(method, target, contentType, body string, header ...string) answer {
	c.Helper()
	a, err := c.send(method, target, contentType, body, header...)
	if err != nil {
		c.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

func (c *client) get(target string, header ...string) answer {
	c.Helper()
	return c.must(http.MethodGet, target, "", "", header...)
}

// post sends a form of alternating names and values.
func (c *client) post(target string, fields []string, header ...string) answer {
	c.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return c.must(http.MethodPost, target, "application/x-www-form-urlencoded", form.Encode(), header...)
}

// workspace is the URL of the Flex workspace.
func (c *client) workspace() string {
	return "https://taskrouter.twilio.com/v1/Workspaces/" + c.e.Account().WorkspaceSID
}

func (a answer) want(t testing.TB, status int) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s answered %d, want %d: %s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.text)
	}
	return a
}

func TestAWorkerIsReplacedWhole(t *testing.T) {
	e := start(t, emulator.Options{Agents: 3})
	c := as(t, e)
	url := c.workspace() + "/Workers/" + e.ExportWorkers()[1].SID

	got := c.get(url).want(t, 200)
	etag := got.Header.Get("ETag")
	const text = `{"only": 12345678901234567890, "b":"<&>"}`
	c.post(url, []string{"Attributes", text}, "If-Match", etag).want(t, 200)
	if now := e.ExportWorkers()[1]; now.Attributes != text || now.ETag == etag {
		t.Errorf("after the update the worker is %+v, its ETag was %s", now, etag)
	}
	c.post(url, []string{"Attributes", "{}"}, "If-Match", etag).want(t, 412)
	if now := e.ExportWorkers()[1]; now.Attributes != text {
		t.Errorf("a refused update changed the worker to %s", now.Attributes)
	}
}
