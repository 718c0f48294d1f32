package taskrouter_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
	"github.com/flexvc/flexvc/internal/emulator/store"
	"github.com/flexvc/flexvc/internal/emulator/taskrouter"
)

// TestRequestsThatDoNotConformAreRefused sends what a careless client would.
func TestRequestsThatDoNotConformAreRefused(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Seed: &emulator.Seed{
		Workers: []emulator.SeedWorker{{FriendlyName: "Alice"}, {FriendlyName: "bob", Activity: "Available"}},
	}})
	c := emulatortest.As(t, e)
	a := e.Account()
	ws := c.Workspace()
	alice := ws + "/Workers/" + e.ExportWorkers()[0].SID
	state := e.Export()
	offline, available := state.Activities[0].SID, state.Activities[1].SID
	long, zeros := strings.Repeat("x", 65), strings.Repeat("0", 32)
	const form = "application/x-www-form-urlencoded"
	const iam, flex = "https://iam.twilio.com", "https://flex-api.twilio.com"

	for _, test := range []struct {
		name, method, url, contentType, body string
		status, code                         int
	}{
		{"page size 0", "GET", ws + "/Workers?PageSize=0", "", "", 400, 20001},
		{"page size 1001", "GET", ws + "/Workers?PageSize=1001", "", "", 400, 20001},
		{"page size in words", "GET", ws + "/Workers?PageSize=all", "", "", 400, 20001},
		{"page without token", "GET", ws + "/Workers?Page=1", "", "", 400, 20001},
		{"negative page", "GET", ws + "/Workers?Page=-1", "", "", 400, 20001},
		{"made-up page token", "GET", ws + "/Workers?PageToken=PAzz", "", "", 400, 20001},
		{"short page token", "GET", ws + "/Workers?PageToken=P", "", "", 400, 20001},
		{"misspelt filter", "GET", ws + "/Workers?FriendlyNam=x", "", "", 400, 20001},
		{"filter given twice", "GET", ws + "/Workers?Available=1&Available=0", "", "", 400, 20001},
		{"filter not UTF-8", "GET", ws + "/Workers?FriendlyName=%ff", "", "", 400, 20001},
		{"query not encoded", "GET", ws + "/Workers?FriendlyName=%zz", "", "", 400, 20001},
		{"unknown ordering", "GET", ws + "/Workers?Ordering=Shoes:asc", "", "", 400, 20001},
		{"ordering sideways", "GET", ws + "/Workers?Ordering=FriendlyName:up", "", "", 400, 20001},
		{"bad expression", "GET", ws + "/Workers?TargetWorkersExpression=" + url.QueryEscape("a =="), "", "", 400, 20001},
		{"hyphen in expression", "GET", ws + "/Workers?TargetWorkersExpression=" + url.QueryEscape("team-lead == true"), "", "", 400, 20001},
		{"filter by half a SID", "GET", ws + "/Workers?TaskQueueSid=WQ12", "", "", 400, 20001},
		{"filter by the SID of something else", "GET", ws + "/Workers?ActivitySid=" + a.WorkspaceSID, "", "", 400, 20001},
		{"list body", "GET", ws + "/Workers", form, "a=b", 400, 20001},
		{"unknown workspace", "GET", strings.Replace(ws, "e0e0", "1234", 1) + "/Workers", "", "", 404, 20404},
		{"unknown worker", "GET", ws + "/Workers/WK00000000000000000000000000000000", "", "", 404, 20404},
		{"unknown path", "GET", "https://taskrouter.twilio.com/v1/Nothing", "", "", 404, 20404},
		{"unknown version", "GET", strings.Replace(ws, "/v1/", "/v2/", 1), "", "", 404, 20404},
		{"wrong method", "PUT", alice, form, "Attributes={}", 405, 20004},
		{"known, not emulated", "GET", ws + "/TaskQueues", "", "", 501, 20500},
		{"known product, not emulated", "GET", "https://studio.twilio.com/v2/Flows", "", "", 501, 20500},
		{"unknown product", "GET", "https://shoes.twilio.com/v1/Left", "", "", 404, 20404},

		{"worker without name", "POST", ws + "/Workers", form, "Attributes={}", 400, 20001},
		{"worker with a long name", "POST", ws + "/Workers", form, "FriendlyName=" + long, 400, 20001},
		{"worker that exists", "POST", ws + "/Workers", form, "FriendlyName=ALICE", 400, 20001},
		{"worker in no activity", "POST", ws + "/Workers", form, "FriendlyName=x&ActivitySid=WA" + zeros, 400, 20001},
		{"worker with text attributes", "POST", ws + "/Workers", form, "FriendlyName=x&Attributes=hello", 400, 20001},
		{"worker as JSON", "POST", ws + "/Workers", "application/json", `{"FriendlyName":"x"}`, 415, 20001},

		{"rename to another's name", "POST", alice, form, "FriendlyName=Bob", 400, 20001},
		{"rename to nothing", "POST", alice, form, "FriendlyName=", 400, 20001},
		{"empty attributes", "POST", alice, form, "Attributes=", 400, 20001},
		{"torn attributes", "POST", alice, form, "Attributes={", 400, 20001},
		{"two attribute documents", "POST", alice, form, "Attributes={}{}", 400, 20001},
		{"attributes too long", "POST", alice, form, "Attributes=" + url.QueryEscape(`"`+strings.Repeat("ü", 4095)+`"`), 400, 20001},
		{"attributes as JSON", "POST", alice, "application/json", `{}`, 415, 20001},
		{"attributes as text", "POST", alice, "text/plain", `Attributes={}`, 415, 20001},
		{"attributes without a type", "POST", alice, "", `Attributes={}`, 415, 20001},
		{"lower-case parameter", "POST", alice, form, "attributes={}", 400, 20001},
		{"move to no activity", "POST", alice, form, "ActivitySid=WA" + zeros, 400, 20001},
		{"reject while available", "POST", alice, form, "RejectPendingReservations=true&ActivitySid=" + available, 400, 20001},
		{"reject without moving", "POST", alice, form, "RejectPendingReservations=true", 400, 20001},
		{"reject maybe", "POST", alice, form, "RejectPendingReservations=maybe&ActivitySid=" + offline, 400, 20001},

		{"activity without name", "POST", ws + "/Activities", form, "Available=false", 400, 20001},
		{"activity with a blank name", "POST", ws + "/Activities", form, "FriendlyName=+", 400, 20001},
		{"activity with a long name", "POST", ws + "/Activities", form, "FriendlyName=" + long, 400, 20001},
		{"activity that exists", "POST", ws + "/Activities", form, "FriendlyName=Offline", 400, 20001},
		{"activity perhaps available", "POST", ws + "/Activities", form, "FriendlyName=x&Available=0", 400, 20001},
		{"changing available", "POST", ws + "/Activities/" + available, form, "Available=false", 400, 20001},
		{"rename to another activity", "POST", ws + "/Activities/" + available, form, "FriendlyName=Break", 400, 20001},
		{"removing the default activity", "DELETE", ws + "/Activities/" + offline, "", "", 400, 20001},
		{"removing an activity in use", "DELETE", ws + "/Activities/" + available, "", "", 400, 20001},
		{"unknown activity", "GET", ws + "/Activities/WA0", "", "", 404, 20404},

		{"queue order", "POST", ws, form, "PrioritizeQueueOrder=RANDOM", 400, 20001},
		{"multitask maybe", "POST", ws, form, "MultiTaskEnabled=maybe", 400, 20001},
		{"no such default", "POST", ws, form, "DefaultActivitySid=WA" + zeros, 400, 20001},
		{"nameless workspace", "POST", ws, form, "FriendlyName=", 400, 20001},
		{"workspace of nobody", "POST", ws[:len(ws)-1], form, "FriendlyName=x", 404, 20404},

		{"configuration without account", "POST", flex + "/v1/Configuration", "application/json", `{"ui_version":"2"}`, 400, 20001},
		{"configuration of another", "POST", flex + "/v1/Configuration", "application/json", `{"account_sid":"AC0"}`, 400, 20001},
		{"configuration as a list", "POST", flex + "/v1/Configuration", "application/json", `[]`, 400, 20001},
		{"configuration torn", "POST", flex + "/v1/Configuration", "application/json", `{`, 400, 20001},
		{"configuration as a form", "POST", flex + "/v1/Configuration", form, `account_sid=` + a.SID, 415, 20001},
		{"configuration misspelt", "POST", flex + "/v1/Configuration", "application/json", `{"account_sid":"` + a.SID + `","shoes":1}`, 400, 20001},
		{"users of another instance", "GET", flex + "/v1/Instances/GO0/Users", "", "", 404, 20404},

		{"keys of nobody", "GET", iam + "/v1/Keys", "", "", 400, 20001},
		{"key for nobody", "POST", iam + "/v1/Keys", form, "FriendlyName=x", 400, 20001},
		{"key of an odd type", "POST", iam + "/v1/Keys", form, "KeyType=main&AccountSid=" + a.SID, 400, 20001},
		{"restricted key without policy", "POST", iam + "/v1/Keys", form, "KeyType=restricted&AccountSid=" + a.SID, 400, 20001},
		{"standard key with policy", "POST", iam + "/v1/Keys", form, "AccountSid=" + a.SID + "&Policy=" + url.QueryEscape(`{"allow":["/twilio/taskrouter/workers/read"]}`), 400, 20001},
		{"policy that allows nothing", "POST", iam + "/v1/Keys", form, "KeyType=restricted&Policy={}&AccountSid=" + a.SID, 400, 20001},
		{"key with a long name", "POST", iam + "/v1/Keys", form, "AccountSid=" + a.SID + "&FriendlyName=" + long, 400, 20001},
		{"unknown key", "GET", iam + "/v1/Keys/SK0", "", "", 404, 20404},
		{"policy for a main key", "POST", iam + "/v1/Keys/" + a.KeySID, form, "Policy=" + url.QueryEscape(`{"allow":["/twilio/x/y"]}`), 400, 20001},
		{"another account", "GET", "https://api.twilio.com/2010-04-01/Accounts/AC0.json", "", "", 404, 20404},
		{"keys of another account", "GET", "https://api.twilio.com/2010-04-01/Accounts/AC0/Keys.json", "", "", 404, 20404},
		{"a key under another account", "GET", "https://api.twilio.com/2010-04-01/Accounts/AC0/Keys/" + a.KeySID + ".json", "", "", 404, 20404},
		{"the 2010 API without .json", "GET", "https://api.twilio.com/2010-04-01/Accounts/" + a.SID, "", "", 404, 20404},

		{"token of no user", "POST", flex + "/v4/Instances/" + a.FlexInstanceSID + "/Users/FU0/Tokens", "application/json", `{}`, 404, 20404},
		{"token for ever", "POST", flex + "/v4/Instances/" + a.FlexInstanceSID + "/Users/FU0/Tokens", "application/json", `{"ttl":86401}`, 400, 20001},
		{"token for never", "POST", flex + "/v4/Instances/" + a.FlexInstanceSID + "/Users/FU0/Tokens", "application/json", `{"ttl":0}`, 400, 20001},
		{"token for a word", "POST", flex + "/v4/Instances/" + a.FlexInstanceSID + "/Users/FU0/Tokens", "application/json", `{"ttl":"long"}`, 400, 20001},
		{"validating nothing", "POST", iam + "/v1/Accounts/" + a.SID + "/Tokens/validate", "application/json", `{}`, 400, 20001},
		{"validating for another", "POST", iam + "/v1/Accounts/AC0/Tokens/validate", "application/json", `{"token":"x"}`, 404, 20404},
		{"validating a form", "POST", iam + "/v1/Accounts/" + a.SID + "/Tokens/validate", form, `token=x`, 415, 20001},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := fmt.Sprint(e.Export().Workers, e.Export().Activities, e.Export().Keys)
			got := c.Must(test.method, test.url, test.contentType, test.body).Want(t, test.status)
			if code := int(got.JSON(t)["code"].(float64)); code != test.code {
				t.Errorf("code is %d, want %d: %s", code, test.code, got.Text)
			}
			if after := fmt.Sprint(e.Export().Workers, e.Export().Activities, e.Export().Keys); after != before {
				t.Errorf("a refused request changed the state from\n%s\nto\n%s", before, after)
			}
		})
	}
}

