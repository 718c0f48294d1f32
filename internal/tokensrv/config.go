package tokensrv

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/flexvc/flexvc/internal/problem"
)

// Config is what an administrator decides. Start from Defaults: a zero value
// here means what it says ("no limit", "no origin"), never "some default".
type Config struct {
	AccountSID string
	KeySID     string // signing key, SK…; a live Main or Standard key: a Restricted one cannot sign
	KeySecret  string
	Region     string // Twilio region of the signing key, "" for us1; becomes the header "twr"

	// Validator authenticates this server at Twilio's validator. Unused with
	// ViaFlex, where a Flex token vouches for itself.
	Validator       Credentials
	ValidateVia     Via
	ValidateURL     string        // "" is Twilio's own address
	ValidateTimeout time.Duration // how long one question to Twilio may take

	Prefix         string        // put before the Flex identity
	TTL            time.Duration // life of a minted token, 1 s to 24 h, whole seconds
	CapToFlexToken bool          // never outlive the Flex token it was made from

	AllowGet       bool     // the original extension asks with GET
	AllowOrigins   []string // exact, as browsers send them: chrome-extension://<id>, https://host[:port]
	RequireRoles   []string // at least one of them, when any is named
	AllowWorkers   []string // worker SIDs or Flex identities; empty allows all
	RequireEnabled bool     // only workers whose attribute extensionVoiceClientEnabled is true

	IdentityRate Rate
	// AddressRate is per client address (IPv6: per /64). A whole contact centre
	// usually shares one address and logs in within seconds at shift start, so
	// the default lets 10,000 agents through at once; it stops floods, not people.
	AddressRate Rate
	// RefusalRate is per client address too, of tokens that Twilio refuses. Beyond
	// it only agents whose token is known already are served there.
	RefusalRate Rate
	MaxBody     int64 // bytes of a request body

	BehindProxy    bool
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	TrustedHops    int            // how many proxies are in front at most; 0 is any number of trusted ones

	DrainDelay time.Duration // between unready and refusing connections, for balancers to notice; at most 1 m

	RedisURL string // "" keeps limits and cache in this process
}

// Credentials are a Basic user and password: AC… and the auth token, or SK… and its secret.
type Credentials struct{ User, Password string }

// Rate is a token bucket; the zero value limits nothing.
type Rate struct {
	PerSecond float64
	Burst     int
}

func (r Rate) unlimited() bool { return r == Rate{} }

// Via names the endpoint that vouches for a Flex token.
type Via string

const (
	ViaIAM  Via = "iam"  // iam.twilio.com Tokens/validate, asked with account credentials
	ViaFlex Via = "flex" // flex-api.twilio.com Tokens/Info, as Flex UI 2.17 asks
)

// MaxTTL is the longest life Twilio accepts (error 20157 beyond it).
const MaxTTL = 24 * time.Hour

// Defaults returns a Config in which only account, keys and origins are missing.
func Defaults() Config {
	return Config{
		ValidateVia:     ViaIAM,
		ValidateTimeout: 5 * time.Second,
		Prefix:          "ext_",
		TTL:             time.Hour,
		AllowGet:        true,
		IdentityRate:    Rate{PerSecond: 0.5, Burst: 20},
		AddressRate:     Rate{PerSecond: 1000, Burst: 10000},
		RefusalRate:     Rate{PerSecond: 20, Burst: 500},
		MaxBody:         32 << 10,
	}
}

var (
	accountSID = form(`^AC[0-9a-fA-F]{32}$`)
	keySID     = form(`^SK[0-9a-fA-F]{32}$`)
	prefixText = form(`^[A-Za-z0-9_]{1,64}$`)
	regionText = form(`^[a-z]{2}[0-9]{1,2}$`)
)

// form matches a pattern that is compiled when first needed: the other commands
// of the program need none.
func form(pattern string) func(string) bool {
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
	return func(text string) bool { return compiled().MatchString(text) }
}

