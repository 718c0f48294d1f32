package serverless

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

// fileKind tells assets from functions, which are handled alike.
type fileKind string

const (
	assetKind    fileKind = "asset"
	functionKind fileKind = "function"
)

type file struct {
	store.Object
	Service      string   `json:"service"`
	Kind         fileKind `json:"kind"`
	FriendlyName string   `json:"friendly_name"`
}

type fileVersion struct {
	store.Object
	Service     string   `json:"service"`
	Kind        fileKind `json:"kind"`
	File        string   `json:"file"`
	Path        string   `json:"path"`
	Visibility  string   `json:"visibility"`
	ContentType string   `json:"content_type"`
	Content     []byte   `json:"content"`
}

var (
	files    = store.NewKind[file]("file")
	versions = store.NewKind[fileVersion]("version")
)

// kindInPath says whether the request is about assets or functions.
func kindInPath(c *emulator.Call) (kind fileKind, collection string) {
	if strings.Contains(c.Op.Path, "/Functions") {
		return functionKind, "Functions"
	}
	return assetKind, "Assets"
}

func viewFile(c *emulator.Call, f *file) any {
	_, collection := kindInPath(c)
	return c.View(f.Object, serviceURL(c, f.Service)+"/"+collection+"/"+f.SID,
		map[string]any{"service_sid": f.Service, "friendly_name": f.FriendlyName},
		map[string]string{string(f.Kind) + "_versions": "/Versions"})
}

func (f *file) assetOf(s *service) bool    { return f.Service == s.SID && f.Kind == assetKind }
func (f *file) functionOf(s *service) bool { return f.Service == s.SID && f.Kind == functionKind }

// fileInPath is the one that the request is about, or about a version of.
func fileInPath(c *emulator.Call) *file {
	kind, _ := kindInPath(c)
	f := files.In(c.Store).Find(cmp.Or(c.Vars["AssetSid"], c.Vars["FunctionSid"], c.Vars["Sid"]))
	if f == nil || f.Service != c.Vars["ServiceSid"] || f.Kind != kind {
		return nil
	}
	return f
}

func createFile(c *emulator.Call) *emulator.Reply {
	name, no := c.FriendlyName(255)
	if no != nil {
		return no
	}
	s := serviceInPath(c)
	if s == nil {
		return c.NotFound()
	}
	kind, _ := kindInPath(c)
	return emulator.Create(c, files.In(c.Store), &file{Object: c.New("ZH"), Service: s.SID, Kind: kind, FriendlyName: name}, viewFile)
}

func fileTable(c *emulator.Call) *store.Table[*file] { return files.In(c.Store) }

func updateFile(c *emulator.Call, f *file) (no *emulator.Reply) {
	f.FriendlyName, no = c.FriendlyName(255)
	return no
}

// --- versions

func viewVersion(c *emulator.Call, v *fileVersion) any { return shownVersion(c, v) }

func shownVersion(c *emulator.Call, v *fileVersion) map[string]any {
	collection := "Assets"
	var links map[string]string
	if v.Kind == functionKind {
		collection, links = "Functions", map[string]string{"function_version_content": "/Content"}
	}
	return c.Unchanging(v.Object, "https://serverless.twilio.com/v1/Services/"+v.Service+"/"+collection+"/"+v.File+"/Versions/"+v.SID,
		map[string]any{"service_sid": v.Service, string(v.Kind) + "_sid": v.File, "path": v.Path, "visibility": v.Visibility}, links)
}

// viewContent shows the code of a Function's version.
func viewContent(c *emulator.Call, v *fileVersion) any {
	return map[string]any{
		"sid": v.SID, "account_sid": c.Account.SID, "service_sid": v.Service, "function_sid": v.File, "content": string(v.Content),
		"url": serviceURL(c, v.Service) + "/Functions/" + v.File + "/Versions/" + v.SID + "/Content",
	}
}

func (v *fileVersion) of(f *file) bool { return v.File == f.SID }

func versionInPath(c *emulator.Call) *fileVersion {
	f, v := fileInPath(c), versions.In(c.Store).Find(c.Vars["Sid"])
	if f == nil || v == nil || !v.of(f) {
		return nil
	}
	return v
}

// maxUpload is Twilio's limit for an asset.
// https://www.twilio.com/docs/serverless/functions-assets/assets#limits
const maxUpload = 25 << 20

var filePath = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(/[A-Za-z0-9._~@:+-]+)+$`) })

func uploadVersion(c *emulator.Call) *emulator.Reply {
	p, _ := c.Filled("Path")
	if len(p) > 255 || !filePath().MatchString(p) || slices.Contains(strings.Split(p, "/"), "..") {
		return emulator.Invalid("Invalid Path %q", p)
	}
	visibility, _ := c.Filled("Visibility")
	visibility = strings.ToLower(visibility)
	if !slices.Contains([]string{"public", "protected", "private"}, visibility) {
		return emulator.Invalid("Invalid Visibility %q", visibility)
	}
	if c.Upload.Content == nil {
		return emulator.Invalid("Content is missing")
	}
	f := fileInPath(c)
	if f == nil {
		return c.NotFound()
	}
	v := &fileVersion{
		Object: c.New("ZN"), Service: f.Service, Kind: f.Kind, File: f.SID, Path: p,
		Visibility: visibility, ContentType: c.Upload.ContentType, Content: c.Upload.Content,
	}
	return emulator.Create(c, versions.In(c.Store), v, viewVersion)
}
