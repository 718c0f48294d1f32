package rollout

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// byNumber compares versions of the same number of parts, which is all these
// tests have.
func byNumber(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range x {
		m, _ := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m - n
		}
	}
	return 0
}

func release(version string) *Release {
	data := bytes.Repeat([]byte("package "+version+"\n"), 1000)
	return &Release{
		ID: id, Version: version, MinChrome: "123", SHA256: fmt.Sprintf("%064s", strings.ReplaceAll(version, ".", "")),
		UpdateURL: "https://ext.example.com/flexvc/update.xml", Data: data, Modified: time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC),
	}
}

func serving(t testing.TB, version string, change func(*ServerOptions)) *Server {
	t.Helper()
	o := ServerOptions{Compare: byNumber, Valid: func(v string) bool { return strings.Count(v, ".") == 2 && strings.Trim(v, "0123456789.") == "" }}
	if change != nil {
		change(&o)
	}
	s, err := NewServer(release(version), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// chromium is a request as Chromium 156 was seen to send it.
func chromium(id, version string) *http.Request {
	return httptest.NewRequest(http.MethodGet, "http://ext.test:3001/extension/update.xml?os=linux&arch=x64&prod=chromiumcrx&prodchannel=&prodversion=156.0.8078.79&lang=en-US&acceptformat=crx3,puff&x=id%3D"+
		id+"%26v%3D"+version+"%26installsource%3Dnotfromwebstore%26installedby%3Dpolicy%26uc", nil)
}

func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// offers reads an answer as Chromium does: version and codebase, or "" for
// noupdate; nil when there is no entry for the extension.
func offers(t testing.TB, w *httptest.ResponseRecorder) *updateCheck {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("answered %d", w.Code)
	}
	var u updateXML
	if err := xml.Unmarshal(w.Body.Bytes(), &u); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	for _, a := range u.Apps {
		if a.ID == id {
			return &a.Checks[0]
		}
	}
	return nil
}

func TestUpdateAnswersByInstalledVersion(t *testing.T) {
	s := serving(t, "1.4.0", nil)
	for _, tc := range []struct {
		name, version, want string
	}{
		{"nothing installed", "0.0.0.0", "1.4.0"},
		{"an older one", "1.3.9", "1.4.0"},
		{"older by number, not by letters", "1.3.10", "1.4.0"},
		{"the same", "1.4.0", ""},
		{"a newer one: no browser goes back", "1.10.0", ""},
		{"nonsense", "%3Cscript%3E", "1.4.0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := offers(t, do(s, chromium(id, tc.version)))
			if got.Version != tc.want || (tc.want == "") != (got.Status == "noupdate") {
				t.Errorf("offered %+v, want %q", got, tc.want)
			}
			if want := "http://ext.test:3001/extension/" + id + "-1.4.0.crx"; tc.want != "" && got.Codebase != want {
				t.Errorf("codebase %s, want %s", got.Codebase, want)
			}
		})
	}
	if got := offers(t, do(s, chromium(strings.Repeat("a", 32), "1.0.0"))); got != nil {
		t.Errorf("asked for another extension, it offers %+v", got)
	}
	if got := offers(t, do(s, httptest.NewRequest("GET", "/extension/update.xml", nil))); got == nil || got.Version != "1.4.0" {
		t.Errorf("a person is shown %+v", got)
	}
	several := chromium(strings.Repeat("a", 32), "1.0.0")
	several.URL.RawQuery += "&x=id%3D" + id + "%26v%3D1.0.0"
	if got := offers(t, do(s, several)); got == nil || got.Version != "1.4.0" {
		t.Errorf("asked for two, it offers %+v", got)
	}
	// What it serves is what --verify takes for good.
	w := do(s, chromium(id, "0.0.0.0"))
	if faults := (Settings{ID: id, Version: "1.4.0", SHA256: release("1.4.0").SHA256, Size: int64(len(release("1.4.0").Data))}).CheckUpdate(w.Body.Bytes()); len(faults) > 0 {
		t.Errorf("faults: %v", faults)
	}
}

func TestCodebaseBehindAProxyIsBesideUpdateURL(t *testing.T) {
	s := serving(t, "1.4.0", func(o *ServerOptions) { o.BehindProxy = true })
	if got := offers(t, do(s, chromium(id, "0"))).Codebase; got != "https://ext.example.com/flexvc/"+id+"-1.4.0.crx" {
		t.Errorf("codebase %s", got)
	}
}

