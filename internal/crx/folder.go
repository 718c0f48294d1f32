package crx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/flexvc/flexvc/internal/problem"
)

// scriptLimit is the size of the longest script or page that is looked into,
// and so the most memory that checking takes.
const scriptLimit = 4 << 20

// Folder is an extension that has been read and checked.
type Folder struct {
	fsys         fs.FS
	ManifestText []byte // as it will be packed
	Manifest     *Manifest
	Files        []File // by name; the manifest is one of them
	crc          map[string]uint32
	LeftOut      []string // junk, by name; a folder ends in a slash
}

// File is one file of an extension.
type File struct {
	Name   string `json:"name"`   // slash-separated, from the root
	Size   int64  `json:"size"`   // bytes, unpacked
	SHA256 string `json:"sha256"` // hexadecimal
}

// Rules are what an extension may hold and ask for.
type Rules struct {
	Permissions []string          // all it may ask for
	Hosts       []string          // match patterns of the sites it may touch
	Pinned      map[string]string // files that must be there, with the SHA-256 each must have
}

// ReadFolder reads an extension, applies edits to its manifest and checks it
// all. It keeps names and checksums; Pack reads the files once more and stops
// when one has changed. The error is ExtensionInvalid and lists every fault.
func ReadFolder(ctx context.Context, fsys fs.FS, edits Edits, rules Rules) (*Folder, error) {
	var manifest bytes.Buffer
	text, err := readSmall(&manifest, fsys, ManifestName, manifestLimit)
	if err != nil {
		return nil, invalid("cannot read "+ManifestName+": %w", problem.Reason(err))
	}
	if text, err = edits.Apply(text); err != nil {
		return nil, invalid("cannot use "+ManifestName+": %w", err)
	}
	f := &Folder{fsys: fsys, ManifestText: text, crc: map[string]uint32{}}
	if f.Manifest, err = ParseManifest(text); err != nil {
		return nil, invalid("cannot use "+ManifestName+": %w", err)
	}
	faults := rules.manifest(f.Manifest)
	var names []string
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case name == ".":
			return nil
		case junk(d.Name()):
			if d.IsDir() {
				f.LeftOut = append(f.LeftOut, name+"/")
				return fs.SkipDir
			}
			f.LeftOut = append(f.LeftOut, name)
			return nil
		case d.IsDir():
			if name == "_metadata" {
				faults = append(faults, "_metadata: the name is reserved for the Web Store")
			}
			return nil
		case !d.Type().IsRegular():
			faults = append(faults, name+": it is not a regular file")
			return nil
		}
		if why := badName(name); why != "" {
			faults = append(faults, fmt.Sprintf("%q: %s", name, why))
			return nil
		}
		names = append(names, name)
		return nil
	})
	if err == nil {
		var found []string
		found, err = f.checkAll(ctx, names, rules)
		faults = append(faults, found...)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, invalid("cannot read the extension: %w", err)
	}
	slices.SortFunc(f.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	faults = append(faults, f.whole(rules)...)
	if len(faults) > 0 {
		p := problem.New(problem.ExtensionInvalid, "cannot pack the extension: %s", faults[0])
		if len(faults) > 1 {
			p = problem.New(problem.ExtensionInvalid, "cannot pack the extension: %d errors", len(faults)).
				WithDetail("%s", strings.Join(faults, "\n"))
		}
		return nil, p
	}
	return f, nil
}

func invalid(format string, args ...any) error {
	return problem.New(problem.ExtensionInvalid, format, args...)
}

// readSmall reads a whole file into data, in place of what that holds.
func readSmall(data *bytes.Buffer, fsys fs.FS, name string, limit int64) ([]byte, error) {
	in, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data.Reset()
	if info, err := in.Stat(); err == nil && info.Size() <= limit {
		data.Grow(int(info.Size()) + bytes.MinRead)
	}
	n, err := data.ReadFrom(io.LimitReader(in, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("it is longer than %d MiB", limit>>20)
	}
	return data.Bytes(), err
}

// junk is what editors, systems and packers leave in folders, and what must
// never leave the building.
func junk(name string) bool {
	switch strings.ToLower(name) {
	case "thumbs.db", "desktop.ini", "node_modules", "__macosx":
		return true
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".pem", ".key", ".crx", ".zip", ".orig", ".swp":
		return true
	}
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~")
}

// badName says why a name would not survive every system a browser runs on.
func badName(name string) string {
	switch {
	case len(name) > nameLimit:
		return "the name is too long"
	case strings.ContainsAny(name, `\:*?"<>|`):
		return "Windows does not allow such names"
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }):
		return "the name is not plain ASCII"
	}
	return ""
}

