package config

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// The settings of a profile, by their names in flexvc.yaml. A dot stands for
// nesting.
const (
	AccountSID     = "account_sid"
	WorkspaceSID   = "workspace_sid"
	ActivityName   = "activity_name"
	ActivitySID    = "activity_sid"
	IdentityPrefix = "identity_prefix"
	TokenURL       = "token_url"
	Region         = "region"
	Edge           = "edge"
	APIKey         = "api_key"
	SecretStore    = "secret_store"
	SigningKey     = "signing_key"
	ExtensionID    = "extension_id"
	HelpURL        = "help_url"
	LeaveAfter     = "leave_after_seconds"
	Hold           = "hold_seconds"
	// CreatedActivitySID is the activity that init created; one that it found is
	// somebody else's.
	CreatedActivitySID = "created_activity_sid"

	PluginActivityName = pluginPrefix + "FLEX_APP_OFFLINE_VOICE_CLIENT_ACTIVITY_NAME"
	PluginTokenURL     = pluginPrefix + "FLEX_APP_VOICE_CLIENT_TOKEN_GENERATOR_URL"

	// ActiveProfile is the one setting outside of the profiles.
	ActiveProfile = "active_profile"

	pluginPrefix = "plugin."
)

// setting describes one of them. check returns what is wrong with a value, or
// "": it never repeats the value, which may be a secret in the wrong place.
type setting struct {
	name    string
	env     string
	initial string
	check   func(string) string
}

// schema lists the settings in the order they are written and listed.
var schema = []setting{
	{AccountSID, "TWILIO_ACCOUNT_SID", "", isSID("AC")},
	{WorkspaceSID, "", "", isSID("WS")},
	{ActivityName, "", "Voice Client Offline", isActivityName},
	{ActivitySID, "", "", isSID("WA")},
	{IdentityPrefix, "", "ext_", isIdentityPrefix},
	{TokenURL, "", "http://localhost:3001/generateToken", isTokenURL},
	{Region, "TWILIO_REGION", "", isHostLabel},
	{Edge, "TWILIO_EDGE", "", isHostLabel},
	{APIKey, "", "", isSID("SK")},
	{SecretStore, "", "keychain", isSecretStore},
	{SigningKey, "", "extension.pem", nil},
	{ExtensionID, "", "", isExtensionID},
	{HelpURL, "", "", isHelpURL},
	{LeaveAfter, "", "", isSeconds(5, 86_400)},
	{Hold, "", "", isSeconds(0, 30)},
	{CreatedActivitySID, "", "", isSID("WA")},
	{PluginActivityName, "", "", isActivityName},
	{PluginTokenURL, "", "", isTokenURL},
}

// Names returns the names of all settings of a profile.
func Names() []string {
	names := make([]string, len(schema))
	for i, s := range schema {
		names[i] = s.name
	}
	return names
}

func lookup(name string) (setting, bool) {
	i := slices.IndexFunc(schema, func(s setting) bool { return s.name == name })
	if i < 0 {
		return setting{}, false
	}
	return schema[i], true
}

// looksSecret reports whether a name that is no setting is one of a secret.
func looksSecret(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"secret", "token", "password", "passwd", "private"}, func(word string) bool {
		return strings.Contains(name, word)
	})
}

// The forms of values. They are compiled when first needed: most of what
// flexvc does, --version first of all, needs none.
var (
	profileName = form(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	hexDigits   = form(`^[0-9a-fA-F]{32}$`)
	hostLabel   = form(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	prefixForm  = form(`^[A-Za-z0-9_]{1,32}$`)
	extensionID = form(`^[a-p]{32}$`)
)

func form(pattern string) func(string) bool {
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
	return func(text string) bool { return compiled().MatchString(text) }
}

func isSID(kind string) func(string) string {
	return func(text string) string {
		if digits, ok := strings.CutPrefix(text, kind); ok && hexDigits(digits) {
			return ""
		}
		return fmt.Sprintf("it is not %s followed by 32 hexadecimal digits", kind)
	}
}

// https://www.twilio.com/docs/taskrouter/api/activity: at most 64 characters.
func isActivityName(text string) string {
	switch {
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return "it contains control characters"
	case strings.TrimSpace(text) != text:
		return "it starts or ends with a space"
	case utf8.RuneCountInString(text) > 64:
		return "it is longer than Twilio's 64 characters"
	}
	return ""
}

// Twilio escapes all but letters, digits and the underscore in an identity, so
// a prefix of these is the same wherever it turns up.
func isIdentityPrefix(text string) string {
	if prefixForm(text) {
		return ""
	}
	return "it is not 1 to 32 letters, digits and underscores"
}

// Agents' Flex tokens go to this address, so they must not be readable on the
// way: https, or this machine.
func isTokenURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return "it is not an absolute URL"
	case u.User != nil:
		return "it contains a user name or password"
	case u.Fragment != "":
		return "it has a fragment"
	case u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()):
		return ""
	case u.Scheme == "http":
		return "http is allowed for this machine only; use https"
	}
	return "it is neither https nor http"
}

// The plugin makes a link of it in every agent's Flex.
func isHelpURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https":
		return "it is not an absolute https URL"
	case u.User != nil:
		return "it contains a user name or password"
	}
	return ""
}

// What goes into the browsers' policy: Chrome drops a value that managed_schema.json
// does not allow, without a word.
func isSeconds(least, most int) func(string) string {
	return func(text string) string {
		if n, err := strconv.Atoi(text); err != nil || n < least || n > most || text != strconv.Itoa(n) {
			return fmt.Sprintf("it is not a number of seconds from %d to %d", least, most)
		}
		return ""
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func isExtensionID(text string) string {
	if extensionID(text) {
		return ""
	}
	return "it is not 32 letters from a to p"
}

func isHostLabel(text string) string {
	if hostLabel(text) {
		return ""
	}
	return "it is not a word such as ie1 or dublin"
}

func isSecretStore(text string) string {
	if path, ok := strings.CutPrefix(text, "file:"); text == "keychain" || ok && path != "" {
		return ""
	}
	return `it is neither "keychain" nor "file:" followed by a path`
}
