package twilioapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

const firstPage = taskrouterURL + "/v1/Workspaces/" + workspace + "/Workers?PageSize=1000"

// page is one page of workers with the given names.
func page(next string, names ...string) string {
	rows := make([]string, len(names))
	for i, n := range names {
		rows[i] = fmt.Sprintf(`{"sid":"WK%032d","friendly_name":%q,"attributes":null,"links":{"a":"b"}}`, i, n)
	}
	nextJSON := "null"
	if next != "" {
		nextJSON = fmt.Sprintf("%q", next)
	}
	return `{"meta":{"page":0,"key":"workers","next_page_url":` + nextJSON + `},"workers":[` + strings.Join(rows, ",") + `]}`
}

// names collects a stream until it ends or fails.
func names(t *testing.T, w *Workspace, expression string) (all []string, err error) {
	t.Helper()
	for worker, e := range w.Workers(t.Context(), expression) {
		if e != nil {
			if err != nil {
				t.Errorf("a second error: %v", e)
			}
			err = e
			continue
		}
		if err != nil {
			t.Errorf("worker %s after the error", worker.FriendlyName)
		}
		all = append(all, worker.FriendlyName)
	}
	return all, err
}

func TestWorkersFollowsPagesVerbatim(t *testing.T) {
	const second = "https://taskrouter.twilio.com/v1/Workspaces/" + workspace + "/Workers?PageSize=1000&Page=1&PageToken=PA%2bWK.1%20x"
	var asked []string
	c := atOnce(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.String())
		if len(asked) == 1 {
			return respond(200, page(second, "ann", "bob")), nil
		}
		return respond(200, page("", "cleo")), nil
	}))
	got, err := names(t, c.Workspace(workspace), "")
	if err != nil || strings.Join(got, " ") != "ann bob cleo" {
		t.Errorf("workers %q, error %v", got, err)
	}
	if want := []string{firstPage, second}; strings.Join(asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked for\n%s, want\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}
}

// twilio-go would turn `jane.2doe` into `janedoe` and 1.5 into 1.
func TestExpressionArrivesAsTyped(t *testing.T) {
	for _, expression := range []string{
		`email == "jane.2doe@x.com" AND n > 1.5`,
		`name == 'Zoë + 50% & co'`,
	} {
		var got string
		c := atOnce(t, roundTripper(func(r *http.Request) (*http.Response, error) {
			got = r.URL.Query().Get("TargetWorkersExpression")
			return respond(200, page("")), nil
		}))
		if _, err := names(t, c.Workspace(workspace), expression); err != nil {
			t.Fatal(err)
		}
		if got != expression {
			t.Errorf("sent %s, want %s", got, expression)
		}
	}
}

func TestWorkersYieldsEarlierRowsBeforeTheError(t *testing.T) {
	const second = firstPage + "&Page=1"
	c := atOnce(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Query().Has("Page") {
			return respond(404, `{"code":20404,"message":"gone","status":404}`), nil
		}
		return respond(200, page(second, "ann")), nil
	}))
	got, err := names(t, c.Workspace(workspace), "")
	wantCode(t, err, problem.NotFound)
	if len(got) != 1 {
		t.Errorf("workers %q before the error, want ann", got)
	}
}

func TestWorkersStopsWhenTheCallerDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests, givenUp atomic.Int64
		c := newClient(t, options(roundTripper(func(r *http.Request) (*http.Response, error) {
			if requests.Add(1) == 1 {
				return respond(200, page(firstPage+"&Page=1", "ann", "bob")), nil
			}
			defer givenUp.Add(1)
			return hang(r)
		})))
		for range c.Workspace(workspace).Workers(t.Context(), "") {
			synctest.Wait()
			time.Sleep(time.Second) // of the bubble: the next page's turn to be sent comes
			break
		}
		// The bubble fails if a goroutine is left over.
		if requests.Load() != 2 || givenUp.Load() != 1 {
			t.Errorf("%d requests, %d of them given up; want 2 and 1", requests.Load(), givenUp.Load())
		}
	})
}

