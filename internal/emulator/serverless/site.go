package serverless

import (
	"crypto/hmac"
	"net/http"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/outbox"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

// hosted finds the asset that is deployed under a host and a path.
func hosted(s *store.Store, host, path string) *fileVersion {
	s.RLock()
	defer s.RUnlock()
	for _, env := range environments.In(s).Rows() {
		if env.Domain != host {
			continue
		}
		b := builds.In(s).Find(env.Build)
		if b == nil {
			return nil
		}
		for _, sid := range b.Assets {
			if v := versions.In(s).Find(sid); v.Path == path {
				return v
			}
		}
	}
	return nil
}

// serveHosted answers for twil.io: a public asset to everybody, a protected one
// to who signs the request as Twilio does, a private one to nobody. Functions do
// not run here.
// https://www.twilio.com/docs/serverless/functions-assets/visibility
func serveHosted(e *emulator.Emulator, w http.ResponseWriter, r *http.Request, host, path string) {
	v := hosted(e.Store(), host, path)
	status := http.StatusOK
	switch {
	case v == nil || v.Visibility == "private":
		status = http.StatusNotFound
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		status = http.StatusMethodNotAllowed
	case v.Visibility == "protected" && !signed(r, e.Account().AuthToken, "https://"+host+path):
		status = http.StatusForbidden
	}
	if status != http.StatusOK {
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.Header().Set("Content-Type", v.ContentType)
	w.Header().Set("Cache-Control", "public, max-age=0")
	_, _ = w.Write(v.Content) // the client went away: nobody to tell
}

// signed reports whether Twilio signed the request.
func signed(r *http.Request, authToken, address string) bool {
	return hmac.Equal([]byte(r.Header.Get("X-Twilio-Signature")), []byte(outbox.Sign(authToken, address, nil)))
}
