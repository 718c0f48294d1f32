package flexui

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

var (
	//go:embed page.html
	page string
	//go:embed nohost.html
	pageWithoutHost []byte
	//go:embed signin.html
	signInPage string
)

// loginLife is how long a login at the page is good for.
const loginLife = 8 * time.Hour

// servePage serves https://flex.twilio.com: the page that hosts Flex, and what
// Flex asks of its own host.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case path == "/host.js":
		s.serveHostScript(w, r)
	case path == "/favicon.ico":
		w.WriteHeader(http.StatusNoContent)
	case path == "/login" && r.Method == http.MethodPost:
		s.serveLogin(w, r)
	case path == "/api/v1/Session":
		if !s.knows(w, r) {
			return
		}
		s.mu.Lock()
		features := slices.Clone(s.features)
		s.mu.Unlock()
		send(w, http.StatusOK, object{"features": features, "insights_active": false})
	case path == "/plugins":
		if s.knows(w, r) {
			send(w, http.StatusOK, s.listPlugins())
		}
	case strings.HasPrefix(path, "/plugins/"):
		s.servePlugin(w, r)
	case path == "/" || path == "/sign-in":
		agents := []object{}
		for _, a := range s.e.Agents() {
			agents = append(agents, object{"sid": a.SID, "name": a.FriendlyName, "activity": a.ActivityName})
		}
		show(w, WithSettings(signInPage, object{"agents": agents}))
	case s.options.HostScript == "":
		show(w, pageWithoutHost)
	default:
		show(w, WithSettings(page, object{"account": s.e.Account().SID}))
	}
}

func show(w http.ResponseWriter, page []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(page)
}

// WithSettings returns page, HTML whose scripts read their settings from
// <script type="application/json" id="settings">, with settings in there. It has
// no html/template, which would make every flexvc half as large again: executing a
// template calls methods by name, so the linker may leave none out.
func WithSettings(page string, settings any) []byte {
	const place = `<script type="application/json" id="settings">`
	head, tail, found := strings.Cut(page, place)
	text, err := json.Marshal(settings) // escapes what could end the element
	if !found || err != nil {
		panic("flexui: a page without its place for settings, or settings that are no JSON")
	}
	return slices.Concat([]byte(head+place), text, []byte(tail))
}

func (s *Server) serveHostScript(w http.ResponseWriter, r *http.Request) {
	file, err := os.Open(s.options.HostScript)
	if err != nil {
		s.log.Error("cannot read Flex UI's script", "error", err)
		missing(w)
		return
	}
	defer file.Close()
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=3600")
	at := time.Time{}
	if info, err := file.Stat(); err == nil {
		at = info.ModTime()
	}
	http.ServeContent(w, r, "host.js", at, file)
}

// serveLogin stands for Twilio's sign-in pages: it trusts whoever asks from the
// page itself.
func (s *Server) serveLogin(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Worker string `json:"worker"` // SID or name; the first one without
		TTL    string `json:"ttl"`
	}
	if r.Header.Get("Origin") != "https://flex.twilio.com" {
		send(w, http.StatusForbidden, object{"message": "sign in from the page"})
		return
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&request); err != nil {
		send(w, http.StatusBadRequest, object{"message": "the request is not understood"})
		return
	}
	life := loginLife
	if request.TTL != "" {
		var err error
		if life, err = time.ParseDuration(request.TTL); err != nil || life <= 0 {
			send(w, http.StatusBadRequest, object{"message": "ttl is no duration"})
			return
		}
	}
	if request.Worker == "" {
		if all := s.e.Agents(); len(all) > 0 {
			request.Worker = all[0].SID
		}
	}
	agent, err := s.e.Agent(request.Worker)
	if err != nil {
		send(w, http.StatusNotFound, object{"message": err.Error()})
		return
	}
	token, err := s.e.MintFlexToken(agent.SID, life)
	if err != nil {
		send(w, http.StatusInternalServerError, object{"message": err.Error()})
		return
	}
	login, _, _ := s.e.Login(token)
	send(w, http.StatusOK, object{
		"token": token, "identity": login.Identity, "roles": login.Roles, "flexUserSid": login.FlexUserSID,
		"expiration": isoTime(login.Expires),
	})
}

func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// knows looks at the Flex token in a request's header.
func (s *Server) knows(w http.ResponseWriter, r *http.Request) bool {
	_, code, why := s.e.Login(r.Header.Get("X-Flex-Jwe"))
	if code != 0 {
		send(w, http.StatusUnauthorized, object{"code": code, "message": why, "status": http.StatusUnauthorized})
	}
	return code == 0
}

// Feature is a feature flag of the account.
type Feature struct {
	ID      string `json:"id"`
	Enabled bool   `json:"enabled"`
}

func standardFeatures() []Feature {
	return []Feature{{"flex-warm-transfers", true}, {"flex-multi-tab-support", true}, {"device-manager-beta", true}}
}

