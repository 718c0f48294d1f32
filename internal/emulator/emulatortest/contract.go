//go:build ignore

package emulator_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/flexvc/flexvc/internal/emulator"
)

// specs are Twilio's OpenAPI files, read once: parsing takes a second.
var specs = sync.OnceValues(func() (map[string]*openapi3.T, error) {
	dir := os.Getenv("FLEXVC_OPENAPI_DIR")
	if dir == "" {
		return nil, nil
	}
	openapi3.DefineStringFormatValidator("date-time", openapi3.NewCallbackValidator(func(s string) error {
		_, err := time.Parse("2006-01-02T15:04:05Z", s)
		return err
	}))
	openapi3.DefineStringFormatValidator("date-time-rfc-2822", openapi3.NewCallbackValidator(func(s string) error {
		_, err := time.Parse(time.RFC1123Z, s)
		return err
	}))
	all := map[string]*openapi3.T{}
	for product, file := range map[string]string{"taskrouter": "taskrouter", "flex-api": "flex", "iam": "iam", "events": "events", "serverless": "serverless"} {
		doc, err := openapi3.NewLoader().LoadFromFile(filepath.Join(dir, "twilio_"+file+"_v1.json"))
		if err != nil {
			return nil, err
		}
		all[product] = doc
	}
	// The files give some form fields no type, which the validator reads as
	// fields that must be absent.
	for _, untyped := range []struct{ product, path, field string }{
		{"iam", "/v1/Keys", "Policy"}, {"iam", "/v1/Keys/{Sid}", "Policy"}, {"events", "/v1/Sinks", "SinkConfiguration"},
	} {
		body := all[untyped.product].Paths.Value(untyped.path).Post.RequestBody.Value.Content["application/x-www-form-urlencoded"]
		body.Schema.Value.Properties[untyped.field].Value.Type = &openapi3.Types{openapi3.TypeString}
	}
	types := all["events"].Paths.Value("/v1/Subscriptions").Post.RequestBody.Value.Content["application/x-www-form-urlencoded"]
	types.Schema.Value.Properties["Types"].Value.Items.Value.Type = &openapi3.Types{openapi3.TypeString}
	// The same with the rows of Plugins, which are JSON texts.
	configurations := all["flex-api"].Paths.Value("/v1/PluginService/Configurations").Post.RequestBody.Value.Content["application/x-www-form-urlencoded"]
	configurations.Schema.Value.Properties["Plugins"].Value.Items.Value.Type = &openapi3.Types{openapi3.TypeString}
	return all, nil
})

var specRouters = sync.OnceValues(func() (map[string]routers.Router, error) {
	docs, err := specs()
	if err != nil || docs == nil {
		return nil, err
	}
	all := map[string]routers.Router{}
	for product, doc := range docs {
		if all[product], err = legacy.NewRouter(doc, openapi3.DisableExamplesValidation(), openapi3.DisableSchemaPatternValidation()); err != nil {
			return nil, fmt.Errorf("%s: %w", product, err)
		}
	}
	return all, nil
})

func needSpecs(t *testing.T) map[string]*openapi3.T {
	t.Helper()
	docs, err := specs()
	if err != nil {
		t.Fatal(err)
	}
	if docs == nil {
		t.Skip("set FLEXVC_OPENAPI_DIR to the folder with Twilio's OpenAPI files to check answers against them")
	}
	return docs
}

// contract wraps a transport: every answer that passes is checked against
// Twilio's OpenAPI files, and against what those leave out.
func contract(t testing.TB, next http.RoundTripper) http.RoundTripper {
	t.Helper()
	all, err := specRouters()
	if err != nil {
		t.Fatal(err)
	}
	return checked{t, next, all}
}

type checked struct {
	testing.TB
	next    http.RoundTripper
	routers map[string]routers.Router
}

func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	again := func() io.ReadCloser { return io.NopCloser(bytes.NewReader(body)) }
	sent := r.Clone(r.Context())
	sent.Body = again()
	resp, err := c.next.RoundTrip(sent)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, readErr := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(text), failing{readErr}))
	if readErr == nil {
		seen := r.Clone(r.Context())
		seen.Body = again()
		if err := c.check(seen, resp, text); err != nil {
			c.Errorf("%s %s -> %d breaks the contract: %v\n%s", r.Method, r.URL, resp.StatusCode, err, text)
		}
	}
	return resp, nil
}

// failing repeats the error a body ended with.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, cmp.Or(f.err, io.EOF) }

