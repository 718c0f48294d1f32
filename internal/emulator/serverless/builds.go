package serverless

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

type build struct {
	store.Object
	Service      string          `json:"service"`
	Assets       []string        `json:"assets"`
	Functions    []string        `json:"functions"`
	Dependencies json.RawMessage `json:"dependencies"`
	Runtime      string          `json:"runtime"`
	Ready        time.Time       `json:"ready"` // building until then
	Failed       bool            `json:"failed"`
}

type deployment struct {
	store.Object
	Service     string `json:"service"`
	Environment string `json:"environment"`
	Build       string `json:"build"`
	Plugin      bool   `json:"plugin"`
}

var (
	builds      = store.NewKind[build]("build")
	deployments = store.NewKind[deployment]("deployment")
)

var runtimes = []string{"node8", "node10", "node12", "node14", "node16", "node18", "node20", "node22"}

func (b *build) status(now time.Time) string {
	switch {
	case now.Before(b.Ready):
		return "building"
	case b.Failed:
		return "failed"
	}
	return "completed"
}

func viewBuild(c *emulator.Call, b *build) any { return shownBuild(c, b, b.status(c.Now)) }

func shownBuild(c *emulator.Call, b *build, status string) any {
	rows := func(sids []string) []any {
		list := []any{}
		for _, sid := range sids {
			v := shownVersion(c, versions.In(c.Store).Find(sid))
			delete(v, "url")
			delete(v, "links")
			list = append(list, v)
		}
		return list
	}
	return c.View(b.Object, buildURL(c, b), map[string]any{
		"service_sid": b.Service, "status": status, "runtime": b.Runtime,
		"asset_versions": rows(b.Assets), "function_versions": rows(b.Functions), "dependencies": b.Dependencies,
	}, map[string]string{"build_status": "/Status"})
}

func buildURL(c *emulator.Call, b *build) string {
	return serviceURL(c, b.Service) + "/Builds/" + b.SID
}

func (b *build) of(s *service) bool { return b.Service == s.SID }

func buildInPath(c *emulator.Call) *build {
	b := builds.In(c.Store).Find(c.Vars["Sid"])
	if b == nil || b.Service != c.Vars["ServiceSid"] {
		return nil
	}
	return b
}

// readDependencies reads [{"name":"...","version":"..."}]. Twilio's own tools put
// it into one more pair of quotes, and leave the quotes in it as they are.
func readDependencies(c *emulator.Call) (json.RawMessage, *emulator.Reply) {
	given := strings.Join(c.Repeated("Dependencies"), "")
	if given == "" {
		return json.RawMessage("[]"), nil
	}
	if len(c.Repeated("Dependencies")) > 1 {
		return nil, emulator.Invalid("Dependencies are given %d times", len(c.Repeated("Dependencies")))
	}
	if inner, ok := strings.CutPrefix(given, `"`); ok {
		given = strings.TrimSuffix(inner, `"`)
	}
	var list []struct{ Name, Version string }
	if json.Unmarshal([]byte(given), &list) != nil || slices.ContainsFunc(list, func(d struct{ Name, Version string }) bool { return d.Name == "" || d.Version == "" }) {
		return nil, emulator.Invalid(`Dependencies are not [{"name":"...","version":"..."}]`)
	}
	return json.RawMessage(given), nil
}

func createBuild(c *emulator.Call) *emulator.Reply {
	dependencies, no := readDependencies(c)
	if no != nil {
		return no
	}
	runtime, given := c.Filled("Runtime")
	switch {
	case !given || runtime == "latest":
		runtime = runtimes[len(runtimes)-1]
	case !slices.Contains(runtimes, runtime):
		return emulator.Invalid("Invalid Runtime %q", runtime)
	}
	s := serviceInPath(c)
	if s == nil {
		return c.NotFound()
	}
	assets, functions := c.Repeated("AssetVersions"), c.Repeated("FunctionVersions")
	paths := map[string]bool{}
	for kind, sids := range map[fileKind][]string{assetKind: assets, functionKind: functions} {
		for _, sid := range sids {
			v := versions.In(c.Store).Find(sid)
			if v == nil || v.Service != s.SID || v.Kind != kind {
				return emulator.Invalid("Invalid version %s: the service has no such %s", sid, kind)
			}
			if paths[v.Path] {
				return emulator.Invalid("Two versions have the path %s", v.Path)
			}
			paths[v.Path] = true
		}
	}
	if len(paths) == 0 {
		return emulator.Invalid("A build needs a function or an asset")
	}
	how := c.Settings.Builds
	b := &build{
		Object: c.New("ZB"), Service: s.SID, Assets: assets, Functions: functions,
		Dependencies: dependencies, Runtime: runtime, Ready: c.Now.Add(how.Time), Failed: how.Fail,
	}
	return emulator.Create(c, builds.In(c.Store), b, func(c *emulator.Call, b *build) any {
		return shownBuild(c, b, "building") // nobody is told of a build that is done at once
	})
}

func viewBuildStatus(c *emulator.Call, b *build) any {
	return map[string]any{
		"sid": b.SID, "account_sid": c.Account.SID, "service_sid": b.Service, "status": b.status(c.Now), "url": buildURL(c, b) + "/Status",
	}
}

// --- deployments

func viewDeployment(c *emulator.Call, d *deployment) any {
	return c.View(d.Object, serviceURL(c, d.Service)+"/Environments/"+d.Environment+"/Deployments/"+d.SID,
		map[string]any{"service_sid": d.Service, "environment_sid": d.Environment, "build_sid": emulator.OrNull(d.Build)}, nil)
}

func (d *deployment) of(e *environment) bool { return d.Environment == e.SID }

func deploymentInPath(c *emulator.Call) *deployment {
	e, d := environmentInPath(c), deployments.In(c.Store).Find(c.Vars["Sid"])
	if e == nil || d == nil || !d.of(e) {
		return nil
	}
	return d
}

func createDeployment(c *emulator.Call) *emulator.Reply {
	plugin, no := c.Flag("IsPlugin", false)
	if no != nil {
		return no
	}
	e := environmentInPath(c)
	if e == nil {
		return c.NotFound()
	}
	sid, _ := c.Filled("BuildSid")
	b := builds.In(c.Store).Find(sid)
	switch {
	case b == nil || b.Service != e.Service:
		return emulator.Invalid("Invalid BuildSid %q", sid)
	case b.status(c.Now) != "completed":
		return emulator.Invalid("Build %s is %s", sid, b.status(c.Now))
	}
	d := &deployment{Object: c.New("ZD"), Service: e.Service, Environment: e.SID, Build: sid, Plugin: plugin}
	changed := *e
	changed.Build, changed.Updated = sid, d.Created
	if no := c.Write(deployments.In(c.Store).Add(d), environments.In(c.Store).Set(&changed)); no != nil {
		return no
	}
	return emulator.Created(viewDeployment(c, d))
}