func TestAttributesMayBe4096Characters(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 1})
	c := emulatortest.As(t, e)
	wk := c.Workspace() + "/Workers/" + e.ExportWorkers()[0].SID
	text := `"` + strings.Repeat("ü", 4094) + `"`
	c.Post(wk, []string{"Attributes", text}).Want(t, 200)
	if got := e.ExportWorkers()[0].Attributes; got != text {
		t.Errorf("%d bytes were stored, want %d", len(got), len(text))
	}
	if msg := c.Post(wk, []string{"Attributes", text + " "}).Want(t, 400).Text; !strings.Contains(msg, "4097") {
		t.Errorf("white space does not count: %s", msg)
	}
}

func TestOuterJSONIsNotEscapedForHTML(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Seed: &emulator.Seed{Workers: []emulator.SeedWorker{{FriendlyName: "a", Attributes: `{"n":"a&b<c>"}`}}}})
	c := emulatortest.As(t, e)
	if text := c.Get(c.Workspace() + "/Workers").Text; !strings.Contains(text, `a&b<c>`) {
		t.Errorf("the list escapes: %s", text)
	}
}

func TestIfMatchIsReadInEverySpelling(t *testing.T) {
	for _, test := range []struct {
		header string
		status int
	}{
		{`"7"`, 200}, {`7`, 200}, {`*`, 200}, {`W/"7"`, 200}, {`"1", "7"`, 200}, {` 7 `, 200},
		{`"6"`, 412}, {`8`, 412}, {`""`, 412}, {`07`, 412}, {`"7`, 200}, {`seven`, 412},
	} {
		t.Run(test.header, func(t *testing.T) {
			for _, method := range []string{"POST", "DELETE"} {
				e := emulatortest.Start(t, emulator.Options{Seed: &emulator.Seed{Workers: []emulator.SeedWorker{{FriendlyName: "a", Version: 7}}}})
				c := emulatortest.As(t, e)
				status := test.status
				if method == "DELETE" && status == 200 {
					status = 204
				}
				got := c.Must(method, c.Workspace()+"/Workers/"+e.ExportWorkers()[0].SID, "", "", "If-Match", test.header).Want(t, status)
				if status == 412 && got.JSON(t)["code"] != 20412.0 {
					t.Errorf("the body is %s", got.Text)
				}
				if method == "DELETE" && (len(e.ExportWorkers()) == 0) != (status == 204) {
					t.Errorf("after %d there are %d workers", status, len(e.ExportWorkers()))
				}
			}
		})
	}
}