// awaited is a body whose rows come once release is closed.
func awaited(text string, release <-chan struct{}) *http.Response {
	head, rows, _ := strings.Cut(text, `"workers":`)
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, head)
		<-release
		_, err := io.WriteString(w, `"workers":`+rows)
		_ = w.CloseWithError(err) // nil is the end
	}()
	res := respond(200, "")
	res.Body = r
	return res
}

func TestNextPageIsAskedForWhileOneIsRead(t *testing.T) {
	next := func(n int) string { return fmt.Sprint(firstPage, "&Page=", n) }
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		second := make(chan struct{})
		c := newClient(t, options(roundTripper(func(r *http.Request) (*http.Response, error) {
			switch n := int(asked.Add(1)); n {
			case 1: // its rows come only after the second request
				return awaited(page(next(1), "ann"), second), nil
			case 2:
				close(second)
				return respond(200, page(next(2), "bob")), nil
			case 3:
				// Here the address comes last.
				return respond(200, `{"workers":[{"friendly_name":"cleo"}],"meta":{"next_page_url":"`+next(3)+`"}}`), nil
			default:
				return respond(200, page("", "dan")), nil
			}
		})))
		var got []string
		for w, err := range c.Workspace(workspace).Workers(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, w.FriendlyName)
			time.Sleep(time.Minute)
			synctest.Wait()
			if want := min(int64(len(got))+1, 4); asked.Load() != want {
				t.Errorf("%d pages asked for while the caller has %q, want %d", asked.Load(), got, want)
			}
		}
		if strings.Join(got, " ") != "ann bob cleo dan" {
			t.Errorf("workers %q", got)
		}
	})
}

func TestPageAfterOneThatWasCutOff(t *testing.T) {
	// The repeated page names another page to go on with than the first attempt.
	var asked []string
	var mu sync.Mutex
	c := atOnce(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		after := r.URL.Query().Get("PageToken")
		asked = append(asked, after)
		switch {
		case after == "old":
			return respond(200, page("", "nobody")), nil
		case after == "new":
			return respond(200, page("", "bob")), nil
		case len(asked) == 1:
			return cutOff(200, strings.TrimSuffix(page(firstPage+"&PageToken=old", "ann"), "]}"))()
		}
		return respond(200, page(firstPage+"&PageToken=new", "ann")), nil
	}))
	got, err := names(t, c.Workspace(workspace), "")
	if err != nil || strings.Join(got, " ") != "ann bob" {
		t.Errorf("workers %q, error %v, asked after %q", got, err, asked)
	}
}

func TestNextPageOnAnotherServerGetsNoCredentials(t *testing.T) {
	for _, next := range []string{
		"https://evil.example/v1/Workspaces",
		"https://taskrouter.twilio.com.evil.example/",
		"https://user@taskrouter.twilio.com/",
		"https://taskrouter.twilio.com:8443/",
		"http://taskrouter.twilio.com/",
		"https://iam.twilio.com/",
		"https://taskrouter.ie1.twilio.com/",
		firstPage, // a circle
		"://",
	} {
		requests := 0
		c := atOnce(t, roundTripper(func(*http.Request) (*http.Response, error) {
			requests++
			return respond(200, page(next, "ann")), nil
		}))
		got, err := names(t, c.Workspace(workspace), "")
		wantCode(t, err, problem.TwilioAnswer)
		if requests != 1 || len(got) != 1 {
			t.Errorf("next page %s: %d requests, workers %q", next, requests, got)
		}
	}
}

func TestNextPageMayNameAnotherEdgeOfTheRegion(t *testing.T) {
	requests := 0
	o := options(roundTripper(func(*http.Request) (*http.Response, error) {
		if requests++; requests == 1 {
			return respond(200, page("https://taskrouter.ie1.twilio.com/v1/next", "ann")), nil
		}
		return respond(200, page("", "bob")), nil
	}))
	o.Region = "ie1"
	got, err := names(t, newClient(t, o).Workspace(workspace), "")
	if err != nil || len(got) != 2 {
		t.Errorf("workers %q, error %v", got, err)
	}
}

