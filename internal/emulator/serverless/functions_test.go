package serverless_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"os/exec"
	"testing"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
)

const handler = `exports.handler = (context, event, callback) => callback(null, `

func TestADeployedFunctionRuns(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not on the PATH")
	}
	e := emulatortest.Start(t, emulator.Options{})
	s := emulatortest.NewSite(t, e)
	s.Post(s.Environment+"/Variables", []string{"Key", "GREETING", "Value", "hello ✓"}).Want(t, 201)
	told := s.Version(t, "Functions", "/told", "public", handler+`[context.GREETING, context.DOMAIN_NAME, context.PATH, context.AUTH_TOKEN ?? 'no token', event.name, typeof event.request].join(' '))`)
	asked := s.Version(t, "Functions", "/asked", "public", `exports.handler = async (context, event, callback) => {
		const answer = await fetch('https://iam.twilio.com/v1/Accounts/AC0/Tokens/validate', { method: 'POST' });
		callback(null, 'Twilio says ' + answer.status);
	}`)
	at := "https://" + s.Domain
	s.Post(s.Service, []string{"IncludeCredentials", "false"}).Want(t, 200)
	s.Deploy(t, "FunctionVersions", told)
	wantText(t, fetch(t, e, at+"/told?name=you").Want(t, 200), "hello ✓ "+s.Domain+" /told no token you undefined")
	fetch(t, e, at+"/asked").Want(t, 404)

	s.Post(s.Service, []string{"IncludeCredentials", "true"}).Want(t, 200)
	s.Deploy(t, "FunctionVersions", asked, "FunctionVersions", told, "Dependencies", `[{"name":"@twilio/runtime-handler","version":"1.3.0"}]`)
	wantText(t, fetch(t, e, at+"/told").Want(t, 200), "hello ✓ "+s.Domain+" /told "+e.Account().AuthToken+"  object")
	wantText(t, fetch(t, e, at+"/asked").Want(t, 200), "Twilio says 401")
}

func wantText(t *testing.T, a emulatortest.Answer, text string) {
	t.Helper()
	if a.Text != text {
		t.Errorf("answered %q, want %q", a.Text, text)
	}
}

// TestWhoMayCallAFunction begins with who must not.
func TestWhoMayCallAFunction(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not on the PATH")
	}
	e := emulatortest.Start(t, emulator.Options{})
	s := emulatortest.NewSite(t, e)
	s.Deploy(t,
		"FunctionVersions", s.Version(t, "Functions", "/protected", "protected", handler+`event.a)`),
		"FunctionVersions", s.Version(t, "Functions", "/private", "private", handler+`'private')`))
	c := emulatortest.As(t, e)
	c.User, c.Transport = "", e.Transport()
	at := "https://" + s.Domain + "/protected"
	sign := func(key, text string) string {
		mac := hmac.New(sha1.New, []byte(key))
		mac.Write([]byte(text))
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	token := e.Account().AuthToken
	c.Post(at, []string{"a", "1"}).Want(t, 400)
	c.Post(at, []string{"a", "1"}, "X-Twilio-Signature", sign("wrong", at+"a1")).Want(t, 400)
	c.Post(at, []string{"a", "2"}, "X-Twilio-Signature", sign(token, at+"a1")).Want(t, 400)
	c.Post(at, []string{"a", "1"}, "X-Twilio-Signature", sign(token, at)).Want(t, 400)
	c.Get(at+"?a=2", "X-Twilio-Signature", sign(token, at+"?a=1")).Want(t, 400)
	c.Post(at, []string{"a", "1"}, "X-Twilio-Signature", sign(token, at+"a1")).Want(t, 200)
	c.Get(at+"?a=1", "X-Twilio-Signature", sign(token, at+"?a=1")).Want(t, 200)
	c.Get("https://"+s.Domain+"/private", "X-Twilio-Signature", sign(token, "https://"+s.Domain+"/private")).Want(t, 404)
}
