package config

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/zalando/go-keyring"

	"github.com/flexvc/flexvc/internal/problem"
)

// SecretKeeper keeps the secrets of API keys by the key's SID.
type SecretKeeper interface {
	// Get returns the secret, or "" when there is none.
	Get(sid string) (string, error)
	Set(sid, secret string) error
	// Delete forgets the secret; it is no error when there is none.
	Delete(sid string) error
	// Place says where secrets go, for people: "the system keychain".
	Place() string
}

// Keyring is what flexvc needs of the system keychain.
type Keyring interface {
	Get(service, user string) (string, error)
	Set(service, user, password string) error
	Delete(service, user string) error
}

// SystemKeyring is the keychain of macOS, Windows or the Secret Service.
type SystemKeyring struct{}

// Get returns keyring.ErrNotFound when there is no such entry.
func (SystemKeyring) Get(service, user string) (string, error) { return keyring.Get(service, user) }

// Set adds or replaces an entry.
func (SystemKeyring) Set(service, user, password string) error {
	return keyring.Set(service, user, password)
}

// Delete returns keyring.ErrNotFound when there is no such entry.
func (SystemKeyring) Delete(service, user string) error { return keyring.Delete(service, user) }

// Secrets opens the keeper that the secret_store setting names: ring, or a file.
func (c *Config) Secrets(ring Keyring) SecretKeeper {
	return c.SecretsAt(c.SecretStore, ring)
}

// SecretsAt opens the keeper of another value of secret_store.
func (c *Config) SecretsAt(store string, ring Keyring) SecretKeeper {
	if path := c.SecretPath(store); path != "" {
		return secretFile{path, c.short(path)}
	}
	return keychain{ring}
}

// SecretPath returns the file that a value of secret_store names, or "" for the
// keychain.
func (c *Config) SecretPath(store string) string {
	if path, ok := strings.CutPrefix(store, "file:"); ok {
		return c.absolute(path)
	}
	return ""
}

// keychain keeps secrets under the service "flexvc", one entry per key.
type keychain struct{ ring Keyring }

const keychainService = "flexvc"

func (k keychain) Place() string { return "the system keychain" }

func (k keychain) Get(sid string) (string, error) {
	secret, err := k.ring.Get(keychainService, sid)
	if errors.Is(err, keyring.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", k.unavailable(err)
	}
	return secret, nil
}

func (k keychain) Set(sid, secret string) error {
	if err := k.ring.Set(keychainService, sid, secret); err != nil {
		return k.unavailable(err)
	}
	return nil
}

func (k keychain) Delete(sid string) error {
	if err := k.ring.Delete(keychainService, sid); err != nil && !errors.Is(err, keyring.ErrNotFound) {
		return k.unavailable(err)
	}
	return nil
}

func (k keychain) unavailable(err error) error {
	return problem.New(problem.KeychainUnavailable, "cannot use the system keychain: it is not available").
		WithHint("store the secret in a private file: flexvc init --secret-file FILE").
		Because(err)
}

// secretFile keeps secrets in a text file of mode 0600, a line "SID SECRET" per
// key.
type secretFile struct{ path, shown string }

const secretFileHeader = "# flexvc keeps the secrets of API keys here. Keep this file to yourself."

func (f secretFile) Place() string { return f.shown }

func (f secretFile) Get(sid string) (string, error) {
	lines, err := f.read()
	if err != nil {
		return "", err
	}
	for _, l := range lines {
		if l.sid == sid {
			return l.secret, nil
		}
	}
	return "", nil
}

func (f secretFile) Set(sid, secret string) error {
	if isSID("SK")(sid) != "" || secret == "" || strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return problem.New(problem.Internal, "cannot store a secret: it is not a single word")
	}
	return f.change(func(lines []secretLine) []secretLine { return append(lines, secretLine{sid, secret}) }, sid)
}

func (f secretFile) Delete(sid string) error {
	if _, err := os.Lstat(f.path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return f.change(func(lines []secretLine) []secretLine { return lines }, sid)
}

// change rewrites the file without sid, as last seen through add.
func (f secretFile) change(add func([]secretLine) []secretLine, sid string) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return f.unwritable(err)
	}
	lock := flock.New(filepath.Join(filepath.Dir(f.path), "."+filepath.Base(f.path)+".lock"), flock.SetPermissions(0o600))
	wait, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	if _, err := lock.TryLockContext(wait, 10*time.Millisecond); errors.Is(err, context.DeadlineExceeded) {
		return problem.New(problem.Locked, "cannot write %s: another flexvc is writing it", f.shown)
	} else if err != nil {
		return f.unwritable(err)
	}
	defer lock.Close()
	lines, err := f.read()
	if err != nil {
		return err
	}
	var kept []secretLine
	for _, l := range lines {
		if l.sid != sid {
			kept = append(kept, l)
		}
	}
	var out bytes.Buffer
	fmt.Fprintln(&out, secretFileHeader)
	for _, l := range add(kept) {
		fmt.Fprintf(&out, "%s %s\n", l.sid, l.secret)
	}
	if err := WriteFile(f.path, out.Bytes()); err != nil {
		return f.unwritable(err)
	}
	return nil
}

type secretLine struct{ sid, secret string }

// open opens the file that was looked at: since then the name may have come to mean
// another.
func (f secretFile) open(looked fs.FileInfo) (*os.File, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, f.unreadable(err)
	}
	if opened, err := file.Stat(); err != nil || !os.SameFile(looked, opened) {
		_ = file.Close()
		return nil, f.unreadable(errors.New("it changed while being opened"))
	}
	return file, nil
}

// read returns the lines of the file. It refuses a file that others can read,
// one that is not where its name says, and one that is something else.
func (f secretFile) read() ([]secretLine, error) {
	info, err := os.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, f.unreadable(err)
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, f.unreadable(errors.New("it is a symbolic link")).WithHint("pass the file itself with --secret-file")
	case !info.Mode().IsRegular():
		return nil, f.unreadable(errors.New("it is not a regular file"))
	case tooOpen(info):
		return nil, f.unreadable(errors.New("other users can read it")).WithHint("chmod 600 %s", f.shown)
	}
	file, err := f.open(info)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var lines []secretLine
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		text := strings.TrimSpace(scanner.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		sid, secret, ok := strings.Cut(text, " ")
		if !ok || isSID("SK")(sid) != "" || strings.Contains(secret, " ") {
			return nil, f.unreadable(errors.New("it is not a flexvc secret file")).WithHint("choose another file with --secret-file")
		}
		lines = append(lines, secretLine{sid, secret})
	}
	if err := scanner.Err(); err != nil {
		return nil, f.unreadable(err)
	}
	return lines, nil
}

func (f secretFile) unreadable(err error) *problem.Problem {
	return problem.New(problem.ConfigUnreadable, "cannot read the secret file %s: %w", f.shown, problem.Reason(err)).
		WithHint("check its permissions, or choose another with --secret-file")
}

func (f secretFile) unwritable(err error) error {
	return problem.New(problem.ConfigUnwritable, "cannot write the secret file %s: %w", f.shown, problem.Reason(err)).
		WithHint("choose another file with --secret-file")
}

var (
	_ SecretKeeper = keychain{}
	_ SecretKeeper = secretFile{}
	_ Keyring      = SystemKeyring{}
)
