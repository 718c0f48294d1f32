package function_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/cli/accounttest"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/twilio"
)

const origin = "chrome-extension://abcdefghijklmnopabcdefghijklmnop"

// rig is an account whose Function answers as the test says, wherever Node is.
type rig struct {
	*accounttest.Account
	answer string // code of the Function's answers
	asked  int
	around func(r *http.Request, next func() (*http.Response, error)) (*http.Response, error)
	seen   bytes.Buffer // everything that flexvc printed
}

func newRig(t *testing.T, opts emulator.Options) *rig {
	t.Helper()
	r := &rig{Account: accounttest.New(t, opts), answer: "flex-token-refused"}
	r.Around = func(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
		if strings.HasSuffix(req.URL.Host, ".twil.io") {
			r.asked++
			return &http.Response{StatusCode: 403, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"code":"` + r.answer + `"}`))}, nil
		}
		if r.around != nil {
			return r.around(req, next)
		}
		return next()
	}
	return r
}

func (r *rig) run(args ...string) (int, string) {
	r.T.Helper()
	exit, out := r.Flexvc(args...)
	r.seen.WriteString(out)
	return exit, out
}

func (r *rig) must(args ...string) string {
	r.T.Helper()
	exit, out := r.run(args...)
	if exit != 0 {
		r.T.Fatalf("flexvc %s: exit %d\n%s", strings.Join(args, " "), exit, out)
	}
	return out
}

func (r *rig) deploy(args ...string) string {
	r.T.Helper()
	return r.must(append([]string{"function", "deploy", "--yes", "--allow-origin", origin}, args...)...)
}

// there is what the account holds of the Function.
type there struct {
	service     twilio.Service
	environment twilio.Environment
	functions   []twilio.Function
	builds      []twilio.Build
	variables   map[string]string
	keys        []twilio.Key
}

func (r *rig) look() (a there) {
	r.T.Helper()
	was := r.Around
	r.Around = nil
	defer func() { r.Around = was }()
	ctx, c := r.T.Context(), r.Twilio()
	services, err := c.Services(ctx)
	clitest.Check(r.T, err)
	keys, err := c.Keys(ctx)
	clitest.Check(r.T, err)
	for _, k := range keys {
		if strings.HasPrefix(k.FriendlyName, provision.FunctionKeyName) {
			a.keys = append(a.keys, k)
		}
	}
	a.variables = map[string]string{}
	for _, s := range services {
		if s.UniqueName != provision.FunctionService {
			continue
		}
		a.service = s
		environments, err := c.Environments(ctx, s.SID)
		clitest.Check(r.T, err)
		if len(environments) > 1 {
			r.T.Fatalf("%d environments", len(environments))
		}
		a.functions, err = c.Functions(ctx, s.SID)
		clitest.Check(r.T, err)
		a.builds, err = c.Builds(ctx, s.SID)
		clitest.Check(r.T, err)
		for _, e := range environments {
			a.environment = e
			variables, err := c.Variables(ctx, s.SID, e.SID)
			clitest.Check(r.T, err)
			for _, v := range variables {
				a.variables[v.Key] = v.Value
			}
		}
	}
	return a
}

// wantOne checks that the Function is whole and nothing of it is there twice.
func (r *rig) wantOne() there {
	r.T.Helper()
	a := r.look()
	key := a.variables["FLEXVC_API_KEY"]
	switch {
	case a.service.SID == "" || a.service.Credentials:
		r.T.Errorf("the service is %+v", a.service)
	case a.environment.BuildSID == "":
		r.T.Error("nothing is deployed")
	case len(a.functions) != 1 || len(a.builds) != 1:
		r.T.Errorf("there are %d Functions and %d builds", len(a.functions), len(a.builds))
	case len(a.keys) != 1 || a.keys[0].SID != key || a.keys[0].FriendlyName != provision.FunctionKeyName:
		r.T.Errorf("the keys are %+v, in use is %s", a.keys, key)
	case a.variables["FLEXVC_"+key] == "":
		r.T.Error("the key's secret is no variable")
	}
	secrets := 0
	for name := range a.variables {
		if strings.HasPrefix(name, "FLEXVC_SK") {
			secrets++
		}
	}
	if secrets != 1 {
		r.T.Errorf("%d secrets are kept", secrets)
	}
	return a
}

// secrets are all that must be nowhere but in the variables.
func (r *rig) secrets() (all []string) {
	for name, value := range r.look().variables {
		if strings.HasPrefix(name, "FLEXVC_SK") {
			all = append(all, value)
		}
	}
	return append(all, r.E.Account().AuthToken)
}

// wantNoSecret scans what was printed, and every file that was written.
func (r *rig) wantNoSecret() {
	r.T.Helper()
	secrets := r.secrets()
	scan := func(what string, text []byte) {
		for _, secret := range secrets {
			if len(secret) < 16 {
				r.T.Fatalf("a secret has %d characters: the scan finds nothing", len(secret))
			}
			if bytes.Contains(text, []byte(secret)) {
				r.T.Errorf("a secret is in %s", what)
			}
		}
	}
	scan("the output", r.seen.Bytes())
	files := 0
	clitest.Check(r.T, filepath.WalkDir(r.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files++
		scan(path, text)
		return err
	}))
	if files == 0 {
		r.T.Error("no file was scanned")
	}
}

func (r *rig) tokenURL() string {
	r.T.Helper()
	cfg, err := config.Load(config.Input{Getenv: func(string) string { return "" }, File: filepath.Join(r.Dir, "emulator", config.FileName), Profile: config.Emulator})
	clitest.Check(r.T, err)
	if plugin := cfg.Value(config.PluginTokenURL); plugin != cfg.TokenURL {
		r.T.Errorf("the plugin asks %s, the profile says %s", plugin, cfg.TokenURL)
	}
	return cfg.TokenURL
}

// TestLife is the life of the Function in an account that has other services.
func TestLife(t *testing.T) {
	t.Parallel()
	r := newRig(t, emulator.Options{Builds: emulator.Builds{Time: 4 * time.Second}})
	other, err := r.Twilio().CreateService(t.Context(), "default", "theirs")
	clitest.Check(t, err)

	clitest.WantMatch(t, r.must("function", "status"), `^No token Function is deployed\. Next: flexvc -p emulator function deploy$`)
	if exit, _ := r.run("function", "deploy", "--dry-run", "--exit-code", "--allow-origin", origin); exit != problem.ExitPending {
		t.Errorf("a dry run exits with %d", exit)
	}
	if a := r.look(); a.service.SID != "" || len(a.keys) > 0 {
		t.Fatalf("a dry run made %+v", a)
	}
	r.deploy("--verbose")
	a := r.wantOne()
	want := "https://" + a.environment.DomainName + "/generateToken"
	if got := r.tokenURL(); got != want || r.asked == 0 {
		t.Errorf("token_url is %s, want %s; the Function was asked %d times", got, want, r.asked)
	}
	if a.service.SID == other.SID || a.builds[0].Runtime != "node22" || !strings.Contains(a.builds[0].Dependencies, "@twilio/runtime-handler") {
		t.Errorf("deployed are %+v", a)
	}
	for name, value := range map[string]string{
		"FLEXVC_ACCOUNT_SID": r.E.Account().SID, "FLEXVC_ALLOW_ORIGIN": origin, "FLEXVC_TOKEN_TTL": "3600", "FLEXVC_VALIDATE_VIA": "iam", "FLEXVC_ALLOW_GET": "",
	} {
		if a.variables[name] != value {
			t.Errorf("%s is %q, want %q", name, a.variables[name], value)
		}
	}

	// A rerun has nothing to do, with the flags or without.
	clitest.WantMatch(t, r.deploy(), `^No changes`)
	clitest.WantMatch(t, r.must("function", "deploy", "--yes"), `^No changes`)
	clitest.WantMatch(t, r.must("function", "status"), `same as this flexvc would deploy`, `^token_url +names it`, `^before +nothing`)

	// Another setting is another build; what is not given stays.
	r.E.Advance(time.Minute)
	r.must("function", "deploy", "--yes", "--token-ttl", "30m", "--require-role", "agent", "--require-role", "admin", "--allow-get")
	r.E.Advance(time.Minute)
	r.must("function", "deploy", "--yes", "--token-ttl", "20m")
	if v := r.look().variables; v["FLEXVC_TOKEN_TTL"] != "1200" || v["FLEXVC_REQUIRE_ROLE"] != "agent,admin" || v["FLEXVC_ALLOW_GET"] != "true" || v["FLEXVC_ALLOW_ORIGIN"] != origin {
		t.Errorf("the variables are %v", slices.Sorted(func(yield func(string) bool) {
			for name := range v {
				if !yield(name) {
					return
				}
			}
		}))
	}
	// A rollback takes the settings back as well, one build at a time.
	r.must("function", "rollback", "--yes")
	if v := r.look().variables; v["FLEXVC_TOKEN_TTL"] != "1800" || v["FLEXVC_REQUIRE_ROLE"] != "agent,admin" {
		t.Errorf("after a rollback tokens live %s s for %s", v["FLEXVC_TOKEN_TTL"], v["FLEXVC_REQUIRE_ROLE"])
	}
	r.must("function", "rollback", "--yes")
	if v := r.look().variables; v["FLEXVC_TOKEN_TTL"] != "3600" || v["FLEXVC_REQUIRE_ROLE"] != "" || v["FLEXVC_ALLOW_GET"] != "" {
		t.Error("two rollbacks do not lead to the first settings")
	}
	exit, out := r.run("function", "rollback", "--yes")
	if exit != problem.ExitFailed || !strings.Contains(out, "no build from before") {
		t.Errorf("a rollback of nothing: exit %d, %s", exit, out)
	}
	if len(r.look().keys) != 1 {
		t.Error("a new build made a new key")
	}
	r.must("function", "deploy", "--yes", "--token-ttl", "20m", "--require-role", "agent", "--require-role", "admin", "--allow-get")
	if n := len(r.look().builds); n != 3 {
		t.Errorf("settings that were built before were built again: %d builds", n)
	}
	r.must("function", "deploy", "--yes", "--require-role", "")
	if v := r.look().variables; v["FLEXVC_REQUIRE_ROLE"] != "" {
		t.Error("an empty flag does not end a requirement")
	}

	// Agents ask it, so it stays; then it goes with its key, and nothing else does.
	if exit, out := r.run("function", "remove", "--yes"); exit != problem.ExitFailed || !strings.Contains(out, "token_url of profile") {
		t.Errorf("a Function in use: exit %d, %s", exit, out)
	}
	r.wantNoSecret()
	r.must("config", "set", "token_url", "https://voice.acme.example/generateToken")
	if exit, _ := r.run("function", "remove", "--yes"); exit != problem.ExitFailed {
		t.Error("it goes although the plugin names it")
	}
	r.must("config", "set", config.PluginTokenURL, "https://voice.acme.example/generateToken")
	r.must("function", "remove", "--yes")
	if a := r.look(); a.service.SID != "" || len(a.keys) != 0 {
		t.Errorf("left are %+v", a)
	}
	services, err := r.Twilio().Services(t.Context())
	clitest.Check(t, err)
	if len(services) != 1 || services[0].SID != other.SID {
		t.Errorf("services left are %+v", services)
	}
	clitest.WantMatch(t, r.must("function", "remove", "--yes"), `^No changes: no token Function is deployed`)
}

// TestDeployGoesOnAfterAnyStep breaks the connection at every request that changes
// something, before and after it took effect. A second run ends as one that was
// never broken, and nothing is there twice.
func TestDeployGoesOnAfterAnyStep(t *testing.T) {
	t.Parallel()
	changes := func(req *http.Request) bool { return req.Method != http.MethodGet }
	var writes []string
	whole := newRig(t, emulator.Options{})
	whole.around = func(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
		if changes(req) {
			writes = append(writes, req.Method+" "+filepath.Base(req.URL.Path))
		}
		return next()
	}
	whole.deploy()
	if len(writes) < 12 {
		t.Fatalf("only %d writes: %q", len(writes), writes)
	}
	for at := range writes {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d %s, done %t", at, writes[at], lost), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, emulator.Options{})
				n := -1
				r.around = func(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
					if !changes(req) && n < at {
						return next()
					}
					if changes(req) {
						n++
					}
					if n < at {
						return next()
					}
					if lost && n == at && changes(req) {
						if res, err := next(); err == nil {
							res.Body.Close()
						}
					}
					return nil, errors.New("the line is dead")
				}
				if exit, out := r.run("function", "deploy", "--yes", "--allow-origin", origin); exit == 0 {
					t.Fatalf("nothing was broken:\n%s", out)
				}
				r.around = nil
				r.deploy()
				a := r.wantOne()
				if got := r.tokenURL(); got != "https://"+a.environment.DomainName+"/generateToken" {
					t.Errorf("token_url is %s", got)
				}
				clitest.WantMatch(t, r.deploy(), `^No changes`)
				r.wantNoSecret()
			})
		}
	}
}

// TestTwoAdministrators deploy at once from two machines. One may have to repeat;
// the Function never has a key without its secret.
func TestTwoAdministrators(t *testing.T) {
	t.Parallel()
	for step := range 10 {
		r := newRig(t, emulator.Options{})
		other := *r.Account
		other.Dir = t.TempDir()
		other.Around = nil
		second := &rig{Account: &other, answer: "flex-token-refused"}
		second.Around = func(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
			if strings.HasSuffix(req.URL.Host, ".twil.io") {
				return &http.Response{StatusCode: 403, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"code":"flex-token-refused"}`))}, nil
			}
			return next()
		}
		second.Settings("https://voice.acme.example/generateToken")
		n := 0
		r.around = func(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
			if req.Method != http.MethodGet {
				if n == step {
					second.deploy()
				}
				n++
			}
			return next()
		}
		exit, out := r.run("function", "deploy", "--yes", "--allow-origin", origin)
		if exit != 0 && !strings.Contains(out, "after the plan was made") {
			t.Errorf("step %d: exit %d\n%s", step, exit, out)
		}
		r.around = nil
		r.deploy()
		a := r.look()
		key := a.variables["FLEXVC_API_KEY"]
		if len(a.functions) > 2 || a.variables["FLEXVC_"+key] == "" || !slices.ContainsFunc(a.keys, func(k twilio.Key) bool { return k.SID == key }) {
			t.Errorf("step %d: there are %d Functions, %d keys; in use is %s", step, len(a.functions), len(a.keys), key)
		}
		clitest.WantMatch(t, r.deploy(), `^No changes`)
		clitest.WantMatch(t, second.deploy(), `token_url|^No changes`)
	}
}

func TestAServiceOfSomebodyElse(t *testing.T) {
	t.Parallel()
	r := newRig(t, emulator.Options{})
	_, err := r.Twilio().CreateService(t.Context(), provision.FunctionService, "theirs")
	clitest.Check(t, err)
	for _, args := range [][]string{{"deploy", "--yes"}, {"deploy", "--dry-run"}, {"status"}, {"rollback", "--yes"}} {
		exit, out := r.run(append([]string{"function"}, args...)...)
		if exit != problem.ExitFailed || !strings.Contains(out, `it is called "theirs", so flexvc did not create it`) {
			t.Errorf("%q: exit %d, %s", args, exit, out)
		}
	}
	clitest.WantMatch(t, r.must("function", "remove", "--yes"), `kept: Serverless service flexvc-token: flexvc did not create it`)
	if len(r.look().keys) > 0 {
		t.Error("a key was made")
	}
}

// TestTeardownTakesItAway with all keys, also in the middle of a rotation.
func TestTeardownTakesItAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, emulator.Options{})
	other, err := r.Twilio().CreateService(t.Context(), "default", "theirs")
	clitest.Check(t, err)
	r.deploy()
	r.must("keys", "rotate", "--yes")
	clitest.WantMatch(t, r.must("teardown", "--yes"), `service +flexvc-token`, `api key +flexvc-token-function`)
	if a := r.look(); a.service.SID != "" || len(a.keys) != 0 {
		t.Errorf("left are %+v", a)
	}
	services, err := r.Twilio().Services(t.Context())
	clitest.Check(t, err)
	if len(services) != 1 || services[0].SID != other.SID {
		t.Errorf("services left are %+v", services)
	}
	if exit, out := r.run("teardown", "--dry-run", "--exit-code"); exit != 0 {
		t.Errorf("a second teardown has something to do: %s", out)
	}
}