// checkAll checks the files one after the other: two at a time took more of the
// processor and, measured in turns, no less time.
func (f *Folder) checkAll(ctx context.Context, names []string, rules Rules) (faults []string, err error) {
	var text bytes.Buffer
	buf := make([]byte, copyBuffer)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r := f.check(name, rules, &text, buf)
		if r.err != nil {
			return nil, r.err
		}
		f.Files = append(f.Files, r.file)
		f.crc[name] = r.crc
		faults = append(faults, r.faults...)
	}
	return faults, nil
}

// checked is what a look into one file gave.
type checked struct {
	file   File
	crc    uint32
	faults []string
	err    error
}

// check hashes one file and, when it is a script or a page, looks into it. It
// reads through text or buf, whose contents are nobody's afterwards.
func (f *Folder) check(name string, rules Rules, text *bytes.Buffer, buf []byte) checked {
	if name == ManifestName {
		return checked{file: fileOf(name, f.ManifestText), crc: crc32.ChecksumIEEE(f.ManifestText)}
	}
	want, pinned := rules.Pinned[name]
	kind := strings.ToLower(path.Ext(name))
	if !pinned && slices.Contains([]string{".js", ".mjs", ".html", ".htm", ".svg"}, kind) {
		data, err := readSmall(text, f.fsys, name, scriptLimit)
		if err != nil {
			return checked{err: fmt.Errorf("%s: %w", name, problem.Reason(err))}
		}
		return checked{file: fileOf(name, data), crc: crc32.ChecksumIEEE(data), faults: remoteCode(name, data)}
	}
	in, err := f.fsys.Open(name)
	if err != nil {
		return checked{err: err}
	}
	defer in.Close()
	sum, crc := sha256.New(), crc32.NewIEEE()
	size, err := io.CopyBuffer(io.MultiWriter(sum, crc), in, buf)
	if err != nil {
		return checked{err: fmt.Errorf("%s: %w", name, problem.Reason(err))}
	}
	c := checked{file: File{name, size, hex.EncodeToString(sum.Sum(nil))}, crc: crc.Sum32()}
	if pinned && c.file.SHA256 != want {
		c.faults = []string{fmt.Sprintf("%s: its checksum is %s, expected %s", name, c.file.SHA256, want)}
	}
	return c
}

func fileOf(name string, data []byte) File {
	sum := sha256.Sum256(data)
	return File{name, int64(len(data)), hex.EncodeToString(sum[:])}
}

// What loads or makes code that is not in the package. Most files hold none of
// the words, and those are not searched with the pattern.
var remote = []struct {
	words   []string
	pattern func() *regexp.Regexp
	what    string
}{
	{[]string{"eval"}, compiled(`(?:^|[^.\w$])eval\s*\(`), "creates code from text (eval)"},
	{[]string{"Function"}, compiled(`\bnew\s+Function\s*\(`), "creates code from text (new Function)"},
	{addresses, compiled("\\bimportScripts\\s*\\(\\s*[\"'`](?:https?:)?//"), "loads a remote script"},
	{addresses, compiled("\\bimport\\s*\\(?\\s*(?:[\\w${},*\\s]+\\bfrom\\s*)?[\"'`](?:https?:)?//"), "imports a remote module"},
}

// addresses are how the text of an address begins.
var addresses = []string{`"http`, `'http`, "`http", `"//`, `'//`, "`//"}

// embeds is what loads code into a page.
var embeds = compiled(`(?i)<(?:script|iframe|embed|object)\b[^>]*\b(?:src|data|href)\s*=\s*["']?\s*(?:https?:)?//`)

