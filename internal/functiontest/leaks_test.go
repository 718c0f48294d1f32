package functiontest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/function"
	"github.com/flexvc/flexvc/internal/emulator/functions"
)

// TestAPlantedLeakIsFound: the search of TestTheFunctionAnswersAsServeDoes finds
// what a careless Function would log, whichever runtime it is under.
func TestAPlantedLeakIsFound(t *testing.T) {
	needs(t)
	const place = "  try {\n    const issued ="
	for name, careless := range map[string]string{
		"the event":          "console.log(event);",
		"the event's token":  "console.warn('asked with ' + event.Token);",
		"a key's secret":     "console.error(context.FLEXVC_API_SECRET);",
		"basic credentials":  "console.info('Basic ' + btoa(context.FLEXVC_API_KEY + ':' + context.FLEXVC_API_SECRET));",
		"a refusal's detail": "if (event.Token) headers['X-Why'] = event.Token;",
	} {
		t.Run(name, func(t *testing.T) {
			if bytes.Count(function.Source, []byte(place)) != 1 {
				t.Fatal("there is no place to plant it")
			}
			source := bytes.Replace(function.Source, []byte(place), []byte(careless+"\n"+place), 1)
			f := newFakeTwilio(t)
			r := row{name: name, twilio: says(200, `{"valid":false}`)}.complete(0)
			for runtime, s := range map[string]server{"Twilio's": newRuntimeHandler(t, f, source, false), "the emulator's": newEmulated(t, f, source)} {
				all := newSaid()
				token := r.token(0)
				all.hide(token)
				f.set(token, r.twilio)
				if got := ask(t, all, s.address("plain"), r, token); got.code != "flex-token-refused" {
					t.Fatalf("%s: answered %s", runtime, got)
				}
				await(t, func() bool { return strings.Contains(s.logged(), "flex-token-refused") }, "the refusal is logged")
				all.text.Write([]byte(s.logged()))
				if len(all.leaks()) == 0 {
					t.Errorf("under %s runtime nobody notices: %s", runtime, s.logged())
				}
			}
		})
	}
}

// TestEachRequestInAProcessOfItsOwn: Twilio's local runtime hands an answer from
// process to process in another way than within one.
func TestEachRequestInAProcessOfItsOwn(t *testing.T) {
	needs(t)
	f := newFakeTwilio(t)
	forked, whole := newRuntimeHandler(t, f, function.Source, true), newServe(t, f)
	for n, r := range []row{{name: "good"}, {name: "refused", twilio: says(200, `{"valid":false}`)}, {name: "busy", twilio: says(429, "{}")}, {name: "of no use", kind: "text/plain"}} {
		all := newSaid()
		r = r.complete(n)
		token := r.token(n)
		f.set(token, r.twilio)
		if got, want := ask(t, all, forked.address("plain"), r, token), ask(t, all, whole.address("plain"), r, token); got.String() != want.String() {
			t.Errorf("%s: answered\n%s\nserve\n%s", r.name, got, want)
		}
	}
}

// invoke runs the Function with these variables and asks it for a token.
func invoke(t *testing.T, f *fakeTwilio, context map[string]string, headers bool) (code, log string) {
	t.Helper()
	var b buffer
	request := httptest.NewRequest(http.MethodPost, function.Path, strings.NewReader("Token=eyJhIjoxfQ.b.c"))
	request.Header.Set("Content-Type", form)
	w := httptest.NewRecorder()
	functions.Function{
		Path: function.Path, Files: []functions.File{{Path: function.Path, Content: function.Source}},
		Context: context, Headers: headers, Twilio: f, Log: slog.New(slog.NewJSONHandler(&b, nil)),
	}.Serve(w, request)
	body, err := io.ReadAll(w.Result().Body)
	must(t, err)
	var problem struct{ Code, Identity string }
	must(t, json.Unmarshal(body, &problem))
	return problem.Code + problem.Identity, b.String()
}

