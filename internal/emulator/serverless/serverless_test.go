package serverless_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
	"github.com/flexvc/flexvc/internal/emulator/serverless"
)

// everyHostingOperation calls each operation of Serverless.
func everyHostingOperation(t *testing.T, c *emulatortest.Client) {
	c.Get(emulatortest.ServerlessURL).Want(t, 200)
	s := emulatortest.NewSite(t, c.E)
	c.Get(s.Service).Want(t, 200)
	c.Get(s.Service+"/Environments").Want(t, 200)
	c.Get(s.Environment).Want(t, 200)
	var built []string
	for collection, parameter := range map[string]string{"Assets": "AssetVersions", "Functions": "FunctionVersions"} {
		zn := s.Version(t, collection, "/a/"+collection, "public", "1")
		zh := c.Get(s.Service+"/"+collection).Want(t, 200).JSON(t)[strings.ToLower(collection)].([]any)[0].(map[string]any)["sid"].(string)
		at := s.Service + "/" + collection + "/" + zh
		c.Get(at).Want(t, 200)
		c.Get(at+"/Versions").Want(t, 200)
		c.Get(at+"/Versions/"+zn).Want(t, 200)
		built = append(built, parameter, zn)
	}
	zb := s.Deploy(t, append(built, "Dependencies", `[{"name":"twilio","version":"5.0.0"}]`, "Runtime", "node22")...)
	everyFunctionOperation(t, s)
	c.Get(s.Service+"/Builds").Want(t, 200)
	c.Get(s.Service+"/Builds/"+zb).Want(t, 200)
	c.Get(s.Service+"/Builds/"+zb+"/Status").Want(t, 200)
	zd := c.Get(s.Environment+"/Deployments").Want(t, 200).JSON(t)["deployments"].([]any)[0].(map[string]any)["sid"].(string)
	c.Get(s.Environment+"/Deployments/"+zd).Want(t, 200)

	// What is in use stays until its user is gone.
	remove := func(address string) emulatortest.Answer { return c.Must("DELETE", address, "", "") }
	asset := s.Service + "/Assets/" + c.Get(s.Service+"/Assets").Want(t, 200).JSON(t)["assets"].([]any)[0].(map[string]any)["sid"].(string)
	remove(s.Service+"/Builds/"+zb).Want(t, 400)
	remove(asset).Want(t, 400)
	function := s.Service + "/Functions/" + c.Get(s.Service+"/Functions").Want(t, 200).JSON(t)["functions"].([]any)[0].(map[string]any)["sid"].(string)
	remove(function).Want(t, 400)
	remove(s.Environment).Want(t, 204)
	c.Get(s.Environment).Want(t, 404)
	remove(asset).Want(t, 400)
	remove(s.Service+"/Builds/"+zb).Want(t, 204)
	remove(asset).Want(t, 204)
	c.Get(asset).Want(t, 404)
	remove(function).Want(t, 204)
	c.Get(function).Want(t, 404)
	remove(s.Service).Want(t, 204)
	remove(s.Service).Want(t, 404)
	c.Get(s.Service+"/Functions").Want(t, 404)
}

