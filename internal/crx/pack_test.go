package crx

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/flexvc/flexvc/internal/problem"
)

const manifestText = `{
  "manifest_version": 3,
  "name": "sample",
  "version": "1.2.3",
  "minimum_chrome_version": "123",
  "permissions": ["offscreen", "scripting", "storage"],
  "host_permissions": ["https://flex.twilio.com/*"],
  "content_scripts": [
    { "matches": ["https://flex.twilio.com/*"], "js": ["content.js"] }
  ],
  "background": { "service_worker": "worker.js" }
}
`

var rules = Rules{
	Permissions: []string{"offscreen", "scripting", "storage"},
	Hosts:       []string{"https://flex.twilio.com/*"},
}

func sample() fstest.MapFS {
	noise := make([]byte, 5000)
	source := rand.NewChaCha8([32]byte{7})
	source.Read(noise)
	return fstest.MapFS{
		"manifest.json":     {Data: []byte(manifestText)},
		"worker.js":         {Data: bytes.Repeat([]byte("console.log('hello');\n"), 400)},
		"content.js":        {Data: []byte("const a = 1;\n")},
		"icons/a.png":       {Data: noise},
		"empty.css":         {Data: nil},
		".DS_Store":         {Data: []byte("junk")},
		"old/secret.pem":    {Data: []byte("junk")},
		"node_modules/x.js": {Data: []byte("eval('junk')")},
	}
}

