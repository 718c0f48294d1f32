package provision

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// functionState is what is there.
type functionState struct {
	service     twilio.Service
	environment twilio.Environment
	// environments counts all of the service; the Function has one.
	environments int
	functions    []twilio.Function
	builds       []twilio.Build // newest first
	build        twilio.Build   // deployed
	variables    map[string]twilio.Variable
	keys         []twilio.Key // of the Function, whoever made them
}

// look reads what is there, the variables with their values included.
func (d *Function) look(ctx context.Context) (s functionState, err error) {
	s.variables = map[string]twilio.Variable{}
	keys, err := d.Keys.Keys(ctx)
	if problem.Is(err, problem.PermissionDenied) {
		return s, problem.New(problem.PermissionDenied, "cannot read the Function's API key: these credentials may not manage the account's keys").
			WithHint("use the account's auth token or a Main API key; a Standard key, such as those in twilio CLI profiles, is not enough").
			Because(err)
	}
	if err != nil {
		return s, err
	}
	for _, k := range keys {
		if isFunctionKey(k) {
			s.keys = append(s.keys, k)
		}
	}
	services, err := d.Client.Services(ctx)
	if err != nil {
		return s, err
	}
	i := slices.IndexFunc(services, func(s twilio.Service) bool { return s.UniqueName == FunctionService })
	if i < 0 {
		return s, nil
	}
	if services[i].FriendlyName != functionServiceName {
		return s, problem.New(problem.ServiceTaken, "cannot use Serverless service %s: it is called %q, so flexvc did not create it", FunctionService, services[i].FriendlyName).
			WithHint("rename or delete it in the Twilio Console, or use flexvc serve")
	}
	s.service = services[i]
	return s, d.lookInside(ctx, &s)
}

func (d *Function) lookInside(ctx context.Context, s *functionState) error {
	environments, err := d.Client.Environments(ctx, s.service.SID)
	if err != nil {
		return err
	}
	s.environments = len(environments)
	if s.functions, err = d.Client.Functions(ctx, s.service.SID); err != nil {
		return err
	}
	if s.builds, err = d.Client.Builds(ctx, s.service.SID); err != nil {
		return err
	}
	slices.SortStableFunc(s.builds, func(a, b twilio.Build) int { return b.Created.Compare(a.Created) })
	i := slices.IndexFunc(environments, func(e twilio.Environment) bool { return e.UniqueName == functionEnvironment })
	if i < 0 {
		return nil
	}
	s.environment = environments[i]
	if i := slices.IndexFunc(s.builds, func(b twilio.Build) bool { return b.SID == s.environment.BuildSID }); i >= 0 {
		s.build = s.builds[i]
	}
	variables, err := d.Client.Variables(ctx, s.service.SID, s.environment.SID)
	for _, v := range variables {
		s.variables[v.Key] = v
	}
	return err
}

func (s *functionState) address() string {
	if s.environment.DomainName == "" {
		return ""
	}
	return "https://" + s.environment.DomainName + FunctionPath
}

// sumOf is the sum of a build's content, which the Function's name has; empty for
// a build of another tool.
func (s *functionState) sumOf(b twilio.Build) string {
	for _, f := range s.functions {
		if sum, ours := strings.CutPrefix(f.FriendlyName, functionNamePrefix); ours && slices.Contains(b.FunctionSIDs, f.SID) {
			return sum
		}
	}
	return ""
}

func (s *functionState) sum() string { return s.sumOf(s.build) }

// previous is the newest build from before the deployed one that could be deployed
// again.
func (s *functionState) previous() (twilio.Build, bool) {
	at := slices.IndexFunc(s.builds, func(b twilio.Build) bool { return b.SID == s.build.SID })
	for _, b := range s.builds[at+1:] {
		if b.Status == twilio.BuildCompleted && len(b.Functions) == 1 && len(b.FunctionSIDs) == 1 && s.sumOf(b) != "" && s.sumOf(b) != s.sum() {
			return b, true
		}
	}
	return twilio.Build{}, false
}

// foreign names what in the service is not flexvc's, empty when all of it is.
func (s *functionState) foreign() string {
	for _, f := range s.functions {
		if !strings.HasPrefix(f.FriendlyName, functionNamePrefix) {
			return "Function " + f.FriendlyName
		}
	}
	if s.environments > 1 || s.environments == 1 && s.environment.SID == "" {
		return "an environment"
	}
	for _, b := range s.builds {
		if len(b.Assets) > 0 {
			return "an asset"
		}
	}
	return ""
}

// settings are the variables in force, but for the key and its secret.
func (s *functionState) settings() FunctionSettings {
	all := FunctionSettings{}
	for name, v := range s.variables {
		if strings.HasPrefix(name, variablePrefix) && name != functionKeyVariable && name != variablePrefix+"API_SECRET" && !strings.HasPrefix(name, functionSecretPrefix+"SK") {
			all[name] = v.Value
		}
	}
	return all
}

// inUse is the key that signs; it may no longer exist.
func (s *functionState) inUse() string { return s.variables[functionKeyVariable].Value }

func (s *functionState) hasKey(sid string) bool {
	return slices.ContainsFunc(s.keys, func(k twilio.Key) bool { return k.SID == sid })
}

// usable reports whether a key exists and its secret is a variable.
func (s *functionState) usable(sid string) bool {
	return sid != "" && s.hasKey(sid) && s.variables[functionSecretPrefix+sid].Value != ""
}

// ttl is how long tokens live by these settings.
func (s FunctionSettings) ttl() time.Duration {
	seconds, err := strconv.Atoi(s[FunctionTTL])
	if err != nil || seconds <= 0 {
		return maxTokenLife
	}
	return time.Duration(seconds) * time.Second
}

// hasDependencies reports whether a build has all that the Function needs; Twilio
// may add some of its own.
func hasDependencies(b twilio.Build, needs string) bool {
	type one struct{ Name, Version string }
	var is, want []one
	if json.Unmarshal([]byte(needs), &want) != nil || json.Unmarshal([]byte(b.Dependencies), &is) != nil {
		return false
	}
	return !slices.ContainsFunc(want, func(d one) bool { return !slices.Contains(is, d) })
}

// FunctionStatus is what answers for tokens.
type FunctionStatus struct {
	Address     string // empty when nothing is deployed
	Sum         string // see FunctionSum; empty when another tool deployed it
	Runtime     string
	Built       time.Time
	Settings    FunctionSettings // the variables in force
	KeySID      string           // that signs
	KeyMissing  bool             // it, or its secret, is gone: no token is signed
	OldKeys     []string         // that signed before, and still exist
	Previous    time.Time        // when the build was made that a rollback deploys; zero without one
	ServiceSID  string
	Credentials bool // the Function is given the auth token, which nobody needs
}

// Status reads what is deployed.
func (d *Function) Status(ctx context.Context) (FunctionStatus, error) {
	is, err := d.look(ctx)
	if err != nil {
		return FunctionStatus{}, err
	}
	s := FunctionStatus{ServiceSID: is.service.SID, Settings: FunctionSettings{}, Credentials: is.service.Credentials, KeySID: is.inUse()}
	for _, k := range is.keys {
		if k.SID != s.KeySID {
			s.OldKeys = append(s.OldKeys, k.SID)
		}
	}
	if is.build.SID == "" {
		return s, nil
	}
	s.Address, s.Sum, s.Runtime, s.Built = is.address(), is.sum(), is.build.Runtime, is.build.Created
	s.KeyMissing = !is.usable(s.KeySID)
	s.Settings = is.settings()
	if b, ok := is.previous(); ok {
		s.Previous = b.Created
	}
	return s, nil
}
