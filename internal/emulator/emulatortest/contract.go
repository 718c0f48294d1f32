package emulatortest

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

// Specs returns Twilio's OpenAPI files, by product, or skips the test.
func Specs(t *testing.T) map[string]*openapi3.T {
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

// Contract wraps a transport: every answer that passes is checked against
// Twilio's OpenAPI files, and against what those leave out.
func Contract(t testing.TB, next http.RoundTripper) http.RoundTripper {
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

// Covers ends the test when an operation that the product serves, and that
// Twilio's files have, was not called: its answer would have been checked.
func Covers(t testing.TB, e *emulator.Emulator, p emulator.Product) {
	t.Helper()
	called := e.Stats().Operations
	for _, op := range p.Operations() {
		if op.Serve != nil && (op.Spec || op.File > 0) && called[op.ID] == 0 {
			t.Errorf("%s is served and was not called", op.ID)
		}
	}
}