func TestPackageByRangeAndCondition(t *testing.T) {
	s := serving(t, "1.4.0", nil)
	data, path := release("1.4.0").Data, "/extension/"+id+"-1.4.0.crx"
	get := func(header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return do(s, r)
	}
	w := get()
	if w.Code != 200 || !bytes.Equal(w.Body.Bytes(), data) || w.Header().Get("Content-Type") != "application/x-chrome-extension" || w.Header().Get("Content-Length") != strconv.Itoa(len(data)) {
		t.Errorf("answered %d, %d bytes, %v", w.Code, w.Body.Len(), w.Header())
	}
	etag, modified := w.Header().Get("ETag"), w.Header().Get("Last-Modified")
	for _, tc := range []struct {
		name   string
		header []string
		status int
		body   []byte
	}{
		{"a range", []string{"Range", "bytes=10-19"}, 206, data[10:20]},
		{"the end", []string{"Range", "bytes=-5"}, 206, data[len(data)-5:]},
		{"a range of the same file", []string{"Range", "bytes=10-19", "If-Range", etag}, 206, data[10:20]},
		{"a range of another file: all of it", []string{"Range", "bytes=10-19", "If-Range", `"else"`}, 200, data},
		{"a range beyond the end", []string{"Range", "bytes=999999-"}, 416, nil},
		{"known by its tag", []string{"If-None-Match", etag}, 304, nil},
		{"another tag", []string{"If-None-Match", `"else"`}, 200, data},
		{"known by its time", []string{"If-Modified-Since", modified}, 304, nil},
		{"an older time", []string{"If-Modified-Since", "Mon, 02 Mar 2026 00:00:00 GMT"}, 200, data},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := get(tc.header...)
			if w.Code != tc.status || tc.body != nil && !bytes.Equal(w.Body.Bytes(), tc.body) || w.Code == 304 && w.Body.Len() > 0 {
				t.Errorf("answered %d with %d bytes", w.Code, w.Body.Len())
			}
		})
	}
	xmlTag := do(s, chromium(id, "1.0.0")).Header().Get("ETag")
	again := chromium(id, "1.0.0")
	again.Header.Set("If-None-Match", xmlTag)
	if w := do(s, again); w.Code != http.StatusNotModified {
		t.Errorf("update.xml that is known is answered with %d", w.Code)
	}
	again.URL.RawQuery = strings.Replace(again.URL.RawQuery, "1.0.0", "1.4.0", 1)
	if w := do(s, again); w.Code != http.StatusOK {
		t.Errorf("another answer under the same tag is answered with %d", w.Code)
	}
	for _, tc := range []struct {
		method, path string
		status       int
	}{
		{"HEAD", path, 200}, {"POST", path, 405}, {"DELETE", "/extension/update.xml", 405},
		{"GET", "/extension/", 404}, {"GET", "/extension/" + id + "-1.3.0.crx", 404}, {"GET", "/extension/../update.xml", 404},
	} {
		if w := do(s, httptest.NewRequest(tc.method, tc.path, nil)); w.Code != tc.status || tc.method == "HEAD" && w.Body.Len() > 0 {
			t.Errorf("%s %s: %d", tc.method, tc.path, w.Code)
		}
	}
}

func TestStageReachesItsShareAndAlwaysTheSame(t *testing.T) {
	from := func(i int) func(*ServerOptions) {
		return func(o *ServerOptions) {
			o.Client = func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("From")) }
			o.Stage = i
		}
	}
	reached := func(s *Server) map[int]bool {
		got := map[int]bool{}
		for i := range 4000 {
			r := chromium(id, "1.3.0")
			r.Header.Set("From", fmt.Sprintf("10.0.%d.%d", i/256, i%256))
			if offers(t, do(s, r)).Version == "1.4.0" {
				got[i] = true
			}
		}
		return got
	}
	ten, again, half := reached(serving(t, "1.4.0", from(1000))), reached(serving(t, "1.4.0", from(1000))), reached(serving(t, "1.4.0", from(5000)))
	if len(ten) < 320 || len(ten) > 480 || len(half) < 1850 || len(half) > 2150 {
		t.Errorf("10%% of 4000 are %d, 50%% are %d", len(ten), len(half))
	}
	for i := range ten {
		if !again[i] || !half[i] {
			t.Fatalf("browser %d is in the 10%%, but not in the same 10%% again, or not in the 50%%", i)
		}
	}
}

