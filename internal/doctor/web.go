package doctor

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/flexvc/flexvc/internal/problem"
)

// Web is how addresses are asked that browsers ask. It may follow no redirects:
// an agent's token must not travel on.
type Web interface {
	RoundTrip(*http.Request) (*http.Response, error)
}

// Extension is the extension that this flexvc brings along.
type Extension struct {
	ID         string // "" without a signing key
	KeyErr     error  // why there is none
	Version    string
	Incomplete bool // built without the Voice SDK
}

func (e Extension) origin() string { return "chrome-extension://" + e.ID }

const maxAnswer = 1 << 20

// ask sends one request and reads its answer.
func (d *Doctor) ask(ctx context.Context, method, address, body string, header http.Header) (*http.Response, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	r.Header = header
	res, err := d.Web.RoundTrip(r)
	if err != nil {
		return nil, nil, problem.Reason(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return res, text, err
}

// unreachable says why an address cannot be asked.
func unreachable(says string, err error, fix string) Result {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) {
		return fail(says, "browsers do not trust its certificate: "+err.Error(), "give it a certificate for this name that browsers trust")
	}
	return failure(says, err, fix)
}

// tokenServer asks as an agent's extension does: first the preflight that the
// browser sends, then for a token.
func (d *Doctor) tokenServer(ctx context.Context) Result {
	at := d.Settings.TokenURL
	if d.Extension.ID == "" {
		return skip("without a signing key the extension's origin is unknown: see extension")
	}
	start := "start it with flexvc serve, or set token_url to its address"
	if d.isFunction() {
		start = "flexvc function deploy, or set token_url to the address of flexvc serve"
	}
	preflight := http.Header{"Origin": {d.Extension.origin()}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"content-type"}}
	res, text, err := d.ask(ctx, http.MethodOptions, at, "", preflight)
	if err != nil {
		return unreachable(at+" cannot be reached", err, start)
	}
	if r, ok := d.allowed(res, text); !ok {
		return r
	}
	token, r, ok := d.flexToken(ctx)
	if !ok {
		return r
	}
	form := url.Values{"Token": {token}, "VoiceClientPrefix": {d.Settings.Prefix}}
	res, text, err = d.ask(ctx, http.MethodPost, at, form.Encode(), http.Header{
		"Origin": {d.Extension.origin()}, "Content-Type": {"application/x-www-form-urlencoded"},
	})
	if err != nil {
		return unreachable(at+" cannot be reached", err, start)
	}
	if res.StatusCode != http.StatusOK {
		return d.refusal(res.StatusCode, text)
	}
	var answer struct{ Identity, Token string }
	switch {
	case json.Unmarshal(text, &answer) != nil || answer.Token == "":
		return fail(at+" did not return a token", "it is not flexvc serve, or a proxy is in between", start)
	case !strings.HasPrefix(answer.Identity, d.Settings.Prefix):
		return fail(at+" issues tokens for other identities", fmt.Sprintf("they do not start with %q: calls would go to the tab", d.Settings.Prefix),
			"restart it with the identity_prefix of this profile")
	}
	return pass(at + " gave a token to the extension")
}

// flexToken gets the token of an agent for a minute. Without one only the
// preflight was tried, which is no reason to call the endpoint right.
func (d *Doctor) flexToken(ctx context.Context) (string, Result, bool) {
	const reached = "no token was requested from %s, which accepts the extension's origin: %s"
	if d.access(ctx) != nil {
		return "", skip(fmt.Sprintf(reached, d.Settings.TokenURL, "see credentials")), false
	}
	token, err := d.Account.FlexToken(ctx)
	if err != nil {
		why := err.Error()
		if p := problem.As(err); p != nil {
			why = p.Summary
		}
		return "", skip(fmt.Sprintf(reached, d.Settings.TokenURL, why)), false
	}
	return token, Result{}, true
}

// allowed reads the answer to a preflight.
func (d *Doctor) allowed(res *http.Response, text []byte) (Result, bool) {
	at, origin := d.Settings.TokenURL, d.Extension.origin()
	switch {
	case res.StatusCode == http.StatusNotFound && d.isFunction():
		return fail(fmt.Sprintf("%s is not a token endpoint (404)", at), "no Function is deployed at this path", "flexvc function deploy"), false
	case res.StatusCode == http.StatusNotFound:
		return fail(fmt.Sprintf("%s is not a token endpoint (404)", at), "nothing is served at this path", "set token_url to the address that flexvc serve prints"), false
	case res.StatusCode/100 == 3:
		return fail(fmt.Sprintf("%s redirects (%d)", at, res.StatusCode), "browsers do not follow redirects of preflight requests", "set token_url to the final address"), false
	case res.StatusCode == http.StatusForbidden && codeOf(text) == "origin-not-allowed",
		res.StatusCode/100 == 2 && res.Header.Get("Access-Control-Allow-Origin") != origin && res.Header.Get("Access-Control-Allow-Origin") != "*":
		return fail(fmt.Sprintf("%s refuses the extension (%d)", at, res.StatusCode), fmt.Sprintf("origin %s is not allowed", origin),
			"restart it with --allow-origin "+origin), false
	case res.StatusCode/100 != 2:
		return d.refusal(res.StatusCode, text), false
	}
	return Result{}, true
}

func codeOf(text []byte) string {
	var p struct{ Code string }
	if json.Unmarshal(text, &p) != nil {
		return ""
	}
	return p.Code
}

