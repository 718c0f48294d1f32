package serverless

import (
	"bytes"
	"crypto/hmac"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/functions"
	"github.com/flexvc/flexvc/internal/emulator/outbox"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

// hosted finds what is deployed under a host: its environment, its build, and in
// that the file at a path.
func hosted(s *store.Store, host, path string) (*environment, *build, *fileVersion) {
	for _, env := range environments.In(s).Rows() {
		if env.Domain != host {
			continue
		}
		b := builds.In(s).Find(env.Build)
		if b == nil {
			return env, nil, nil
		}
		for _, sid := range slices.Concat(b.Assets, b.Functions) {
			if v := versions.In(s).Find(sid); v.Path == path {
				return env, b, v
			}
		}
		return env, b, nil
	}
	return nil, nil, nil
}

// serveHosted answers for twil.io: a public file to everybody, a protected one to
// who signs the request as Twilio does, a private one to nobody. An asset is
// handed out, a Function is run.
// https://www.twilio.com/docs/serverless/functions-assets/visibility
func serveHosted(e *emulator.Emulator, w http.ResponseWriter, r *http.Request, host, path string) {
	s := e.Store()
	s.RLock()
	env, b, v := hosted(s, host, path)
	var f functions.Function
	if v != nil && v.Kind == functionKind {
		f = invocation(e, env, b, v)
	}
	s.RUnlock()
	switch {
	case v == nil || v.Visibility == "private":
		fail(w, http.StatusNotFound)
	case v.Kind == functionKind:
		if v.Visibility == "protected" && r.Method != http.MethodOptions && !signedForm(r, e.Account().AuthToken, "https://"+host+path) {
			fail(w, http.StatusBadRequest)
			return
		}
		f.Serve(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		fail(w, http.StatusMethodNotAllowed)
	case v.Visibility == "protected" && !signed(r, e.Account().AuthToken, "https://"+host+path, nil):
		fail(w, http.StatusForbidden)
	default:
		w.Header().Set("Content-Type", v.ContentType)
		w.Header().Set("Cache-Control", "public, max-age=0")
		_, _ = w.Write(v.Content) // the client went away: nobody to tell
	}
}

func fail(w http.ResponseWriter, status int) { http.Error(w, http.StatusText(status), status) }

// invocation is the Function with what it gets to see. The store is locked.
// https://www.twilio.com/docs/serverless/functions-assets/functions/invocation
func invocation(e *emulator.Emulator, env *environment, b *build, v *fileVersion) functions.Function {
	s := e.Store()
	f := functions.Function{Path: v.Path, Headers: functions.ShowsHeaders(b.Dependencies), Twilio: e, Log: e.Logger()}
	f.Context = map[string]string{"DOMAIN_NAME": env.Domain, "PATH": v.Path, "SERVICE_SID": env.Service, "ENVIRONMENT_SID": env.SID}
	if owner := services.In(s).Find(env.Service); owner != nil && owner.Credentials {
		f.Context["ACCOUNT_SID"], f.Context["AUTH_TOKEN"] = s.Meta.Account.SID, s.Meta.Account.AuthToken
	}
	for _, variable := range variables.In(s).Rows() {
		if variable.of(env) {
			f.Context[variable.Key] = variable.Value
		}
	}
	for _, sid := range slices.Concat(b.Functions, b.Assets) {
		if file := versions.In(s).Find(sid); file.Kind == functionKind || file.Visibility == "private" {
			f.Files = append(f.Files, functions.File{Path: file.Path, Asset: file.Kind == assetKind, Content: file.Content})
		}
	}
	return f
}

// signed reports whether Twilio signed the request, with the form if it has one.
func signed(r *http.Request, authToken, address string, form url.Values) bool {
	return hmac.Equal([]byte(r.Header.Get("X-Twilio-Signature")), []byte(outbox.Sign(authToken, address, form)))
}

// maxForm is far above any webhook of Twilio's.
const maxForm = 1 << 20

// signedForm is signed for a request that may have a form, which stays to be read.
func signedForm(r *http.Request, authToken, address string) bool {
	if r.URL.RawQuery != "" {
		address += "?" + r.URL.RawQuery
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	var form url.Values
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && kind == "application/x-www-form-urlencoded" {
		form, err = url.ParseQuery(string(body))
	}
	return err == nil && signed(r, authToken, address, form)
}