func TestETagIsRaisedByWhateverHappensToAWorker(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 1})
	c := emulatortest.As(t, e)
	w := e.ExportWorkers()[0]
	wk := c.Workspace() + "/Workers/" + w.SID
	available := e.Export().Activities[1].SID
	seen := map[string]bool{w.ETag: true}
	for name, do := range map[string]func(){
		"attributes":  func() { c.Post(wk, []string{"Attributes", "{}"}).Want(t, 200) },
		"activity":    func() { c.Post(wk, []string{"ActivitySid", available}).Want(t, 200) },
		"name":        func() { c.Post(wk, []string{"FriendlyName", "other"}).Want(t, 200) },
		"reservation": func() { emulatortest.Must(t, e.Bump(w.SID)) },
		"edit":        func() { emulatortest.Must(t, e.Edit(w.SID, "[]")) },
	} {
		do()
		etag := c.Get(wk).Want(t, 200).Header.Get("ETag")
		if seen[etag] {
			t.Errorf("%s left the ETag at %s", name, etag)
		}
		seen[etag] = true
	}
}

func TestStatusChangesOnlyWithTheActivity(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 678, time.UTC)
	e := emulatortest.Start(t, emulator.Options{Agents: 1, Now: func() time.Time { return now }})
	c := emulatortest.As(t, e)
	wk := c.Workspace() + "/Workers/" + e.ExportWorkers()[0].SID
	e.Advance(time.Hour)
	got := c.Post(wk, []string{"Attributes", "{}"}).Want(t, 200).JSON(t)
	if got["date_updated"] != "2030-01-02T04:04:05Z" || got["date_status_changed"] != "2030-01-02T03:04:05Z" || got["date_created"] != "2030-01-02T03:04:05Z" {
		t.Errorf("after new attributes the dates are %v %v %v", got["date_created"], got["date_updated"], got["date_status_changed"])
	}
	got = c.Post(wk, []string{"ActivitySid", e.Export().Activities[1].SID}).Want(t, 200).JSON(t)
	if got["date_status_changed"] != "2030-01-02T04:04:05Z" || got["available"] != true {
		t.Errorf("after a new activity the worker is %v", got)
	}
}

func TestPagesNeitherSkipNorRepeatWhileWorkersComeAndGo(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Seed: emulatortest.SeedNamed("a", "b", "c", "d", "e", "f", "g")})
	c := emulatortest.As(t, e)
	all := e.ExportWorkers()
	ws := c.Workspace()

	page, next, previous := emulatortest.Names(t, c.Get(ws+"/Workers?PageSize=3"), "workers")
	if !slices.Equal(page, []string{"a", "b", "c"}) || previous != "" {
		t.Fatalf("the first page is %v, before it %q", page, previous)
	}
	if !strings.HasPrefix(next, ws+"/Workers?") {
		t.Fatalf("next_page_url is %s, want Twilio's own host", next)
	}
	// The row the token was made of goes, one before it and one after it too,
	// and a new one comes.
	for _, i := range []int{0, 2, 4} {
		c.Must("DELETE", ws+"/Workers/"+all[i].SID, "", "").Want(t, 204)
	}
	c.Post(ws+"/Workers", []string{"FriendlyName", "h"}).Want(t, 201)

	page, next, previous = emulatortest.Names(t, c.Get(next), "workers")
	if !slices.Equal(page, []string{"d", "f", "g"}) {
		t.Errorf("the second page is %v", page)
	}
	if first, _, _ := emulatortest.Names(t, c.Get(previous), "workers"); !slices.Equal(first, []string{"b"}) {
		t.Errorf("the page before the second is %v", first)
	}
	page, next, _ = emulatortest.Names(t, c.Get(next), "workers")
	if !slices.Equal(page, []string{"h"}) || next != "" {
		t.Errorf("the last page is %v, after it %q", page, next)
	}
}

