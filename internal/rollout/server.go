package rollout

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// Folder is where a Server answers: update.xml and the package.
const Folder = "/extension/"

// PathStatus is where a server tells operators of its fleet, beside its metrics.
const PathStatus = "/rollout"

// Release is a package as browsers get it. Whoever read it has checked it whole.
type Release struct {
	ID        string
	Version   string
	MinChrome string // minimum_chrome_version of the manifest, "" for none
	UpdateURL string // update_url of the manifest, "" for none
	SHA256    string // hexadecimal
	Data      []byte
	Modified  time.Time // of the file
}

func (r *Release) file() string { return r.ID + "-" + r.Version + ".crx" }

// ServerOptions are what an administrator decides about updates, and what the
// server needs of the world. Compare must be there; the rest may be zero.
type ServerOptions struct {
	// Stage is the share of browsers, in hundredths of a percent, that are
	// offered the release; 0 and 10000 are all.
	Stage int
	// Base is what the other browsers are offered. Without it they keep what they
	// have, and those that have nothing get the release.
	Base           *Release
	AllowDowngrade bool // take a lower version in place of a higher one
	BehindProxy    bool // a proxy ends TLS, and may have changed path and host

	Compare func(a, b string) int            // of two versions that are well formed
	Valid   func(version string) bool        // whether one is; nil takes all
	Client  func(*http.Request) netip.Addr   // nil reads RemoteAddr
	Offered func(version string, lower bool) // told of every release that is taken
	Log     *slog.Logger                     // nil discards
	Now     func() time.Time                 // nil is time.Now
}

// Server answers browsers that ask for updates, from memory: update.xml, the
// package, and the ones before it, which a browser may be about to fetch. It is
// an http.Handler for paths under Folder. Use NewServer.
type Server struct {
	o     ServerOptions
	fleet *fleet

	offer  sync.Mutex // one Offer at a time
	now    atomic.Pointer[offered]
	counts counts
	broken atomic.Pointer[string] // why the file that Follow looks at is not served
}

// offered is what is served at a moment.
type offered struct {
	release *Release
	last    *Release // the one that it took the place of, nil for none
	since   time.Time
}

type counts struct {
	newer, base, same, held, foreign atomic.Int64 // update requests, by their answer
	packages                         atomic.Int64
}

// NewServer serves release, which Offer replaces.
func NewServer(release *Release, o ServerOptions) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Valid == nil {
		o.Valid = func(string) bool { return true }
	}
	if o.Client == nil {
		o.Client = func(r *http.Request) netip.Addr {
			at, _ := netip.ParseAddrPort(r.RemoteAddr)
			return at.Addr()
		}
	}
	if o.Stage == 0 {
		o.Stage = whole
	}
	if b := o.Base; b != nil {
		if b.ID != release.ID {
			return nil, problem.New(problem.PackageInvalid, "cannot serve both packages: their IDs differ, %s and %s", release.ID, b.ID).
				WithHint("sign both with the same key")
		}
		if o.Compare(b.Version, release.Version) >= 0 {
			return nil, problem.New(problem.Usage, "cannot stage %s: the base version %s is not older", release.Version, b.Version)
		}
	}
	s := &Server{o: o, fleet: newFleet(o.Now)}
	s.now.Store(&offered{release: release, since: o.Now()})
	if o.Offered != nil {
		o.Offered(release.Version, false)
	}
	return s, nil
}

// Offer replaces the release. The error is a problem, and the old one is served
// on: of another extension, of a lower version, or of the same version with
// other bytes, which the browsers that have it would never fetch.
func (s *Server) Offer(release *Release) error {
	s.offer.Lock()
	defer s.offer.Unlock()
	old := s.now.Load().release
	lower := s.o.Compare(release.Version, old.Version) < 0
	switch {
	case release.ID != old.ID:
		return problem.New(problem.PackageInvalid, "cannot serve %s: it is another extension, %s", release.Version, release.ID).
			WithHint("pack it with the key of %s", old.ID)
	case release.SHA256 == old.SHA256:
		return nil
	case release.Version == old.Version:
		return problem.New(problem.PackageInvalid, "cannot serve a different %s: browsers with %[1]s would never fetch it", release.Version).
			WithHint("raise the version: flexvc pack --version %s", after(release.Version))
	case lower && !s.o.AllowDowngrade:
		return Downgrade(release.Version, old.Version)
	}
	s.now.Store(&offered{release: release, last: old, since: s.o.Now()})
	if s.o.Offered != nil {
		s.o.Offered(release.Version, lower)
	}
	s.o.Log.Info("extension replaced", "version", release.Version, "before", old.Version)
	return nil
}

