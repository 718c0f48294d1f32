package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
)

func (p *place) edit(path string, change func(*Editor) error) error {
	p.t.Helper()
	e, err := Edit(p.t.Context(), path, filepath.Base(path))
	if err != nil {
		return err
	}
	defer e.Close()
	if err := change(e); err != nil {
		return err
	}
	return e.Save()
}

func (p *place) read(path string) string {
	p.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

// leftovers returns what is in the folder beside the file and its lock.
func (p *place) leftovers(path string) []string {
	p.t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != filepath.Base(path) && e.Name() != "."+filepath.Base(path)+".lock" {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestEditKeepsWhatItDoesNotTouch(t *testing.T) {
	p := newPlace(t)
	path := p.write("flexvc.yaml", `# our contact centre
active_profile: acme # the usual one
profiles:
  # do not rename
  acme:
    token_url: https://voice.acme.example/generateToken # behind the proxy
    account_sid: `+acmeAC+`
  beta: {region: "ie1"}
`)
	err := p.edit(path, func(e *Editor) error {
		return errors.Join(
			e.Set("acme", WorkspaceSID, someWS),
			e.Set("acme", TokenURL, "https://new.acme.example/t"),
			e.Set("acme", PluginTokenURL, "https://new.acme.example/t"),
			e.Set("beta", Region, ""),
			e.Set("gamma", ActivityName, "true"),
			e.Set("gamma", Edge, "dublin"),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `# our contact centre
version: 1
active_profile: acme # the usual one
profiles:
  # do not rename
  acme:
    workspace_sid: ` + someWS + `
    token_url: https://new.acme.example/t # behind the proxy
    account_sid: ` + acmeAC + `
    plugin:
      FLEX_APP_VOICE_CLIENT_TOKEN_GENERATOR_URL: https://new.acme.example/t
  beta: {}
  gamma:
    activity_name: "true"
    edge: dublin
`
	if got := p.read(path); got != want {
		t.Errorf("file is\n%s\nwant\n%s", got, want)
	}
}

func TestEditMakesFileAndFolder(t *testing.T) {
	p := newPlace(t)
	path := filepath.Join(p.dir, "a", "b", "flexvc.yaml")
	if err := p.edit(path, func(e *Editor) error { return e.Set("acme", AccountSID, acmeAC) }); err != nil {
		t.Fatal(err)
	}
	if got, want := p.read(path), "version: 1\nprofiles:\n  acme:\n    account_sid: "+acmeAC+"\n"; got != want {
		t.Errorf("file is %q, want %q", got, want)
	}
	for name, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): os.ModeDir | 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v, want %v", name, info.Mode(), err, mode)
		}
	}
	if left := p.leftovers(path); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

// Two ways to the same settings give the same bytes.
func TestOrderOfSettingDoesNotMatter(t *testing.T) {
	p := newPlace(t)
	set := map[string]string{AccountSID: acmeAC, ActivityName: "X", APIKey: someSK, SigningKey: "k.pem", PluginTokenURL: "https://x.example/t", PluginActivityName: "X"}
	var first string
	for round := range 8 { // map order differs from round to round
		path := filepath.Join(p.dir, fmt.Sprint(round), "flexvc.yaml")
		for name, text := range set {
			if err := p.edit(path, func(e *Editor) error { return e.Set("acme", name, text) }); err != nil {
				t.Fatal(err)
			}
		}
		if first == "" {
			first = p.read(path)
		}
		if got := p.read(path); got != first {
			t.Fatalf("round %d gives\n%s\nnot\n%s", round, got, first)
		}
	}
}

func TestNothingChangedWritesNothing(t *testing.T) {
	p := newPlace(t)
	odd := "profiles:   {acme:   {region: 'ie1'}}   # odd\n"
	path := p.write("flexvc.yaml", odd)
	if err := p.edit(path, func(e *Editor) error { return e.Set("acme", Region, "ie1") }); err != nil {
		t.Fatal(err)
	}
	if got := p.read(path); got != odd {
		t.Errorf("file became %q", got)
	}
}

func TestEditKeepsSymlinks(t *testing.T) {
	p := newPlace(t)
	real := p.write("dotfiles/flexvc.yaml", "version: 1\n")
	for name, to := range map[string]string{"link.yaml": real, "dangling.yaml": "dotfiles/new.yaml"} {
		link := filepath.Join(p.dir, name)
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
		if err := p.edit(link, func(e *Editor) error { return e.Set("acme", Region, "ie1") }); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s is no link any more: %v %v", name, info.Mode(), err)
		}
		if !strings.Contains(p.read(link), "region: ie1") {
			t.Errorf("%s: not written: %s", name, p.read(link))
		}
	}
}

func TestEditRefuses(t *testing.T) {
	p := newPlace(t)
	path := p.write("flexvc.yaml", "version: 1\n")
	for _, tc := range []struct {
		profile, name, text, wants string
		code                       problem.Code
	}{
		{"acme", "auth_token", hidden, "is a secret", problem.Usage},
		{"acme", "api_secret", hidden, "is a secret", problem.Usage},
		{"acme", "acount_sid", acmeAC, "did you mean account_sid?", problem.Usage},
		{"acme", "plugin.FLEX_APP_X", "x", "is not a setting", problem.Usage},
		{"acme", AccountSID, hidden, "32 hexadecimal digits", problem.ConfigInvalid},
		{"../x", Region, "ie1", "letters, digits", problem.Usage},
		{"", ActiveProfile, "acne", `no profile "acne"`, problem.ConfigInvalid},
		{"", ActiveProfile, "emulator", "not a profile in this file", problem.ConfigInvalid},
	} {
		err := p.edit(path, func(e *Editor) error { return e.Set(tc.profile, tc.name, tc.text) })
		if !problem.Is(err, tc.code) || !strings.Contains(err.Error(), tc.wants) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %v, want %s %q", tc.name, err, tc.code, tc.wants)
		}
	}
	broken := p.write("broken.yaml", "profiles: {acme: {auth_token: x}}")
	if err := p.edit(broken, func(e *Editor) error { return nil }); !problem.Is(err, problem.ConfigInvalid) {
		t.Errorf("a file with a fault is edited: %v", err)
	}
}

func TestTheOnlyProfileBecomesActive(t *testing.T) {
	p := newPlace(t)
	set := func(file, profile string) string {
		path := filepath.Join(p.dir, file)
		if err := p.edit(path, func(e *Editor) error {
			defer e.Activate(profile)
			return e.Set(profile, Region, "ie1")
		}); err != nil {
			t.Fatal(err)
		}
		return p.read(path)
	}
	if got := set("a.yaml", "acme"); !strings.Contains(got, "version: 1\nactive_profile: acme\nprofiles:\n") {
		t.Errorf("first profile: %s", got)
	}
	if got := set("a.yaml", "beta"); !strings.Contains(got, "active_profile: acme\n") {
		t.Errorf("second profile: %s", got)
	}
	for _, name := range []string{"default", Emulator} {
		if got := set(name+".yaml", name); strings.Contains(got, ActiveProfile) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestConcurrentEditorsLoseNothing(t *testing.T) {
	p := newPlace(t)
	path := filepath.Join(p.dir, "flexvc.yaml")
	const editors = 12
	var wg sync.WaitGroup
	errs := make([]error, editors)
	for i := range editors {
		wg.Go(func() {
			errs[i] = p.edit(path, func(e *Editor) error { return e.Set(fmt.Sprintf("p%d", i), Region, "ie1") })
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Error(err)
		}
		if !strings.Contains(p.read(path), fmt.Sprintf("  p%d:\n", i)) {
			t.Errorf("the change of editor %d is lost", i)
		}
	}
}

func TestUnwritablePlaces(t *testing.T) {
	p := newPlace(t)
	file := p.write("file", "x")
	readOnly := filepath.Join(p.dir, "locked")
	if err := os.Mkdir(readOnly, 0o500); err != nil {
		t.Fatal(err)
	}
	places := []string{filepath.Join(file, "flexvc.yaml"), filepath.Join(file, "below", "flexvc.yaml"), p.dir}
	if os.Getuid() != 0 { // root writes everywhere
		places = append(places, filepath.Join(readOnly, "flexvc.yaml"), filepath.Join(readOnly, "below", "flexvc.yaml"))
	}
	if _, err := os.Stat("/proc/self"); err == nil {
		places = append(places, "/proc/flexvc.yaml", "/proc/flexvc/flexvc.yaml")
	}
	for _, path := range places {
		if err := CheckWritable(path, path); !problem.Is(err, problem.ConfigUnwritable) || problem.As(err).Hint == "" {
			t.Errorf("CheckWritable(%s) = %v", path, err)
		}
		if err := p.edit(path, func(e *Editor) error { return e.Set("acme", Region, "ie1") }); !problem.Is(err, problem.ConfigUnwritable) {
			t.Errorf("Edit(%s) = %v", path, err)
		}
	}
	path := filepath.Join(p.dir, "new", "deep", "flexvc.yaml")
	if err := CheckWritable(path, path); err != nil {
		t.Fatal(err)
	}
	if left := p.leftovers(filepath.Join(p.dir, "file")); len(left) != 1 || left[0] != "locked" {
		t.Errorf("CheckWritable left %v behind", left)
	}
}
