package tree

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/flexapi"
	"github.com/flexvc/flexvc/internal/emulator/store"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/twilioapi"
)

// contactCentre is an account where others have things of their own, and n agents
// on the tab, of whom some were disabled before flexvc came.
func contactCentre(t *testing.T, n int, o emulator.Options) *clitest.Flexvc {
	t.Helper()
	o.Seed = &emulator.Seed{Keys: []store.SeedKey{{FriendlyName: "theirs"}}}
	o.Seed.Workers = seedTeam("Billing", n)
	e, state := clitest.ServeAccount(t, o)
	s := &clitest.Flexvc{T: t, Emulator: e, State: state}
	ctx, c := t.Context(), client(s)
	p, err := c.CreatePlugin(ctx, "theirs", "theirs", "")
	clitest.Check(t, err)
	v, err := c.CreatePluginVersion(ctx, p.SID, twilio.PluginVersion{Version: "0.0.1", URL: "https://plugins.example.com/theirs"})
	clitest.Check(t, err)
	config, err := c.CreateConfiguration(ctx, "theirs", "", []twilio.ConfiguredPlugin{{VersionSID: v.SID, Phase: 3}})
	clitest.Check(t, err)
	_, err = c.CreateRelease(ctx, config)
	clitest.Check(t, err)
	_, err = c.CreateSink(ctx, "theirs", "http://127.0.0.1:9/theirs")
	clitest.Check(t, err)
	return s
}

// seedTeam is a team of n agents on the tab.
func seedTeam(name string, n int) (team []emulator.SeedWorker) {
	for i := range n {
		flag := []string{``, `"extensionVoiceClientEnabled":false,`, ` `}[i%3]
		team = append(team, emulator.SeedWorker{
			FriendlyName: fmt.Sprintf("agent%03d", i),
			Attributes:   emulator.Attributes(fmt.Sprintf(`{%s"contact_uri":"client:agent%03d","n":%d,"team_name":%q}`, flag, i, i, name)),
		})
	}
	return team
}

// client looks at the account, and does what others do.
func client(s *clitest.Flexvc) *twilioapi.Client {
	s.T.Helper()
	app := clitest.App(s.T.TempDir(), io.Discard)
	session, err := app.Emulated(s.T.Context(), cli.SessionOptions{}, s.Account(), &url.URL{Scheme: "http", Host: "127.0.0.1"}, s.Transport(), func() error { return nil })
	clitest.Check(s.T, err)
	return session.Client
}

// listing is every object of the account that Twilio lets anybody delete, and what
// Flex loads. A plugin's registration and the history of releases stay at Twilio
// whatever one does.
func listing(s *clitest.Flexvc) map[string]any {
	s.T.Helper()
	ctx, c := s.T.Context(), client(s)
	all := map[string]any{}
	note := func(what string, value any, err error) {
		s.T.Helper()
		clitest.Check(s.T, err)
		all[what] = value
	}
	keys, err := c.Keys(ctx)
	note("keys", keys, err)
	sinks, err := c.Sinks(ctx)
	note("sinks", sinks, err)
	subscriptions, err := c.Subscriptions(ctx)
	note("subscriptions", subscriptions, err)
	registered, err := c.RegisteredServices(ctx)
	note("registered services", registered, err)
	flex, err := c.FlexConfiguration(ctx)
	note("flex", flex, err)
	services, err := c.Services(ctx)
	note("services", services, err)
	for _, service := range services {
		environments, err := c.Environments(ctx, service.SID)
		note("environments of "+service.SID, environments, err)
		assets, err := c.Assets(ctx, service.SID)
		note("assets of "+service.SID, assets, err)
		builds, err := c.Builds(ctx, service.SID)
		note("builds of "+service.SID, builds, err)
		functions, err := c.Functions(ctx, service.SID)
		note("functions of "+service.SID, functions, err)
	}
	workspace := c.Workspace(s.Account().WorkspaceSID)
	activities, err := workspace.Activities(ctx)
	note("activities", activities, err)
	callback, err := workspace.Callback(ctx)
	note("callback", callback, err)
	for _, w := range s.ExportWorkers() {
		all["worker "+w.FriendlyName] = w.Attributes
	}
	loaded := flexapi.ReleasedPlugins(s.Emulator)
	for i := range loaded {
		loaded[i].ConfigurationSID, loaded[i].ReleaseSID = "", ""
	}
	all["plugins"] = loaded
	return all
}

func wantSame(t *testing.T, before, now map[string]any) {
	t.Helper()
	if diff := cmp.Diff(before, now); diff != "" {
		t.Errorf("the account differs from before init (-before +after):\n%s", diff)
	}
}