func compiled(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

func remoteCode(name string, data []byte) (faults []string) {
	search := func(pattern *regexp.Regexp, what string) {
		if at := pattern.FindIndex(data); at != nil {
			faults = append(faults, fmt.Sprintf("%s:%d: it %s", name, 1+bytes.Count(data[:at[0]], []byte("\n")), what))
		}
	}
	for _, r := range remote {
		if slices.ContainsFunc(r.words, func(word string) bool { return bytes.Contains(data, []byte(word)) }) {
			search(r.pattern(), r.what)
		}
	}
	if ext := strings.ToLower(path.Ext(name)); ext != ".js" && ext != ".mjs" {
		search(embeds(), "loads remote code")
	}
	return faults
}

// manifest checks what the manifest asks for.
func (r Rules) manifest(m *Manifest) (faults []string) {
	for _, list := range [][]string{m.Permissions, m.OptionalPermissions} {
		for _, p := range list {
			if !slices.Contains(r.Permissions, p) {
				faults = append(faults, fmt.Sprintf("%s: it requests the unknown permission %q", ManifestName, p))
			}
		}
	}
	hosts := slices.Concat(m.HostPermissions, m.OptionalHostPermissions)
	for _, script := range m.ContentScripts {
		hosts = append(hosts, script.Matches...)
	}
	slices.Sort(hosts)
	for _, host := range slices.Compact(hosts) {
		if !slices.Contains(r.Hosts, host) {
			faults = append(faults, fmt.Sprintf("%s: it requests %s, which was not passed with --host", ManifestName, host))
		}
	}
	if m.ContentSecurityPolicy != nil {
		var policies struct {
			Pages   string `json:"extension_pages"`
			Sandbox string `json:"sandbox"`
		}
		if json.Unmarshal(m.ContentSecurityPolicy, &policies) != nil {
			return append(faults, ManifestName+": content_security_policy is not an object")
		}
		for _, policy := range []string{policies.Pages, policies.Sandbox} {
			for directive := range strings.SplitSeq(policy, ";") {
				fields := strings.Fields(directive)
				if len(fields) == 0 || !strings.HasSuffix(fields[0], "-src") || !strings.HasPrefix(fields[0], "script") && !strings.HasPrefix(fields[0], "default") && !strings.HasPrefix(fields[0], "worker") {
					continue
				}
				for _, source := range fields[1:] {
					if !slices.Contains([]string{"'self'", "'none'", "'wasm-unsafe-eval'"}, source) {
						faults = append(faults, fmt.Sprintf("%s: %s allows code from %s", ManifestName, fields[0], source))
					}
				}
			}
		}
	}
	return faults
}

// whole checks the files against each other and the manifest.
func (f *Folder) whole(rules Rules) (faults []string) {
	names, folded := map[string]bool{}, map[string]string{}
	for _, file := range f.Files {
		names[file.Name] = true
		lower := strings.ToLower(file.Name)
		if other, ok := folded[lower]; ok {
			faults = append(faults, fmt.Sprintf("%s and %s are the same file on Windows and macOS", other, file.Name))
		}
		folded[lower] = file.Name
	}
	var pinned []string
	for name := range rules.Pinned {
		if !names[name] {
			pinned = append(pinned, name+": it is missing")
		}
	}
	slices.Sort(pinned)
	faults = append(faults, pinned...)
	if locale := f.Manifest.DefaultLocale; locale != "" && !names["_locales/"+locale+"/messages.json"] {
		faults = append(faults, "_locales/"+locale+"/messages.json: it is missing, and the manifest names it")
	}
	var value any
	if err := json.Unmarshal(f.ManifestText, &value); err != nil {
		return append(faults, err.Error())
	}
	for _, name := range namedFiles(value) {
		if !names[path.Clean(strings.TrimPrefix(name, "/"))] {
			faults = append(faults, name+": it is missing, and the manifest names it")
		}
	}
	return faults
}

// namedFiles lists the strings of a manifest that are names of files.
func namedFiles(value any) (names []string) {
	switch value := value.(type) {
	case map[string]any:
		for _, inner := range value {
			names = append(names, namedFiles(inner)...)
		}
	case []any:
		for _, inner := range value {
			names = append(names, namedFiles(inner)...)
		}
	case string:
		if slices.Contains([]string{".js", ".mjs", ".html", ".png", ".json", ".css"}, path.Ext(value)) && !strings.ContainsAny(value, "*:?# ") {
			names = append(names, value)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// open returns a file's bytes as they will be packed.
func (f *Folder) open(name string) (io.ReadCloser, error) {
	if name == ManifestName {
		return io.NopCloser(bytes.NewReader(f.ManifestText)), nil
	}
	return f.fsys.Open(name)
}

var errChanged = errors.New("it changed while being packed")

// copyFile writes a file's bytes to w, through buf, and stops when they are not
// those that were checked.
func (f *Folder) copyFile(w io.Writer, file File, buf []byte) error {
	in, err := f.open(file.Name)
	if err != nil {
		return fmt.Errorf("%s: %w", file.Name, problem.Reason(err))
	}
	defer in.Close()
	crc := crc32.NewIEEE() // a tenth of the cost of SHA-256, and enough to notice an edit
	for {
		n, err := in.Read(buf)
		crc.Write(buf[:n])
		if _, err := w.Write(buf[:n]); err != nil {
			return writeError{err}
		}
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("%s: %w", file.Name, problem.Reason(err))
		}
	}
	if crc.Sum32() != f.crc[file.Name] {
		return fmt.Errorf("%s: %w", file.Name, errChanged)
	}
	return nil
}

// writeError tells a full disk from an unreadable source.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }
