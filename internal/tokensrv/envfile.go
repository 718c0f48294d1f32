package tokensrv

import (
	"io"
	"strings"

	"github.com/subosito/gotenv"

	"github.com/flexvc/flexvc/internal/problem"
)

// EnvFile is the .env of the serverless service this server replaces.
type EnvFile struct {
	AccountSID string // ACCOUNT_SID
	AuthToken  string // AUTH_TOKEN
	APIKey     string // API_KEY
	APISecret  string // API_SECRET
}

// Apply fills c's credentials: the auth token vouches for Flex tokens, the API
// key signs, as the original service did. Without an auth token the key does both.
func (e EnvFile) Apply(c *Config) {
	c.AccountSID, c.KeySID, c.KeySecret = e.AccountSID, e.APIKey, e.APISecret
	c.Validator = Credentials{User: e.AccountSID, Password: e.AuthToken}
	if e.AuthToken == "" {
		c.Validator = Credentials{User: e.APIKey, Password: e.APISecret}
	}
}

// ParseEnvFile reads such a file unchanged; other variables in it are left
// alone. name is for messages, which never repeat a line of the file.
func ParseEnvFile(r io.Reader, name string) (EnvFile, error) {
	raw, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return EnvFile{}, problem.New(problem.InputUnreadable, "cannot read %s: %w", name, err)
	}
	// gotenv would fill in $NAME from the environment, which the original never
	// did; made unusable instead, such a value is refused below.
	env, err := gotenv.StrictParse(strings.NewReader(strings.ReplaceAll(string(raw), "$", "\x00")))
	if err != nil {
		// err quotes the line it stopped at: no Because.
		return EnvFile{}, problem.New(problem.InputUnreadable, "cannot read %s: expected NAME=value lines", name)
	}
	e := EnvFile{AccountSID: env["ACCOUNT_SID"], AuthToken: env["AUTH_TOKEN"], APIKey: env["API_KEY"], APISecret: env["API_SECRET"]}
	for _, v := range []struct{ name, value string }{
		{"ACCOUNT_SID", e.AccountSID}, {"AUTH_TOKEN", e.AuthToken}, {"API_KEY", e.APIKey}, {"API_SECRET", e.APISecret},
	} {
		// Anything else is a placeholder somebody forgot to fill in.
		if strings.ContainsFunc(v.value, func(r rune) bool { return r > 127 || !alphanumeric(byte(r)) }) {
			return EnvFile{}, problem.New(problem.InputUnreadable, "cannot use %s from %s: Twilio's values are letters and digits only", v.name, name).
				WithHint("copy it again from the Twilio Console")
		}
	}
	return e, nil
}