func (s *Server) allPlugins() []Plugin {
	var all []Plugin
	if s.options.Plugins != nil {
		all = s.options.Plugins()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.plugins {
		all = slices.DeleteFunc(all, func(old Plugin) bool { return old.Name == p.Name })
		all = append(all, p)
	}
	return all
}

func (s *Server) listPlugins() []object {
	list := []object{}
	for _, p := range s.allPlugins() {
		at := url.URL{Scheme: "https", Host: "flex.twilio.com", Path: "/plugins/v1/" + p.Name + "/" + p.Version + "/bundle.js"}
		list = append(list, object{"name": p.Name, "version": p.Version, "src": cmp.Or(p.URL, at.String()), "phase": cmp.Or(p.Phase, 3)})
	}
	return list
}

// servePlugin serves /plugins/v1/NAME/VERSION/bundle.js.
func (s *Server) servePlugin(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/plugins/"), "/")
	for _, p := range s.allPlugins() {
		if p.Source == nil || len(parts) != 4 || parts[1] != p.Name || parts[2] != p.Version || parts[3] != "bundle.js" {
			continue
		}
		source, err := p.Source()
		if err != nil {
			s.log.Error("cannot read a plugin", "plugin", p.Name, "error", err)
			break
		}
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(source)
		return
	}
	missing(w)
}

// serveAsset serves what Flex loads from Twilio's file servers. None of it is
// theirs: there is just enough for Flex not to complain.
func (s *Server) serveAsset(w http.ResponseWriter, r *http.Request, host string) {
	w.Header().Set("Cache-Control", "max-age=3600")
	switch {
	case strings.HasSuffix(r.URL.Path, ".css"):
		w.Header().Set("Content-Type", "text/css")
	case strings.HasSuffix(r.URL.Path, ".mp3"):
		sound(w)
	case r.URL.Path == "/assets/countries.json":
		send(w, http.StatusOK, []object{{"code": "US", "name": "United States", "dialCode": "+1", "phoneCode": "1", "countryCode": "US"}})
	case r.URL.Path == "/assets/flagPositions.json":
		send(w, http.StatusOK, object{"US": "0px 0px"})
	case host == "status.twilio.com":
		send(w, http.StatusOK, object{"components": []object{{"name": "FLEX", "status": "operational"}}, "incidents": []any{}, "status": object{"indicator": "none"}, "page": object{}})
	default:
		missing(w)
	}
}

// sound sends a fifth of a second of silence. A browser looks at what a sound is
// rather than at what it is called.
func sound(w http.ResponseWriter) {
	const samples, rate = 1600, 8000
	wav := make([]byte, 44, 44+samples)
	copy(wav, "RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00")
	le := func(at, v int) {
		wav[at], wav[at+1], wav[at+2], wav[at+3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	}
	le(4, 36+samples)
	le(24, rate)
	le(28, rate)
	le(32, 8<<16|1) // one byte per frame, eight bits per sample
	copy(wav[36:], "data")
	le(40, samples)
	wav = append(wav, bytes.Repeat([]byte{0x80}, samples)...)
	w.Header().Set("Content-Type", "audio/wav")
	_, _ = w.Write(wav)
}

// serveConfiguration answers Flex itself, which signs in with its token: the
// account's configuration, and on top what a set-up account has.
func (s *Server) serveConfiguration(w http.ResponseWriter, r *http.Request) {
	_, password, _ := r.BasicAuth()
	if _, code, why := s.e.Login(password); code != 0 {
		send(w, http.StatusUnauthorized, object{"code": code, "message": why, "status": http.StatusUnauthorized})
		return
	}
	conf := s.e.FlexConfiguration()
	attributes := object{}
	if raw, err := json.Marshal(conf["ui_attributes"]); err == nil {
		_ = json.Unmarshal(raw, &attributes) // the account may hold anything there: then nothing of it is kept
	}
	if attributes == nil {
		attributes = object{}
	}
	// Flex stops at any other value.
	attributes["version_compatibility"] = "yes"
	conf["ui_attributes"] = attributes
	if flows, ok := conf["outbound_call_flows"].(object); ok { // nobody set it
		flows["default"] = object{"enabled": true, "caller_id": "+15559870000", "queue_sid": s.queue(), "workflow_sid": s.workflow(), "location": "US"}
	}
	if notifications, ok := conf["notifications"].(object); ok {
		// Asked for permission, Flex covers the first task with a bar.
		notifications["enabled"], notifications["mode"] = false, "whenNotInFocus"
	}
	send(w, http.StatusOK, conf)
}

// serveRefresh swaps a token for one that lives as long as a new login. Flex
// sends JSON whatever it calls it.
func (s *Server) serveRefresh(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Token string `json:"token"`
	}
	if r.URL.Path != "/v1/Accounts/"+s.e.Account().SID+"/Tokens/refresh" {
		missing(w)
		return
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&request); err != nil {
		send(w, http.StatusBadRequest, object{"code": 20001, "message": "The request body is not a JSON object with a string token"})
		return
	}
	login, code, why := s.e.Login(request.Token)
	if code != 0 {
		send(w, http.StatusUnauthorized, object{"code": code, "message": why, "status": http.StatusUnauthorized})
		return
	}
	token, err := s.e.MintFlexToken(login.SID, loginLife)
	if err != nil {
		send(w, http.StatusInternalServerError, object{"message": err.Error()})
		return
	}
	login, _, _ = s.e.Login(token)
	send(w, http.StatusOK, object{"token": token, "identity": login.Identity, "roles": login.Roles, "expiration": isoTime(login.Expires)})
}

// serveValidate tells Flex UI before 2.5 whether its token is good, which is the
// credential too.
func (s *Server) serveValidate(w http.ResponseWriter, r *http.Request) {
	_, password, _ := r.BasicAuth()
	login, code, why := s.e.Login(password)
	if code != 0 {
		send(w, http.StatusUnauthorized, object{"code": code, "message": why, "status": http.StatusUnauthorized})
		return
	}
	send(w, http.StatusOK, object{
		"valid": true, "code": 0, "message": nil, "expiration": isoTime(login.Expires), "realm_user_id": login.Email,
		"identity": login.Identity, "roles": login.Roles, "worker_sid": login.SID, "flex_user_sid": login.FlexUserSID,
	})
}