// everyFunctionOperation calls what only Functions need: variables, content,
// changes.
func everyFunctionOperation(t *testing.T, s emulatortest.Site) {
	zv := s.Environment + "/Variables/" + s.Post(s.Environment+"/Variables", []string{"Key", "GREETING", "Value", "hello & <world> ✓"}).Made(t)
	s.Get(s.Environment+"/Variables").Want(t, 200)
	if got := s.Get(zv).Want(t, 200).JSON(t); got["key"] != "GREETING" || got["value"] != "hello & <world> ✓" {
		t.Errorf("the variable is %v", got)
	}
	if got := s.Post(zv, []string{"Value", "other"}).Want(t, 200).JSON(t); got["key"] != "GREETING" || got["value"] != "other" {
		t.Errorf("the changed variable is %v", got)
	}
	s.Post(s.Environment+"/Variables", []string{"Key", "GREETING", "Value", "x"}).Want(t, 409)
	s.Post(zv, []string{"Value", strings.Repeat("x", 451)}).Want(t, 400)
	s.Must("DELETE", zv, "", "").Want(t, 204)
	s.Get(zv).Want(t, 404)
	s.Post(s.Environment+"/Variables", []string{"Key", "GONE", "Value", "with the environment"}).Want(t, 201)

	function := s.Service + "/Functions/" + s.Get(s.Service+"/Functions").Want(t, 200).JSON(t)["functions"].([]any)[0].(map[string]any)["sid"].(string)
	version := s.Get(function+"/Versions").Want(t, 200).JSON(t)["function_versions"].([]any)[0].(map[string]any)["sid"].(string)
	if got := s.Get(function+"/Versions/"+version+"/Content").Want(t, 200).JSON(t); got["content"] != "1" || got["sid"] != version {
		t.Errorf("the content is %v", got)
	}
	s.Get(function+"/Versions/ZN"+strings.Repeat("0", 32)+"/Content").Want(t, 404)
	if got := s.Post(function, []string{"FriendlyName", "renamed"}).Want(t, 200).JSON(t); got["friendly_name"] != "renamed" {
		t.Errorf("the Function is %v", got)
	}
	if got := s.Get(s.Service).Want(t, 200).JSON(t); got["include_credentials"] != true {
		t.Errorf("by default the service is %v", got)
	}
	if got := s.Post(s.Service, []string{"FriendlyName", "renamed", "IncludeCredentials", "false"}).Want(t, 200).JSON(t); got["friendly_name"] != "renamed" || got["include_credentials"] != false || got["ui_editable"] != false {
		t.Errorf("the service is %v", got)
	}
}

// TestTwiliosOwnToolsQuoteDependencies sends what @twilio-labs/serverless-api
// 5.7.0 sends: the list in quotes, with its own left as they are.
func TestTwiliosOwnToolsQuoteDependencies(t *testing.T) {
	s := emulatortest.NewSite(t, emulatortest.Start(t, emulator.Options{}))
	version := s.Version(t, "Functions", "/f", "public", "1")
	for sent, want := range map[string]int{`"[{"name":"twilio","version":"6.2.0"}]"`: 1, `"[]"`: 0, "": 0} {
		made := s.Post(s.Service+"/Builds", []string{"FunctionVersions", version, "Dependencies", sent}).Want(t, 201).JSON(t)
		if got := len(made["dependencies"].([]any)); got != want {
			t.Errorf("%s is read as %d dependencies, want %d", sent, got, want)
		}
	}
	s.Post(s.Service+"/Builds", []string{"FunctionVersions", version, "Dependencies", "", "Dependencies", ""}).Want(t, 201)
}

// fetch asks for a deployed file as a browser does.
func fetch(t testing.TB, e *emulator.Emulator, address string, header ...string) emulatortest.Answer {
	t.Helper()
	c := emulatortest.As(t, e)
	c.User, c.Transport = "", e.Transport()
	return c.Get(address, header...)
}

func TestADeployedAssetIsServed(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
	s := emulatortest.NewSite(t, e)
	const bundle = "window.x = 1 // ✓ & <b>"
	one := s.Version(t, "Assets", "/plugins/p/1.0.0/bundle.js", "public", bundle)
	at := "https://" + s.Domain + "/plugins/p/1.0.0/bundle.js"
	fetch(t, e, at).Want(t, 404)
	s.Deploy(t, "AssetVersions", one)
	got := fetch(t, e, at).Want(t, 200)
	if got.Text != bundle || got.Header.Get("Content-Type") != "application/javascript" {
		t.Errorf("the asset is %q, %s", got.Text, got.Header.Get("Content-Type"))
	}
	other := s.Version(t, "Assets", "/other.js", "public", "2")
	s.Deploy(t, "AssetVersions", other)
	fetch(t, e, at).Want(t, 404) // what a build leaves out is gone
	s.Deploy(t, "AssetVersions", other, "AssetVersions", one)
	fetch(t, e, at).Want(t, 200)
	fetch(t, e, "https://"+s.Domain+"/no").Want(t, 404)
	fetch(t, e, "https://nobody.twil.io/plugins/p/1.0.0/bundle.js").Want(t, 404)
}

