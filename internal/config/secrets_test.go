package config

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"

	"github.com/flexvc/flexvc/internal/problem"
)

// Every keeper does the same.
func TestSecretKeepers(t *testing.T) {
	keyring.MockInit()
	p := newPlace(t)
	c := p.mustLoad(nil)
	for name, keeper := range map[string]SecretKeeper{
		"keychain": c.Secrets(SystemKeyring{}),
		"file":     c.SecretsAt("file:"+filepath.Join(p.dir, "below", "secrets"), nil),
	} {
		t.Run(name, func(t *testing.T) {
			get := func(sid, want string) {
				t.Helper()
				if got, err := keeper.Get(sid); err != nil || got != want {
					t.Errorf("Get = %q, %v, want %q", got, err, want)
				}
			}
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			get(someSK, "")
			must(keeper.Delete(someSK))
			must(keeper.Set(someSK, hidden))
			must(keeper.Set(otherSK, "another"))
			must(keeper.Set(someSK, hidden+"2"))
			get(someSK, hidden+"2")
			get(otherSK, "another")
			must(keeper.Delete(someSK))
			get(someSK, "")
			get(otherSK, "another")
		})
	}
	info, err := os.Stat(filepath.Join(p.dir, "below", "secrets"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("secret file: %v %v", info.Mode(), err)
	}
}

func TestKeychainThatIsNotThere(t *testing.T) {
	keyring.MockInitWithError(errors.New("dbus: no such file"))
	defer keyring.MockInit()
	k := newPlace(t).mustLoad(nil).Secrets(SystemKeyring{})
	_, err := k.Get(someSK)
	for _, err := range []error{err, k.Set(someSK, hidden), k.Delete(someSK)} {
		if !problem.Is(err, problem.KeychainUnavailable) || !strings.Contains(problem.As(err).Hint, "--secret-file FILE") || strings.Contains(err.Error(), hidden) {
			t.Errorf("%v", err)
		}
	}
}

func TestSecretFilesThatAreRefused(t *testing.T) {
	good := secretFileHeader + "\n" + someSK + " " + hidden + "\n"
	for name, tc := range map[string]struct {
		make  func(p *place, path string) error
		wants string
		hint  string
	}{
		"readable by others": {func(p *place, path string) error { p.write("secrets", good); return os.Chmod(path, 0o644) }, "other users can read it", "chmod 600 ~/secrets"},
		"readable by group":  {func(p *place, path string) error { p.write("secrets", good); return os.Chmod(path, 0o640) }, "other users can read it", "chmod 600 ~/secrets"},
		"symlink":            {func(p *place, path string) error { return os.Symlink(p.write("elsewhere", good), path) }, "symbolic link", "--secret-file"},
		"folder":             {func(p *place, path string) error { return os.Mkdir(path, 0o700) }, "not a regular file", ""},
		"something else":     {func(p *place, path string) error { p.write("secrets", "export PATH=x\n"); return nil }, "not a flexvc secret file", "--secret-file"},
		"a key elsewhere":    {func(p *place, path string) error { p.write("secrets", "-----BEGIN X-----\n"); return nil }, "not a flexvc secret file", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			path := filepath.Join(p.dir, "secrets")
			if err := tc.make(p, path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(path)
			keeper := p.mustLoad(nil).SecretsAt("file:~/secrets", nil)
			secret, err := keeper.Get(someSK)
			if secret != "" {
				t.Errorf("Get gives the secret away")
			}
			for _, err := range []error{err, keeper.Set(otherSK, "another")} {
				if !problem.Is(err, problem.ConfigUnreadable) || !strings.Contains(err.Error(), tc.wants) || !strings.Contains(problem.As(err).Hint, tc.hint) {
					t.Errorf("%v, hint %q", err, problem.As(err).Hint)
				}
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestSecretFileTakesOnlyWhatItCanReadBack(t *testing.T) {
	p := newPlace(t)
	keeper := p.mustLoad(nil).SecretsAt("file:~/secrets", nil)
	for sid, secret := range map[string]string{someSK: "two words", otherSK: "line\nbreak", "SKx": "x", acmeAC: "x", strings.ToLower(someSK): "x", "SK" + strings.Repeat("f", 32): ""} {
		if err := keeper.Set(sid, secret); err == nil {
			t.Errorf("Set(%q, %q) works", sid, secret)
		} else if secret != "" && strings.Contains(err.Error(), secret) && secret != "x" {
			t.Errorf("%v repeats the secret", err)
		}
	}
}

// TestSecretFileIsSwappedBehindTheLook: somebody who may write in the folder puts
// another file in the place of the one that was looked at and found private.
func TestSecretFileIsSwappedBehindTheLook(t *testing.T) {
	dir := t.TempDir()
	f := secretFile{path: filepath.Join(dir, "secrets"), shown: "secrets"}
	if err := f.Set(someSK, hidden); err != nil {
		t.Fatal(err)
	}
	looked, err := os.Lstat(f.path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := f.open(looked)
	if err != nil {
		t.Fatalf("the file itself: %v", err)
	}
	_ = file.Close()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte(secretFileHeader+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, f.path); err != nil {
		t.Fatal(err)
	}
	if _, err := f.open(looked); err == nil || !strings.Contains(err.Error(), "it changed while being opened") {
		t.Errorf("another file in its place: %v", err)
	}
}

// TestAnExportTookThePlacesOfThisMachineAlong: where a machine keeps its secret and its
// signing key is its own business.
func TestAnExportTookThePlacesOfThisMachineAlong(t *testing.T) {
	p := newPlace(t)
	p.write(".config/flexvc/flexvc.yaml", "version: 1\nactive_profile: acme\nprofiles:\n  acme:\n    account_sid: "+acmeAC+
		"\n    api_key: "+someSK+"\n    secret_store: file:/home/ada/secret\n    signing_key: /home/ada/extension.pem\n    identity_prefix: ext_\n")
	b := p.mustLoad(nil).Bundle()
	want := map[string]string{AccountSID: acmeAC, APIKey: someSK, IdentityPrefix: "ext_"}
	if b.Profile != "acme" || !maps.Equal(b.Settings, want) {
		t.Errorf("profile %q is exported as %v, want %v", b.Profile, b.Settings, want)
	}

	b.Secret = hidden
	const phrase = "correct horse battery staple"
	var sealed bytes.Buffer
	if err := b.Seal(&sealed, phrase); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(sealed.String(), hidden) || strings.Contains(sealed.String(), acmeAC) {
		t.Error("the export is not sealed")
	}
	if got, err := OpenBundle(sealed.Bytes(), "acme.flexvc", phrase); err != nil || got.Secret != hidden || !maps.Equal(got.Settings, want) {
		t.Errorf("%v, %v", got.Settings, err)
	}
	for want, change := range map[string]func(*Bundle){
		"":                                 func(*Bundle) {},
		"it was written by a newer flexvc": func(b *Bundle) { b.V++ },
		"it names no profile":              func(b *Bundle) { b.Profile = "../acme" },
		"it has a setting that this flexvc does not know": func(b *Bundle) { b.Settings[SecretStore] = "file:/root/.ssh/id" },
		"its " + AccountSID + " is invalid":               func(b *Bundle) { b.Settings[AccountSID] = "AC1" },
		"its secret is invalid":                           func(b *Bundle) { b.Secret = "two words" },
	} {
		b := Bundle{V: b.V, Profile: b.Profile, Settings: maps.Clone(b.Settings), Secret: b.Secret}
		change(&b)
		if got := b.fault(); got != want {
			t.Errorf("a bundle of which %q is wrong has the fault %q", want, got)
		}
	}
}