// Downgrade refuses to serve a version below one that browsers were offered.
func Downgrade(version, offered string) error {
	return problem.New(problem.DowngradeRefused, "cannot serve %s: browsers were already offered %s and never downgrade", version, offered).
		WithHint("publish the old code under a higher version: flexvc pack --from DIR --version %s; or pass --allow-downgrade for browsers that have neither", after(offered))
}

// after is the version next to a well-formed one.
func after(version string) string {
	parts := strings.Split(version, ".")
	if len(parts) < 4 {
		return version + ".1"
	}
	for i := len(parts) - 1; i >= 0; i-- {
		var n int
		if _, err := fmt.Sscan(parts[i], &n); err == nil && n < 65535 {
			parts[i] = fmt.Sprint(n + 1)
			return strings.Join(parts, ".")
		}
		parts[i] = "0"
	}
	return version
}

// Follow takes up the file at path when a tick finds it changed. A file that
// read refuses, or Offer, is logged once and the release before it stays.
func (s *Server) Follow(ctx context.Context, path string, ticks <-chan time.Time, read func() (*Release, error)) {
	type stamp struct {
		changed time.Time
		size    int64
	}
	look := func() (at stamp) {
		if info, err := os.Stat(path); err == nil {
			at = stamp{info.ModTime(), info.Size()}
		}
		return at
	}
	seen := stamp{s.now.Load().release.Modified, int64(len(s.now.Load().release.Data))}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		now := look()
		if now == seen {
			continue
		}
		seen = now
		release, err := read()
		if err == nil {
			err = s.Offer(release)
		}
		if err == nil {
			s.broken.Store(nil)
			continue
		}
		why := err.Error()
		s.broken.Store(&why)
		s.o.Log.Warn("the changed extension file is not served; still serving the previous one", "version", s.now.Load().release.Version, "cause", why)
	}
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	name, _ := strings.CutPrefix(r.URL.Path, Folder)
	if name == UpdateFile {
		s.update(w, r)
		return
	}
	now := s.now.Load()
	for _, release := range []*Release{now.release, now.last, s.o.Base} {
		if release != nil && name == release.file() {
			s.packaged(w, r, release)
			return
		}
	}
	http.Error(w, "no such package", http.StatusNotFound)
}