func TestWhatSomebodyElseAddedStays(t *testing.T) {
	t.Parallel()
	r := newRig(t, emulator.Options{})
	r.deploy()
	_, err := r.Twilio().CreateFunction(t.Context(), r.look().service.SID, "theirs")
	clitest.Check(t, err)
	clitest.WantMatch(t, r.must("function", "remove", "--yes", "--force"), `kept: Serverless service flexvc-token: Function theirs in it is somebody else's`)
	if a := r.look(); a.service.SID == "" || len(a.keys) != 1 {
		t.Errorf("left are %+v", a)
	}
}

func TestSettingsThatCannotBeDeployed(t *testing.T) {
	t.Parallel()
	r := newRig(t, emulator.Options{})
	var many []string
	for i := range 14 {
		many = append(many, "--allow-worker", fmt.Sprintf("WK%032d", i))
	}
	for want, args := range map[string][]string{
		"FLEXVC_ALLOW_WORKER has 489 bytes, and Twilio allows 450": many,
		"use --require-enabled or --require-role in place of":      many,
		"between 1s and 24h":                                {"--token-ttl", "25h"},
		`allowed origin "https://a/b" is not exact`:         {"--allow-origin", "https://a/b"},
		`"agent,admin" contains a comma: repeat the flag`:   {"--require-role", "agent,admin"},
		`validate-via must be "iam" or "flex", not "other"`: {"--validate-via", "other"},
	} {
		exit, out := r.run(append([]string{"function", "deploy", "--yes"}, args...)...)
		if exit != problem.ExitUsage && exit != problem.ExitFailed || !strings.Contains(out, want) {
			t.Errorf("%q: exit %d, want %q:\n%s", args, exit, want, out)
		}
	}
	if a := r.look(); a.service.SID != "" || len(a.keys) > 0 {
		t.Errorf("refused settings made %+v", a)
	}
}

