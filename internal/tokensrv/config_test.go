package tokensrv

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

func TestConfigFaults(t *testing.T) {
	if err := testConfig().Validate(); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		code   problem.Code
		says   string
	}{
		{"account missing", func(c *Config) { c.AccountSID, c.Validator = "", Credentials{testKey, testSecret} }, problem.CredentialsMissing, "account SID"},
		{"no signing key", func(c *Config) { c.KeySID = "" }, problem.CredentialsMissing, "Main or Standard"},
		{"auth token as signing key", func(c *Config) { c.KeySID = c.AccountSID }, problem.CredentialsMissing, "cannot sign"},
		{"signing key cut short", func(c *Config) { c.KeySID = "SK12" }, problem.CredentialsMissing, "SK followed by 32"},
		{"empty secret", func(c *Config) { c.KeySecret = "" }, problem.CredentialsMissing, "anyone could sign"},
		{"validator without password", func(c *Config) { c.Validator.Password = "" }, problem.CredentialsMissing, "auth token"},
		{"validator of another account", func(c *Config) { c.Validator.User = "AC" + strings.Repeat("9", 32) }, problem.CredentialsMissing, "validator's user"},
		{"unknown via", func(c *Config) { c.ValidateVia = "magic" }, problem.ConfigInvalid, `"magic"`},
		{"no timeout", func(c *Config) { c.ValidateTimeout = 0 }, problem.ConfigInvalid, "timeout"},
		{"validator over plain HTTP", func(c *Config) { c.ValidateURL = "http://iam.example.com/" }, problem.ConfigInvalid, "https"},
		{"validator URL with password", func(c *Config) { c.ValidateURL = "https://u:p@iam.example.com/" }, problem.ConfigInvalid, "without credentials"},
		{"no prefix", func(c *Config) { c.Prefix = "" }, problem.ConfigInvalid, "prefix"},
		{"prefix with a dash", func(c *Config) { c.Prefix = "ext-" }, problem.ConfigInvalid, "prefix"},
		{"no life", func(c *Config) { c.TTL = 0 }, problem.ConfigInvalid, "token life"},
		{"more than a day", func(c *Config) { c.TTL = 24*time.Hour + time.Second }, problem.ConfigInvalid, "24h"},
		{"half seconds", func(c *Config) { c.TTL = 1500 * time.Millisecond }, problem.ConfigInvalid, "whole seconds"},
		{"any origin", func(c *Config) { c.AllowOrigins = []string{"*"} }, problem.ConfigInvalid, "not exact"},
		{"null origin", func(c *Config) { c.AllowOrigins = []string{"null"} }, problem.ConfigInvalid, "not exact"},
		{"wildcard origin", func(c *Config) { c.AllowOrigins = []string{"https://*.example.com"} }, problem.ConfigInvalid, "not exact"},
		{"origin with path", func(c *Config) { c.AllowOrigins = []string{"https://flex.twilio.com/"} }, problem.ConfigInvalid, "not exact"},
		{"rate without burst", func(c *Config) { c.IdentityRate = Rate{PerSecond: 1} }, problem.ConfigInvalid, "per identity"},
		{"negative rate", func(c *Config) { c.AddressRate = Rate{PerSecond: -1, Burst: 1} }, problem.ConfigInvalid, "per address"},
		{"tiny body", func(c *Config) { c.MaxBody = 10 }, problem.ConfigInvalid, "body limit"},
		{"everyone a proxy", func(c *Config) {
			c.BehindProxy = true
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
		}, problem.ConfigInvalid, "forge their address"},
		{"proxies, but not behind one", func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }, problem.ConfigInvalid, "--behind-proxy"},
		{"unreadable Redis", func(c *Config) { c.RedisURL = "http://:" + said.secret("redis-password") + "@host" }, problem.ConfigInvalid, "Redis URL"},
		{"region with a host", func(c *Config) { c.Region = `ie1","x":"` }, problem.ConfigInvalid, "region"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig()
			tt.change(&c)
			_, err := New(c, Deps{})
			p := problem.As(err)
			if p == nil || p.Code != tt.code || !strings.Contains(p.Summary, tt.says) || p.Hint == "" {
				t.Fatalf("got %+v, want %s saying %q with a hint", p, tt.code, tt.says)
			}
			noteProblem(p)
		})
	}
}

func TestConfigNamesAllFaultsAtOnce(t *testing.T) {
	c := testConfig()
	c.KeySecret, c.Prefix, c.TTL = "", "", 0
	p := problem.As(c.Validate())
	if p == nil || p.Code != problem.ConfigInvalid || strings.Count(p.Detail, "\n") != 2 {
		t.Fatalf("got %+v, want three lines of detail", p)
	}
	noteProblem(p)
}

func TestRequireEnabledNeedsALookup(t *testing.T) {
	c := testConfig()
	c.RequireEnabled = true
	if _, err := New(c, Deps{}); !problem.Is(err, problem.ConfigInvalid) {
		t.Errorf("got %v, want %s", err, problem.ConfigInvalid)
	}
}

func TestRestrictedKeyIsRefused(t *testing.T) {
	f := newFixture(t, func(_ *Config, d *Deps) {
		d.CheckSigningKey = func(context.Context) error { return errors.New("restricted") }
	})
	err := f.Start(t.Context(), nil)
	p := problem.As(err)
	if p == nil || p.Code != problem.CredentialsRefused || !strings.Contains(p.Summary, "SK…0002 cannot sign") {
		t.Fatalf("got %v", err)
	}
	noteProblem(p)

	own := problem.New(problem.PermissionDenied, "cannot reach Twilio")
	f = newFixture(t, func(_ *Config, d *Deps) { d.CheckSigningKey = func(context.Context) error { return own } })
	if err := f.Start(t.Context(), nil); err != error(own) {
		t.Errorf("a problem was replaced by %v", err)
	}
	if err := newFixture(t, nil).Start(t.Context(), nil); err != nil {
		t.Errorf("without a check: %v", err)
	}
}

func noteProblem(p *problem.Problem) {
	_, _ = said.Write([]byte(p.Summary + "\n" + p.Detail + "\n" + p.Hint + "\n"))
}
