package serve

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/tokensrv"
)

// TestServeTradesTokens runs the command on the emulator: an agent's Flex token
// becomes a voice token that the key of the profile has signed, nothing else
// does, and no token is in what the command prints.
func TestServeTradesTokens(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 3, SeedValue: 5})
	var out clitest.Output
	app := clitest.App(s.State, &out)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ready := make(chan string, 1)
	ended := make(chan error, 1)
	cmd := New(app, func(ctx context.Context, o *Options) error {
		o.Ready = func(at string) { ready <- at }
		ended <- Run(ctx, o)
		return nil
	})
	cmd.SetArgs([]string{"--listen", "127.0.0.1:0", "--metrics-listen", "none", "--allow-origin", "chrome-extension://" + strings.Repeat("a", 32)})
	app.Global.Profile, app.Global.Output = "emulator", "text"
	app.UI.Verbose = true
	go func() { _ = cmd.ExecuteContext(ctx) }()
	var address string
	select {
	case address = <-ready:
	case err := <-ended:
		t.Fatalf("serve ended: %v\n%s", err, out.String())
	}

	worker := s.ExportWorkers()[0]
	flexToken, err := s.MintFlexToken(worker.SID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	status, answer := ask(t, address, flexToken)
	if status != http.StatusOK || !strings.HasPrefix(answer.Identity, "ext_") {
		t.Fatalf("status %d, answer %+v", status, answer)
	}
	wantSignature(t, answer.Token, s.Account().KeySecret)

	if status, answer := ask(t, address, flexToken[:len(flexToken)-4]+"AAAA"); status != http.StatusForbidden || answer.Token != "" {
		t.Errorf("a forged Flex token gets %d and %+v", status, answer)
	}

	stop()
	if err := <-ended; err != nil {
		t.Errorf("serve ends with %v", err)
	}
	text := out.String()
	for _, secret := range []string{flexToken, answer.Token, s.Account().KeySecret, s.Account().AuthToken} {
		if strings.Contains(text, secret) {
			t.Errorf("a secret is in the output:\n%s", text)
		}
	}
	for _, want := range []string{"listening on http://127.0.0.1:", "token issued", "token refused", "stopped: 1 issued, 1 refused, 0 cut off"} {
		if !strings.Contains(text, want) {
			t.Errorf("the output lacks %q:\n%s", want, text)
		}
	}
}

type tokenAnswer struct{ Identity, Token string }

