package rollout

import (
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/flexvc/flexvc/internal/problem"
)

const id = "kfjhbdlpoaegcimnkfjhbdlpoaegcimn"

func settings() Settings {
	return Settings{
		ID: id, Version: "1.4.0", MinChrome: "123",
		UpdateURL:  "https://ext.example.com/flexvc/update.xml?site=a&b=\"c\"",
		PackageURL: "https://ext.example.com/flexvc/flexvc-1.4.0.crx",
		SHA256:     strings.Repeat("0f", 32), Size: 217000,
		Account:    "AC00000000000000000000000000000001",
		TokenURLs:  []string{"https://voice.example.com/generateToken", "https://backup.example.com/*"},
		LeaveAfter: seconds(600), Hold: seconds(0),
	}
}

func seconds(n int) *int { return &n }

// wanted is the policy as this test understands it, written by hand.
func wanted(pin, forced string) map[string]any {
	return map[string]any{
		"AudioCaptureAllowedUrls": []any{"chrome-extension://" + id + "/"},
		"ExtensionSettings": map[string]any{id: map[string]any{
			"installation_mode":   "force_installed",
			"override_update_url": true,
			pin:                   forced,
			"update_url":          "https://ext.example.com/flexvc/update.xml?site=a&b=\"c\"",
		}},
		"3rdparty": map[string]any{"extensions": map[string]any{id: map[string]any{
			"account":   "AC00000000000000000000000000000001",
			"tokenURLs": []any{"https://voice.example.com/generateToken", "https://backup.example.com/*"},
			// 0 is a wish too: a caller whose browser is gone is let go at once.
			"leaveAfterSeconds": 600.0, "holdSeconds": 0.0,
		}}},
	}
}

func written(t *testing.T, s Settings) (dir string, names []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "rollout")
	names, err := Write(dir, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dir, names
}

