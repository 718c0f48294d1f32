package provision

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/twilioapi"
)

// Names at Twilio. The service is the Function's alone: whatever runs in a service
// can read the variables of its environment.
const (
	FunctionService     = "flexvc-token"
	FunctionPath        = "/generateToken"
	functionServiceName = "Voice tokens (created by flexvc)"
	functionEnvironment = "production"
	functionNamePrefix  = "generateToken " // and the sum of the content
)

// The variables of the Function. Its key's secret is in one that is named after
// the key, so that another key is put to use by changing one variable: a change
// applies to the next invocation.
const (
	variablePrefix       = "FLEXVC_"
	functionKeyVariable  = variablePrefix + "API_KEY"
	functionSecretPrefix = variablePrefix // and the key's SID
	FunctionTTL          = variablePrefix + "TOKEN_TTL"
	FunctionOrigins      = variablePrefix + "ALLOW_ORIGIN"
)

// maxVariable is what a value may have, in bytes.
// https://www.twilio.com/docs/serverless/api/resource/variable
const maxVariable = 450

// The kinds of a Function's plan beside the plugin's.
const (
	KindFunction Kind = "function"
	KindVariable Kind = "variable"
)

// Function puts the token Function into an account: a service of its own with an
// environment, an API key, variables, the code, a build. What an interrupted run
// has made is found again: the code by the checksum in its name, the key by the
// variable that has its secret or by the intent.
type Function struct {
	Client  *twilioapi.Client
	Keys    KeyAPI
	Intents IntentStore
	Random  io.Reader
	Now     func() time.Time
	Sleep   func(context.Context, time.Duration) error
	// Web leads to the deployed Function.
	Web http.RoundTripper
}

// FunctionSettings are the variables of the Function by name, but for its key and
// the key's secret.
type FunctionSettings map[string]string

// FunctionWant is what is to be deployed.
type FunctionWant struct {
	Source       []byte
	Dependencies string // JSON, as a build has them: [{"name":…,"version":…}]
	// Settings makes the settings of those in force, which are empty at first.
	Settings func(now FunctionSettings) (FunctionSettings, error)
}

const settingsMark = "// flexvc settings: "

// functionContent is the code as it is uploaded. The settings are in its first
// line: Twilio keeps old builds but no old variables, and a rollback needs both.
func functionContent(source []byte, settings FunctionSettings) []byte {
	line, _ := json.Marshal(settings) // strings always can be
	return slices.Concat([]byte(settingsMark), line, []byte("\n"), source)
}

// FunctionSum tells deployments apart: of code and settings, never of a secret.
func FunctionSum(source []byte, settings FunctionSettings) string {
	return BundleSum(functionContent(source, settings))
}

// settingsIn reads the settings back; nil where there are none.
func settingsIn(content string) (s FunctionSettings) {
	line, _, _ := strings.Cut(content, "\n")
	text, ok := strings.CutPrefix(line, settingsMark)
	if !ok || json.Unmarshal([]byte(text), &s) != nil {
		return nil
	}
	return s
}

func (s FunctionSettings) check() error {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if n := len(s[name]); n > maxVariable {
			return problem.New(problem.Usage, "cannot deploy the Function: %s has %d bytes, and Twilio allows %d", name, n, maxVariable).
				WithHint("use --require-enabled or --require-role in place of many --allow-worker, or flexvc serve, which has no such limit")
		}
	}
	return nil
}

// FunctionPlan is the way to another deployment of the Function.
type FunctionPlan struct {
	Plan
	From, To string   // sums of what is deployed, before and after; empty when none, or another tool's
	Kept     []string // what stays, and why; for people, may hold whole SIDs

	is       functionState
	settings FunctionSettings
	content  []byte
	needs    string          // dependencies
	function twilio.Function // without a SID it is to be made
	version  string          // SID; empty is to be uploaded
	build    twilio.Build    // to be deployed; without a SID it is to be made
	key      string          // SID of the one that is to sign; empty is to be made
	intent   Intent
}

// Address is where the Function answers; empty until its environment is made.
func (p *FunctionPlan) Address() string { return p.is.address() }

// Plan compares what is wanted with what is there. A service of the Function's name
// that flexvc did not make is ServiceTaken.
func (d *Function) Plan(ctx context.Context, want FunctionWant) (*FunctionPlan, error) {
	is, err := d.look(ctx)
	if err != nil {
		return nil, err
	}
	settings, err := want.Settings(is.settings())
	if err == nil {
		err = settings.check()
	}
	if err != nil {
		return nil, err
	}
	p := &FunctionPlan{is: is, From: is.sum(), To: FunctionSum(want.Source, settings), settings: settings, content: functionContent(want.Source, settings), needs: want.Dependencies}
	d.planService(p)
	if err := d.planKey(p); err != nil {
		return nil, err
	}
	d.planVariables(p)
	if err := d.planCode(ctx, p); err != nil {
		return nil, err
	}
	d.planBuild(p)
	return p, nil
}