// outside returns a request by a browser that a stage of 1 % leaves out.
func outside(t *testing.T, s *Server, version string) *http.Request {
	t.Helper()
	for i := range 100 {
		r := chromium(id, version)
		r.URL.RawQuery += fmt.Sprintf("&browser=b%d", i)
		if s.browser(r, s.now.Load().release.Version).place >= 100 {
			return r
		}
	}
	t.Fatal("all are in")
	return nil
}

func TestBrowsersOutsideTheStage(t *testing.T) {
	one := func(o *ServerOptions) { o.Stage = 100 }
	s := serving(t, "1.4.0", one)
	if got := offers(t, do(s, outside(t, s, "1.3.0"))); got.Status != "noupdate" {
		t.Errorf("one that has the old version is offered %+v", got)
	}
	// "noupdate" to a browser that has none is failure_reason 25: never installed.
	if got := offers(t, do(s, outside(t, s, "0.0.0.0"))); got.Version != "1.4.0" {
		t.Errorf("one that has none is offered %+v", got)
	}
	s = serving(t, "1.4.0", func(o *ServerOptions) { one(o); o.Base = release("1.3.0") })
	for version, want := range map[string]string{"0.0.0.0": "1.3.0", "1.2.0": "1.3.0", "1.3.0": "", "1.4.0": ""} {
		if got := offers(t, do(s, outside(t, s, version))); got.Version != want {
			t.Errorf("with a base, one that has %s is offered %+v", version, got)
		}
	}
	if w := do(s, httptest.NewRequest("GET", "/extension/"+id+"-1.3.0.crx", nil)); w.Code != 200 {
		t.Errorf("the base's package: %d", w.Code)
	}
}

func TestOfferRefusesWhatBrowsersWouldNotTake(t *testing.T) {
	s := serving(t, "1.4.0", nil)
	changed := release("1.4.0")
	changed.SHA256 = strings.Repeat("f", 64)
	foreign := release("1.5.0")
	foreign.ID = strings.Repeat("a", 32)
	for name, tc := range map[string]struct {
		release *Release
		code    problem.Code
		hint    string
	}{
		"lower":                        {release("1.3.0"), problem.DowngradeRefused, "flexvc pack --from DIR --version 1.4.0.1"},
		"another extension":            {foreign, problem.PackageInvalid, id},
		"other bytes, the same number": {changed, problem.PackageInvalid, "flexvc pack --version 1.4.0.1"},
	} {
		err := s.Offer(tc.release)
		if p := problem.As(err); p == nil || p.Code != tc.code || !strings.Contains(p.Hint, tc.hint) {
			t.Errorf("%s: %+v", name, err)
		}
	}
	if got := s.Status().Version; got != "1.4.0" {
		t.Fatalf("it serves %s", got)
	}
	if err := s.Offer(release("1.5.0")); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1.5.0", "1.4.0"} { // a browser may be between update.xml and the package
		if w := do(s, httptest.NewRequest("GET", "/extension/"+id+"-"+version+".crx", nil)); w.Code != 200 {
			t.Errorf("the package of %s: %d", version, w.Code)
		}
	}
	s = serving(t, "1.4.0", func(o *ServerOptions) { o.AllowDowngrade = true })
	if err := s.Offer(release("1.3.0")); err != nil || s.Status().Version != "1.3.0" {
		t.Errorf("--allow-downgrade: %v", err)
	}
}

func TestAfter(t *testing.T) {
	for version, want := range map[string]string{"1": "1.1", "1.4.0": "1.4.0.1", "1.4.0.9": "1.4.0.10", "1.4.0.65535": "1.4.1.0"} {
		if got := after(version); got != want {
			t.Errorf("after %s comes %s, want %s", version, got, want)
		}
	}
}

func TestFollowKeepsTheOldOneUntilTheNewIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.crx")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reads := 0
	read := func() (*Release, error) {
		reads++
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(string(text), "broken") {
			return nil, errors.New("byte 7 is wrong")
		}
		return release(strings.TrimSpace(string(text))), nil
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := serving(t, "1.4.0", func(o *ServerOptions) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		ticks := make(chan time.Time)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go s.Follow(ctx, path, ticks, read)
		step := func(text, want, notServed string, wantReads int) {
			t.Helper()
			if text != "" {
				write(text)
			}
			ticks <- time.Time{}
			synctest.Wait()
			if got := s.Status(); got.Version != want || got.NotServed != notServed || reads != wantReads {
				t.Errorf("after %q: %s, not served %q, %d reads; want %s, %q, %d", text, got.Version, got.NotServed, reads, want, notServed, wantReads)
			}
		}
		step("1.5.0", "1.5.0", "", 1)
		step("", "1.5.0", "", 1) // unchanged: not read again
		step("broken, half of a file", "1.5.0", "byte 7 is wrong", 2)
		step("", "1.5.0", "byte 7 is wrong", 2) // nor logged again
		step("1.6.0  ", "1.6.0", "", 3)
		if n := strings.Count(log.String(), "byte 7 is wrong"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, log.String())
		}
	})
}