// Validate returns nil or one problem that names every fault, so that a
// configuration is repaired in one round. It never repeats a secret.
func (c Config) Validate() error {
	var f faults

	f.credential(!accountSID(c.AccountSID), "the account SID must be AC followed by 32 hex digits")
	switch {
	case c.KeySID == "":
		f.credential(true, "the signing key is missing: an API key SID, SK…, of kind Main or Standard")
	case strings.HasPrefix(c.KeySID, "AC"):
		f.credential(true, "the account SID and auth token cannot sign voice tokens: an API key, SK…, is required")
	default:
		f.credential(!keySID(c.KeySID), "the signing key must be SK followed by 32 hex digits")
	}
	f.credential(c.KeySecret == "", "the signing key's secret is empty: anyone could sign with it")
	switch c.ValidateVia {
	case ViaIAM:
		user := c.Validator.User
		f.credential(user == "" || c.Validator.Password == "", "validating Flex tokens requires an auth token or an API key with its secret")
		f.credential(user != "" && user != c.AccountSID && !keySID(user), "the validator's user must be the account SID or an API key, SK…")
	case ViaFlex:
	default:
		f.add(true, `validate-via must be "iam" or "flex", not %q`, string(c.ValidateVia))
	}

	f.add(c.Region != "" && !regionText(c.Region), "the region must look like ie1, not %q", c.Region)
	f.add(c.ValidateTimeout <= 0 || c.ValidateTimeout > time.Minute, "the validator's timeout must be above 0 and at most 1m, not %s", c.ValidateTimeout)
	if c.ValidateURL != "" {
		u, err := url.Parse(c.ValidateURL)
		// A Flex token is a bearer secret: beyond this machine it travels encrypted or not at all.
		f.add(err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && (u.Scheme != "http" || !loopbackHost(u.Hostname()))),
			"the validator's URL must be https (or http on this machine), without credentials")
	}
	f.add(!prefixText(c.Prefix), "the identity prefix must be 1 to 64 letters, digits or underscores, not %q", c.Prefix)
	f.add(c.TTL < time.Second || c.TTL > MaxTTL || c.TTL%time.Second != 0, "the token lifetime must be whole seconds between 1s and 24h, not %s", c.TTL)
	for _, o := range c.AllowOrigins {
		f.add(!exactOrigin(o), "allowed origin %q is not exact: use scheme://host[:port], without path or wildcard", o)
	}
	for _, r := range []struct {
		name string
		Rate
	}{{"identity", c.IdentityRate}, {"address", c.AddressRate}, {"refusals", c.RefusalRate}} {
		f.add(!r.unlimited() && (!(r.PerSecond >= 1e-4 && r.PerSecond <= 1e6) || r.Burst < 1 || r.Burst > 1e5), "the rate per %s needs both a rate of 0.0001 to 1000000 a second and a burst of 1 to 100000", r.name)
	}
	f.add(c.MaxBody < 1<<10 || c.MaxBody > 1<<20, "the body limit must be between 1 kB and 1 MB, not %d bytes", c.MaxBody)
	f.add(c.DrainDelay < 0 || c.DrainDelay > time.Minute, "the drain delay must be between 0 and 1m, not %s", c.DrainDelay)
	for _, p := range c.TrustedProxies {
		f.add(!p.IsValid(), "a trusted proxy is not an address range")
		f.add(p.IsValid() && p.Bits() == 0, "trusting every address as a proxy would let clients forge their address")
	}
	f.add(c.TrustedHops < 0 || c.TrustedHops > 10, "the number of trusted proxies must be between 1 and 10, not %d", c.TrustedHops)
	f.add((len(c.TrustedProxies) > 0 || c.TrustedHops > 0) && !c.BehindProxy, "--trusted-proxy requires --behind-proxy")
	if c.RedisURL != "" {
		_, err := redis.ParseURL(c.RedisURL)
		f.add(err != nil, "invalid Redis URL: use redis://host:6379/0, rediss:// for TLS, or unix:///path") // err would repeat the password
	}
	return f.problem()
}

func exactOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != "" && u.User == nil && s == strings.ToLower(u.Scheme+"://"+u.Host) && !strings.ContainsAny(s, "*, ")
}

type faults struct {
	lines       []string
	credentials int
}

func (f *faults) add(bad bool, format string, args ...any) {
	if bad {
		f.lines = append(f.lines, fmt.Sprintf(format, args...))
	}
}

func (f *faults) credential(bad bool, line string) {
	if bad {
		f.credentials++
		f.lines = append(f.lines, line)
	}
}

func (f *faults) problem() error {
	if len(f.lines) == 0 {
		return nil
	}
	code := problem.ConfigInvalid
	hint := "see where each value comes from: flexvc config list --origin"
	if f.credentials == len(f.lines) {
		code = problem.CredentialsMissing
		hint = "create a Standard API key in the Twilio Console and set TWILIO_API_KEY and TWILIO_API_SECRET, or use -p emulator"
	}
	if len(f.lines) == 1 {
		return problem.New(code, "cannot serve tokens: %s", f.lines[0]).WithHint("%s", hint)
	}
	return problem.New(code, "cannot serve tokens: %d settings are invalid", len(f.lines)).
		WithDetail("%s", strings.Join(f.lines, "\n")).WithHint("%s", hint)
}