func TestPageSizeIs50UnlessGiven(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 1001})
	c := emulatortest.As(t, e)
	for query, want := range map[string][2]int{"": {50, 21}, "?PageSize=1000": {1000, 2}, "?PageSize=1001": {}} {
		if want[0] == 0 {
			c.Get(c.Workspace()+"/Workers"+query).Want(t, 400)
			continue
		}
		seen := map[string]bool{}
		pages, _ := emulatortest.Walk(t, c, c.Workspace()+"/Workers"+query, false)
		for i, page := range pages {
			if i < len(pages)-1 && len(page) != want[0] {
				t.Fatalf("%q: a page has %d rows", query, len(page))
			}
			for _, name := range page {
				seen[name] = true
			}
		}
		if len(pages) != want[1] || len(seen) != 1001 {
			t.Errorf("%q: %d pages with %d workers, want %d with 1001", query, len(pages), len(seen), want[1])
		}
	}
}

func TestWorkersAreFiltered(t *testing.T) {
	seed := &emulator.Seed{Workers: []emulator.SeedWorker{
		{FriendlyName: "Carol", Activity: "Available", Attributes: `{"level": 3, "skills":["a"], "extensionVoiceClientEnabled": true}`},
		{FriendlyName: "alice", Activity: "Break", Attributes: `{"level": 2.50}`},
		{FriendlyName: "bob.2doe@example.com", Attributes: `not json`},
		{FriendlyName: "Dave", Activity: "Available", Attributes: `[1]`},
	}}
	e := emulatortest.Start(t, emulator.Options{Seed: seed, Limits: emulator.Limits{ExpressionPerSecond: -1}})
	c := emulatortest.As(t, e)
	at := map[string]string{}
	for _, a := range e.Export().Activities {
		at[a.FriendlyName] = a.SID
	}
	queue := "WQ" + e.Account().WorkspaceSID[2:]
	for filter, want := range map[string]string{
		"":                                           "Carol alice bob.2doe@example.com Dave",
		"FriendlyName=ALICE":                         "alice",
		"FriendlyName=ali":                           "",
		"FriendlyName=bob.2doe@example.com":          "bob.2doe@example.com",
		"ActivityName=Available":                     "Carol Dave",
		"ActivitySid=" + at["Break"]:                 "alice",
		"Available=true":                             "Carol Dave",
		"Available=YES":                              "Carol Dave",
		"Available=1":                                "Carol Dave",
		"Available=false":                            "alice bob.2doe@example.com",
		"Available=perhaps":                          "alice bob.2doe@example.com",
		"Available=true&FriendlyName=dave":           "Dave",
		"TaskQueueName=Everyone":                     "Carol alice bob.2doe@example.com Dave",
		"TaskQueueName=Nobody":                       "",
		"TaskQueueSid=" + queue:                      "Carol alice bob.2doe@example.com Dave",
		"TaskQueueSid=WQ" + queue[10:] + queue[2:10]: "",
		"Ordering=FriendlyName:asc":                  "alice bob.2doe@example.com Carol Dave",
		"Ordering=FriendlyName:desc":                 "Dave Carol bob.2doe@example.com alice",
		"Ordering=FriendlyName":                      "alice bob.2doe@example.com Carol Dave",
		"Ordering=DateCreated:desc":                  "Dave bob.2doe@example.com alice Carol",
		"TargetWorkersExpression=":                   "Carol alice bob.2doe@example.com Dave",
		"TargetWorkersExpression=level+%3E+2.4":      "Carol alice",
		"TargetWorkersExpression=extensionVoiceClientEnabled+%3D%3D+true":           "Carol",
		"TargetWorkersExpression=activity_name+in+%5B'Break'%5D":                    "alice",
		"TargetWorkersExpression=friendly_name+contains+'example'":                  "bob.2doe@example.com",
		"TargetWorkersExpression=skills+HAS+%22a%22+AND+level+%3D+3":                "Carol",
		"TargetWorkersExpression=sid+%3D+'" + e.ExportWorkers()[3].SID + "'":        "Dave",
		"TargetWorkersExpression=activity_sid+!%3D+'" + at["Available"] + "'":       "alice bob.2doe@example.com",
		"TargetWorkersExpression=level+%3E+2.4&Available=0&FriendlyName=alice":      "alice",
		"TargetWorkersExpression=level+%3E+2.4&Ordering=FriendlyName&PageSize=1000": "alice Carol",
	} {
		if got, _, _ := emulatortest.Names(t, c.Get(c.Workspace()+"/Workers?"+filter), "workers"); strings.Join(got, " ") != want {
			t.Errorf("%s lists %q, want %q", filter, got, want)
		}
		// The same filter over single-row pages finds the same, in both directions.
		pages, last := emulatortest.Walk(t, c, c.Workspace()+"/Workers?PageSize=1&"+strings.Replace(filter, "&PageSize=1000", "", 1), false)
		forth := slices.Concat(pages...)
		pages, _ = emulatortest.Walk(t, c, last, true)
		slices.Reverse(pages)
		back := slices.Concat(pages...)
		if strings.Join(forth, " ") != want || strings.Join(back, " ") != want {
			t.Errorf("%s row by row lists %q, and backwards %q; want %q", filter, forth, back, want)
		}
	}
}

