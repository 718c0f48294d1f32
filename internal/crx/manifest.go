package crx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ManifestName is the file at the root of every extension.
const ManifestName = "manifest.json"

// manifestLimit is far above any manifest and bounds what is kept in memory.
const manifestLimit = 1 << 20

// nameMost is how many characters a name may have.
const nameMost = 75

// Manifest is what packing and checking need of a manifest.json.
type Manifest struct {
	ManifestVersion         int      `json:"manifest_version"`
	Name                    string   `json:"name"`
	Version                 string   `json:"version"`
	MinimumChromeVersion    string   `json:"minimum_chrome_version"`
	DefaultLocale           string   `json:"default_locale"`
	Key                     string   `json:"key"`
	UpdateURL               string   `json:"update_url"`
	Permissions             []string `json:"permissions"`
	OptionalPermissions     []string `json:"optional_permissions"`
	HostPermissions         []string `json:"host_permissions"`
	OptionalHostPermissions []string `json:"optional_host_permissions"`
	ContentScripts          []struct {
		Matches []string `json:"matches"`
	} `json:"content_scripts"`
	ContentSecurityPolicy json.RawMessage `json:"content_security_policy"`
}

// ParseManifest reads a manifest and checks what Chromium would refuse: the
// manifest version, the version and the name.
func ParseManifest(text []byte) (*Manifest, error) {
	if len(text) > manifestLimit {
		return nil, errors.New("it is longer than 1 MiB")
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, jsonError(text, err)
	}
	if name, err := repeated(text); err != nil {
		return nil, err
	} else if name != "" {
		return nil, fmt.Errorf("%q is set twice", name)
	}
	switch {
	case m.ManifestVersion != 3:
		return nil, fmt.Errorf("manifest_version is %d, but Chrome requires 3", m.ManifestVersion)
	case m.Name == "":
		return nil, errors.New("it has no name")
	case len([]rune(m.Name)) > nameMost:
		return nil, fmt.Errorf("its name is longer than %d characters", nameMost)
	}
	if err := CheckVersion(m.Version); err != nil {
		return nil, err
	}
	return &m, nil
}

// messageStart begins a place in a manifest where a message stands in for text:
// __MSG_name__.
const messageStart = "__MSG_"

// localize fills the messages of a messages.json into text, and returns "" when
// one is not there.
//
// Source: https://developer.chrome.com/docs/extensions/reference/api/i18n
func localize(text string, messages []byte) string {
	var all map[string]json.RawMessage
	if json.Unmarshal(messages, &all) != nil {
		return ""
	}
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, messageStart)
		out.WriteString(before)
		if !found {
			return out.String()
		}
		key, after, closed := strings.Cut(rest, "__")
		if !closed {
			return ""
		}
		message := findMessage(all, key)
		if message == "" {
			return ""
		}
		out.WriteString(message)
		text = after
	}
}

// findMessage looks a message up as Chromium does, in any case of letters; of
// those that differ in nothing else, the exact one goes first.
func findMessage(all map[string]json.RawMessage, key string) string {
	for _, name := range append([]string{key}, slices.Sorted(maps.Keys(all))...) {
		var entry struct {
			Message string `json:"message"`
		}
		if strings.EqualFold(name, key) && json.Unmarshal(all[name], &entry) == nil {
			return entry.Message
		}
	}
	return ""
}

// CheckVersion says why Chromium does not take version: it wants one to four
// numbers of 0 to 65535, parted by dots, without leading zeros and not all 0.
//
// Source: https://developer.chrome.com/docs/extensions/reference/manifest/version
func CheckVersion(version string) error {
	parts := strings.Split(version, ".")
	wrong := fmt.Errorf("version %q is not one to four numbers up to 65535, as in 1.4.0", version)
	if len(parts) > 4 {
		return wrong
	}
	zero := true
	for _, part := range parts {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil || strconv.FormatUint(n, 10) != part {
			return wrong
		}
		zero = zero && n == 0
	}
	if zero {
		return fmt.Errorf("version %q is zero", version)
	}
	return nil
}

// CompareVersions returns -1, 0 or 1. Both must have passed CheckVersion.
func CompareVersions(a, b string) int {
	numbers := func(version string) [4]int {
		var n [4]int
		for i, part := range strings.SplitN(version, ".", 4) {
			n[i], _ = strconv.Atoi(part) // checked
		}
		return n
	}
	x, y := numbers(a), numbers(b)
	return slices.Compare(x[:], y[:])
}

// hostPattern is Chrome's match pattern, of http and https only. Like all
// patterns here it is compiled when first needed: most commands need none.
var hostPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(\*|https?)://(\*|(\*\.)?[a-z0-9.-]+)(:[0-9*]+)?/[^\s"\\]*$`)
})

// CheckHost says why pattern is no match pattern for a web site.
//
// Source: https://developer.chrome.com/docs/extensions/develop/concepts/match-patterns
func CheckHost(pattern string) error {
	match := hostPattern().FindStringSubmatch(pattern)
	switch {
	case match == nil:
		return fmt.Errorf("%q is not a pattern like https://flex.example.com/*", pattern)
	case match[2] == "*":
		return fmt.Errorf("%q matches every site", pattern)
	}
	return nil
}

// Edits are the changes that packing may make to a manifest. Zero values change
// nothing.
type Edits struct {
	Version   string
	Name      string
	Hosts     []string // more places where the extension works
	Key       string   // base64 of the public key
	UpdateURL string
	Bare      bool // take key and update_url out, as the Web Store wants
}