// TestAProtectedAssetIsForSignedRequests begins with who must not read it.
func TestAProtectedAssetIsForSignedRequests(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
	s := emulatortest.NewSite(t, e)
	s.Deploy(t,
		"AssetVersions", s.Version(t, "Assets", "/p.js", "Protected", "protected"),
		"AssetVersions", s.Version(t, "Assets", "/q.js", "private", "private"))
	at := "https://" + s.Domain + "/p.js"
	sign := func(key, address string) string {
		mac := hmac.New(sha1.New, []byte(key))
		mac.Write([]byte(address))
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	token := e.Account().AuthToken
	fetch(t, e, at).Want(t, 403)
	fetch(t, e, at, "X-Twilio-Signature", "").Want(t, 403)
	fetch(t, e, at, "X-Twilio-Signature", sign("wrong", at)).Want(t, 403)
	fetch(t, e, at, "X-Twilio-Signature", sign(token, "https://"+s.Domain+"/q.js")).Want(t, 403)
	fetch(t, e, at, "X-Twilio-Signature", sign(token, at)).Want(t, 200)
	private := "https://" + s.Domain + "/q.js"
	fetch(t, e, private, "X-Twilio-Signature", sign(token, private)).Want(t, 404)
}

func TestHostingRefusesWhatCannotBe(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
	s := emulatortest.NewSite(t, e)
	asset := s.Version(t, "Assets", "/a.js", "public", "1")
	same := s.Version(t, "Assets", "/a.js", "public", "2")
	function := s.Version(t, "Functions", "/f", "public", "3")
	up := strings.Replace(s.Service, emulatortest.ServerlessURL, emulatortest.UploadURL, 1)
	zh := s.Post(s.Service+"/Assets", []string{"FriendlyName", "x"}).Made(t)
	fh := s.Post(s.Service+"/Functions", []string{"FriendlyName", "x"}).Made(t)
	stranger := "ZN" + strings.Repeat("0", 32)
	for name, test := range map[string]struct {
		got    emulatortest.Answer
		status int
	}{
		"a second service of one name":     {s.Post(emulatortest.ServerlessURL, []string{"UniqueName", "default", "FriendlyName", "x"}), 409},
		"a service without a name":         {s.Post(emulatortest.ServerlessURL, []string{"FriendlyName", "x"}), 400},
		"a second environment of one name": {s.Post(s.Service+"/Environments", []string{"UniqueName", "my-plugin", "DomainSuffix", "zz"}), 409},
		"a second environment of a suffix": {s.Post(s.Service+"/Environments", []string{"UniqueName", "other", "DomainSuffix", "ab1"}), 409},
		"a long suffix":                    {s.Post(s.Service+"/Environments", []string{"UniqueName", "other", "DomainSuffix", strings.Repeat("a", 17)}), 400},
		"an environment of no service":     {s.Post(emulatortest.ServerlessURL+"/ZS"+strings.Repeat("0", 32)+"/Environments", []string{"UniqueName", "other"}), 404},
		"a path that climbs":               {s.Upload(up+"/Assets/"+zh+"/Versions", "/../a.js", "public", "1"), 400},
		"a path that is relative":          {s.Upload(up+"/Assets/"+zh+"/Versions", "a.js", "public", "1"), 400},
		"an unknown visibility":            {s.Upload(up+"/Assets/"+zh+"/Versions", "/a.js", "secret", "1"), 400},
		"a function as an asset":           {s.Upload(up+"/Assets/"+fh+"/Versions", "/a.js", "public", "1"), 404},
		"a form as an upload":              {s.Post(up+"/Assets/"+zh+"/Versions", []string{"Path", "/a.js", "Visibility", "public"}), 415},
		"a build of nothing":               {s.Post(s.Service+"/Builds", []string{"Runtime", "node22"}), 400},
		"a build with a path twice":        {s.Post(s.Service+"/Builds", []string{"AssetVersions", asset, "AssetVersions", same}), 400},
		"a build with a function as asset": {s.Post(s.Service+"/Builds", []string{"AssetVersions", function}), 400},
		"a build with a stranger":          {s.Post(s.Service+"/Builds", []string{"AssetVersions", asset, "AssetVersions", stranger}), 400},
		"a build on an unknown runtime":    {s.Post(s.Service+"/Builds", []string{"AssetVersions", asset, "Runtime", "node9"}), 400},
		"dependencies without a version":   {s.Post(s.Service+"/Builds", []string{"AssetVersions", asset, "Dependencies", `[{"name":"twilio"}]`}), 400},
		"dependencies given twice":         {s.Post(s.Service+"/Builds", []string{"AssetVersions", asset, "Dependencies", "[]", "Dependencies", "[]"}), 400},
		"a variable without a key":         {s.Post(s.Environment+"/Variables", []string{"Value", "v"}), 400},
		"a variable without a value":       {s.Post(s.Environment+"/Variables", []string{"Key", "K"}), 400},
		"a variable with a long key":       {s.Post(s.Environment+"/Variables", []string{"Key", strings.Repeat("K", 129), "Value", "v"}), 400},
		"a value of 451 bytes":             {s.Post(s.Environment+"/Variables", []string{"Key", "K", "Value", "x" + strings.Repeat("é", 225)}), 400},
		"a variable of no environment":     {s.Post(s.Service+"/Environments/ZE"+strings.Repeat("0", 32)+"/Variables", []string{"Key", "K", "Value", "v"}), 404},
		"a deployment of no build":         {s.Post(s.Environment+"/Deployments", []string{"BuildSid", "ZB" + strings.Repeat("0", 32)}), 400},
	} {
		if test.got.StatusCode != test.status {
			t.Errorf("%s: the answer is %d, want %d: %s", name, test.got.StatusCode, test.status, test.got.Text)
		}
	}
}

func TestABuildTakesItsTimeAndMayFail(t *testing.T) {
	for name, fail := range map[string]bool{"completed": false, "failed": true} {
		e := emulatortest.Start(t, emulator.Options{Builds: emulator.Builds{Time: 3 * time.Second, Fail: fail}})
		s := emulatortest.NewSite(t, e)
		zb := s.Post(s.Service+"/Builds", []string{"AssetVersions", s.Version(t, "Assets", "/a", "public", "1")}).Made(t)
		status := func() any { return s.Get(s.Service+"/Builds/"+zb+"/Status").Want(t, 200).JSON(t)["status"] }
		if got := status(); got != "building" {
			t.Errorf("at once the build is %v", got)
		}
		s.Post(s.Environment+"/Deployments", []string{"BuildSid", zb}).Want(t, 400)
		e.Advance(3 * time.Second)
		if got := status(); got != name {
			t.Errorf("in the end the build is %v, want %s", got, name)
		}
		want := map[bool]int{false: 201, true: 400}[fail]
		s.Post(s.Environment+"/Deployments", []string{"BuildSid", zb}).Want(t, want)
	}
}

// TestEveryOperationHonoursTheSpecification calls every operation once; the
// client checks each answer.
func TestEveryOperationHonoursTheSpecification(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
	everyHostingOperation(t, emulatortest.As(t, e))
	emulatortest.Covers(t, e, serverless.Product())
}