func TestActivitiesAreFiltered(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
	c := emulatortest.As(t, e)
	for filter, want := range map[string]string{
		"":                     "Offline Available Unavailable Break",
		"FriendlyName=Break":   "Break",
		"FriendlyName=break":   "",
		"Available=true":       "Available",
		"Available=0":          "Offline Unavailable Break",
		"PageSize=2":           "Offline Available",
		"PageSize=1&Available": "Offline",
	} {
		if got, _, _ := emulatortest.Names(t, c.Get(c.Workspace()+"/Activities?"+filter), "activities"); strings.Join(got, " ") != want {
			t.Errorf("%s lists %q, want %q", filter, got, want)
		}
	}
}

func TestAWorkspaceHoldsAHundredActivities(t *testing.T) {
	seed := &emulator.Seed{}
	for i := range store.MaxActivities {
		seed.Activities = append(seed.Activities, emulator.SeedActivity{FriendlyName: fmt.Sprint(i)})
	}
	e := emulatortest.Start(t, emulator.Options{Seed: seed})
	c := emulatortest.As(t, e)
	c.Post(c.Workspace()+"/Activities", []string{"FriendlyName", "one more"}).Want(t, 400)
	c.Must("DELETE", c.Workspace()+"/Activities/"+e.Export().Activities[50].SID, "", "").Want(t, 204)
	c.Post(c.Workspace()+"/Activities", []string{"FriendlyName", "one more"}).Want(t, 201)
}

func TestListsMayHideAttributes(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 2, ListAttributes: emulator.AttributesNull})
	c := emulatortest.As(t, e)
	row := func() any {
		return c.Get(c.Workspace() + "/Workers").JSON(t)["workers"].([]any)[0].(map[string]any)["attributes"]
	}
	if got := row(); got != nil {
		t.Errorf("the row shows %v", got)
	}
	if got := c.Get(c.Workspace() + "/Workers/" + e.ExportWorkers()[0].SID).JSON(t)["attributes"]; got != e.ExportWorkers()[0].Attributes {
		t.Errorf("the worker itself shows %v", got)
	}
	s := e.Settings()
	s.ListAttributes = emulator.AttributesPresent
	emulatortest.Must(t, e.Configure(s))
	if got := row(); got != e.ExportWorkers()[0].Attributes {
		t.Errorf("once switched the row shows %v", got)
	}
}

