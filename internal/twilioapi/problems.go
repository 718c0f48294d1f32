package twilioapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// problem says what o could not do because of err.
func (c *Client) problem(ctx context.Context, o op, err error) error {
	if err == nil {
		return nil
	}
	if p := problem.As(err); p != nil {
		return p
	}
	cannot := func(code problem.Code, why string, args ...any) *problem.Problem {
		return problem.New(code, "cannot %s: %s", o.what, fmt.Sprintf(why, args...)).Because(err)
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return cannot(problem.Interrupted, "interrupted").Because(ctx.Err())
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return cannot(problem.Timeout, "the --timeout limit was reached").Because(ctx.Err()).
			WithHint("raise --timeout")
	}
	var f *failure
	if !errors.As(err, &f) {
		return cannot(problem.TwilioAnswer, "Twilio's response has an unexpected format").WithDetail("%s", printable(err.Error()))
	}
	if f.status == 0 {
		return c.unreachable(o, f, cannot)
	}
	return c.answered(ctx, o, f, cannot).WithDetail("%s", f.detail())
}

type sentence func(code problem.Code, why string, args ...any) *problem.Problem

func (c *Client) unreachable(o op, f *failure, cannot sentence) *problem.Problem {
	server := "Twilio"
	if c.emulator != nil {
		server = "the emulator at " + c.emulator.Host
	}
	why := "cannot reach " + server
	if errors.Is(f.err, context.DeadlineExceeded) {
		why = fmt.Sprintf("no response from %s within %v", server, attemptTimeout)
	}
	p := cannot(problem.NetworkUnreachable, "%s", why).WithDetail("%s%s", printable(f.err.Error()), mayBeDone(o))
	if c.emulator != nil {
		return p.WithHint("start it: flexvc emulator")
	}
	return p.WithHint("check the network and the proxy settings (HTTPS_PROXY, NO_PROXY)")
}

func (c *Client) answered(ctx context.Context, o op, f *failure, cannot sentence) *problem.Problem {
	said := f.message
	if said == "" {
		said = strings.ToLower(http.StatusText(f.status))
	}
	switch {
	case f.status/100 == 2 && f.cut:
		return cannot(problem.TwilioAnswer, "Twilio's response was cut short%s", mayBeDone(o)).WithHint("try again")
	case f.status/100 == 2:
		return cannot(problem.TwilioAnswer, "Twilio's response has an unexpected format%s", mayBeDone(o)).
			WithHint("try again; if it persists, check for a proxy between this machine and Twilio")
	case f.status == http.StatusTooManyRequests:
		return cannot(problem.RateLimited, "Twilio kept rate-limiting requests").
			WithHint("try again later, with a smaller --concurrency if others use the account too")
	case f.status >= 500:
		return cannot(problem.TwilioUnavailable, "Twilio cannot serve it now (HTTP %d)%s", f.status, mayBeDone(o)).
			WithHint("try again later; see https://status.twilio.com")
	case f.status == http.StatusProxyAuthRequired:
		return cannot(problem.NetworkUnreachable, "the proxy requires a user name and password").
			WithHint("set them in HTTPS_PROXY")
	case f.status == http.StatusPreconditionFailed && (f.spoken || f.cut):
		return cannot(problem.PreconditionFailed, "it was changed in the meantime")
	case f.status/100 == 4 && f.cut: // what was refused was not carried out, whatever it was
		return cannot(problem.TwilioAnswer, "Twilio's response was cut short (HTTP %d)", f.status).WithHint("try again")
	case f.status/100 != 4 || !f.spoken:
		return cannot(problem.TwilioAnswer, "the response is not from Twilio (HTTP %d)", f.status).
			WithHint("check for a proxy or sign-in page between this machine and Twilio")
	case f.status == http.StatusUnauthorized && c.denied(ctx, o, f), f.status == http.StatusForbidden:
		p := cannot(problem.PermissionDenied, "%s may not do this", twilio.Short(c.username))
		if o.keys {
			return p.WithHint("use the auth token or a Main API key: Standard keys may not manage keys")
		}
		return p.WithHint("use the auth token, or an API key with this permission")
	case f.status == http.StatusUnauthorized:
		return cannot(problem.CredentialsRefused, "Twilio does not accept the credentials of %s", twilio.Short(c.username)).
			WithHint("check the account SID and the auth token, or the API key and its secret")
	case f.status == http.StatusNotFound && o.flex:
		return cannot(problem.FlexNotFound, "account %s has no Flex", twilio.Short(c.account)).
			WithHint("check the account, or pass --workspace")
	case f.status == http.StatusNotFound:
		return cannot(problem.NotFound, "Twilio does not know it (404, code %d)", f.code).
			WithHint("check the SID, and that it is one of account %s", twilio.Short(c.account))
	case f.status == http.StatusBadRequest && o.filter:
		return cannot(problem.FilterRefused, "Twilio does not accept the filter: %s", said).
			WithHint("see https://www.twilio.com/docs/taskrouter/expression-syntax")
	}
	return cannot(problem.RequestRefused, "%s (%d, code %d)", said, f.status, f.code)
}

// denied reports whether a 401 means missing rights. Twilio answers 20003 both
// to wrong credentials and to a Standard key that asks for /Keys, so the same
// credentials are tried on something every key may read.
func (c *Client) denied(ctx context.Context, o op, f *failure) bool {
	if strings.Contains(strings.ToLower(f.message), "permission") {
		return true
	}
	return o.keys && (c.works.Load() || c.CheckCredentials(ctx) == nil)
}

// mayBeDone warns when nobody can know whether something was created.
func mayBeDone(o op) string {
	if o.repeat == never {
		return "; it may have been created anyway"
	}
	return ""
}

func (f *failure) detail() string {
	var d []string
	if f.message != "" {
		d = append(d, fmt.Sprintf("Twilio says: %s", f.message))
	}
	if f.err != nil {
		d = append(d, printable(f.err.Error()))
	}
	what := fmt.Sprintf("HTTP %d", f.status)
	if f.code != 0 {
		what += fmt.Sprintf(", code %d (https://www.twilio.com/docs/errors/%d)", f.code, f.code)
	}
	if f.requestID != "" {
		what += ", request " + printable(f.requestID)
	}
	return strings.Join(append(d, what), "\n")
}

// printable makes a foreign text fit for a terminal: one line, no control
// characters, not endless.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	s = strings.TrimRight(strings.Join(strings.Fields(s), " "), ". ")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:299]) + "…"
	}
	return s
}