// setUp is what an administrator does until the agents are on the extension.
func setUp(s *clitest.Flexvc, moved int, initFlags ...string) {
	s.T.Helper()
	for _, args := range [][]string{
		append([]string{"init", "--yes", "--token-url", "http://127.0.0.1:9/generateToken"}, initFlags...),
		{"plugin", "deploy", "--yes"},
		{"events", "enable", "--yes"},
		{"workers", "enable", "--all", "--yes"},
	} {
		if exit, out := s.Run(args...); exit != 0 {
			s.T.Fatalf("%q exits with %d:\n%s", args, exit, out)
		}
	}
	logIn(s, moved)
}

// TestTeardownLeavesTheAccountAsBeforeInit, and this machine too with --purge.
func TestTeardownLeavesTheAccountAsBeforeInit(t *testing.T) {
	t.Parallel()
	s := contactCentre(t, 120, emulator.Options{})
	before := listing(s)
	setUp(s, 100)
	middle := listing(s)
	s.Wants(5, []string{"teardown", "--dry-run", "--exit-code"}, `^  ~ workers       120 workers`, `Nothing was changed \(--dry-run\)\.$`)
	if diff := cmp.Diff(middle, listing(s)); diff != "" {
		t.Errorf("a dry run changed (-before +after):\n%s", diff)
	}
	exit, stdout, stderr := s.Outputs("teardown", "--yes", "-o", "json")
	if exit != 0 || strings.Contains(stderr, "error") {
		t.Fatalf("exit %d\n%s%s", exit, stdout, stderr)
	}
	wantSame(t, before, listing(s))
	s.Wants(0, []string{"watch", "--once", "--exit-code"})
	s.Wants(0, []string{"teardown"}, `^No changes: nothing of flexvc's is left in account flexvc emulator`)

	s.Wants(0, []string{"teardown", "--purge", "--yes"}, `settings +flexvc\.yaml +removed`, `journals`, `secret`)
	left := map[string]bool{}
	_ = filepath.WalkDir(s.State, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasSuffix(path, ".lock") {
			left[filepath.Base(path)] = true
		}
		return err
	})
	if diff := cmp.Diff(map[string]bool{"extension.pem": true, "running.json": true, "secrets": true}, left); diff != "" {
		t.Errorf("files left on this machine (-want +got):\n%s", diff)
	}
	if text, err := os.ReadFile(filepath.Join(s.State, "emulator", "secrets")); err != nil || strings.Contains(string(text), "SK") {
		t.Errorf("a secret is left: %v", err)
	}

	// And one can come back: the bundle is hosted anew.
	setUp(s, 0)
	if content, ok := flexapi.PluginBundle(s.Emulator, "flexvc-voice-client", versionOf(s)); !ok || len(content) == 0 {
		t.Error("Flex cannot load the plugin that was deployed again")
	}
}

func versionOf(s *clitest.Flexvc) string {
	for _, p := range flexapi.ReleasedPlugins(s.Emulator) {
		if p.Name == "flexvc-voice-client" {
			return p.Version
		}
	}
	return ""
}

// TestTeardownKilledAnywhereIsContinued kills it after a random number of requests,
// over and over, until one run gets to the end.
func TestTeardownKilledAnywhereIsContinued(t *testing.T) {
	t.Parallel()
	s := contactCentre(t, 30, emulator.Options{})
	before := listing(s)
	setUp(s, 20)
	clitest.Check(t, s.Configure(slow(s.Settings())))
	const seed = 20261121
	random := rand.New(rand.NewPCG(seed, 0))
	kills := 0
	for range 60 {
		began := s.Stats().Requests
		after := int64(1 + random.IntN(120))
		cmd, out := s.Command("teardown", "--yes")
		clitest.Check(t, cmd.Start())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		over := false
		clitest.Eventually(t, "the teardown to get on", func() bool {
			select {
			case <-ended:
				over = true
			default:
			}
			return over || int64(s.Stats().Requests-began) >= after
		})
		if over {
			if code := cmd.ProcessState.ExitCode(); code != 0 {
				t.Fatalf("after %d kills (seed %d) it exits with %d:\n%s", kills, seed, code, out)
			}
			break
		}
		clitest.Check(t, cmd.Process.Kill())
		<-ended
		kills++
	}
	if kills < 3 {
		t.Errorf("it was killed %d times only: the test proves little", kills)
	}
	s.Wants(0, []string{"teardown", "--yes"}, `^No changes: `)
	if diff := cmp.Diff(before, listing(s)); diff != "" {
		t.Errorf("after %d kills (seed %d) the account differs from before init (-before +after):\n%s", kills, seed, diff)
	}
	s.Wants(0, []string{"watch", "--once", "--exit-code"})
}

func slow(settings emulator.Settings) emulator.Settings {
	settings.Limits.Latency = 3 * time.Millisecond
	return settings
}