// Apply returns the manifest's text with the edits. All that is not edited
// keeps its bytes: order, spaces and line ends.
func (e Edits) Apply(text []byte) ([]byte, error) {
	if !json.Valid(text) {
		var into any
		return nil, jsonError(text, json.Unmarshal(text, &into))
	}
	var err error
	set := func(name, value string) {
		if err == nil && value != "" {
			text, err = setMember(text, name, value)
		}
	}
	set("version", e.Version)
	set("name", e.Name)
	if e.Bare {
		for _, name := range []string{"key", "update_url"} {
			if err == nil {
				text, err = dropMember(text, name)
			}
		}
	} else {
		set("key", e.Key)
		set("update_url", e.UpdateURL)
	}
	if err == nil && len(e.Hosts) > 0 {
		text, err = addHosts(text, e.Hosts)
	}
	return text, err
}

// member is where one member of a JSON object is: text[name:end], with the
// value from start on.
type member struct {
	key              string
	name, start, end int
}

// members lists an object's members. text must be valid JSON.
func members(text []byte) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if opening, err := dec.Token(); err != nil || opening != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	var all []member
	for dec.More() {
		before := int(dec.InputOffset())
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		m := member{key: key.(string), name: before + bytes.IndexByte(text[before:], '"')}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		m.end = int(dec.InputOffset())
		m.start = m.end - len(value)
		all = append(all, m)
	}
	return all, nil
}

func find(text []byte, name string) (member, []member, error) {
	all, err := members(text)
	if err != nil {
		return member{}, nil, err
	}
	at := slices.IndexFunc(all, func(m member) bool { return m.key == name })
	if at < 0 {
		return member{}, all, nil
	}
	return all[at], all, nil
}

func repeated(text []byte) (string, error) {
	all, err := members(text)
	seen := map[string]bool{}
	for _, m := range all {
		if seen[m.key] {
			return m.key, nil
		}
		seen[m.key] = true
	}
	return "", err
}

// setMember replaces a member's value, or adds the member behind the last one
// in the manner of that one.
func setMember(text []byte, name, value string) ([]byte, error) {
	m, all, err := find(text, name)
	if err != nil {
		return nil, err
	}
	quoted := quote(value)
	if m.end > 0 {
		return slices.Concat(text[:m.start], quoted, text[m.end:]), nil
	}
	if len(all) == 0 {
		return nil, errors.New("it is empty")
	}
	last := all[len(all)-1]
	space := text[:last.name]
	space = space[bytes.LastIndexAny(space, ",{")+1:]
	return slices.Concat(text[:last.end], []byte(","), space, quote(name), []byte(": "), quoted, text[last.end:]), nil
}

func dropMember(text []byte, name string) ([]byte, error) {
	m, all, err := find(text, name)
	if err != nil || m.end == 0 {
		return text, err
	}
	at := slices.Index(all, m)
	switch {
	case at > 0: // with the comma before it
		return slices.Concat(text[:all[at-1].end], text[m.end:]), nil
	case len(all) > 1:
		return slices.Concat(text[:m.name], text[all[1].name:]), nil
	}
	return slices.Concat(text[:m.name], text[m.end:]), nil
}

// addHosts adds patterns to host_permissions and to every content script.
func addHosts(text []byte, hosts []string) ([]byte, error) {
	edit := func(text []byte, name string) ([]byte, error) {
		m, _, err := find(text, name)
		if err != nil || m.end == 0 {
			return text, err
		}
		var have []string
		if err := json.Unmarshal(text[m.start:m.end], &have); err != nil {
			return nil, fmt.Errorf("%s is not a list of patterns", name)
		}
		list := text[m.start:m.end]
		for _, host := range hosts {
			if slices.Contains(have, host) {
				continue
			}
			closing := bytes.LastIndexByte(list, ']')
			body := bytes.TrimRight(list[:closing], " \t\r\n")
			comma := ", "
			if len(have) == 0 {
				comma = ""
			}
			list = slices.Concat(body, []byte(comma), quote(host), list[len(body):])
			have = append(have, host)
		}
		return slices.Concat(text[:m.start], list, text[m.end:]), nil
	}
	text, err := edit(text, "host_permissions")
	if err != nil {
		return nil, err
	}
	scripts, _, err := find(text, "content_scripts")
	if err != nil || scripts.end == 0 {
		return text, err
	}
	var items []json.RawMessage
	list := text[scripts.start:scripts.end]
	if err := json.Unmarshal(list, &items); err != nil {
		return nil, errors.New("content_scripts is not a list")
	}
	var out []byte
	for _, item := range items {
		at := bytes.Index(list, item)
		edited, err := edit(item, "matches")
		if err != nil {
			return nil, err
		}
		out = slices.Concat(out, list[:at], edited)
		list = list[at+len(item):]
	}
	return slices.Concat(text[:scripts.start], out, list, text[scripts.end:]), nil
}

// quote writes a JSON string; addresses keep their & and patterns their *.
func quote(text string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a string always can
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func jsonError(text []byte, err error) error {
	offset := int64(-1)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
		err = fmt.Errorf("%s is a %s", kind.Field, kind.Value)
	}
	if offset < 0 || offset > int64(len(text)) {
		return fmt.Errorf("it is not JSON: %w", err)
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(text[:offset], []byte("\n")), err)
}
