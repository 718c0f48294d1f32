package provision

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

func (d *Function) planService(p *FunctionPlan) {
	service := Item{Kind: KindService, Action: Same, Name: FunctionService, ID: p.is.service.SID}
	switch {
	case service.ID == "":
		service.Action, service.Detail = Add, "Twilio Serverless; the Function's alone"
	case p.is.service.Credentials:
		service.Action, service.Detail = Change, "no longer gives the account's auth token to the Function"
	}
	p.add(service, bind(d.applyService, p))
	environment := Item{Kind: KindEnvironment, Action: Same, Name: functionEnvironment, ID: p.is.environment.SID, Detail: p.is.environment.DomainName}
	if environment.ID == "" {
		environment.Action, environment.Detail = Add, "with its own domain"
	}
	p.add(environment, bind(d.applyEnvironment, p))
}

func (d *Function) applyService(ctx context.Context, p *FunctionPlan) (string, error) {
	if p.is.service.SID != "" {
		return p.is.service.SID, d.Client.WithholdCredentials(ctx, p.is.service.SID)
	}
	var err error
	p.is.service, err = ensure(ctx,
		func() (twilio.Service, error) {
			return d.Client.CreateFunctionService(ctx, FunctionService, functionServiceName)
		},
		func() ([]twilio.Service, error) { return d.Client.Services(ctx) },
		func(s twilio.Service) bool {
			return s.UniqueName == FunctionService && s.FriendlyName == functionServiceName
		})
	return p.is.service.SID, err
}

func (d *Function) applyEnvironment(ctx context.Context, p *FunctionPlan) (string, error) {
	var err error
	p.is.environment, err = ensure(ctx,
		func() (twilio.Environment, error) {
			return d.Client.CreateEnvironment(ctx, p.is.service.SID, functionEnvironment, "")
		},
		func() ([]twilio.Environment, error) { return d.Client.Environments(ctx, p.is.service.SID) },
		func(e twilio.Environment) bool { return e.UniqueName == functionEnvironment })
	return p.is.environment.SID, err
}

// set gives a variable a value, whether it is there or not. Somebody else may have
// made it since the plan.
func (d *Function) set(ctx context.Context, p *FunctionPlan, name, value string) (string, error) {
	service, environment := p.is.service.SID, p.is.environment.SID
	v, there := p.is.variables[name]
	if !there {
		var err error
		v, err = ensure(ctx,
			func() (twilio.Variable, error) {
				return d.Client.CreateVariable(ctx, service, environment, name, value)
			},
			func() ([]twilio.Variable, error) { return d.Client.Variables(ctx, service, environment) },
			func(v twilio.Variable) bool { return v.Key == name })
		if err != nil {
			return "", err
		}
	}
	if v.Value != value {
		if err := d.Client.UpdateVariable(ctx, service, environment, v.SID, value); err != nil {
			return v.SID, err
		}
		v.Value = value
	}
	p.is.variables[name] = v
	return v.SID, nil
}

// planCode finds what has been uploaded, by the sum in the name.
func (d *Function) planCode(ctx context.Context, p *FunctionPlan) error {
	name := functionNamePrefix + p.To
	item := Item{Kind: KindFunction, Action: Add, Name: fmt.Sprintf("%s, %.1f kB", FunctionPath, float64(len(p.content))/1000), Detail: "sha256 " + p.To}
	for _, f := range p.is.functions {
		if f.FriendlyName != name {
			continue
		}
		versions, err := d.Client.FunctionVersions(ctx, p.is.service.SID, f.SID)
		if err != nil {
			return err
		}
		p.function = f
		if len(versions) > 0 {
			p.version, item.Action, item.ID = versions[0], Same, versions[0]
			break
		}
	}
	p.add(item, bind(d.applyCode, p))
	return nil
}

func (d *Function) applyCode(ctx context.Context, p *FunctionPlan) (string, error) {
	service, name := p.is.service.SID, functionNamePrefix+p.To
	if p.function.SID == "" {
		var err error
		p.function, err = ensure(ctx,
			func() (twilio.Function, error) { return d.Client.CreateFunction(ctx, service, name) },
			func() ([]twilio.Function, error) { return d.Client.Functions(ctx, service) },
			func(f twilio.Function) bool { return f.FriendlyName == name })
		if err != nil {
			return "", err
		}
	}
	var err error
	p.version, err = ensure(ctx,
		func() (string, error) {
			return d.Client.UploadFunction(ctx, service, p.function.SID, FunctionPath, p.content)
		},
		func() ([]string, error) { return d.Client.FunctionVersions(ctx, service, p.function.SID) },
		func(string) bool { return true })
	return p.version, err
}

// wanted reports whether a build is the Function as it is to be, and nothing else.
func (p *FunctionPlan) wanted(b twilio.Build) bool {
	return p.version != "" && slices.Equal(b.Functions, []string{p.version}) && len(b.Assets) == 0 && b.Runtime == newestRuntime && hasDependencies(b, p.needs)
}