func ask(t *testing.T, address, flexToken string) (int, tokenAnswer) {
	t.Helper()
	resp, err := http.PostForm("http://"+address+"/generateToken", url.Values{"Token": {flexToken}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer tokenAnswer
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// wantSignature checks a JWT by hand, not with the library that made it.
func wantSignature(t *testing.T, token, secret string) {
	t.Helper()
	signed, signature, ok := cutLast(token, ".")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	if !ok || signature != base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
		t.Error("the voice token is not signed by the profile's key")
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// TestServeRefusesToStart: what cannot work is said before anything listens.
func TestServeRefusesToStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	envFile := filepath.Join(dir, ".env")
	if err := os.WriteFile(envFile, []byte("ACCOUNT_SID=AC"+strings.Repeat("0", 32)+"\nAUTH_TOKEN=notarealtoken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := "SK" + emulator.SIDMarker + strings.Repeat("1", 24)
	account := "AC" + emulator.SIDMarker + strings.Repeat("2", 24)
	good := func(context.Context, string) (bool, error) { return false, nil }
	for name, c := range map[string]struct {
		args       []string
		secret     string
		restricted func(context.Context, string) (bool, error)
		code       problem.Code
		sentence   string
	}{
		"plain HTTP beyond this machine": {
			args: []string{"--listen", "0.0.0.0:0"}, secret: "x", restricted: good,
			code: problem.Usage, sentence: "refusing to serve tokens over plain HTTP beyond this machine",
		},
		"tokens for two days": {
			args: []string{"--token-ttl", "48h"}, secret: "x", restricted: good,
			code: problem.ConfigInvalid, sentence: "token life",
		},
		"any origin": {
			args: []string{"--allow-origin", "*"}, secret: "x", restricted: good,
			code: problem.ConfigInvalid, sentence: "not exact",
		},
		"a rate that is none": {
			args: []string{"--identity-rate", "lots"}, secret: "x", restricted: good,
			code: problem.Usage, sentence: "--identity-rate",
		},
		"half a certificate": {
			args: []string{"--tls-cert", "cert.pem"}, secret: "x", restricted: good,
			code: problem.Usage, sentence: "must be used together",
		},
		"an empty secret": {
			restricted: good, code: problem.CredentialsMissing, sentence: "secret is empty",
		},
		"a restricted key": {
			secret: "x", restricted: func(context.Context, string) (bool, error) { return true, nil },
			code: problem.CredentialsRefused, sentence: "Restricted key, which cannot sign",
		},
		"a key that is gone": {
			secret: "x", restricted: func(context.Context, string) (bool, error) {
				return false, problem.New(problem.NotFound, "no such key")
			},
			code: problem.CredentialsRefused, sentence: "no longer exists",
		},
		"an env file that is not there": {
			args: []string{"--env-file", filepath.Join(dir, "none")}, secret: "x", restricted: good,
			code: problem.InputUnreadable, sentence: "no such file",
		},
		"an env file without a signing key": {
			args: []string{"--env-file", envFile}, restricted: good,
			code: problem.CredentialsMissing, sentence: "signing key",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			app := clitest.App(t.TempDir(), &out)
			app.Open = func(context.Context, cli.SessionOptions) (*cli.Session, error) {
				return &cli.Session{
					AccountSID:    account,
					Credentials:   config.Credentials{Username: account, Password: "x", Kind: config.AuthToken},
					SigningKey:    config.Credentials{Username: key, Password: c.secret, Kind: config.APIKeyPair},
					KeyRestricted: c.restricted,
					Close:         func() error { return nil },
				}, nil
			}
			app.Global.Profile, app.Global.Output = "emulator", "text"
			cmd := New(app, func(ctx context.Context, o *Options) error {
				o.Inside = true
				o.Ready = func(string) { t.Error("it listens") }
				return Run(ctx, o)
			})
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			cmd.SetArgs(append([]string{"--listen", "127.0.0.1:0", "--metrics-listen", "none"}, c.args...))
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			err := cmd.ExecuteContext(ctx)
			if err == nil {
				t.Fatalf("it starts:\n%s", out.String())
			}
			err = app.Explain(ctx, "flexvc serve", err)
			p := problem.As(err)
			if p == nil || p.Code != c.code || !strings.Contains(p.Summary+"\n"+p.Detail, c.sentence) || p.Hint == "" {
				t.Errorf("got %#v, want %s and %q", err, c.code, c.sentence)
			}
			if strings.Contains(out.String()+err.Error(), "notarealtoken") {
				t.Error("the auth token of the env file is in the message")
			}
		})
	}
}

// TestEnvFileIsCheckedAsAProfileIs: Twilio is asked about its key too, and it is not
// used when others can read it.
func TestEnvFileIsCheckedAsAProfileIs(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 1, SeedValue: 5})
	account := s.Account()
	file := filepath.Join(t.TempDir(), ".env")
	write := func(key string, mode os.FileMode) {
		t.Helper()
		text := "ACCOUNT_SID=" + account.SID + "\nAUTH_TOKEN=" + account.AuthToken + "\nAPI_KEY=" + key + "\nAPI_SECRET=" + account.KeySecret + "\n"
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	preflight := func() error {
		o := &Options{App: clitest.App(s.State, &bytes.Buffer{}), envFile: file}
		o.App.Global.Profile = "emulator"
		c := tokensrv.Defaults()
		if err := o.readEnvFile(&c); err != nil {
			return err
		}
		cfg, err := o.App.Config()
		if err != nil {
			t.Fatal(err)
		}
		return o.checkEnvKey(cfg, c)(t.Context())
	}
	write(account.KeySID, 0o600)
	if err := preflight(); err != nil {
		t.Errorf("a good file: %v", err)
	}
	write("SK"+emulator.SIDMarker+strings.Repeat("1", 24), 0o600)
	if err := preflight(); !problem.Is(err, problem.CredentialsRefused) || !strings.Contains(err.Error(), "no longer exists") {
		t.Errorf("a key that is gone: %v", err)
	}
	if runtime.GOOS == "windows" {
		return // no such modes
	}
	for _, mode := range []os.FileMode{0o640, 0o604} {
		write(account.KeySID, mode)
		if err := preflight(); !problem.Is(err, problem.InputUnreadable) || !strings.Contains(err.Error(), "other users can read") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

// TestServeSigningKeyCannotBeRead: the credentials of a Standard key may not read
// keys, so its kind cannot be told and serving goes on.
func TestServeSigningKeyCannotBeRead(t *testing.T) {
	session := &cli.Session{KeyRestricted: func(context.Context, string) (bool, error) {
		return false, problem.New(problem.PermissionDenied, "may not read keys")
	}}
	if err := checkSigningKey(t.Context(), session, "SK"+strings.Repeat("0", 32)); err != nil {
		t.Error(err)
	}
	session.KeyRestricted = func(context.Context, string) (bool, error) {
		return false, problem.New(problem.NetworkUnreachable, "no network")
	}
	if err := checkSigningKey(t.Context(), session, "SK"+strings.Repeat("0", 32)); !problem.Is(err, problem.NetworkUnreachable) {
		t.Errorf("an unreachable Twilio is %v", err)
	}
}
