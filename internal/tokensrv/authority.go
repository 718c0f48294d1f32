package tokensrv

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// agent is what Twilio says about a Flex token.
type agent struct {
	Identity  string
	Roles     []string
	WorkerSID string
	Expires   time.Time // zero when Twilio did not say
}

// authority asks the endpoint that vouches for Flex tokens. Neither endpoint is in
// Twilio's public specification: their successes are known from Twilio's own
// clients, their failures are not, so every shape is accepted and named.
type authority struct {
	via       Via
	url       *url.URL
	account   string
	authorize string // the Authorization header, with ViaIAM
	expiry    bool   // an answer without expiration is of no use
	transport http.RoundTripper
	now       func() time.Time
	sawDate   func(drift time.Duration)
}

func newAuthority(c Config, transport http.RoundTripper, now func() time.Time, sawDate func(time.Duration)) (*authority, error) {
	t := &authority{
		via:     c.ValidateVia,
		account: c.AccountSID,
		expiry:  c.CapToFlexToken,
		now:     now,
		sawDate: sawDate,
		// Asked directly, not through http.Client: a followed redirect would carry
		// the Flex token to an address nobody chose.
		transport: transport,
	}
	address := c.ValidateURL
	switch t.via {
	case ViaFlex:
		address = cmp.Or(address, "https://flex-api.twilio.com/v1/Accounts/"+c.AccountSID+"/Tokens/Info")
	case ViaIAM:
		address = cmp.Or(address, "https://iam.twilio.com/v1/Accounts/"+c.AccountSID+"/Tokens/validate")
		t.authorize = basic(c.Validator.User, c.Validator.Password)
	}
	var err error
	t.url, err = url.Parse(address)
	return t, err
}

// NewTransport returns the transport for questions to Twilio. A login storm has
// hundreds in flight, and net/http's two idle connections per host would dial
// and close one for nearly every agent. proxy may be nil.
func NewTransport(proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = proxy
	t.MaxIdleConns = questionsAtOnce
	t.MaxIdleConnsPerHost = questionsAtOnce
	t.MaxConnsPerHost = questionsAtOnce
	t.ReadBufferSize = 2 << 10 // questions and answers are smaller than the usual 4 kB, and there are hundreds
	t.WriteBufferSize = 2 << 10
	t.TLSHandshakeTimeout = 5 * time.Second
	return t
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// ask puts one question. The error is always a *refusal.
func (t *authority) ask(ctx context.Context, token string) (agent, error) {
	resp, err := t.transport.RoundTrip(t.question(ctx, token))
	if err != nil {
		if ctx.Err() != nil {
			return agent{}, &refusal{reason: validatorTimeout, retry: 2 * time.Second, shape: "no-answer"}
		}
		return agent{}, &refusal{reason: validatorLost, retry: 2 * time.Second, shape: transportFault(err)}
	}
	defer resp.Body.Close()
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		t.sawDate(t.now().Sub(date))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		if ctx.Err() != nil {
			return agent{}, &refusal{reason: validatorTimeout, retry: 2 * time.Second, upstreamStatus: resp.StatusCode, shape: "cut-short"}
		}
		return agent{}, &refusal{reason: validatorLost, retry: 2 * time.Second, upstreamStatus: resp.StatusCode, shape: "cut-short"}
	}
	return t.read(resp.StatusCode, resp.Header.Get("Retry-After"), body)
}

func (t *authority) question(ctx context.Context, token string) *http.Request {
	var body, kind, authorize string
	switch t.via {
	case ViaFlex:
		body = url.Values{"Token": {token}}.Encode()
		kind = "application/x-www-form-urlencoded"
		authorize = basic("token", token)
	case ViaIAM:
		body = `{"token":"` + token + `"}` // plausible let nothing through that JSON would escape
		kind = "application/json"
		authorize = t.authorize
	}
	reader := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	first, _ := reader()
	address := *t.url // a transport may rewrite it
	return (&http.Request{
		Method: http.MethodPost,
		URL:    &address,
		Host:   t.url.Host,
		Header: http.Header{
			"Authorization": {authorize},
			"Cache-Control": {"no-cache"},
			"Content-Type":  {kind},
			"User-Agent":    {"flexvc"},
		},
		Body:          first,
		GetBody:       reader, // lets the transport repeat it on a connection the server had closed
		ContentLength: int64(len(body)),
	}).WithContext(ctx)
}