// packaged answers with a package. Its name has its version, and Offer takes no
// other bytes under one version, so that it never changes.
func (s *Server) packaged(w http.ResponseWriter, r *http.Request, release *Release) {
	if r.Method == http.MethodGet {
		s.counts.packages.Add(1)
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-chrome-extension")
	h.Set("ETag", `"`+release.SHA256+`"`)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", release.Modified, bytes.NewReader(release.Data))
}

// update answers with update.xml: for each extension that the request names,
// what its installed version is to become. A request without any, a person's,
// gets the release.
//
// Source: https://developer.chrome.com/docs/apps/autoupdate
func (s *Server) update(w http.ResponseWriter, r *http.Request) {
	now := s.now.Load()
	answer := updateXML{Protocol: "2.0"}
	asked, named := askedFor(r.URL.RawQuery)
	browser := s.browser(r, now.release.Version)
	for _, ask := range asked {
		if ask.id != now.release.ID {
			if s.counts.foreign.Add(1) == 1 {
				s.o.Log.Warn("a browser requests another extension: its policy has a different ID", "wanted", ask.id)
			}
			continue
		}
		if ask.version == "" || !s.o.Valid(ask.version) {
			ask.version = ""
		}
		s.fleet.saw(browser.key, ask.version)
		answer.Apps = append(answer.Apps, app{ask.id, []updateCheck{s.check(r, now, ask.version, browser)}})
	}
	if !named {
		answer.Apps = []app{{now.release.ID, []updateCheck{s.offerOf(r, now.release)}}}
	}
	text, err := xml.Marshal(answer)
	if err != nil {
		panic(err) // strings and numbers
	}
	text = append([]byte(xml.Header), text...)
	sum := sha256.Sum256(text)
	h := w.Header()
	h.Set("Content-Type", "text/xml; charset=utf-8")
	h.Set("ETag", fmt.Sprintf(`"%x"`, sum[:16]))
	h.Set("Cache-Control", "private, no-cache") // it depends on who asks
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}

// check decides what one browser is offered.
func (s *Server) check(r *http.Request, now *offered, version string, who browser) updateCheck {
	offer, count := now.release, &s.counts.newer
	if s.o.Stage < whole && who.place >= s.o.Stage {
		switch {
		case s.o.Base != nil:
			offer, count = s.o.Base, &s.counts.base
		case version != "":
			s.counts.held.Add(1)
			return updateCheck{Status: noUpdate}
		}
	}
	if version != "" && s.o.Compare(offer.Version, version) <= 0 {
		s.counts.same.Add(1)
		return updateCheck{Status: noUpdate}
	}
	count.Add(1)
	return s.offerOf(r, offer)
}

const noUpdate = "noupdate"

func (s *Server) offerOf(r *http.Request, release *Release) updateCheck {
	return updateCheck{
		Codebase: s.address(r, release), Version: release.Version, MinChrome: release.MinChrome,
		SHA256: release.SHA256, Size: int64(len(release.Data)),
	}
}

// address is where the package is: beside the address that the browser asked at,
// or, behind a proxy, beside the package's own update_url.
func (s *Server) address(r *http.Request, release *Release) string {
	if s.o.BehindProxy && release.UpdateURL != "" {
		return PackageURL(release.UpdateURL, release.file())
	}
	scheme := "http"
	if r.TLS != nil || s.o.BehindProxy {
		scheme = "https"
	}
	return (&url.URL{Scheme: scheme, Host: r.Host, Path: Folder + release.file()}).String()
}

// whole is a stage of all browsers: their places are below it.
const whole = 10_000

// browser is what tells one browser from another, as far as the request does.
type browser struct {
	key   uint64 // for counting
	place int    // in the order in which stages reach browsers, below whole
}

// browser reads who asks. Chrome says nothing of itself but its version, system
// and language: the client's address is what is left, and all browsers behind
// one address are staged together. An administrator who wants them apart adds
// ?browser=NAME to the update address in each machine's policy.
func (s *Server) browser(r *http.Request, version string) browser {
	q := r.URL.Query()
	who := clip(q.Get("browser"))
	if who == "" {
		who = s.o.Client(r).String()
	}
	place := sha256.Sum256([]byte("stage " + version + " " + who))
	key := sha256.Sum256([]byte(who + " " + clip(q.Get("os")) + " " + clip(q.Get("arch")) + " " + clip(q.Get("prod")) + " " +
		clip(q.Get("prodversion")) + " " + clip(q.Get("lang"))))
	return browser{binary.BigEndian.Uint64(key[:]), int(binary.BigEndian.Uint64(place[:]) % whole)}
}

func clip(text string) string { return text[:min(len(text), 200)] }

// ask is one extension of a request, and the version the browser has of it: ""
// for none.
type ask struct{ id, version string }

// asksLimit is more than a browser has extensions.
const asksLimit = 200

// askedFor reads the x parameters of an update request, each of which is a query
// of its own: x=id%3DID%26v%3D1.4.0%26uc. named tells whether there was any.
func askedFor(query string) (asked []ask, named bool) {
	values, _ := url.ParseQuery(query) // what can be read of it
	for i, text := range values["x"] {
		if i == asksLimit {
			break
		}
		x, _ := url.ParseQuery(text)
		a := ask{x.Get("id"), x.Get("v")}
		if strings.Trim(a.version, "0.") == "" {
			a.version = "" // how Chrome says that it has none
		}
		if isID(a.id) {
			asked = append(asked, a)
		}
	}
	return asked, len(values["x"]) > 0
}

// Status is what a Server has seen of the fleet.
type Status struct {
	V         int            `json:"v"`                    // version of the format
	ID        string         `json:"id"`                   // of the extension
	Version   string         `json:"version"`              // of the package that is offered
	SHA256    string         `json:"sha256"`               // of the package, hexadecimal
	Since     time.Time      `json:"since"`                // when it was first offered
	Stage     float64        `json:"stage"`                // percent of browsers that are offered Version
	Base      string         `json:"base,omitempty"`       // what the others are offered
	Window    int            `json:"window_seconds"`       // how far back Fleet reaches
	Browsers  int            `json:"browsers"`             // that asked within it
	Fleet     []VersionCount `json:"fleet"`                // newest first; without a version those that had none yet
	Dropped   int64          `json:"dropped"`              // browsers beyond what the table holds
	Requests  int64          `json:"update_requests"`      // since the server started
	Packages  int64          `json:"packages"`             // fetched since the server started
	Foreign   int64          `json:"foreign_requests"`     // for another extension
	NotServed string         `json:"not_served,omitempty"` // why the file as it is now is not
}

// VersionCount is how many browsers had a version when they last asked.
type VersionCount struct {
	Version  string    `json:"version"`  // empty: none yet
	Browsers int       `json:"browsers"` // that had it when they last asked
	Last     time.Time `json:"last"`     // one of them asked
}

// Status may be called at any time.
func (s *Server) Status() Status {
	now, c := s.now.Load(), &s.counts
	status := Status{
		V: 1, ID: now.release.ID, Version: now.release.Version, SHA256: now.release.SHA256,
		Since: now.since.UTC(), Stage: float64(s.o.Stage) / 100, Window: int(fleetWindow.Seconds()),
		Fleet: s.fleet.versions(s.o.Compare), Dropped: s.fleet.droppedCount(),
		Requests: c.newer.Load() + c.base.Load() + c.same.Load() + c.held.Load(),
		Packages: c.packages.Load(), Foreign: c.foreign.Load(),
	}
	if s.o.Base != nil {
		status.Base = s.o.Base.Version
	}
	for _, v := range status.Fleet {
		status.Browsers += v.Browsers
	}
	if why := s.broken.Load(); why != nil {
		status.NotServed = *why
	}
	return status
}

// StatusHandler answers with Status as JSON, for operators only.
func (s *Server) StatusHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(s.Status()) // a client that has gone needs no answer
	})
}