func TestNullAttributesAreNotEmptyOnes(t *testing.T) {
	c := atOnce(t, roundTripper(func(*http.Request) (*http.Response, error) {
		return respond(200, `{"workers":[{"sid":"WK1","attributes":null},{"sid":"WK2"},{"sid":"WK3","attributes":""},
			{"sid":null,"friendly_name":null,"date_updated":null,"available":null,"attributes":"{}"}]}`), nil
	}))
	var got []*string
	for w, err := range c.Workspace(workspace).Workers(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if w.ETag != "" || !w.DateUpdated.IsZero() {
			t.Errorf("row %+v has an ETag or a date", w)
		}
		got = append(got, w.Attributes)
	}
	if len(got) != 4 || got[0] != nil || got[1] != nil || got[2] == nil || *got[2] != "" || got[3] == nil || *got[3] != "{}" {
		t.Errorf("attributes %v", got)
	}
}

func TestSetAttributesNeedsAnETag(t *testing.T) {
	c := atOnce(t, roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, errors.New("unwanted")
	}))
	for _, etag := range []string{"", `""`, "*"} {
		_, err := c.Workspace(workspace).SetAttributes(t.Context(), agent, "{}", etag)
		wantCode(t, err, problem.Internal)
	}
}

func TestSIDsThatWouldLeadElsewhereAreNotSent(t *testing.T) {
	c := atOnce(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		t.Errorf("%s was asked for", r.URL)
		return nil, errors.New("unwanted")
	}))
	ctx := t.Context()
	ws := c.Workspace(workspace)
	for _, bad := range []string{"", "WK1/../../Activities", "WK?x=1", "alice"} {
		_, err := ws.Worker(ctx, bad)
		wantCode(t, err, problem.Usage)
		_, err = ws.SetAttributes(ctx, bad, "{}", "1")
		wantCode(t, err, problem.Usage)
		wantCode(t, c.DeleteKey(ctx, bad), problem.Usage)
		wantCode(t, c.RenameKey(ctx, bad, "x"), problem.Usage)
		_, err = c.Workspace(bad).Activities(ctx)
		wantCode(t, err, problem.Usage)
	}
}

func TestActivitiesAndWorkspace(t *testing.T) {
	var form string
	c := atOnce(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		switch {
		case r.Method == http.MethodPost:
			if err := r.ParseForm(); err != nil {
				return nil, err
			}
			form = r.PostForm.Encode()
			return respond(201, `{"sid":"WA2","friendly_name":"Voice Client Offline","available":false}`), nil
		case strings.HasSuffix(r.URL.Path, "/Activities"):
			return respond(200, `{"activities":[{"sid":"WA1","friendly_name":"Available","available":true}],"meta":{}}`), nil
		}
		return respond(200, `{"sid":"`+workspace+`","friendly_name":"Flex Task Assignment"}`), nil
	}))
	ctx := context.Background()
	w := c.Workspace(workspace)
	got, err := w.Workspace(ctx)
	if want := (twilio.Workspace{SID: workspace, FriendlyName: "Flex Task Assignment"}); err != nil || got != want {
		t.Errorf("workspace %+v, %v", got, err)
	}
	all, err := w.Activities(ctx)
	if want := (twilio.Activity{SID: "WA1", FriendlyName: "Available", Available: true}); err != nil || len(all) != 1 || all[0] != want {
		t.Errorf("activities %+v, %v", all, err)
	}
	made, err := w.CreateActivity(ctx, "Voice Client Offline", false)
	if want := (twilio.Activity{SID: "WA2", FriendlyName: "Voice Client Offline"}); err != nil || made != want {
		t.Errorf("created %+v, %v", made, err)
	}
	if form != "Available=false&FriendlyName=Voice+Client+Offline" {
		t.Errorf("sent %s", form)
	}
}

func TestPageThatWasCutOffIsNotYieldedTwice(t *testing.T) {
	base, _ := script(cutOff(200, strings.TrimSuffix(page("", "ann", "bob"), "]}")), gives(200, page("", "ann", "bob")))
	got, err := names(t, atOnce(t, base).Workspace(workspace), "")
	if err != nil || strings.Join(got, " ") != "ann bob" {
		t.Errorf("workers %q, error %v", got, err)
	}
}