func readSample(t testing.TB, fsys fs.FS) *Folder {
	t.Helper()
	folder, err := ReadFolder(context.Background(), fsys, Edits{}, rules)
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func packed(t testing.TB, fsys fs.FS) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sample.crx")
	if _, err := Pack(context.Background(), path, readSample(t, fsys), testKey()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPackIsWhatWasPutIn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sample.crx")
	folder := readSample(t, sample())
	p, err := Pack(t.Context(), path, folder, testKey())
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{".DS_Store", "node_modules/", "old/secret.pem"}; !slices.Equal(folder.LeftOut, want) {
		t.Errorf("left out %q, want %q", folder.LeftOut, want)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ExtensionID(testKey().Public())
	if err != nil || p.ID != id || p.Size != int64(len(data)) {
		t.Errorf("package is %+v, %v; wanted %s, %d bytes", p, err, id, len(data))
	}
	report, err := Verify(bytes.NewReader(data), int64(len(data)))
	if err != nil || !report.OK() || report.ID != id || report.SHA256 != p.SHA256 {
		t.Fatalf("Verify = %+v, %v", report, err)
	}
	if !slices.Equal(report.Files, folder.Files) {
		t.Errorf("files are %v, want %v", report.Files, folder.Files)
	}
	if report.HeaderSize != 581 || report.ArchiveAt != 593 { // what Chromium's own packer writes for RSA-2048
		t.Errorf("header %d, archive at %d", report.HeaderSize, report.ArchiveAt)
	}
	if report.Manifest.Version != "1.2.3" || len(report.Proofs) != 1 || report.Proofs[0].Bits != 2048 {
		t.Errorf("manifest %+v, proofs %+v", report.Manifest, report.Proofs)
	}

	// Another reader of ZIP archives sees the same, in order, without times and modes.
	z, err := zip.NewReader(bytes.NewReader(data[593:]), int64(len(data)-593))
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range z.File {
		content, err := fs.ReadFile(z, file.Name)
		if err != nil || fileOf(file.Name, content) != folder.Files[i] {
			t.Errorf("%s is not what was packed: %v", file.Name, err)
		}
		if file.ModifiedDate != dosDate || file.ModifiedTime != 0 || file.ExternalAttrs != 0 || len(file.Extra) != 0 {
			t.Errorf("%s carries %+v", file.Name, file.FileHeader)
		}
	}
}

// The signature is openssl's, byte for byte, over what the format says is signed.
func TestOpenSSLAgreesWithTheSignature(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	data, dir := packed(t, sample()), t.TempDir()
	if err := WriteKey(filepath.Join(dir, "key.pem"), testKey()); err != nil {
		t.Fatal(err)
	}
	// header: tag 3 bytes, proof { tag 3+294 key, tag 3+256 signature }, tag 4+18 signed data
	signed := data[593-18 : 593]
	payload := slices.Concat([]byte("CRX3 SignedData\x00\x12\x00\x00\x00"), signed, data[593:])
	cmd := exec.CommandContext(t.Context(), openssl, "dgst", "-sha256", "-sign", filepath.Join(dir, "key.pem"))
	cmd.Stdin = bytes.NewReader(payload)
	signature, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data[:593], signature) {
		t.Error("openssl makes another signature")
	}
}

// faulty fails at one write, after having written half of it.
type faulty struct {
	output
	left  *int
	check func()
}

var errFull = errors.New("no space left on device")

func (f faulty) Write(p []byte) (int, error) {
	f.check()
	if *f.left--; *f.left < 0 {
		n, _ := f.output.Write(p[:len(p)/2])
		return n, errFull
	}
	return f.output.Write(p)
}

func (f faulty) WriteAt(p []byte, at int64) (int, error) {
	f.check()
	if *f.left--; *f.left < 0 {
		return 0, errFull
	}
	return f.output.WriteAt(p, at)
}

// Whichever write fails, and wherever the process would be killed: the name
// stands for the whole old file until it stands for the whole new one.
func TestPackInterruptedAtAnyWrite(t *testing.T) {
	for _, before := range []string{"", "the package of yesterday"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "sample.crx")
		intact := func() {
			data, err := os.ReadFile(path)
			if before == "" && !errors.Is(err, fs.ErrNotExist) || string(data) != before {
				t.Errorf("the name stands for %d bytes, %v", len(data), err)
			}
		}
		if before != "" {
			if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		folder := readSample(t, sample())
		failures := 0
		for n := 0; ; n++ {
			left := n
			_, err := pack(t.Context(), path, folder, testKey(), func(out output) output { return faulty{out, &left, intact} })
			if err == nil {
				break
			}
			failures++
			if !problem.Is(err, problem.OutputUnwritable) || !strings.Contains(err.Error(), errFull.Error()) {
				t.Fatalf("write %d: %v", n, err)
			}
			intact()
			if entries, _ := os.ReadDir(dir); len(entries) != min(1, len(before)) {
				t.Fatalf("write %d leaves %v", n, entries)
			}
		}
		if failures < 3 { // the header, the archive, the signature
			t.Errorf("only %d writes were failed", failures)
		}
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(data, packed(t, sample())) {
			t.Errorf("after all that the package is another: %v", err)
		}
	}
}

func TestPackStopsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	folder := readSample(t, sample())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Pack(ctx, filepath.Join(dir, "a.crx"), folder, testKey()); !errors.Is(err, context.Canceled) {
		t.Errorf("Pack = %v", err)
	}
	if err := Unpacked(ctx, filepath.Join(dir, "a"), folder); !errors.Is(err, context.Canceled) {
		t.Errorf("Unpacked = %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestPackRefusesWhatChangedAfterTheCheck(t *testing.T) {
	fsys := sample()
	folder := readSample(t, fsys)
	fsys["worker.js"] = &fstest.MapFile{Data: []byte("eval('worse')")}
	for name, pack := range map[string]func(string) error{
		"crx": func(path string) error { _, err := Pack(t.Context(), path, folder, testKey()); return err },
		"zip": func(path string) error { _, err := Zip(t.Context(), path, folder); return err },
		"dir": func(path string) error { return Unpacked(t.Context(), path, folder) },
	} {
		path := filepath.Join(t.TempDir(), "out")
		if err := pack(path); !problem.Is(err, problem.ExtensionInvalid) || !strings.Contains(err.Error(), "worker.js: it changed") {
			t.Errorf("%s: %v", name, err)
		}
		if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 0 {
			t.Errorf("%s: left behind: %v", name, entries)
		}
	}
}

func TestZipAndFolderHoldTheSameFiles(t *testing.T) {
	public, err := PublicKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	folder, err := ReadFolder(t.Context(), sample(), Edits{Key: public}, rules)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "unpacked")
	if err := Unpacked(t.Context(), dir, folder); err != nil {
		t.Fatal(err)
	}
	again, err := ReadFolder(t.Context(), os.DirFS(dir), Edits{}, rules)
	if err != nil || !slices.Equal(again.Files, folder.Files) || len(again.LeftOut) != 0 {
		t.Errorf("unpacked: %+v, %v", again, err)
	}
	spki, err := base64.StdEncoding.DecodeString(again.Manifest.Key)
	if id, _ := ExtensionID(testKey().Public()); err != nil || idOf(spki) != id {
		t.Errorf("the folder's ID is %s, want %s; %v", idOf(spki), id, err)
	}
	if err := Unpacked(t.Context(), dir, folder); !problem.Is(err, problem.OutputUnwritable) {
		t.Errorf("a second time: %v", err)
	}
	path := filepath.Join(t.TempDir(), "a.zip")
	if p, err := Zip(t.Context(), path, folder); err != nil || p.ID != "" {
		t.Fatal(p, err)
	}
	z, err := zip.OpenReader(path)
	if err != nil || len(z.File) != len(folder.Files) {
		t.Fatal(err)
	}
	z.Close()
}

func TestFaultsAreFoundBeforeAFileIsNamed(t *testing.T) {
	edit := func(old, new string) func(fstest.MapFS) {
		return func(f fstest.MapFS) {
			if !strings.Contains(manifestText, old) {
				panic(old)
			}
			f["manifest.json"] = &fstest.MapFile{Data: []byte(strings.Replace(manifestText, old, new, 1))}
		}
	}
	file := func(name, text string) func(fstest.MapFS) {
		return func(f fstest.MapFS) { f[name] = &fstest.MapFile{Data: []byte(text)} }
	}
	for want, change := range map[string]func(fstest.MapFS){
		"manifest_version is 2":                             edit(`"manifest_version": 3`, `"manifest_version": 2`),
		"line 5":                                            edit(`"1.2.3",`, `"1.2.3"`+"\n"+`,,`),
		`version "1.02" is not`:                             edit("1.2.3", "1.02"),
		`version "0.0" is zero`:                             edit("1.2.3", "0.0"),
		`"name" is set twice`:                               edit(`"version"`, `"name": "x", "version"`),
		"it has no name":                                    edit(`"sample"`, `""`),
		`unknown permission "tabs"`:                         edit(`["offscreen"`, `["tabs"`),
		"requests https://*/*":                              edit(`"host_permissions": ["https://flex.twilio.com/*"`, `"host_permissions": ["https://*/*"`),
		"requests <all_urls>":                               edit(`"matches": ["https://flex.twilio.com/*"`, `"matches": ["<all_urls>"`),
		"script-src allows code from 'unsafe-":              edit(`"version"`, `"content_security_policy": {"extension_pages": "script-src 'self' 'unsafe-eval'"}, "version"`),
		"allows code from https://cdn":                      edit(`"version"`, `"content_security_policy": {"extension_pages": "default-src https://cdn.example.com"}, "version"`),
		"gone.js: it is missing":                            edit("worker.js", "gone.js"),
		"_locales/en/messages.json: it is miss":             edit(`"version"`, `"default_locale": "en", "version"`),
		"worker.js:2: it creates code from text":            file("worker.js", "a()\nreturn eval(x)"),
		"creates code from text (new Function)":             file("worker.js", "new Function('x')"),
		"worker.js:1: it imports a remote module":           file("worker.js", "import { a,\n b } from 'https://cdn.example.com/a.js'"),
		"loads a remote script":                             file("worker.js", "importScripts(\"//cdn.example.com/a.js\")"),
		"page.html:2: it loads remote code":                 file("page.html", "<html>\n<script async src=https://cdn.example.com/a.js></script>"),
		"are the same file on Windows":                      file("Worker.js", ""),
		"Windows does not allow such names":                 file("a:b.js", ""),
		"the name is not plain ASCII":                       file("ä.js", ""),
		"_metadata: the name is reserved for the Web Store": file("_metadata/x", ""),
		"it is longer than 4 MiB":                           file("big.js", strings.Repeat("x", scriptLimit+1)),
	} {
		fsys := sample()
		change(fsys)
		if _, err := ReadFolder(t.Context(), fsys, Edits{}, rules); !problem.Is(err, problem.ExtensionInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("ReadFolder = %v, want %q", err, want)
		}
	}
}

func TestPinnedFiles(t *testing.T) {
	pinned := rules
	pinned.Pinned = map[string]string{"content.js": fileOf("", []byte("const a = 1;\n")).SHA256}
	fsys := sample()
	if _, err := ReadFolder(t.Context(), fsys, Edits{}, pinned); err != nil {
		t.Error(err)
	}
	fsys["content.js"] = &fstest.MapFile{Data: []byte("const a = 2;\n")}
	if _, err := ReadFolder(t.Context(), fsys, Edits{}, pinned); err == nil || !strings.Contains(err.Error(), "content.js: its checksum is") {
		t.Error(err)
	}
	delete(fsys, "content.js")
	if _, err := ReadFolder(t.Context(), fsys, Edits{}, pinned); err == nil || problem.As(err).Detail != "content.js: it is missing\ncontent.js: it is missing, and the manifest names it" {
		t.Error(err)
	}
}

// A link could bring any file of the machine into the package.
func TestLinksAreRefused(t *testing.T) {
	dir := t.TempDir()
	for name, file := range sample() {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, file.Data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "link.txt")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFolder(t.Context(), os.DirFS(dir), Edits{}, rules); err == nil || !strings.Contains(err.Error(), "link.txt: it is not a regular file") {
		t.Error(err)
	}
}

// An edited manifest differs where it was edited, and nowhere else.
func TestEditsKeepTheRest(t *testing.T) {
	got, err := Edits{Version: "2.0", Name: `a "b" <c>`, Hosts: []string{"https://*.example.com/*"}, Key: "KEY+/=", UpdateURL: "https://e.example/u.xml?a=1&b=2"}.Apply([]byte(manifestText))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(
		`"1.2.3"`, `"2.0"`,
		`"sample"`, `"a \"b\" <c>"`,
		`["https://flex.twilio.com/*"]`, `["https://flex.twilio.com/*", "https://*.example.com/*"]`,
		"worker.js\" }\n", "worker.js\" },\n  \"key\": \"KEY+/=\",\n  \"update_url\": \"https://e.example/u.xml?a=1&b=2\"\n",
	).Replace(manifestText)
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	bare, err := Edits{Bare: true}.Apply(got)
	if err != nil || strings.Contains(string(bare), "KEY") || strings.Contains(string(bare), "update_url") || !json.Valid(bare) {
		t.Errorf("bare: %v\n%s", err, bare)
	}
	place := "https://desk.example/*"
	if bare, err := (Edits{Bare: true, Hosts: []string{place}}).Apply(got); err != nil || strings.Count(string(bare), place) != 2 {
		t.Errorf("the store's package is without a place: %v\n%s", err, bare)
	}
	same, err := Edits{}.Apply([]byte(manifestText))
	if err != nil || string(same) != manifestText {
		t.Errorf("no edits: %v", err)
	}
	for _, text := range []string{`{"key":"k"}`, `{"key":"k","a":1}`, `{ "a":1 , "key" : "k" }`, "{\n\"update_url\":1,\"key\":[{}]}"} {
		bare, err := Edits{Bare: true}.Apply([]byte(text))
		if err != nil || !json.Valid(bare) || bytes.Contains(bare, []byte("key")) {
			t.Errorf("bare %s: %s, %v", text, bare, err)
		}
	}
}

func FuzzEdits(f *testing.F) {
	f.Add([]byte(manifestText), "1.0", "https://a.example/*")
	f.Add([]byte(`{"content_scripts":[{"matches":[ ]},{}], "key":1}`), "", "https://a.example/*")
	f.Fuzz(func(t *testing.T, text []byte, version, host string) {
		got, err := Edits{Version: version, Hosts: []string{host}, UpdateURL: "https://e.example/"}.Apply(text)
		if err == nil && !json.Valid(got) {
			t.Errorf("%q became %q", text, got)
		}
		if bare, err := (Edits{Bare: true}).Apply(text); err == nil && !json.Valid(bare) {
			t.Errorf("%q became %q", text, bare)
		}
	})
}

func TestHostPatterns(t *testing.T) {
	for pattern, ok := range map[string]bool{
		"https://flex.example.com/*": true, "*://*.example.com/*": true, "http://localhost:3000/*": true,
		"https://*/*": false, "<all_urls>": false, "flex.example.com": false, "file:///*": false, "https://a.example": false, "https://*.*/": false, "": false,
	} {
		if err := CheckHost(pattern); (err == nil) != ok {
			t.Errorf("CheckHost(%q) = %v", pattern, err)
		}
	}
}

func TestVersionsCompare(t *testing.T) {
	sorted := []string{"0.0.1", "0.1", "1", "1.0.1", "1.2", "1.10", "65535.0.0.65535"}
	for i, a := range sorted {
		if CheckVersion(a) != nil {
			t.Errorf("%s is refused", a)
		}
		for j, b := range sorted {
			if got, want := CompareVersions(a, b), min(max(i-j, -1), 1); got != want {
				t.Errorf("CompareVersions(%s, %s) = %d, want %d", a, b, got, want)
			}
		}
	}
	if CompareVersions("1", "1.0.0.0") != 0 {
		t.Error("1 is not 1.0.0.0")
	}
	for _, bad := range []string{"", "1.", ".1", "1.2.3.4.5", "65536", "-1", "+1", "1a", "01"} {
		if CheckVersion(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