// refusals are the fixes of what flexvc serve answers, by its codes.
var refusals = map[string]string{
	"prefix-not-allowed":            "give it the identity_prefix of this profile",
	"other-account":                 "start it with the profile of this account",
	"role-missing":                  "check its --require-role",
	"worker-not-allowed":            "check its --allow-worker",
	"worker-not-enabled":            "enable an agent first: flexvc workers enable",
	"validator-credentials-refused": "restart it with valid credentials",
	"identity-rate-limited":         "try again in a moment",
	"address-rate-limited":          "try again in a moment",
}

// functionRefusals are the fixes where a Function answers with these codes.
var functionRefusals = map[string]string{
	"not-found":                     "flexvc function deploy",
	"prefix-not-allowed":            "flexvc function deploy",
	"other-account":                 "flexvc function deploy, with the profile of this account",
	"role-missing":                  "check its --require-role: flexvc function status",
	"worker-not-allowed":            "check its --allow-worker: flexvc function status",
	"validator-credentials-refused": "flexvc function deploy, which creates another key if that one is gone",
	"internal":                      "flexvc function deploy",
}

// isFunction reports whether token_url is that of a Twilio Function.
func (d *Doctor) isFunction() bool {
	u, err := url.Parse(d.Settings.TokenURL)
	return err == nil && strings.HasSuffix(u.Hostname(), ".twil.io")
}

func (d *Doctor) refusal(status int, text []byte) Result {
	var p struct{ Code, Detail, Title string }
	_ = json.Unmarshal(text, &p) // not flexvc serve: the status says it alone
	says := fmt.Sprintf("%s issues no token (%d)", d.Settings.TokenURL, status)
	cause := p.Detail
	if cause == "" {
		cause = strings.ToLower(http.StatusText(status))
	}
	fix := refusals[p.Code]
	if d.isFunction() {
		fix = cmp.Or(functionRefusals[p.Code], fix)
		if p.Code == "origin-not-allowed" {
			fix = "flexvc function deploy --allow-origin " + d.Extension.origin()
		}
	}
	if fix == "" {
		fix = "check its log"
	}
	if p.Code == "worker-not-enabled" || p.Code == "worker-not-allowed" || p.Code == "role-missing" {
		// The agent who was tried is one of many.
		return Result{Status: Passed, Says: fmt.Sprintf("%s responds, but the agent used for the test may not have a token", d.Settings.TokenURL)}
	}
	return fail(says, cause, fix)
}

func (d *Doctor) extension(ctx context.Context) Result {
	e := d.Extension
	says := "built-in " + e.Version
	switch {
	case e.KeyErr != nil:
		return failure("no signing key", e.KeyErr, "flexvc init")
	case e.Incomplete:
		return fail(says, "this flexvc was built without the Voice SDK, so its extension could not make calls", "build with make build, which needs npm, or install a released flexvc")
	}
	at := d.Settings.UpdateURL
	if at == "" {
		return pass(says + "; where browsers find updates is not known: token_url is not flexvc serve's")
	}
	const publish = "flexvc pack, then publish the .crx and update.xml"
	res, text, err := d.ask(ctx, http.MethodGet, at, "", http.Header{})
	if err != nil {
		return unreachable(says+"; "+at+" cannot be reached", err, publish)
	}
	if res.StatusCode == http.StatusNotFound {
		return warn(says+"; nothing at "+at, "browsers find no update there, unless the extension is installed another way", publish)
	}
	if res.StatusCode != http.StatusOK {
		return fail(fmt.Sprintf("%s; %s answers %d", says, at, res.StatusCode), "browsers cannot read update.xml", publish)
	}
	return d.update(ctx, says, at, text)
}

// update reads update.xml, and looks whether the package it names is there.
func (d *Doctor) update(ctx context.Context, says, at string, text []byte) Result {
	var u struct {
		Apps []struct {
			ID     string `xml:"appid,attr"`
			Checks []struct {
				Codebase string `xml:"codebase,attr"`
				Version  string `xml:"version,attr"`
			} `xml:"updatecheck"`
		} `xml:"app"`
	}
	const publish = "flexvc pack --policy DIR, then publish the .crx and update.xml"
	if xml.Unmarshal(text, &u) != nil {
		return fail(says+"; "+at+" is not an update manifest", "browsers cannot read it", publish)
	}
	for _, app := range u.Apps {
		if app.ID != d.Extension.ID {
			continue
		}
		if len(app.Checks) != 1 {
			return fail(says+"; "+at+" does not offer exactly one version", "browsers need exactly one", publish)
		}
		offer := app.Checks[0]
		if offer.Version != d.Extension.Version {
			return warn(fmt.Sprintf("%s; %s offers %s", says, at, offer.Version), "it is not the version built into this flexvc", publish)
		}
		return d.packageAt(ctx, says, offer.Codebase)
	}
	return fail(says+"; "+at+" belongs to another extension", fmt.Sprintf("it has no entry for %s: it was packed with another key", d.Extension.ID), publish)
}

func (d *Doctor) packageAt(ctx context.Context, says, at string) Result {
	res, text, err := d.ask(ctx, http.MethodGet, at, "", http.Header{"Range": {"bytes=0-3"}})
	const publish = "publish the .crx under the name given in update.xml"
	switch {
	case err != nil:
		return unreachable(says+"; cannot fetch the package", err, publish)
	case res.StatusCode/100 != 2:
		return fail(fmt.Sprintf("%s; %s answers %d", says, at, res.StatusCode), "update.xml names a package that does not exist", publish)
	case !strings.HasPrefix(string(text), "Cr24"):
		return fail(fmt.Sprintf("%s; %s is not a package", says, at), "it does not start like a .crx; it may be a sign-in page", publish)
	}
	return pass(says + " is what update.xml offers")
}