// Every format, read by something that is not its writer, says the same.
func TestAllFormatsSayTheSame(t *testing.T) {
	dir, names := written(t, settings())
	read := func(name string) []byte {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	fromJSON := func(name string) (v any) {
		t.Helper()
		if err := json.Unmarshal(read(name), &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return v
	}
	same := func(name string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s says\n%v\nwant\n%v", name, got, want)
		}
	}
	for _, b := range []struct {
		browser             Browser
		linux, pin, forced  string
		domain, registryKey string
	}{
		{Chrome, "linux.json", "toolbar_pin", "force_pinned", "com.google.Chrome", `HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Google\Chrome`},
		{Edge, "linux-edge.json", "toolbar_state", "force_shown", "com.microsoft.Edge", `HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Edge`},
	} {
		want := wanted(b.pin, b.forced)
		name := b.browser.Name
		managed := want["3rdparty"].(map[string]any)["extensions"].(map[string]any)[id]
		same(b.linux, fromJSON(b.linux), want)
		same("gpo", fromJSON("gpo-"+name+".json"), want["ExtensionSettings"])
		if gpo := read("gpo-" + name + ".json"); strings.Count(string(gpo), "\n") != 1 {
			t.Errorf("gpo-%s.json has several lines", name)
		}
		same(name+".reg", registryPolicy(t, read(name+".reg"), b.registryKey), want)

		own := map[string]any{"AudioCaptureAllowedUrls": want["AudioCaptureAllowedUrls"], "ExtensionSettings": want["ExtensionSettings"]}
		same("plist", readPlist(t, filepath.Join(dir, b.domain+".plist")), own)
		same("extension's plist", readPlist(t, filepath.Join(dir, b.domain+".extensions."+id+".plist")), managed)
		profile := readPlist(t, filepath.Join(dir, name+".mobileconfig")).(map[string]any)
		if profile["PayloadType"] != "Configuration" || profile["PayloadScope"] != "System" {
			t.Errorf("profile is a %v for %v", profile["PayloadType"], profile["PayloadScope"])
		}
		uuids := []any{profile["PayloadUUID"]}
		payloads := map[string]any{}
		for _, payload := range profile["PayloadContent"].([]any) {
			p := payload.(map[string]any)
			domain := p["PayloadType"].(string)
			uuids = append(uuids, p["PayloadUUID"])
			for key := range p {
				if strings.HasPrefix(key, "Payload") {
					delete(p, key)
				}
			}
			payloads[domain] = p
		}
		same(name+".mobileconfig", payloads, map[string]any{b.domain: own, b.domain + ".extensions." + id: managed})
		if uuids[0] == uuids[1] || uuids[1] == uuids[2] || len(uuids[0].(string)) != 36 {
			t.Errorf("UUIDs are %v", uuids)
		}

		row := fromJSON("intune-" + name + ".json").([]any)[0].(map[string]any)
		var value struct {
			XMLName xml.Name
			Data    struct {
				ID    string `xml:"id,attr"`
				Value string `xml:"value,attr"`
			} `xml:"data"`
		}
		if err := xml.Unmarshal([]byte("<row>"+row["value"].(string)+"</row>"), &value); err != nil {
			t.Fatal(err)
		}
		_, entry, _ := strings.Cut(value.Data.Value, "\uf000")
		same("intune", entry, id+";"+settings().UpdateURL)
	}
	console := fromJSON("admin-console.json").(map[string]any)
	storage := fromJSON("admin-console-storage.json").(map[string]any)
	values := map[string]any{}
	for key, value := range storage {
		values[key] = value.(map[string]any)["Value"]
	}
	console["3rdparty"] = map[string]any{"extensions": map[string]any{id: values}}
	same("admin console", console, wanted("toolbar_pin", "force_pinned"))

	readme := string(read("README.md"))
	for _, name := range names {
		if name != "README.md" && !strings.Contains(readme, name) && !strings.HasSuffix(name, ".plist") {
			t.Errorf("the README does not say where %s goes", name)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(names) || names[len(names)-1] != "update.xml" {
		t.Errorf("%d files are there, %v named; %v", len(entries), names, err)
	}
}

// registryPolicy reads a .reg file as Chrome reads the registry: keys are
// dictionaries, keys of numbered values are lists, 1 is true.
func registryPolicy(t *testing.T, raw []byte, root string) map[string]any {
	t.Helper()
	if len(raw)%2 != 0 || raw[0] != 0xff || raw[1] != 0xfe {
		t.Fatal("not UTF-16 with a byte order mark")
	}
	var units []uint16
	for i := 2; i < len(raw); i += 2 {
		units = append(units, binary.LittleEndian.Uint16(raw[i:]))
	}
	lines := strings.Split(string(utf16.Decode(units)), "\r\n")
	if lines[0] != "Windows Registry Editor Version 5.00" || lines[1] != "" || lines[len(lines)-1] != "" {
		t.Fatalf("not a .reg file: %q", lines[0])
	}
	unquote := func(text string) string {
		if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
			t.Fatalf("%s is not quoted", text)
		}
		return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(text[1 : len(text)-1])
	}
	policy := map[string]any{}
	var key map[string]any
	for _, line := range lines[1:] {
		switch {
		case line == "":
		case strings.HasPrefix(line, "[-"):
			if !strings.HasPrefix(line[2:], root+`\3rdparty\extensions\`+id+`\policy\`) {
				t.Errorf("%s removes what is not ours", line)
			}
		case line[0] == '[':
			path, ok := strings.CutPrefix(strings.Trim(line, "[]"), root+`\`)
			if !ok {
				t.Fatalf("%s is elsewhere", line)
			}
			key = policy
			for _, part := range strings.Split(path, `\`) {
				if key[part] == nil {
					key[part] = map[string]any{}
				}
				key = key[part].(map[string]any)
			}
		default:
			at := strings.Index(line, `"=`) + 1
			name, text := unquote(line[:at]), line[at+1:]
			if n, ok := strings.CutPrefix(text, "dword:"); ok {
				value, err := strconv.ParseUint(n, 16, 32)
				switch {
				case err != nil:
					t.Fatal(err)
				case strings.HasSuffix(name, "Seconds"):
					key[name] = float64(value)
				case value > 1:
					t.Fatalf("%s is no boolean", line)
				default:
					key[name] = value == 1
				}
			} else if text == "-" {
				delete(key, name)
			} else {
				key[name] = unquote(text)
			}
		}
	}
	if first := policy["AudioCaptureAllowedUrls"].(map[string]any); first["1"] != nil {
		t.Error("the administrator's first entry would be overwritten")
	}
	var lists func(any) any
	lists = func(v any) any {
		m, ok := v.(map[string]any)
		if !ok {
			return v
		}
		var numbers []int
		for name := range m {
			if n, err := strconv.Atoi(name); err == nil {
				numbers = append(numbers, n)
			}
			m[name] = lists(m[name])
		}
		if len(numbers) == 0 {
			return m
		}
		slices.Sort(numbers)
		var list []any
		for _, n := range numbers {
			list = append(list, m[fmt.Sprint(n)])
		}
		return list
	}
	// The settings of the extension are a layer deeper in the registry.
	out := lists(policy).(map[string]any)
	extensions := out["3rdparty"].(map[string]any)["extensions"].(map[string]any)
	extensions[id] = extensions[id].(map[string]any)["policy"]
	return out
}

// readPlist reads a property list with Python's own reader.
func readPlist(t *testing.T, path string) (v any) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3, whose plistlib reads the property lists, is not installed")
	}
	out, err := exec.CommandContext(t.Context(), python, "-c",
		"import json,plistlib,sys; print(json.dumps(plistlib.load(open(sys.argv[1],'rb'))))", path).Output()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestUpdateManifest(t *testing.T) {
	dir, _ := written(t, settings())
	text, err := os.ReadFile(filepath.Join(dir, "update.xml"))
	if err != nil {
		t.Fatal(err)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<gupdate xmlns="http://www.google.com/update2/response" protocol="2.0">
  <app appid="` + id + `">
    <updatecheck codebase="https://ext.example.com/flexvc/flexvc-1.4.0.crx" version="1.4.0" prodversionmin="123" hash_sha256="` + strings.Repeat("0f", 32) + `" size="217000"></updatecheck>
  </app>
</gupdate>
`
	if string(text) != want {
		t.Errorf("it is\n%s\nwant\n%s", text, want)
	}
	if faults := settings().CheckUpdate(text); len(faults) != 0 {
		t.Errorf("faults: %v", faults)
	}
	for old, tc := range map[string]struct{ new, chromium string }{
		`codebase="https://ext.example.com`: {`codebase="`, "failure_reason: 16; install_stage: 2; downloading_stage: 9; manifest_invalid_error: 8"},
		`appid="k`:                          {`appid="a`, "failure_reason: 16; install_stage: 2; downloading_stage: 9; manifest_invalid_error: 4"},
		` xmlns="http://www.google.com/update2/response"`: {"", "failure_reason: 16; install_stage: 2; downloading_stage: 9; manifest_invalid_error: 1"},
		`</app>`:          {"", "failure_reason: 16; install_stage: 2; downloading_stage: 9; manifest_invalid_error: 1"},
		`version="1.4.0"`: {`version="1.0.5"`, `Expected version "1.0.5", but version was "1.4.0"`},
		`size="217000"`:   {`size="1"`, ""},
	} {
		faults := settings().CheckUpdate([]byte(strings.Replace(want, old, tc.new, 1)))
		if len(faults) != 1 || !strings.Contains(faults[0].Chromium, tc.chromium) || faults[0].What == "" {
			t.Errorf("%q for %q gives %v", tc.new, old, faults)
		}
	}
}

func FuzzCheckUpdate(f *testing.F) {
	f.Add(settings().updateXML())
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, fault := range settings().CheckUpdate(text) {
			if fault.What == "" {
				t.Error("a fault without a word")
			}
		}
	})
}

func TestMergeKeepsTheAdministratorsEntries(t *testing.T) {
	existing := `{
  "HomepageLocation": "https://intranet.example.com/?a=1&b=2",
  "BigNumber": 12345678901234567890,
  "AudioCaptureAllowedUrls": ["https://meet.example.com"],
  "ExtensionSettings": {
    "*": {"installation_mode": "blocked"},
    "` + id + `": {"minimum_version_required": "1.0", "installation_mode": "force_installed"}
  }
}`
	merged, err := settings().Merge("corp.json", []byte(existing), Chrome)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(merged, &got); err != nil {
		t.Fatal(err)
	}
	want := wanted("toolbar_pin", "force_pinned")
	want["HomepageLocation"] = "https://intranet.example.com/?a=1&b=2"
	want["BigNumber"] = 12345678901234567890.0
	want["AudioCaptureAllowedUrls"] = []any{"https://meet.example.com", "chrome-extension://" + id + "/"}
	extensions := want["ExtensionSettings"].(map[string]any)
	extensions["*"] = map[string]any{"installation_mode": "blocked"}
	extensions[id].(map[string]any)["minimum_version_required"] = "1.0"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("merged is\n%v\nwant\n%v", got, want)
	}
	if !strings.Contains(string(merged), "12345678901234567890") || !strings.Contains(string(merged), "a=1&b=2") {
		t.Errorf("a value was respelled:\n%s", merged)
	}
	again, err := settings().Merge("corp.json", merged, Chrome)
	if err != nil || string(again) != string(merged) {
		t.Errorf("merging twice gives another file: %v", err)
	}
}

func TestMergeNeverOverwrites(t *testing.T) {
	for name, text := range map[string]string{
		"ExtensionSettings > " + id + " > installation_mode (\"blocked\")": `{"ExtensionSettings": {"` + id + `": {"installation_mode": "blocked"}}}`,
		"ExtensionSettings > " + id + " > update_url":                      `{"ExtensionSettings": {"` + id + `": {"update_url": "https://other.example/"}}}`,
		"3rdparty > extensions > " + id + " > tokenURLs":                   `{"3rdparty": {"extensions": {"` + id + `": {"tokenURLs": ["https://other.example/"]}}}}`,
		"ExtensionSettings (\"{}\")":                                       `{"ExtensionSettings": "{}"}`,
		"AudioCaptureAllowedUrls (null)":                                   `{"AudioCaptureAllowedUrls": null}`,
	} {
		_, err := settings().Merge("corp.json", []byte(text), Chrome)
		if !problem.Is(err, problem.PolicyConflict) || !strings.Contains(err.Error(), name) {
			t.Errorf("Merge = %v, want %s", err, name)
		}
	}
	for _, text := range []string{"", "null", "[]", "{", "{} {}"} {
		if _, err := settings().Merge("corp.json", []byte(text), Chrome); !problem.Is(err, problem.InputUnreadable) {
			t.Errorf("Merge(%q) = %v", text, err)
		}
	}
}

func TestWriteLeavesAnotherExtensionsFolderAlone(t *testing.T) {
	dir, _ := written(t, settings())
	before, err := os.ReadFile(filepath.Join(dir, "linux.json"))
	if err != nil {
		t.Fatal(err)
	}
	other := settings()
	other.ID = strings.Repeat("a", 32)
	if _, err := Write(dir, other, nil); !problem.Is(err, problem.PolicyConflict) {
		t.Errorf("Write = %v", err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "linux.json")); err != nil || string(after) != string(before) {
		t.Errorf("it was changed: %v", err)
	}
	if _, err := Write(dir, settings(), []byte("{}\n")); err != nil {
		t.Error(err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "linux.json")); err != nil || string(after) != "{}\n" {
		t.Errorf("linux.json is %q, %v", after, err)
	}
}

func TestWhatNoBrowserCouldUse(t *testing.T) {
	for _, change := range []func(*Settings){
		func(s *Settings) { s.ID = strings.ToUpper(s.ID) },
		func(s *Settings) { s.UpdateURL = "/update.xml" },
		func(s *Settings) { s.PackageURL = "flexvc.crx" },
		func(s *Settings) { s.UpdateURL = "ftp://ext.example.com/update.xml" },
		func(s *Settings) { s.UpdateURL = "https://user:word@ext.example.com/update.xml" },
	} {
		s := settings()
		change(&s)
		dir := filepath.Join(t.TempDir(), "out")
		if _, err := Write(dir, s, nil); !problem.Is(err, problem.Usage) {
			t.Errorf("Write(%+v) = %v", s, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Error("something was written")
		}
	}
}

func TestPackageURL(t *testing.T) {
	for update, want := range map[string]string{
		"https://e.example/flexvc/update.xml":    "https://e.example/flexvc/a b.crx",
		"https://e.example/update.xml?x=1#y":     "https://e.example/a b.crx",
		"https://e.example":                      "https://e.example/a b.crx",
		"http://localhost:3001/extension/up.xml": "http://localhost:3001/extension/a b.crx",
	} {
		if got := PackageURL(update, "a b.crx"); got != strings.ReplaceAll(want, " ", "%20") {
			t.Errorf("PackageURL(%s) = %s", update, got)
		}
	}
}

// Without an account or token endpoints the extension decides for itself, and
// no file speaks of settings.
func TestNoManagedSettings(t *testing.T) {
	s := settings()
	s.Account, s.TokenURLs, s.LeaveAfter, s.Hold = "", nil, nil, nil
	dir, names := written(t, s)
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || strings.Contains(string(content), "3rdparty") || strings.Contains(name, "storage") || strings.Contains(string(content), "storage.json") {
			t.Errorf("%s speaks of settings; %v", name, err)
		}
	}
}
