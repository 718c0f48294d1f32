package flexapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
	"github.com/flexvc/flexvc/internal/emulator/flexapi"
)

// everyPluginOperation calls each operation of the Plugins API.
func everyPluginOperation(t *testing.T, c *emulatortest.Client) {
	fp := c.Post(emulatortest.PluginsURL+"/Plugins", []string{"UniqueName", "p", "FriendlyName", "P", "Description", "d"}).Made(t)
	c.Get(emulatortest.PluginsURL+"/Plugins").Want(t, 200)
	c.Get(emulatortest.PluginsURL+"/Plugins/"+fp).Want(t, 200)
	c.Post(emulatortest.PluginsURL+"/Plugins/p", []string{"Description", "e"}).Want(t, 200)
	fv := c.PluginVersion(t, "p", "1.0.0")
	c.Get(emulatortest.PluginsURL+"/Plugins/p/Versions").Want(t, 200)
	c.Get(emulatortest.PluginsURL+"/Plugins/p/Versions/"+fv).Want(t, 200)
	fj := c.Configure(t, fv)
	c.Get(emulatortest.PluginsURL+"/Configurations").Want(t, 200)
	c.Get(emulatortest.PluginsURL+"/Configurations/"+fj).Want(t, 200)
	c.Get(emulatortest.PluginsURL+"/Configurations/"+fj+"/Plugins").Want(t, 200)
	c.Get(emulatortest.PluginsURL+"/Configurations/"+fj+"/Plugins/"+fp).Want(t, 200)
	fk := c.Post(emulatortest.PluginsURL+"/Releases", []string{"ConfigurationId", fj}).Made(t)
	c.Get(emulatortest.PluginsURL+"/Releases").Want(t, 200)
	c.Get(emulatortest.PluginsURL+"/Releases/"+fk).Want(t, 200)
}

func TestTheLatestReleaseIsInForce(t *testing.T) {
	dir := t.TempDir()
	e := emulatortest.Start(t, emulator.Options{DataDir: dir})
	if got := flexapi.ReleasedPlugins(e); got == nil || len(got) != 0 {
		t.Errorf("without a release the plugins are %#v", got)
	}
	s := emulatortest.NewSite(t, e)
	s.Deploy(t, "AssetVersions", s.Version(t, "Assets", "/plugins/ours/1.2.0/bundle.js", "protected", "the bundle"))
	for _, name := range []string{"theirs", "ours"} {
		s.Post(emulatortest.PluginsURL+"/Plugins", []string{"UniqueName", name}).Want(t, 201)
	}
	theirs := s.PluginVersion(t, "theirs", "0.0.1")
	ours := s.Post(emulatortest.PluginsURL+"/Plugins/ours/Versions", []string{
		"Version", "1.2.0", "PluginUrl", "https://" + s.Domain + "/plugins/ours/1.2.0/bundle.js", "Private", "true",
	}).Made(t)
	both, one := s.Configure(t, theirs, ours), s.Configure(t, theirs)
	for _, fj := range []string{one, both} {
		s.Post(emulatortest.PluginsURL+"/Releases", []string{"ConfigurationId", fj}).Want(t, 201)
	}
	check := func(e *emulator.Emulator) {
		t.Helper()
		got := flexapi.ReleasedPlugins(e)
		if len(got) != 2 || got[0].Src != "https://example.com/0.0.1" || got[1].Src != "https://flex.twilio.com/plugins/v1/ours/1.2.0/bundle.js" ||
			got[1].PluginVersionSID != ours || got[1].ConfigurationSID != both || got[1].Phase != 3 {
			t.Errorf("the plugins are %+v", got)
		}
		if content, ok := flexapi.PluginBundle(e, "ours", "1.2.0"); !ok || string(content) != "the bundle" {
			t.Errorf("the bundle is %q", content)
		}
		if _, ok := flexapi.PluginBundle(e, "theirs", "0.0.1"); ok {
			t.Error("a bundle that is elsewhere was found here")
		}
	}
	check(e)
	emulatortest.Must(t, e.Close())
	again, err := emulatortest.New(emulator.Options{DataDir: dir})
	emulatortest.Must(t, err)
	check(again)
	emulatortest.Must(t, again.Close())
}

func TestPluginsRefuseWhatCannotBe(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
	c := emulatortest.As(t, e)
	c.Post(emulatortest.PluginsURL+"/Plugins", []string{"UniqueName", "p"}).Want(t, 201)
	fv := c.PluginVersion(t, "p", "1.2.3")
	newer := c.PluginVersion(t, "p", "1.10.0")
	post := func(path string, fields ...string) emulatortest.Answer {
		return c.Post(emulatortest.PluginsURL+path, fields)
	}
	row := func(sid string) string { return `{"plugin_version":"` + sid + `","phase":3}` }
	for name, test := range map[string]struct {
		got    emulatortest.Answer
		status int
	}{
		"a second plugin of one name":     {post("/Plugins", "UniqueName", "p"), 409},
		"a plugin without a name":         {post("/Plugins", "FriendlyName", "p"), 400},
		"a version that is older":         {post("/Plugins/p/Versions", "Version", "1.9.9", "PluginUrl", "https://example.com/x"), 400},
		"a version that is there":         {post("/Plugins/p/Versions", "Version", "1.10.0", "PluginUrl", "https://example.com/x"), 400},
		"a version that is none":          {post("/Plugins/p/Versions", "Version", "v2", "PluginUrl", "https://example.com/x"), 400},
		"a version without https":         {post("/Plugins/p/Versions", "Version", "2.0.0", "PluginUrl", "http://example.com/x"), 400},
		"a version of no plugin":          {post("/Plugins/q/Versions", "Version", "2.0.0", "PluginUrl", "https://example.com/x"), 404},
		"a configuration with a stranger": {post("/Configurations", "Name", "n", "Plugins", row("FV"+strings.Repeat("0", 32))), 400},
		"two versions of one plugin":      {post("/Configurations", "Name", "n", "Plugins", row(fv), "Plugins", row(newer)), 400},
		"a configuration of no JSON":      {post("/Configurations", "Name", "n", "Plugins", url.QueryEscape(row(fv))), 400},
		"a configuration without a name":  {post("/Configurations", "Plugins", row(fv)), 400},
		"a release of nothing":            {post("/Releases", "ConfigurationId", "FJ"+strings.Repeat("0", 32)), 400},
		"a plugin that is not there":      {c.Get(emulatortest.PluginsURL + "/Plugins/q"), 404},
	} {
		if test.got.StatusCode != test.status {
			t.Errorf("%s: the answer is %d, want %d: %s", name, test.got.StatusCode, test.status, test.got.Text)
		}
	}
}

func TestHostingHonoursFaults(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Faults: []string{"CreateAssetVersion:503*1", "CreatePluginRelease:429*1"}})
	s := emulatortest.NewSite(t, e)
	zh := s.Post(s.Service+"/Assets", []string{"FriendlyName", "x"}).Made(t)
	at := strings.Replace(s.Service, emulatortest.ServerlessURL, emulatortest.UploadURL, 1) + "/Assets/" + zh + "/Versions"
	s.Upload(at, "/a.js", "public", "1").Want(t, http.StatusServiceUnavailable)
	s.Upload(at, "/a.js", "public", "1").Want(t, http.StatusCreated)
	fj := s.Configure(t)
	s.Post(emulatortest.PluginsURL+"/Releases", []string{"ConfigurationId", fj}).Want(t, http.StatusTooManyRequests)
	s.Post(emulatortest.PluginsURL+"/Releases", []string{"ConfigurationId", fj}).Want(t, http.StatusCreated)
}