func TestOtherWorkspacesHaveTheirOwnWorkersAndNames(t *testing.T) {
	seed := emulatortest.SeedNamed("alice")
	seed.OtherSpaces = []string{"Old"}
	e := emulatortest.Start(t, emulator.Options{Seed: seed})
	c := emulatortest.As(t, e)
	list, _, _ := emulatortest.Names(t, c.Get("https://taskrouter.twilio.com/v1/Workspaces"), "workspaces")
	if !slices.Equal(list, []string{"Flex Task Assignment", "Old"}) {
		t.Fatalf("the workspaces are %v", list)
	}
	v := c.Get("https://taskrouter.twilio.com/v1/Workspaces?FriendlyName=Old").JSON(t)
	old := v["workspaces"].([]any)[0].(map[string]any)["url"].(string)
	made := c.Post(old+"/Workers", []string{"FriendlyName", "alice"}).Want(t, 201).JSON(t)
	c.Get(c.Workspace()+"/Workers/"+made["sid"].(string)).Want(t, 404)
}

func TestAWorkerIsReplacedWhole(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 3})
	c := emulatortest.As(t, e)
	url := c.Workspace() + "/Workers/" + e.ExportWorkers()[1].SID

	got := c.Get(url).Want(t, 200)
	etag := got.Header.Get("ETag")
	const text = `{"only": 12345678901234567890, "b":"<&>"}`
	c.Post(url, []string{"Attributes", text}, "If-Match", etag).Want(t, 200)
	if now := e.ExportWorkers()[1]; now.Attributes != text || now.ETag == etag {
		t.Errorf("after the update the worker is %+v, its ETag was %s", now, etag)
	}
	c.Post(url, []string{"Attributes", "{}"}, "If-Match", etag).Want(t, 412)
	if now := e.ExportWorkers()[1]; now.Attributes != text {
		t.Errorf("a refused update changed the worker to %s", now.Attributes)
	}
}

// TestEveryOperationHonoursTheSpecification calls every operation once; the
// client checks each answer.
func TestEveryOperationHonoursTheSpecification(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 120, Limits: emulator.Limits{RequestsPerSecond: 1000}})
	c := emulatortest.As(t, e)
	ws := c.Workspace()
	wk := ws + "/Workers/" + e.ExportWorkers()[0].SID

	c.Get("https://taskrouter.twilio.com/v1/Workspaces").Want(t, 200)
	c.Get(ws).Want(t, 200)
	c.Post(ws, []string{"FriendlyName", "Renamed", "MultiTaskEnabled", "false", "PrioritizeQueueOrder", "LIFO", "EventCallbackUrl", "https://example.com/e", "EventsFilter", "worker.deleted"}).Want(t, 200)

	c.Get(ws+"/Activities").Want(t, 200)
	made := c.Post(ws+"/Activities", []string{"FriendlyName", "Voice Client Offline", "Available", "false"}).Want(t, 201).JSON(t)
	wa := ws + "/Activities/" + made["sid"].(string)
	c.Get(wa).Want(t, 200)
	c.Post(wa, []string{"FriendlyName", "Renamed"}).Want(t, 200)
	c.Must("DELETE", wa, "", "").Want(t, 204)

	c.Get(ws+"/Workers").Want(t, 200)
	next := c.Get(ws+"/Workers?PageSize=50").Want(t, 200).JSON(t)["meta"].(map[string]any)["next_page_url"].(string)
	c.Get(next).Want(t, 200)
	c.Post(ws+"/Workers", []string{"FriendlyName", "new", "Attributes", `{"a":1}`}).Want(t, 201)
	c.Get(wk).Want(t, 200)
	c.Post(wk, []string{"Attributes", `{}`, "RejectPendingReservations", "false"}, "If-Match", "*").Want(t, 200)
	c.Must("DELETE", wk, "", "").Want(t, 204)

	emulatortest.Covers(t, e, taskrouter.Product())
}