func (c checked) check(r *http.Request, resp *http.Response, text []byte) error {
	for _, name := range []string{"Date", "Twilio-Request-Id", "Twilio-Request-Duration", "Twilio-Concurrent-Requests"} {
		if resp.Header.Get(name) == "" {
			return fmt.Errorf("header %s is missing", name)
		}
	}
	if resp.StatusCode >= 400 {
		return checkError(resp, text)
	}
	product, _, _ := strings.Cut(r.URL.Host, ".")
	router := c.routers[product]
	if router == nil {
		return nil
	}
	plain := r.Clone(r.Context())
	plain.URL.Host = product + ".twilio.com" // the files know no regions
	route, vars, err := router.FindRoute(plain)
	if err != nil {
		return nil // one of the operations that the files do not have
	}
	plain.Body = r.Body
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, SkipSettingDefaults: true}
	input := &openapi3filter.RequestValidationInput{Request: plain, PathParams: vars, Route: route, Options: options}
	if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
		return fmt.Errorf("the request was accepted: %w", err)
	}
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header, Options: options}
	answer.SetBodyBytes(text)
	if err := openapi3filter.ValidateResponse(context.Background(), answer); err != nil {
		return err
	}
	documented := route.Operation.Responses.Status(resp.StatusCode).Value
	if documented.Headers["ETag"] != nil && !quotedInteger(resp.Header.Get("ETag")) {
		return fmt.Errorf("ETag is %q, want a quoted integer", resp.Header.Get("ETag"))
	}
	if media := documented.Content.Get("application/json"); media != nil {
		return sameFields(media.Schema.Value, text)
	}
	return nil
}

func quotedInteger(s string) bool {
	return len(s) > 2 && s[0] == '"' && s[len(s)-1] == '"' && strings.Trim(s[1:len(s)-1], "0123456789") == ""
}

// sameFields holds an object, and every row of a list, to the fields of its
// schema: Twilio's schemas require none and forbid none.
func sameFields(schema *openapi3.Schema, text []byte) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		return err
	}
	if got, want := sortedKeys(object), sortedKeys(schema.Properties); !slices.Equal(got, want) {
		return fmt.Errorf("the fields are %v, want %v", got, want)
	}
	for name, property := range schema.Properties {
		if name == "meta" {
			if err := sameFields(property.Value, object[name]); err != nil {
				return err
			}
		}
		if _, isList := schema.Properties["meta"]; !isList || !property.Value.Type.Is("array") {
			continue
		}
		var rows []json.RawMessage
		if err := json.Unmarshal(object[name], &rows); err != nil {
			return err
		}
		for _, row := range rows {
			if err := sameFields(property.Value.Items.Value, row); err != nil {
				return err
			}
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// checkError holds a refusal to the shape of Twilio's errors.
func checkError(resp *http.Response, text []byte) error {
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return nil
	}
	var e struct {
		Code     int
		Message  string
		MoreInfo string `json:"more_info"`
		Status   int
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	if e.Code < 20000 || e.Message == "" || e.Status != resp.StatusCode || e.MoreInfo != fmt.Sprintf("https://www.twilio.com/docs/errors/%d", e.Code) {
		return fmt.Errorf("not the shape of an error: %+v", e)
	}
	return nil
}

func TestOperationsAreThoseOfTheSpecifications(t *testing.T) {
	docs := needSpecs(t)
	known := string(emulator.CoverageMarkdown())
	for product, doc := range docs {
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				request := fmt.Sprintf("`%s %s`", method, path)
				line := ""
				for l := range strings.Lines(known) {
					if strings.Contains(l, request) {
						line += l
					}
				}
				if !strings.Contains(line, op.OperationID) {
					t.Errorf("%s: %s %s is not in the table of operations", product, op.OperationID, request)
				}
			}
		}
	}
}

