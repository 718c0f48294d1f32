package twilioapi

import (
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// Compiled on first use: a program that only prints its version need not pay.
var sidPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\b[A-Z]{2}[0-9a-fA-F]{32}\b`)
})

// checkTarget refuses texts that name an SID which does not belong to the
// server about to be asked.
func (c *Client) checkTarget(texts ...string) error {
	if c.marker == "" {
		return nil
	}
	for _, text := range texts {
		for _, sid := range sidPattern().FindAllString(text, -1) {
			madeUp := strings.HasPrefix(strings.ToLower(sid[2:]), c.marker)
			switch {
			case c.emulator != nil && !madeUp:
				return problem.New(problem.WrongTarget, "refusing to send %s to the emulator: it is a real SID", twilio.Short(sid)).
					WithHint("select the real account's profile with -p, or use a SID from flexvc -p emulator workers list")
			case c.emulator == nil && madeUp:
				return problem.New(problem.WrongTarget, "refusing to send %s to Twilio: it is an emulated SID", twilio.Short(sid)).
					WithHint("add -p emulator")
			}
		}
	}
	return nil
}

// checkEmulator holds the emulator to this machine, so that nothing meant for
// it can leave.
func checkEmulator(u *url.URL) error {
	if u == nil {
		return nil
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if (u.Scheme == "http" || u.Scheme == "https") && loopback && u.User == nil {
		return nil
	}
	return problem.New(problem.ConfigInvalid, "cannot use the emulator at %s: it is not on this machine", u.Redacted()).
		WithHint("use an address such as http://127.0.0.1:8021")
}

// sidOf reports whether s has the form of an SID of the given type.
func sidOf(kind, s string) bool {
	return strings.HasPrefix(s, kind) && sidPattern().FindString(s) == s && len(s) == 34
}

// checkSID refuses what cannot be a part of a path: twilio-go puts SIDs into
// it as they are.
func checkSID(kind, s string) error {
	if strings.HasPrefix(s, kind) && alphanumeric(s) {
		return nil
	}
	return problem.New(problem.Usage, "cannot ask Twilio for %q: it is not a SID such as %s…", s, kind)
}