// TestVariablesThatAreWrongLetNobodyIn begins with the mistakes of whoever edits
// them in Twilio's Console.
func TestVariablesThatAreWrongLetNobodyIn(t *testing.T) {
	needs(t)
	f := newFakeTwilio(t)
	f.set("eyJhIjoxfQ.b.c", vouches(""))
	f.set(worker, enabledWorker())
	for name, tt := range map[string]struct {
		variable, value string
		code            string
	}{
		"no account":              {"FLEXVC_ACCOUNT_SID", "", "internal"},
		"no key":                  {"FLEXVC_API_KEY", "", "internal"},
		"no secret":               {"FLEXVC_API_SECRET", "", "internal"},
		"a secret that is wrong":  {"FLEXVC_API_SECRET", "mistyped", "validator-credentials-refused"},
		"true in capitals":        {"FLEXVC_REQUIRE_ENABLED", "True", "internal"},
		"yes":                     {"FLEXVC_CAP_TO_FLEX_TOKEN", "yes", "internal"},
		"get by 1":                {"FLEXVC_ALLOW_GET", "1", "internal"},
		"enabled, but where":      {"FLEXVC_REQUIRE_ENABLED", "true", "internal"},
		"a life in words":         {"FLEXVC_TOKEN_TTL", "1h", "internal"},
		"a life of nothing":       {"FLEXVC_TOKEN_TTL", "0", "internal"},
		"an unknown validator":    {"FLEXVC_VALIDATE_VIA", "IAM", "internal"},
		"a list of nobody":        {"FLEXVC_ALLOW_WORKER", ",", "worker-not-allowed"},
		"a role with a space":     {"FLEXVC_REQUIRE_ROLE", "admin, agent", "role-missing"},
		"a prefix Voice refuses":  {"FLEXVC_IDENTITY_PREFIX", "ext-", "identity-unusable"},
		"nothing (all is well)":   {"FLEXVC_OTHER", "x", "ext_alice_40example_2Ecom"},
		"switched off in words":   {"FLEXVC_REQUIRE_ENABLED", "false", "ext_alice_40example_2Ecom"},
		"another prefix is right": {"FLEXVC_IDENTITY_PREFIX", "web_", "web_alice_40example_2Ecom"},
	} {
		t.Run(name, func(t *testing.T) {
			v := maps.Clone(variables("plain"))
			if v[tt.variable] = tt.value; tt.value == "" {
				delete(v, tt.variable)
			}
			code, log := invoke(t, f, v, true)
			if code != tt.code {
				t.Errorf("answered %q, want %q", code, tt.code)
			}
			if short := strings.TrimPrefix(tt.variable, "FLEXVC_"); tt.code == "internal" && name != "enabled, but where" && !strings.Contains(log, short) {
				t.Errorf("the log does not name %s: %s", short, log)
			}
			if strings.Contains(log, secret) || tt.value == "mistyped" && strings.Contains(log, tt.value) {
				t.Errorf("the log holds the secret: %s", log)
			}
		})
	}
	// With an empty key anybody could sign.
	v := variables("plain")
	delete(v, "FLEXVC_API_SECRET")
	v["FLEXVC_"+key] = ""
	if code, _ := invoke(t, f, v, true); code != "internal" {
		t.Errorf("with an empty secret it answered %q", code)
	}
	v["FLEXVC_"+key] = secret
	if code, _ := invoke(t, f, v, true); code != "ext_alice_40example_2Ecom" {
		t.Errorf("with the secret under the key's SID it answered %q", code)
	}
	// A build without the runtime handler: no Origin is to be seen.
	if code, _ := invoke(t, f, variables("plain"), false); code != "malformed-request" {
		t.Errorf("without headers it answered %q", code)
	}
}

// TestVariablesAreDocumented: README.md lists the variables that the Function
// reads, and those alone.
func TestVariablesAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(folder, "README.md"))
	must(t, err)
	names := func(pattern string, text []byte) (list []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			list = append(list, string(m[1]))
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	documented := names("(?m)^\\| `FLEXVC_([A-Z_]+)` \\|", text)
	read := names(`(?:text|flag|list)\('([A-Z_]+)'`, function.Source)
	if len(read) < 10 || !slices.Equal(documented, read) {
		t.Errorf("README.md has %v, generateToken.js reads %v", documented, read)
	}
}