// answer holds the fields of both endpoints, successes and failures alike.
type answer struct {
	Valid      *bool           `json:"valid"`
	Code       json.RawMessage `json:"code"`
	Message    string          `json:"message"`
	Expiration string          `json:"expiration"`
	Identity   string          `json:"identity"`
	Roles      []string        `json:"roles"`
	WorkerSID  string          `json:"worker_sid"`
	AccountSID string          `json:"account_sid"`
}

// read turns any answer into an agent or a *refusal that says what came.
func (t *authority) read(status int, retryAfter string, body []byte) (agent, error) {
	no := func(r reason, shape string, code int) (agent, error) {
		return agent{}, &refusal{reason: r, upstreamStatus: status, upstreamCode: code, shape: shape}
	}
	switch {
	case status == http.StatusTooManyRequests:
		wait := 2 * time.Second
		if s, err := strconv.Atoi(retryAfter); err == nil && s > 0 {
			wait = time.Duration(min(s, 60)) * time.Second
		}
		return agent{}, &refusal{reason: validatorBusy, retry: wait, upstreamStatus: status, shape: "too-many-requests"}
	case status >= 500 || status == http.StatusRequestTimeout:
		return agent{}, &refusal{reason: validatorFailing, retry: 2 * time.Second, upstreamStatus: status, shape: "server-error"}
	case status >= 300 && status < 400:
		return no(validatorNonsense, "redirect", 0)
	}

	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		var wrongType *json.UnmarshalTypeError
		if errors.As(err, &wrongType) {
			return no(validatorNonsense, "unexpected-types", 0)
		}
		return no(validatorNonsense, "not-json", 0)
	}
	code, _ := strconv.Atoi(strings.Trim(string(a.Code), `"`))
	refused := tokenRefused
	if code == 20104 || strings.Contains(strings.ToLower(a.Message), "expired") {
		refused = tokenExpired
	}

	if status >= 400 {
		switch {
		case a.Valid == nil && code == 0 && a.Message == "":
			return no(validatorNonsense, "error-without-code", 0)
		// Basic authentication failed, so the token was never looked at. With
		// ViaFlex the token is the password and the same answer is about it.
		case t.via == ViaIAM && a.Valid == nil && code == 20003:
			return no(validatorDenied, "basic-auth-refused", code)
		}
		return no(refused, "error-status", code)
	}
	switch {
	case a.Valid != nil && !*a.Valid:
		return no(refused, "valid-false", code)
	case a.Valid == nil && t.via == ViaIAM:
		return no(validatorNonsense, "valid-missing", code)
	case a.Identity == "":
		return no(validatorNonsense, "identity-missing", code)
	case a.AccountSID != "" && a.AccountSID != t.account:
		return no(otherAccount, "account-differs", code)
	}
	out := agent{Identity: a.Identity, Roles: a.Roles, WorkerSID: a.WorkerSID}
	if a.Expiration != "" {
		expires, err := time.Parse(time.RFC3339, a.Expiration)
		if err != nil {
			return no(validatorNonsense, "expiration-unreadable", code)
		}
		if !expires.After(t.now()) {
			return no(tokenExpired, "expiration-past", code)
		}
		out.Expires = expires
	} else if t.expiry {
		return no(validatorNonsense, "expiration-missing", code)
	}
	return out, nil
}

// noDescriptor is the shape of a question that could not even be put, for want of
// a descriptor: Twilio has nothing to do with it.
const noDescriptor = "no-descriptor"

// transportFault names a network error without its text, which may hold
// addresses of proxies with passwords in them.
func transportFault(err error) string {
	if exhausted(err) {
		return noDescriptor
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "network-timeout"
	}
	var netErr *net.OpError
	if errors.As(err, &netErr) {
		return "network-" + netErr.Op
	}
	return "network-error"
}