func TestStatusAndMetrics(t *testing.T) {
	now := time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)
	s := serving(t, "1.4.0", func(o *ServerOptions) { o.Now = func() time.Time { return now } })
	ask := func(browser, version string) {
		r := chromium(id, version)
		r.URL.RawQuery += "&browser=" + browser
		do(s, r)
	}
	ask("gone", "1.2.0")
	now = now.Add(20 * time.Hour)
	ask("a", "1.3.0")
	ask("b", "1.3.0")
	ask("a", "1.4.0") // it has been updated, and is one browser still
	ask("new", "0.0.0.0")
	do(s, chromium(strings.Repeat("a", 32), "1.0.0"))
	do(s, httptest.NewRequest("GET", "/extension/"+id+"-1.4.0.crx", nil))
	now = now.Add(5 * time.Hour)

	var got Status
	if err := json.Unmarshal(do(s.StatusHandler(), httptest.NewRequest("GET", "/rollout", nil)).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	var versions []string
	for _, v := range got.Fleet {
		versions = append(versions, fmt.Sprintf("%s=%d", v.Version, v.Browsers))
	}
	if strings.Join(versions, " ") != "1.4.0=1 1.3.0=1 =1" || got.Browsers != 3 || got.Requests != 5 || got.Packages != 1 || got.Foreign != 1 {
		t.Errorf("status %+v", got)
	}
	var metrics bytes.Buffer
	s.WriteMetrics(&metrics)
	for _, line := range []string{
		`flexvc_extension_info{id="` + id + `",version="1.4.0"} 1`,
		`flexvc_extension_browsers{version="1.4.0"} 1`,
		`flexvc_extension_update_requests_total{answer="update"} 4`,
		`flexvc_extension_update_requests_total{answer="none"} 1`,
		`flexvc_extension_update_requests_total{answer="foreign"} 1`,
		`flexvc_extension_packages_sent_total 1`,
	} {
		if !strings.Contains(metrics.String(), line+"\n") {
			t.Errorf("no %s in\n%s", line, metrics.String())
		}
	}
}

// Anybody may send any browser name and any version: neither table grows.
func TestFleetIsBounded(t *testing.T) {
	s := serving(t, "1.4.0", nil)
	for i := range fleetLimit + 5000 {
		s.fleet.saw(uint64(i)*0x9e3779b97f4a7c15, fmt.Sprintf("1.%d.0", i%1000))
	}
	status := s.Status()
	if status.Browsers != fleetLimit || len(status.Fleet) > versionLimit+1 || status.Dropped != 5000 {
		t.Errorf("%d browsers, %d versions, %d dropped", status.Browsers, len(status.Fleet), status.Dropped)
	}
}

// Whatever is asked, the answer is one that reads as update.xml, offers this
// extension or nothing, and nothing of the request comes back in it.
func FuzzUpdateRequest(f *testing.F) {
	f.Add(chromium(id, "1.0.0").URL.RawQuery)
	f.Add("x=id%3D" + id + "%26v%3D1.0.0%26uc&x=&x=%")
	f.Add("x=" + url.QueryEscape("id="+strings.Repeat("a", 32)+"&v=<&v=2") + ";x=1&browser=%00")
	s := serving(f, "1.4.0", func(o *ServerOptions) { o.Stage = 5000; o.Base = release("1.3.0") })
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/extension/update.xml", nil)
		r.URL.RawQuery = query
		got := offers(t, do(s, r))
		if got != nil && got.Status != noUpdate && got.Version != "1.4.0" && got.Version != "1.3.0" {
			t.Errorf("%q: %+v", query, got)
		}
		if len(s.fleet.browsers) > fleetLimit || len(s.fleet.held) > versionLimit+1 {
			t.Error("the fleet's tables grow")
		}
	})
}