// TestTeardownKeepsWhatOthersMade: things with flexvc's names that it did not make,
// or that others use by now.
func TestTeardownKeepsWhatOthersMade(t *testing.T) {
	t.Parallel()
	s := contactCentre(t, 3, emulator.Options{})
	ctx, c := t.Context(), client(s)
	workspace := c.Workspace(s.Account().WorkspaceSID)
	theirs, err := workspace.CreateActivity(ctx, "Voice Client Offline", false)
	clitest.Check(t, err)
	second, _, err := c.CreateKey(ctx, "flexvc-token-server")
	clitest.Check(t, err)
	service, err := c.CreateService(ctx, "default", "Flex Plugins Service (Autogenerated) - Do Not Delete")
	clitest.Check(t, err)
	environment, err := c.CreateEnvironment(ctx, service.SID, "their-plugin", "aa")
	clitest.Check(t, err)
	asset, err := c.CreateAsset(ctx, service.SID, "theirs")
	clitest.Check(t, err)
	file, err := c.UploadScript(ctx, service.SID, asset.SID, "/theirs.js", []byte("theirs"))
	clitest.Check(t, err)
	build, err := c.CreateBuild(ctx, service.SID, twilio.Build{Assets: []twilio.AssetVersion{file}, Runtime: "node20"})
	clitest.Check(t, err)
	clitest.Check(t, c.Deploy(ctx, service.SID, environment.SID, build.SID))
	clitest.Check(t, c.RegisterServices(ctx, []string{service.SID}))
	before := listing(s)
	setUp(s, 3, "--new-extension-id") // the key is another machine's

	s.Wants(0, []string{"teardown", "--yes"},
		`^flexvc: warning: kept: activity "Voice Client Offline" \(WA….{4}\): it was there before flexvc init$`,
		`^flexvc: warning: kept: api key SK….{4}: another profile or machine may sign with it`,
		`, but for what is named above\.$`)
	if diff := cmp.Diff(before, listing(s)); diff != "" {
		t.Errorf("of theirs, %s and %s among it, differs (-before +after):\n%s", theirs.SID, second.SID, diff)
	}
	s.Wants(0, []string{"watch", "--once", "--exit-code"})
}

// TestTeardownKeepsAnActivityThatIsInUse, and takes it once nobody is in it.
func TestTeardownKeepsAnActivityThatIsInUse(t *testing.T) {
	t.Parallel()
	s := contactCentre(t, 2, emulator.Options{})
	before := listing(s)
	setUp(s, 2)
	state := s.Export()
	activity, offline := "", state.Activities[0].SID
	for _, a := range state.Activities {
		if a.FriendlyName == "Voice Client Offline" {
			activity = a.SID
		}
	}
	agent := state.Workers[0].SID
	_, err := s.ChangeAgent(agent, emulator.AgentChange{Activity: &activity})
	clitest.Check(t, err)
	s.Wants(0, []string{"teardown", "--yes"}, `warning: kept: activity "Voice Client Offline" \(WA….{4}\): 1 worker is in it`)
	_, err = s.ChangeAgent(agent, emulator.AgentChange{Activity: &offline})
	clitest.Check(t, err)
	s.Wants(0, []string{"teardown", "--yes"}, `activity +Voice Client Offline +WA….{4} +removed`)
	wantSame(t, before, listing(s))
}

// TestTwoMachinesTearDownAtOnce: neither knows of the other's locks and journals. The
// one that comes second was told to deploy the plugin.
func TestTwoMachinesTearDownAtOnce(t *testing.T) {
	t.Parallel()
	first := contactCentre(t, 12, emulator.Options{})
	before := listing(first)
	setUp(first, 9)
	second := &clitest.Flexvc{T: t, Emulator: first.Emulator, State: t.TempDir()}
	clitest.Check(t, os.CopyFS(filepath.Join(second.State, "emulator"), os.DirFS(filepath.Join(first.State, "emulator"))))
	clitest.Check(t, first.Configure(slow(first.Settings())))

	ended := make(chan string, 2)
	for _, s := range []*clitest.Flexvc{first, second} {
		cmd, out := s.Command("teardown", "--yes")
		go func() {
			_ = cmd.Run() // whoever is second may have to be run again
			ended <- out.String()
		}()
	}
	for range 2 {
		if out := <-ended; strings.Contains(out, "plugin deploy") {
			t.Errorf("teardown advises to deploy the plugin:\n%s", out)
		}
	}
	for _, s := range []*clitest.Flexvc{first, second} {
		s.Wants(0, []string{"teardown", "--yes"})
		s.Wants(0, []string{"teardown"}, `^No changes: `)
		s.Wants(0, []string{"watch", "--once", "--exit-code"})
	}
	after := listing(first)
	for name := range before { // whose flag was what, only the first machine's journal knows
		if strings.HasPrefix(name, "worker ") {
			before[name], after[name] = withoutFlag(before[name]), withoutFlag(after[name])
		}
	}
	wantSame(t, before, after)
}

func withoutFlag(attributes any) string {
	return strings.NewReplacer(`"extensionVoiceClientEnabled":false,`, "", `,"extensionVoiceClientEnabled":false`, "").Replace(fmt.Sprint(attributes))
}
