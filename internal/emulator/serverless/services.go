package serverless

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

type service struct {
	store.Object
	UniqueName   string `json:"unique_name"`
	FriendlyName string `json:"friendly_name"`
	Credentials  bool   `json:"credentials"`
	Editable     bool   `json:"editable"`
	Domain       string `json:"domain"` // domain_base
}

type environment struct {
	store.Object
	Service    string `json:"service"`
	UniqueName string `json:"unique_name"`
	Suffix     string `json:"suffix"`
	Domain     string `json:"domain"` // the host, with twil.io
	Build      string `json:"build"`
}

var (
	services     = store.NewKind[service]("service")
	environments = store.NewKind[environment]("environment")
)

// The forms of names. Compiled on first use: few emulators host anything.
var (
	domainSuffix = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9-]{1,16}$`) })
	noHostChar   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^a-z0-9]+`) })
)

func serviceURL(c *emulator.Call, sid string) string { return c.Base() + "/v1/Services/" + sid }

func viewService(c *emulator.Call, s *service) any {
	return c.View(s.Object, serviceURL(c, s.SID), map[string]any{
		"unique_name": s.UniqueName, "friendly_name": s.FriendlyName, "domain_base": s.Domain,
		"include_credentials": s.Credentials, "ui_editable": s.Editable,
	}, map[string]string{"environments": "/Environments", "functions": "/Functions", "assets": "/Assets", "builds": "/Builds"})
}

// serviceInPath is the one that the request is about, or about a part of.
func serviceInPath(c *emulator.Call) *service {
	return services.In(c.Store).Find(cmp.Or(c.Vars["ServiceSid"], c.Vars["Sid"]))
}

func createService(c *emulator.Call) *emulator.Reply {
	name, no := c.UniqueName(50)
	if no != nil {
		return no
	}
	friendly, no := c.FriendlyName(255)
	if no != nil {
		return no
	}
	credentials, no := c.Flag("IncludeCredentials", true)
	if no != nil {
		return no
	}
	editable, no := c.Flag("UiEditable", false)
	if no != nil {
		return no
	}
	all := services.In(c.Store)
	if slices.ContainsFunc(all.Rows(), func(s *service) bool { return s.UniqueName == name }) {
		return emulator.Conflict("Service with the same unique name exists")
	}
	s := &service{Object: c.New("ZS"), UniqueName: name, FriendlyName: friendly, Credentials: credentials, Editable: editable}
	s.Domain = strings.Trim(noHostChar().ReplaceAllString(strings.ToLower(name), "-"), "-") + "-" + store.Derive(4, s.SID)
	return emulator.Create(c, all, s, viewService)
}

func serviceTable(c *emulator.Call) *store.Table[*service] { return services.In(c.Store) }

func updateService(c *emulator.Call, s *service) (no *emulator.Reply) {
	if _, given := c.Filled("FriendlyName"); given {
		if s.FriendlyName, no = c.FriendlyName(255); no != nil {
			return no
		}
	}
	if s.Credentials, no = c.Flag("IncludeCredentials", s.Credentials); no != nil {
		return no
	}
	s.Editable, no = c.Flag("UiEditable", s.Editable)
	return no
}

// --- environments

func viewEnvironment(c *emulator.Call, e *environment) any {
	return c.View(e.Object, serviceURL(c, e.Service)+"/Environments/"+e.SID, map[string]any{
		"service_sid": e.Service, "unique_name": e.UniqueName, "domain_suffix": emulator.OrNull(e.Suffix), "domain_name": e.Domain, "build_sid": emulator.OrNull(e.Build),
	}, map[string]string{"variables": "/Variables", "deployments": "/Deployments", "logs": "/Logs"})
}

func (e *environment) of(s *service) bool { return e.Service == s.SID }

// environmentInPath is the one that the request is about, or about a part of.
func environmentInPath(c *emulator.Call) *environment {
	e := environments.In(c.Store).Find(cmp.Or(c.Vars["EnvironmentSid"], c.Vars["Sid"]))
	if e == nil || e.Service != c.Vars["ServiceSid"] {
		return nil
	}
	return e
}

func createEnvironment(c *emulator.Call) *emulator.Reply {
	name, no := c.UniqueName(100)
	if no != nil {
		return no
	}
	suffix, given := c.Filled("DomainSuffix")
	if given && !domainSuffix().MatchString(suffix) {
		return emulator.Invalid("Invalid DomainSuffix %q", suffix)
	}
	s := serviceInPath(c)
	if s == nil {
		return c.NotFound()
	}
	all := environments.In(c.Store)
	for _, e := range all.Rows() {
		switch {
		case e.Service != s.SID:
		case e.UniqueName == name:
			return emulator.Conflict("Environment with the same unique name exists")
		case e.Suffix == suffix:
			return emulator.Conflict("Environment with the same domain suffix exists")
		}
	}
	e := &environment{Object: c.New("ZE"), Service: s.SID, UniqueName: name, Suffix: suffix, Domain: s.Domain + ".twil.io"}
	if suffix != "" {
		e.Domain = s.Domain + "-" + suffix + ".twil.io"
	}
	return emulator.Create(c, all, e, viewEnvironment)
}
