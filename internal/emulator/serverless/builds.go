//go:build ignore

package emulator

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Twilio Serverless, as far as plugins need it: services, environments, assets,
// functions, builds and deployments, and the files themselves under twil.io.
// https://www.twilio.com/docs/serverless/api

// object is what everything stored by SID has.
type object struct {
	SID     string    `json:"sid"`
	Seq     uint64    `json:"seq"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

func (o *object) sid() string        { return o.SID }
func (o *object) position() position { return position{Seq: o.Seq} }

// stored is a row of one of the lists below.
type stored interface {
	sid() string
	position() position
}

type service struct {
	object
	UniqueName   string `json:"unique_name"`
	FriendlyName string `json:"friendly_name"`
	Credentials  bool   `json:"credentials"`
	Editable     bool   `json:"editable"`
	Domain       string `json:"domain"` // domain_base
}

type environment struct {
	object
	Service    string `json:"service"`
	UniqueName string `json:"unique_name"`
	Suffix     string `json:"suffix"`
	Domain     string `json:"domain"` // the host, with twil.io
	Build      string `json:"build"`
}

// fileKind tells assets from functions, which are handled alike.
type fileKind string

const (
	assetKind    fileKind = "asset"
	functionKind fileKind = "function"
)

type file struct {
	object
	Service      string   `json:"service"`
	Kind         fileKind `json:"kind"`
	FriendlyName string   `json:"friendly_name"`
}

type fileVersion struct {
	object
	Service     string   `json:"service"`
	Kind        fileKind `json:"kind"`
	File        string   `json:"file"`
	Path        string   `json:"path"`
	Visibility  string   `json:"visibility"`
	ContentType string   `json:"content_type"`
	Content     []byte   `json:"content"`
}

type siteBuild struct {
	object
	Service      string          `json:"service"`
	Assets       []string        `json:"assets"`
	Functions    []string        `json:"functions"`
	Dependencies json.RawMessage `json:"dependencies"`
	Runtime      string          `json:"runtime"`
	Ready        time.Time       `json:"ready"` // building until then
	Failed       bool            `json:"failed"`
}

type deployment struct {
	object
	Service     string `json:"service"`
	Environment string `json:"environment"`
	Build       string `json:"build"`
	Plugin      bool   `json:"plugin"`
}

// Builds says how builds go.
type Builds struct {
	Time time.Duration `json:"time,omitempty"` // how long they take, in nanoseconds in JSON
	Fail bool          `json:"fail,omitempty"` // they end as failed
}

// hosting is what Serverless and the Plugins API hold, each list by Seq.
type hosting struct {
	services       []*service
	environments   []*environment
	files          []*file
	versions       []*fileVersion
	builds         []*siteBuild
	deployments    []*deployment
	plugins        []*plugin
	pluginVersions []*pluginVersion
	configurations []*pluginConfiguration
	releases       []*pluginRelease
}

func (s *service) record() record             { return record{"service/" + s.SID, s} }
func (e *environment) record() record         { return record{"environment/" + e.SID, e} }
func (f *file) record() record                { return record{"file/" + f.SID, f} }
func (v *fileVersion) record() record         { return record{"version/" + v.SID, v} }
func (b *siteBuild) record() record           { return record{"build/" + b.SID, b} }
func (d *deployment) record() record          { return record{"deployment/" + d.SID, d} }
func (p *plugin) record() record              { return record{"plugin/" + p.SID, p} }
func (v *pluginVersion) record() record       { return record{"pluginversion/" + v.SID, v} }
func (p *pluginConfiguration) record() record { return record{"configuration/" + p.SID, p} }
func (r *pluginRelease) record() record       { return record{"release/" + r.SID, r} }

// read takes in one record, if it is of one of these kinds.
func (h *hosting) read(kind string, data []byte) (known bool, err error) {
	switch kind {
	case "service":
		return true, collect(data, &h.services)
	case "environment":
		return true, collect(data, &h.environments)
	case "file":
		return true, collect(data, &h.files)
	case "version":
		return true, collect(data, &h.versions)
	case "build":
		return true, collect(data, &h.builds)
	case "deployment":
		return true, collect(data, &h.deployments)
	case "plugin":
		return true, collect(data, &h.plugins)
	case "pluginversion":
		return true, collect(data, &h.pluginVersions)
	case "configuration":
		return true, collect(data, &h.configurations)
	case "release":
		return true, collect(data, &h.releases)
	}
	return false, nil
}

// sort puts what was read back into the order in which it was made.
func (h *hosting) sort() {
	sortStored(h.services)
	sortStored(h.environments)
	sortStored(h.files)
	sortStored(h.versions)
	sortStored(h.builds)
	sortStored(h.deployments)
	sortStored(h.plugins)
	sortStored(h.pluginVersions)
	sortStored(h.configurations)
	sortStored(h.releases)
}

func sortStored[T stored](rows []T) {
	slices.SortFunc(rows, func(a, b T) int { return byPosition(a.position(), b.position()) })
}

// find returns the row of that SID, or nil.
func find[T any, P interface {
	*T
	stored
}](rows []P, sid string) P {
	for _, row := range rows {
		if row.sid() == sid {
			return row
		}
	}
	return nil
}

// oldest and newest are the two orders in which lists come.
func oldest[T stored](rows []T, keep func(T) bool) listing[T] {
	return listing[T]{rows: rows, pos: T.position, keep: keep}
}

func newest[T stored](rows []T, keep func(T) bool) listing[T] {
	rows = slices.Clone(rows)
	slices.Reverse(rows)
	return listing[T]{rows: rows, pos: T.position, desc: true, keep: keep}
}

// object begins a new thing. The caller holds the lock.
func (c *call) object(kind string) object {
	n := c.st.next()
	now := c.now.Truncate(time.Second)
	return object{SID: makeSID(kind, c.st.meta.Origin.SeedValue, n), Seq: n, Created: now, Updated: now}
}

// store writes a new row to the disk and then to its list.
func store[T interface{ record() record }](c *call, rows *[]T, row T) (reply, bool) {
	if err := c.st.put(c.st.meta.record(), row.record()); err != nil {
		return c.broken(err), false
	}
	*rows = append(*rows, row)
	return reply{}, true
}

func conflict(format string, args ...any) reply {
	return refuse(http.StatusConflict, codeConflict, format, args...)
}

// The forms of names. Compiled on first use: few emulators host anything.
var (
	uniqueName   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`) })
	domainSuffix = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9-]{1,16}$`) })
	filePath     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(/[A-Za-z0-9._~@:+-]+)+$`) })
	noHostChar   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^a-z0-9]+`) })
)

// named checks the unique name of the form, at most max characters long.
func (c *call) named(max int) (string, reply, bool) {
	name, _ := c.filled("UniqueName")
	if len(name) > max || !uniqueName().MatchString(name) {
		return "", invalid("Invalid UniqueName %q", name), false
	}
	return name, reply{}, true
}

func (c *call) friendly(max int) (string, reply, bool) {
	name, _ := c.filled("FriendlyName")
	if name == "" || utf8.RuneCountInString(name) > max {
		return "", invalid("FriendlyName is missing or longer than %d characters", max), false
	}
	return name, reply{}, true
}

// flag reads a boolean of the form, false when it is absent.
func (c *call) flag(name string) (bool, reply, bool) {
	text, given := c.filled(name)
	if !given {
		return false, reply{}, true
	}
	on, ok := parseBool(text)
	if !ok {
		return false, invalid("Invalid %s %q", name, text), false
	}
	return on, reply{}, true
}

// view is the part that all of these resources have. links are below the
// object's own URL.
func (c *call) view(o object, at string, more map[string]any, links map[string]string) map[string]any {
	v := map[string]any{
		"sid": o.SID, "account_sid": c.account.SID, "url": at,
		"date_created": stamp(o.Created), "date_updated": stamp(o.Updated),
	}
	for name, value := range more {
		v[name] = value
	}
	if links != nil {
		full := map[string]string{}
		for name, below := range links {
			full[name] = at + below
		}
		v["links"] = full
	}
	return v
}

// unchanging takes away the date that things which never change do not have.
func unchanging(v map[string]any) map[string]any {
	delete(v, "date_updated")
	return v
}

func (c *call) servicesURL(sid string) string { return c.base() + "/v1/Services/" + sid }

// --- services

func (c *call) viewService(s *service) any {
	return c.view(s.object, c.servicesURL(s.SID), map[string]any{
		"unique_name": s.UniqueName, "friendly_name": s.FriendlyName, "domain_base": s.Domain,
		"include_credentials": s.Credentials, "ui_editable": s.Editable,
	}, map[string]string{"environments": "/Environments", "functions": "/Functions", "assets": "/Assets", "builds": "/Builds"})
}

// service is the one in the path. The caller holds the lock.
func (c *call) service() *service {
	return find(c.st.services, cmp.Or(c.vars["ServiceSid"], c.vars["Sid"]))
}

func listServices(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return paged(c, "services", oldest(c.st.services, nil), c.viewService)
}

func createService(c *call) reply {
	name, rep, ok := c.named(50)
	if !ok {
		return rep
	}
	friendly, rep, ok := c.friendly(255)
	if !ok {
		return rep
	}
	credentials, rep, ok := c.flag("IncludeCredentials")
	if !ok {
		return rep
	}
	editable, rep, ok := c.flag("UiEditable")
	if !ok {
		return rep
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.ContainsFunc(c.st.services, func(s *service) bool { return s.UniqueName == name }) {
		return conflict("Service with the same unique name exists")
	}
	s := &service{object: c.object("ZS"), UniqueName: name, FriendlyName: friendly, Credentials: credentials, Editable: editable}
	s.Domain = strings.Trim(noHostChar().ReplaceAllString(strings.ToLower(name), "-"), "-") + "-" + derive(4, s.SID)
	if rep, ok := store(c, &c.st.services, s); !ok {
		return rep
	}
	return ok201(c.viewService(s))
}

func fetchService(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.service()
	if s == nil {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewService(s))
}

// --- environments

func (c *call) viewEnvironment(e *environment) any {
	return c.view(e.object, c.servicesURL(e.Service)+"/Environments/"+e.SID, map[string]any{
		"service_sid": e.Service, "unique_name": e.UniqueName, "domain_suffix": orNull(e.Suffix), "domain_name": e.Domain, "build_sid": orNull(e.Build),
	}, map[string]string{"variables": "/Variables", "deployments": "/Deployments", "logs": "/Logs"})
}

// environment is the one in the path, of the service in the path.
func (c *call) environment() *environment {
	e := find(c.st.environments, cmp.Or(c.vars["EnvironmentSid"], c.vars["Sid"]))
	if e == nil || e.Service != c.vars["ServiceSid"] {
		return nil
	}
	return e
}

func listEnvironments(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.service()
	if s == nil {
		return notFound(c.path)
	}
	return paged(c, "environments", oldest(c.st.environments, func(e *environment) bool { return e.Service == s.SID }), c.viewEnvironment)
}

func createEnvironment(c *call) reply {
	name, rep, ok := c.named(100)
	if !ok {
		return rep
	}
	suffix, given := c.filled("DomainSuffix")
	if given && !domainSuffix().MatchString(suffix) {
		return invalid("Invalid DomainSuffix %q", suffix)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.service()
	if s == nil {
		return notFound(c.path)
	}
	for _, e := range c.st.environments {
		switch {
		case e.Service != s.SID:
		case e.UniqueName == name:
			return conflict("Environment with the same unique name exists")
		case e.Suffix == suffix:
			return conflict("Environment with the same domain suffix exists")
		}
	}
	e := &environment{object: c.object("ZE"), Service: s.SID, UniqueName: name, Suffix: suffix, Domain: s.Domain + ".twil.io"}
	if suffix != "" {
		e.Domain = s.Domain + "-" + suffix + ".twil.io"
	}
	if rep, ok := store(c, &c.st.environments, e); !ok {
		return rep
	}
	return ok201(c.viewEnvironment(e))
}

func fetchEnvironment(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e := c.environment()
	if e == nil {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewEnvironment(e))
}

// --- assets and functions

// fileKind reads from the path whether it is about assets or functions.
func (c *call) fileKind() (kind fileKind, collection string) {
	if strings.Contains(c.op.path, "/Functions") {
		return functionKind, "Functions"
	}
	return assetKind, "Assets"
}

func (c *call) viewFile(f *file) any {
	_, collection := c.fileKind()
	return c.view(f.object, c.servicesURL(f.Service)+"/"+collection+"/"+f.SID,
		map[string]any{"service_sid": f.Service, "friendly_name": f.FriendlyName},
		map[string]string{string(f.Kind) + "_versions": "/Versions"})
}

// file is the one in the path, of the service and kind in the path.
func (c *call) file() *file {
	kind, _ := c.fileKind()
	f := find(c.st.files, cmp.Or(c.vars["AssetSid"], c.vars["FunctionSid"], c.vars["Sid"]))
	if f == nil || f.Service != c.vars["ServiceSid"] || f.Kind != kind {
		return nil
	}
	return f
}

func listFiles(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.service()
	if s == nil {
		return notFound(c.path)
	}
	kind, collection := c.fileKind()
	return paged(c, strings.ToLower(collection), oldest(c.st.files, func(f *file) bool { return f.Service == s.SID && f.Kind == kind }), c.viewFile)
}

func createFile(c *call) reply {
	name, rep, ok := c.friendly(255)
	if !ok {
		return rep
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.service()
	if s == nil {
		return notFound(c.path)
	}
	kind, _ := c.fileKind()
	f := &file{object: c.object("ZH"), Service: s.SID, Kind: kind, FriendlyName: name}
	if rep, ok := store(c, &c.st.files, f); !ok {
		return rep
	}
	return ok201(c.viewFile(f))
}

func fetchFile(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	f := c.file()
	if f == nil {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewFile(f))
}

func (c *call) viewVersion(v *fileVersion) any {
	collection := "Assets"
	var links map[string]string
	if v.Kind == functionKind {
		collection, links = "Functions", map[string]string{"function_version_content": "/Content"}
	}
	return unchanging(c.view(v.object, "https://serverless.twilio.com/v1/Services/"+v.Service+"/"+collection+"/"+v.File+"/Versions/"+v.SID,
		map[string]any{"service_sid": v.Service, string(v.Kind) + "_sid": v.File, "path": v.Path, "visibility": v.Visibility}, links))
}

func listFileVersions(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	f := c.file()
	if f == nil {
		return notFound(c.path)
	}
	return paged(c, string(f.Kind)+"_versions", newest(c.st.versions, func(v *fileVersion) bool { return v.File == f.SID }), c.viewVersion)
}

func fetchFileVersion(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	f, v := c.file(), find(c.st.versions, c.vars["Sid"])
	if f == nil || v == nil || v.File != f.SID {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewVersion(v))
}

// maxUpload is Twilio's limit for an asset.
// https://www.twilio.com/docs/serverless/functions-assets/assets#limits
const maxUpload = 25 << 20

func uploadFileVersion(c *call) reply {
	p, _ := c.filled("Path")
	if len(p) > 255 || !filePath().MatchString(p) || slices.Contains(strings.Split(p, "/"), "..") {
		return invalid("Invalid Path %q", p)
	}
	visibility, _ := c.filled("Visibility")
	visibility = strings.ToLower(visibility)
	if !slices.Contains([]string{"public", "protected", "private"}, visibility) {
		return invalid("Invalid Visibility %q", visibility)
	}
	if c.upload.content == nil {
		return invalid("Content is missing")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.file()
	if f == nil {
		return notFound(c.path)
	}
	v := &fileVersion{
		object: c.object("ZN"), Service: f.Service, Kind: f.Kind, File: f.SID, Path: p,
		Visibility: visibility, ContentType: c.upload.contentType, Content: c.upload.content,
	}
	if rep, ok := store(c, &c.st.versions, v); !ok {
		return rep
	}
	return ok201(c.viewVersion(v))
}

// upload is the file of a multipart body.
type upload struct {
	contentType string
	content     []byte
}

// readMultipart reads the fields of the form, and its one file under Content.
func (c *call) readMultipart(body []byte, boundary string) (reply, bool) {
	c.form = map[string][]string{}
	parts := multipart.NewReader(strings.NewReader(string(body)), boundary)
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return checkNames(c.form, c.op)
		}
		if err != nil {
			return invalid("Invalid multipart body"), false
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return invalid("Invalid multipart body"), false
		}
		name := part.FormName()
		if part.FileName() == "" {
			c.form[name] = append(c.form[name], string(text))
			continue
		}
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if name != "Content" || c.upload.content != nil || err != nil {
			return invalid("Invalid file %q: one, named Content, with a content type, is expected", name), false
		}
		c.upload = upload{kind, append([]byte{}, text...)}
	}
}

// --- builds and deployments

var runtimes = []string{"node8", "node10", "node12", "node14", "node16", "node18", "node20", "node22"}

func (b *siteBuild) status(now time.Time) string {
	switch {
	case now.Before(b.Ready):
		return "building"
	case b.Failed:
		return "failed"
	}
	return "completed"
}

func (c *call) viewBuild(b *siteBuild) any {
	rows := func(sids []string) []any {
		list := []any{}
		for _, sid := range sids {
			v := c.viewVersion(find(c.st.versions, sid)).(map[string]any)
			delete(v, "url")
			delete(v, "links")
			list = append(list, v)
		}
		return list
	}
	return c.view(b.object, c.servicesURL(b.Service)+"/Builds/"+b.SID, map[string]any{
		"service_sid": b.Service, "status": b.status(c.now), "runtime": b.Runtime,
		"asset_versions": rows(b.Assets), "function_versions": rows(b.Functions), "dependencies": b.Dependencies,
	}, map[string]string{"build_status": "/Status"})
}

func (c *call) build() *siteBuild {
	b := find(c.st.builds, c.vars["Sid"])
	if b == nil || b.Service != c.vars["ServiceSid"] {
		return nil
	}
	return b
}

func listBuilds(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.service()
	if s == nil {
		return notFound(c.path)
	}
	return paged(c, "builds", newest(c.st.builds, func(b *siteBuild) bool { return b.Service == s.SID }), c.viewBuild)
}

func createBuild(c *call) reply {
	dependencies := json.RawMessage("[]")
	if text, given := c.filled("Dependencies"); given {
		var list []struct{ Name, Version string }
		if json.Unmarshal([]byte(text), &list) != nil || slices.ContainsFunc(list, func(d struct{ Name, Version string }) bool { return d.Name == "" || d.Version == "" }) {
			return invalid(`Dependencies are not [{"name":"...","version":"..."}]`)
		}
		dependencies = json.RawMessage(text)
	}
	runtime, given := c.filled("Runtime")
	switch {
	case !given || runtime == "latest":
		runtime = runtimes[len(runtimes)-1]
	case !slices.Contains(runtimes, runtime):
		return invalid("Invalid Runtime %q", runtime)
	}
	how := c.Settings().Builds
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.service()
	if s == nil {
		return notFound(c.path)
	}
	paths := map[string]bool{}
	for kind, sids := range map[fileKind][]string{assetKind: c.form["AssetVersions"], functionKind: c.form["FunctionVersions"]} {
		for _, sid := range sids {
			v := find(c.st.versions, sid)
			if v == nil || v.Service != s.SID || v.Kind != kind {
				return invalid("Invalid version %s: the service has no such %s", sid, kind)
			}
			if paths[v.Path] {
				return invalid("Two versions have the path %s", v.Path)
			}
			paths[v.Path] = true
		}
	}
	if len(paths) == 0 {
		return invalid("A build needs a function or an asset")
	}
	b := &siteBuild{
		object: c.object("ZB"), Service: s.SID, Assets: c.form["AssetVersions"], Functions: c.form["FunctionVersions"],
		Dependencies: dependencies, Runtime: runtime, Ready: c.now.Add(how.Time), Failed: how.Fail,
	}
	if rep, ok := store(c, &c.st.builds, b); !ok {
		return rep
	}
	v := c.viewBuild(b).(map[string]any)
	v["status"] = "building" // nobody is told of a build that is done at once
	return ok201(v)
}

func fetchBuild(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	b := c.build()
	if b == nil {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewBuild(b))
}

func fetchBuildStatus(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	b := c.build()
	if b == nil {
		return notFound(c.path)
	}
	return ok(http.StatusOK, map[string]any{
		"sid": b.SID, "account_sid": c.account.SID, "service_sid": b.Service, "status": b.status(c.now),
		"url": c.servicesURL(b.Service) + "/Builds/" + b.SID + "/Status",
	})
}

func (c *call) viewDeployment(d *deployment) any {
	return c.view(d.object, c.servicesURL(d.Service)+"/Environments/"+d.Environment+"/Deployments/"+d.SID,
		map[string]any{"service_sid": d.Service, "environment_sid": d.Environment, "build_sid": orNull(d.Build)}, nil)
}

func listDeployments(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e := c.environment()
	if e == nil {
		return notFound(c.path)
	}
	return paged(c, "deployments", newest(c.st.deployments, func(d *deployment) bool { return d.Environment == e.SID }), c.viewDeployment)
}

func createDeployment(c *call) reply {
	plugin, rep, ok := c.flag("IsPlugin")
	if !ok {
		return rep
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.environment()
	if e == nil {
		return notFound(c.path)
	}
	sid, _ := c.filled("BuildSid")
	b := find(c.st.builds, sid)
	switch {
	case b == nil || b.Service != e.Service:
		return invalid("Invalid BuildSid %q", sid)
	case b.status(c.now) != "completed":
		return invalid("Build %s is %s", sid, b.status(c.now))
	}
	d := &deployment{object: c.object("ZD"), Service: e.Service, Environment: e.SID, Build: sid, Plugin: plugin}
	changed := *e
	changed.Build, changed.Updated = sid, d.Created
	if err := c.st.put(c.st.meta.record(), d.record(), changed.record()); err != nil {
		return c.broken(err)
	}
	c.st.deployments = append(c.st.deployments, d)
	c.st.environments[slices.Index(c.st.environments, e)] = &changed
	return ok201(c.viewDeployment(d))
}

func fetchDeployment(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, d := c.environment(), find(c.st.deployments, c.vars["Sid"])
	if e == nil || d == nil || d.Environment != e.SID {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewDeployment(d))
}

// --- twil.io

// isHosted reports whether host is one that deployed files are served under.
func isHosted(host string) bool { return strings.HasSuffix(host, ".twil.io") }

// hosted finds the asset that is deployed under a host and a path.
func (e *Emulator) hosted(host, path string) *fileVersion {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, env := range e.st.environments {
		if env.Domain != host {
			continue
		}
		b := find(e.st.builds, env.Build)
		if b == nil {
			return nil
		}
		for _, sid := range b.Assets {
			if v := find(e.st.versions, sid); v.Path == path {
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
func (e *Emulator) serveHosted(w http.ResponseWriter, r *http.Request, host, path string) {
	v := e.hosted(host, path)
	status := http.StatusOK
	switch {
	case v == nil || v.Visibility == "private":
		status = http.StatusNotFound
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		status = http.StatusMethodNotAllowed
	case v.Visibility == "protected" && !hmac.Equal([]byte(r.Header.Get("X-Twilio-Signature")), []byte(signature(e.Account().AuthToken, "https://"+host+path))):
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

// signature is what Twilio sends as X-Twilio-Signature with a GET request.
// https://www.twilio.com/docs/usage/webhooks/webhooks-security
func signature(authToken, url string) string {
	mac := hmac.New(sha1.New, []byte(authToken))
	mac.Write([]byte(url))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