// TestADeploymentThatDoesNotAnswer leaves token_url as it was.
func TestADeploymentThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, emulator.Options{})
	before := r.tokenURL()
	r.answer = "validator-credentials-refused"
	exit, out := r.run("function", "deploy", "--yes", "--allow-origin", origin)
	if exit != problem.ExitFailed || !strings.Contains(out, "is deployed but does not work: status 403, validator-credentials-refused") {
		t.Errorf("exit %d, %s", exit, out)
	}
	if r.asked < 3 {
		t.Errorf("it was asked %d times: a deployment takes a while to be everywhere", r.asked)
	}
	if exit, out := r.run("function", "deploy", "--yes"); exit != problem.ExitFailed {
		t.Errorf("a second run takes it as it is: exit %d, %s", exit, out)
	}
	if got := r.tokenURL(); got != before {
		t.Errorf("token_url is %s", got)
	}
	r.answer = "flex-token-refused"
	r.must("function", "deploy", "--yes")
	if got := r.tokenURL(); got == before {
		t.Error("token_url is still the former address")
	}
}

func TestBuildThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	for why, builds := range map[string]emulator.Builds{
		"failed":                     {Time: 2 * time.Second, Fail: true},
		"did not finish within 3m0s": {Time: time.Hour},
	} {
		r := newRig(t, emulator.Options{Builds: builds})
		exit, out := r.run("function", "deploy", "--yes", "--allow-origin", origin)
		if exit != problem.ExitFailed || !strings.Contains(out, why) {
			t.Errorf("%s: exit %d, %s", why, exit, out)
		}
	}
}
