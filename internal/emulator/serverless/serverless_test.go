//go:build ignore

package emulator_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
)

const (
	serverlessURL = "https://serverless.twilio.com/v1/Services"
	uploadURL     = "https://serverless-upload.twilio.com/v1/Services"
)

// upload sends a file the way Twilio's own tools do.
func (c *client) upload(target, path, visibility, content string) answer {
	c.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	must(c, form.WriteField("Path", path))
	must(c, form.WriteField("Visibility", visibility))
	part, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="Content"; filename="bundle.js"`}, "Content-Type": {"application/javascript"},
	})
	must(c, err)
	_, err = part.Write([]byte(content))
	must(c, err)
	must(c, form.Close())
	return c.must("POST", target, form.FormDataContentType(), body.String())
}

// made is the SID of what a request made.
func (a answer) made(t testing.TB) string {
	t.Helper()
	return a.want(t, 201).json(t)["sid"].(string)
}

// site is one service with one environment.
type site struct {
	*client
	service, environment, domain string
}

func newSite(t testing.TB, e *emulator.Emulator) site {
	t.Helper()
	c := as(t, e)
	zs := serverlessURL + "/" + c.post(serverlessURL, []string{"UniqueName", "default", "FriendlyName", "Flex Plugins"}).made(t)
	env := c.post(zs+"/Environments", []string{"UniqueName", "my-plugin", "DomainSuffix", "ab1"}).want(t, 201).json(t)
	return site{c, zs, zs + "/Environments/" + env["sid"].(string), env["domain_name"].(string)}
}

// version uploads one version of a new asset or function.
func (s site) version(t testing.TB, collection, path, visibility, content string) string {
	t.Helper()
	zh := s.post(s.service+"/"+collection, []string{"FriendlyName", path}).made(t)
	return s.upload(strings.Replace(s.service, serverlessURL, uploadURL, 1)+"/"+collection+"/"+zh+"/Versions", path, visibility, content).made(t)
}

// deploy builds the versions and deploys them.
func (s site) deploy(t testing.TB, form ...string) string {
	t.Helper()
	zb := s.post(s.service+"/Builds", form).made(t)
	s.post(s.environment+"/Deployments", []string{"BuildSid", zb, "IsPlugin", "true"}).want(t, 201)
	return zb
}

// everyHostingOperation calls each operation of Serverless.
func everyHostingOperation(t *testing.T, c *client) {
	c.get(serverlessURL).want(t, 200)
	s := newSite(t, c.e)
	c.get(s.service).want(t, 200)
	c.get(s.service+"/Environments").want(t, 200)
	c.get(s.environment).want(t, 200)
	var built []string
	for collection, parameter := range map[string]string{"Assets": "AssetVersions", "Functions": "FunctionVersions"} {
		zn := s.version(t, collection, "/a/"+collection, "public", "1")
		zh := c.get(s.service+"/"+collection).want(t, 200).json(t)[strings.ToLower(collection)].([]any)[0].(map[string]any)["sid"].(string)
		at := s.service + "/" + collection + "/" + zh
		c.get(at).want(t, 200)
		c.get(at+"/Versions").want(t, 200)
		c.get(at+"/Versions/"+zn).want(t, 200)
		built = append(built, parameter, zn)
	}
	zb := s.deploy(t, append(built, "Dependencies", `[{"name":"twilio","version":"5.0.0"}]`, "Runtime", "node22")...)
	c.get(s.service+"/Builds").want(t, 200)
	c.get(s.service+"/Builds/"+zb).want(t, 200)
	c.get(s.service+"/Builds/"+zb+"/Status").want(t, 200)
	zd := c.get(s.environment+"/Deployments").want(t, 200).json(t)["deployments"].([]any)[0].(map[string]any)["sid"].(string)
	c.get(s.environment+"/Deployments/"+zd).want(t, 200)
}

// fetch asks for a deployed file as a browser does.
func fetch(t testing.TB, e *emulator.Emulator, address string, header ...string) answer {
	t.Helper()
	c := as(t, e)
	c.user, c.transport = "", e.Transport()
	return c.get(address, header...)
}

func TestADeployedAssetIsServed(t *testing.T) {
	e := start(t, emulator.Options{})
	s := newSite(t, e)
	const bundle = "window.x = 1 // ✓ & <b>"
	one := s.version(t, "Assets", "/plugins/p/1.0.0/bundle.js", "public", bundle)
	at := "https://" + s.domain + "/plugins/p/1.0.0/bundle.js"
	fetch(t, e, at).want(t, 404)
	s.deploy(t, "AssetVersions", one)
	got := fetch(t, e, at).want(t, 200)
	if got.text != bundle || got.Header.Get("Content-Type") != "application/javascript" {
		t.Errorf("the asset is %q, %s", got.text, got.Header.Get("Content-Type"))
	}
	other := s.version(t, "Assets", "/other.js", "public", "2")
	s.deploy(t, "AssetVersions", other)
	fetch(t, e, at).want(t, 404) // what a build leaves out is gone
	s.deploy(t, "AssetVersions", other, "AssetVersions", one)
	fetch(t, e, at).want(t, 200)
	fetch(t, e, "https://"+s.domain+"/no").want(t, 404)
	fetch(t, e, "https://nobody.twil.io/plugins/p/1.0.0/bundle.js").want(t, 404)
}

// TestAProtectedAssetIsForSignedRequests begins with who must not read it.
func TestAProtectedAssetIsForSignedRequests(t *testing.T) {
	e := start(t, emulator.Options{})
	s := newSite(t, e)
	s.deploy(t,
		"AssetVersions", s.version(t, "Assets", "/p.js", "Protected", "protected"),
		"AssetVersions", s.version(t, "Assets", "/q.js", "private", "private"))
	at := "https://" + s.domain + "/p.js"
	sign := func(key, address string) string {
		mac := hmac.New(sha1.New, []byte(key))
		mac.Write([]byte(address))
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	token := e.Account().AuthToken
	fetch(t, e, at).want(t, 403)
	fetch(t, e, at, "X-Twilio-Signature", "").want(t, 403)
	fetch(t, e, at, "X-Twilio-Signature", sign("wrong", at)).want(t, 403)
	fetch(t, e, at, "X-Twilio-Signature", sign(token, "https://"+s.domain+"/q.js")).want(t, 403)
	fetch(t, e, at, "X-Twilio-Signature", sign(token, at)).want(t, 200)
	private := "https://" + s.domain + "/q.js"
	fetch(t, e, private, "X-Twilio-Signature", sign(token, private)).want(t, 404)
}

func TestHostingRefusesWhatCannotBe(t *testing.T) {
	e := start(t, emulator.Options{})
	s := newSite(t, e)
	asset := s.version(t, "Assets", "/a.js", "public", "1")
	same := s.version(t, "Assets", "/a.js", "public", "2")
	function := s.version(t, "Functions", "/f", "public", "3")
	up := strings.Replace(s.service, serverlessURL, uploadURL, 1)
	zh := s.post(s.service+"/Assets", []string{"FriendlyName", "x"}).made(t)
	fh := s.post(s.service+"/Functions", []string{"FriendlyName", "x"}).made(t)
	stranger := "ZN" + strings.Repeat("0", 32)
	for name, test := range map[string]struct {
		got    answer
		status int
	}{
		"a second service of one name":     {s.post(serverlessURL, []string{"UniqueName", "default", "FriendlyName", "x"}), 409},
		"a service without a name":         {s.post(serverlessURL, []string{"FriendlyName", "x"}), 400},
		"a second environment of one name": {s.post(s.service+"/Environments", []string{"UniqueName", "my-plugin", "DomainSuffix", "zz"}), 409},
		"a second environment of a suffix": {s.post(s.service+"/Environments", []string{"UniqueName", "other", "DomainSuffix", "ab1"}), 409},
		"a long suffix":                    {s.post(s.service+"/Environments", []string{"UniqueName", "other", "DomainSuffix", strings.Repeat("a", 17)}), 400},
		"an environment of no service":     {s.post(serverlessURL+"/ZS"+strings.Repeat("0", 32)+"/Environments", []string{"UniqueName", "other"}), 404},
		"a path that climbs":               {s.upload(up+"/Assets/"+zh+"/Versions", "/../a.js", "public", "1"), 400},
		"a path that is relative":          {s.upload(up+"/Assets/"+zh+"/Versions", "a.js", "public", "1"), 400},
		"an unknown visibility":            {s.upload(up+"/Assets/"+zh+"/Versions", "/a.js", "secret", "1"), 400},
		"a function as an asset":           {s.upload(up+"/Assets/"+fh+"/Versions", "/a.js", "public", "1"), 404},
		"a form as an upload":              {s.post(up+"/Assets/"+zh+"/Versions", []string{"Path", "/a.js", "Visibility", "public"}), 415},
		"a build of nothing":               {s.post(s.service+"/Builds", []string{"Runtime", "node22"}), 400},
		"a build with a path twice":        {s.post(s.service+"/Builds", []string{"AssetVersions", asset, "AssetVersions", same}), 400},
		"a build with a function as asset": {s.post(s.service+"/Builds", []string{"AssetVersions", function}), 400},
		"a build with a stranger":          {s.post(s.service+"/Builds", []string{"AssetVersions", asset, "AssetVersions", stranger}), 400},
		"a build on an unknown runtime":    {s.post(s.service+"/Builds", []string{"AssetVersions", asset, "Runtime", "node9"}), 400},
		"a build with quoted dependencies": {s.post(s.service+"/Builds", []string{"AssetVersions", asset, "Dependencies", `"[]"`}), 400},
		"a deployment of no build":         {s.post(s.environment+"/Deployments", []string{"BuildSid", "ZB" + strings.Repeat("0", 32)}), 400},
	} {
		if test.got.StatusCode != test.status {
			t.Errorf("%s: the answer is %d, want %d: %s", name, test.got.StatusCode, test.status, test.got.text)
		}
	}
}

func TestABuildTakesItsTimeAndMayFail(t *testing.T) {
	for name, fail := range map[string]bool{"completed": false, "failed": true} {
		e := start(t, emulator.Options{Builds: emulator.Builds{Time: 3 * time.Second, Fail: fail}})
		s := newSite(t, e)
		zb := s.post(s.service+"/Builds", []string{"AssetVersions", s.version(t, "Assets", "/a", "public", "1")}).made(t)
		status := func() any { return s.get(s.service+"/Builds/"+zb+"/Status").want(t, 200).json(t)["status"] }
		if got := status(); got != "building" {
			t.Errorf("at once the build is %v", got)
		}
		s.post(s.environment+"/Deployments", []string{"BuildSid", zb}).want(t, 400)
		e.Advance(3 * time.Second)
		if got := status(); got != name {
			t.Errorf("in the end the build is %v, want %s", got, name)
		}
		want := map[bool]int{false: 201, true: 400}[fail]
		s.post(s.environment+"/Deployments", []string{"BuildSid", zb}).want(t, want)
	}
}

const pluginsURL = "https://flex-api.twilio.com/v1/PluginService"

// everyPluginOperation calls each operation of the Plugins API.
func everyPluginOperation(t *testing.T, c *client) {
	fp := c.post(pluginsURL+"/Plugins", []string{"UniqueName", "p", "FriendlyName", "P", "Description", "d"}).made(t)
	c.get(pluginsURL+"/Plugins").want(t, 200)
	c.get(pluginsURL+"/Plugins/"+fp).want(t, 200)
	c.post(pluginsURL+"/Plugins/p", []string{"Description", "e"}).want(t, 200)
	fv := c.version(t, "p", "1.0.0")
	c.get(pluginsURL+"/Plugins/p/Versions").want(t, 200)
	c.get(pluginsURL+"/Plugins/p/Versions/"+fv).want(t, 200)
	fj := c.configure(t, fv)
	c.get(pluginsURL+"/Configurations").want(t, 200)
	c.get(pluginsURL+"/Configurations/"+fj).want(t, 200)
	c.get(pluginsURL+"/Configurations/"+fj+"/Plugins").want(t, 200)
	c.get(pluginsURL+"/Configurations/"+fj+"/Plugins/"+fp).want(t, 200)
	fk := c.post(pluginsURL+"/Releases", []string{"ConfigurationId", fj}).made(t)
	c.get(pluginsURL+"/Releases").want(t, 200)
	c.get(pluginsURL+"/Releases/"+fk).want(t, 200)
}

func (c *client) version(t testing.TB, plugin, version string) string {
	t.Helper()
	return c.post(pluginsURL+"/Plugins/"+plugin+"/Versions", []string{
		"Version", version, "PluginUrl", "https://example.com/" + version, "Private", "false", "ValidateStatus", "success",
	}).made(t)
}

func (c *client) configure(t testing.TB, versions ...string) string {
	t.Helper()
	fields := []string{"Name", "n"}
	for _, fv := range versions {
		fields = append(fields, "Plugins", fmt.Sprintf(`{"plugin_version":%q,"phase":3}`, fv))
	}
	return c.post(pluginsURL+"/Configurations", fields).made(t)
}

func TestTheLatestReleaseIsInForce(t *testing.T) {
	dir := t.TempDir()
	e := start(t, emulator.Options{DataDir: dir})
	if got := e.ReleasedPlugins(); got == nil || len(got) != 0 {
		t.Errorf("without a release the plugins are %#v", got)
	}
	s := newSite(t, e)
	s.deploy(t, "AssetVersions", s.version(t, "Assets", "/plugins/ours/1.2.0/bundle.js", "protected", "the bundle"))
	for _, name := range []string{"theirs", "ours"} {
		s.post(pluginsURL+"/Plugins", []string{"UniqueName", name}).want(t, 201)
	}
	theirs := s.client.version(t, "theirs", "0.0.1")
	ours := s.post(pluginsURL+"/Plugins/ours/Versions", []string{
		"Version", "1.2.0", "PluginUrl", "https://" + s.domain + "/plugins/ours/1.2.0/bundle.js", "Private", "true",
	}).made(t)
	both, one := s.configure(t, theirs, ours), s.configure(t, theirs)
	for _, fj := range []string{one, both} {
		s.post(pluginsURL+"/Releases", []string{"ConfigurationId", fj}).want(t, 201)
	}
	check := func(e *emulator.Emulator) {
		t.Helper()
		got := e.ReleasedPlugins()
		if len(got) != 2 || got[0].Src != "https://example.com/0.0.1" || got[1].Src != "https://flex.twilio.com/plugins/v1/ours/1.2.0/bundle.js" ||
			got[1].PluginVersionSID != ours || got[1].ConfigurationSID != both || got[1].Phase != 3 {
			t.Errorf("the plugins are %+v", got)
		}
		if content, ok := e.PluginBundle("ours", "1.2.0"); !ok || string(content) != "the bundle" {
			t.Errorf("the bundle is %q", content)
		}
		if _, ok := e.PluginBundle("theirs", "0.0.1"); ok {
			t.Error("a bundle that is elsewhere was found here")
		}
	}
	check(e)
	must(t, e.Close())
	again, err := emulator.New(emulator.Options{DataDir: dir})
	must(t, err)
	check(again)
	must(t, again.Close())
}

func TestPluginsRefuseWhatCannotBe(t *testing.T) {
	e := start(t, emulator.Options{})
	c := as(t, e)
	c.post(pluginsURL+"/Plugins", []string{"UniqueName", "p"}).want(t, 201)
	fv := c.version(t, "p", "1.2.3")
	newer := c.version(t, "p", "1.10.0")
	post := func(path string, fields ...string) answer { return c.post(pluginsURL+path, fields) }
	row := func(sid string) string { return `{"plugin_version":"` + sid + `","phase":3}` }
	for name, test := range map[string]struct {
		got    answer
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
		"a plugin that is not there":      {c.get(pluginsURL + "/Plugins/q"), 404},
	} {
		if test.got.StatusCode != test.status {
			t.Errorf("%s: the answer is %d, want %d: %s", name, test.got.StatusCode, test.status, test.got.text)
		}
	}
}

func TestHostingHonoursFaults(t *testing.T) {
	e := start(t, emulator.Options{Faults: []string{"CreateAssetVersion:503*1", "CreatePluginRelease:429*1"}})
	s := newSite(t, e)
	zh := s.post(s.service+"/Assets", []string{"FriendlyName", "x"}).made(t)
	at := strings.Replace(s.service, serverlessURL, uploadURL, 1) + "/Assets/" + zh + "/Versions"
	s.upload(at, "/a.js", "public", "1").want(t, http.StatusServiceUnavailable)
	s.upload(at, "/a.js", "public", "1").want(t, http.StatusCreated)
	fj := s.configure(t)
	s.post(pluginsURL+"/Releases", []string{"ConfigurationId", fj}).want(t, http.StatusTooManyRequests)
	s.post(pluginsURL+"/Releases", []string{"ConfigurationId", fj}).want(t, http.StatusCreated)
}