// TestEveryServedOperationHonoursTheSpecification calls every operation once;
// the client checks each answer.
func TestEveryServedOperationHonoursTheSpecification(t *testing.T) {
	needSpecs(t)
	r := newReceiver(t)
	e := start(t, emulator.Options{Agents: 120, Limits: emulator.Limits{RequestsPerSecond: 1000}, Outbound: r})
	c := as(t, e)
	a := e.Account()
	ws := c.workspace()
	wk := ws + "/Workers/" + e.ExportWorkers()[0].SID

	c.get("https://taskrouter.twilio.com/v1/Workspaces").want(t, 200)
	c.get(ws).want(t, 200)
	c.post(ws, []string{"FriendlyName", "Renamed", "MultiTaskEnabled", "false", "PrioritizeQueueOrder", "LIFO", "EventCallbackUrl", "https://example.com/e", "EventsFilter", "worker.deleted"}).want(t, 200)

	c.get(ws+"/Activities").want(t, 200)
	made := c.post(ws+"/Activities", []string{"FriendlyName", "Voice Client Offline", "Available", "false"}).want(t, 201).json(t)
	wa := ws + "/Activities/" + made["sid"].(string)
	c.get(wa).want(t, 200)
	c.post(wa, []string{"FriendlyName", "Renamed"}).want(t, 200)
	c.must("DELETE", wa, "", "").want(t, 204)

	c.get(ws+"/Workers").want(t, 200)
	next := c.get(ws+"/Workers?PageSize=50").want(t, 200).json(t)["meta"].(map[string]any)["next_page_url"].(string)
	c.get(next).want(t, 200)
	c.post(ws+"/Workers", []string{"FriendlyName", "new", "Attributes", `{"a":1}`}).want(t, 201)
	c.get(wk).want(t, 200)
	c.post(wk, []string{"Attributes", `{}`, "RejectPendingReservations", "false"}, "If-Match", "*").want(t, 200)
	c.must("DELETE", wk, "", "").want(t, 204)

	c.get("https://flex-api.twilio.com/v1/Configuration?UiVersion=2").want(t, 200)
	c.must("POST", "https://flex-api.twilio.com/v1/Configuration", "application/json", `{"account_sid":"`+a.SID+`","ui_version":"2.18.0"}`).want(t, 200)

	everyHostingOperation(t, c)
	everyPluginOperation(t, c)

	c.get("https://iam.twilio.com/v1/Keys?AccountSid="+a.SID).want(t, 200)
	key := c.post("https://iam.twilio.com/v1/Keys", []string{"AccountSid", a.SID, "FriendlyName", "token server"}).want(t, 201).json(t)
	sk := "https://iam.twilio.com/v1/Keys/" + key["sid"].(string)
	c.get(sk).want(t, 200)
	c.post(sk, []string{"FriendlyName", "renamed"}).want(t, 200)
	c.must("DELETE", sk, "", "").want(t, 204)

	sink := c.post(eventsAPI+"/Sinks", []string{"Description", "a sink", "SinkType", "webhook", "SinkConfiguration", `{"destination":"https://example.com/e","method":"POST"}`}).want(t, 201).json(t)["sid"].(string)
	dg := eventsAPI + "/Sinks/" + sink
	c.get(eventsAPI+"/Sinks?InUse=false&Status=active").want(t, 200)
	c.get(dg).want(t, 200)
	c.post(dg, []string{"Description", "renamed"}).want(t, 200)
	c.must("POST", dg+"/Test", "", "").want(t, 201)
	c.post(dg+"/Validate", []string{"TestId", r.test()}).want(t, 201)
	df := eventsAPI + "/Subscriptions/" + c.post(eventsAPI+"/Subscriptions", []string{"Description", "a subscription", "SinkSid", sink, "Types", `{"type":"com.twilio.taskrouter.worker.created"}`, "Types", `{"type":"com.twilio.taskrouter.worker.deleted","schema_version":2}`}).want(t, 201).json(t)["sid"].(string)
	c.get(eventsAPI+"/Subscriptions?SinkSid="+sink).want(t, 200)
	c.get(df).want(t, 200)
	c.post(df, []string{"Description", "renamed"}).want(t, 200)
	c.get(df+"/SubscribedEvents").want(t, 200)
	c.post(df+"/SubscribedEvents", []string{"Type", "com.twilio.taskrouter.worker.activity.update", "SchemaVersion", "3"}).want(t, 201)
	de := df + "/SubscribedEvents/com.twilio.taskrouter.worker.activity.update"
	c.get(de).want(t, 200)
	c.post(de, []string{"SchemaVersion", "4"}).want(t, 200)
	c.must("DELETE", de, "", "").want(t, 204)
	c.must("DELETE", df, "", "").want(t, 204)
	c.must("DELETE", dg, "", "").want(t, 204)

	want := 2 // the uploads, which are in no file
	for l := range strings.Lines(string(emulator.CoverageMarkdown())) {
		if strings.Contains(l, "| yes |") {
			want++
		}
	}
	if got := len(e.Stats().Operations); got != want {
		t.Errorf("%d operations were called, %d are served: %v", got, want, e.Stats().Operations)
	}
}