func (d *Function) planBuild(p *FunctionPlan) {
	item := Item{Kind: KindBuild, Action: Add, Name: "on " + newestRuntime}
	switch i := slices.IndexFunc(p.is.builds, func(b twilio.Build) bool { return b.Status != twilio.BuildFailed && p.wanted(b) }); {
	case p.wanted(p.is.build):
		p.build, item.Action = p.is.build, Same
	case i >= 0:
		p.build, item.Action, item.Detail = p.is.builds[i], Change, "built before, not deployed now"
	}
	item.ID = p.build.SID
	p.add(item, bind(d.applyBuild, p))
}

// applyBuild builds, deploys, and asks the Function.
func (d *Function) applyBuild(ctx context.Context, p *FunctionPlan) (string, error) {
	service := p.is.service.SID
	if err := d.sameDeployment(ctx, p); err != nil {
		return p.build.SID, err
	}
	if p.build.SID == "" {
		made, err := d.Client.CreateBuild(ctx, service, twilio.Build{Functions: []string{p.version}, Dependencies: p.needs, Runtime: newestRuntime})
		if err != nil {
			return "", err
		}
		p.build = made
	}
	until := d.Now().Add(buildPatience)
	for p.build.Status != twilio.BuildCompleted {
		switch {
		case p.build.Status == twilio.BuildFailed:
			return p.build.SID, problem.New(problem.FunctionNotBuilt, "cannot deploy the Function: Twilio's build %s failed", p.build.SID).
				WithHint("try again: flexvc function deploy")
		case !d.Now().Before(until):
			return p.build.SID, problem.New(problem.FunctionNotBuilt, "cannot deploy the Function: Twilio's build %s did not finish within %v", p.build.SID, buildPatience).
				WithHint("continue later: flexvc function deploy")
		}
		if err := d.Sleep(ctx, buildPause); err != nil {
			return p.build.SID, err
		}
		var err error
		if p.build, err = d.Client.Build(ctx, service, p.build.SID); err != nil {
			return "", err
		}
	}
	if err := d.Client.DeployFunction(ctx, service, p.is.environment.SID, p.build.SID); err != nil {
		return p.build.SID, err
	}
	return p.build.SID, d.verify(ctx, p)
}

// sameDeployment makes sure that nobody deployed to the environment since the plan:
// two administrators would overwrite each other.
func (d *Function) sameDeployment(ctx context.Context, p *FunctionPlan) error {
	environments, err := d.Client.Environments(ctx, p.is.service.SID)
	if err != nil {
		return err
	}
	for _, e := range environments {
		if e.SID == p.is.environment.SID && e.BuildSID != p.is.environment.BuildSID {
			return changedMeanwhile("another build of the Function was deployed")
		}
	}
	return nil
}

// How long a deployment may take to be everywhere, and between two requests.
const (
	answerPatience = 30 * time.Second
	answerPause    = 2 * time.Second
)

// Verify asks the deployed Function, and fails as long as it does not answer as it
// should.
func (d *Function) Verify(ctx context.Context, p *FunctionPlan) error { return d.verify(ctx, p) }

// verify asks the Function until it answers as it should.
func (d *Function) verify(ctx context.Context, p *FunctionPlan) error {
	until := d.Now().Add(answerPatience)
	for {
		err := d.ask(ctx, p)
		if err == nil || ctx.Err() != nil || !d.Now().Before(until) {
			return err
		}
		if err := d.Sleep(ctx, answerPause); err != nil {
			return err
		}
	}
}

// noToken has the form of a Flex token and is none. Whoever refuses it as such has
// asked Twilio, and so has credentials that Twilio accepts.
var noToken = strings.Join([]string{"eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0", "", "AAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA"}, ".")

// ask sends the Function a token that Twilio refuses.
func (d *Function) ask(ctx context.Context, p *FunctionPlan) error {
	form := url.Values{"Token": {noToken}}
	origin, _, _ := strings.Cut(p.settings[FunctionOrigins], ",")
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Address(), strings.NewReader(form.Encode()))
	if err != nil {
		return problem.New(problem.TwilioAnswer, "cannot ask the Function: %w", problem.Reason(err))
	}
	r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {origin}}
	res, err := d.Web.RoundTrip(r)
	if err != nil {
		return problem.New(problem.NetworkUnreachable, "cannot ask the Function at %s: %w", p.Address(), problem.Reason(err)).
			WithHint("try again: flexvc function deploy")
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // what is cut off is no answer of the Function's
	var answer struct{ Code, Detail string }
	_ = json.Unmarshal(text, &answer) // the status says it alone
	switch {
	case answer.Code == "flex-token-refused" || answer.Code == "flex-token-expired":
		return nil
	case origin == "" && answer.Code == "origin-not-allowed":
		return nil // as told before: nobody may ask it yet
	case res.StatusCode == http.StatusNotImplemented:
		return nil // the emulator where there is no Node; it says so itself
	}
	return problem.New(problem.FunctionNotAnswering, "the Function at %s is deployed but does not work: status %d, %s", p.Address(), res.StatusCode,
		cmp.Or(answer.Code, "no code")).WithHint("see its log in the Twilio Console, or go back: flexvc function rollback")
}