// PlanRollback plans the deployment of the build before the present one, with the
// settings it had. The key stays. With no build to go back to it is
// NothingToRollBack: Twilio keeps one that is not deployed for seven days.
// https://www.twilio.com/docs/serverless/api
func (d *Function) PlanRollback(ctx context.Context) (*FunctionPlan, error) {
	is, err := d.look(ctx)
	if err != nil {
		return nil, err
	}
	if is.build.SID == "" {
		return nil, problem.New(problem.NothingToRollBack, "cannot roll back the Function: it is not deployed").WithHint("flexvc function deploy")
	}
	before, ok := is.previous()
	if !ok {
		return nil, problem.New(problem.NothingToRollBack, "cannot roll back the Function: Twilio has no build from before the current one").
			WithHint("Twilio deletes unused builds after seven days; deploy the settings you want: flexvc function deploy")
	}
	content, err := d.Client.FunctionContent(ctx, is.service.SID, before.FunctionSIDs[0], before.Functions[0])
	if err != nil {
		return nil, err
	}
	p := &FunctionPlan{is: is, From: is.sum(), To: is.sumOf(before), settings: settingsIn(content), build: before, version: before.Functions[0]}
	if p.settings == nil {
		return nil, problem.New(problem.NothingToRollBack, "cannot roll back the Function: the build before, %s, was not made by flexvc", before.SID).
			WithHint("flexvc function deploy")
	}
	d.planVariables(p)
	p.add(Item{KindBuild, Change, "of " + before.Created.UTC().Format("2006-01-02 15:04 UTC"), before.SID, "deployed again"}, bind(d.applyBuild, p))
	return p, nil
}

// PlanRemove plans the end of the Function: its service with all that it holds, and
// its keys. Nothing is planned when there is none. What somebody else has put into
// the service keeps it.
func (d *Function) PlanRemove(ctx context.Context) (*FunctionPlan, error) {
	is, err := d.look(ctx)
	if problem.Is(err, problem.ServiceTaken) {
		p := &FunctionPlan{}
		p.Kept = append(p.Kept, "Serverless service "+FunctionService+": flexvc did not create it")
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	p := &FunctionPlan{is: is, From: is.sum()}
	switch foreign := is.foreign(); {
	case is.service.SID == "":
	case foreign != "":
		p.Kept = append(p.Kept, "Serverless service "+FunctionService+": "+foreign+" in it is somebody else's; its key stays as well")
		return p, nil
	default:
		p.add(Item{KindService, Remove, FunctionService, is.service.SID, "with the Function, its builds and variables"}, bind(d.removeService, p))
	}
	for _, k := range is.keys {
		p.add(Item{KindKey, Remove, k.FriendlyName, k.SID, "tokens signed with it are refused at once"}, func(ctx context.Context) (string, error) {
			return k.SID, gone(d.Keys.DeleteKey(ctx, k.SID))
		})
	}
	return p, nil
}

// removeService looks once more: a service is deleted with all that it holds,
// whose ever it is.
func (d *Function) removeService(ctx context.Context, p *FunctionPlan) (string, error) {
	sid := p.is.service.SID
	now, err := d.look(ctx)
	switch {
	case err != nil:
		return sid, err
	case now.service.SID != sid:
		return sid, nil
	case now.foreign() != "":
		return sid, changedMeanwhile("somebody else has put something into " + FunctionService)
	}
	return sid, gone(d.Client.DeleteService(ctx, sid))
}

// planVariables compares the variables with the settings. What does not begin as
// flexvc's do is somebody else's and stays.
func (d *Function) planVariables(p *FunctionPlan) {
	for _, name := range slices.Sorted(maps.Keys(p.settings)) {
		now, there := p.is.variables[name]
		item := Item{KindVariable, Add, name, now.SID, p.settings[name]}
		switch {
		case there && now.Value == p.settings[name]:
			item.Action = Same
		case there:
			item.Action = Change
		}
		p.add(item, func(ctx context.Context) (string, error) { return d.set(ctx, p, name, p.settings[name]) })
	}
	for _, name := range slices.Sorted(maps.Keys(p.is.variables)) {
		v := p.is.variables[name]
		_, wanted := p.settings[name]
		if wanted || !strings.HasPrefix(name, variablePrefix) || name == functionKeyVariable || p.is.hasKey(strings.TrimPrefix(name, functionSecretPrefix)) {
			continue
		}
		p.add(Item{KindVariable, Remove, name, v.SID, ""}, func(ctx context.Context) (string, error) {
			return v.SID, gone(d.Client.DeleteVariable(ctx, p.is.service.SID, p.is.environment.SID, v.SID))
		})
	}
}