// WriteMetrics writes the same figures in the text format of Prometheus.
func (s *Server) WriteMetrics(w io.Writer) {
	status, c := s.Status(), &s.counts
	file := 1
	if status.NotServed != "" {
		file = 0
	}
	fmt.Fprintf(w, "flexvc_extension_info{id=%q,version=%q} 1\n", status.ID, status.Version)
	fmt.Fprintf(w, "flexvc_extension_stage_percent %g\n", status.Stage)
	fmt.Fprintf(w, "flexvc_extension_file_served %d\n", file)
	for _, v := range status.Fleet {
		fmt.Fprintf(w, "flexvc_extension_browsers{version=%q} %d\n", v.Version, v.Browsers)
	}
	fmt.Fprintf(w, "flexvc_extension_browsers_dropped_total %d\n", status.Dropped)
	for _, answer := range []struct {
		name  string
		count *atomic.Int64
	}{{"update", &c.newer}, {"base", &c.base}, {"none", &c.same}, {"held", &c.held}, {"foreign", &c.foreign}} {
		fmt.Fprintf(w, "flexvc_extension_update_requests_total{answer=%q} %d\n", answer.name, answer.count.Load())
	}
	fmt.Fprintf(w, "flexvc_extension_packages_sent_total %d\n", status.Packages)
}
