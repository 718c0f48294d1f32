package twilioapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
	twiliogo "github.com/twilio/twilio-go/client"
)

// repeatable says when a request may be sent again without knowing whether the
// first one was carried out. One answered 429 was not, so it always may.
type repeatable int

const (
	// never is for requests that create something.
	never repeatable = iota
	// always is for reads, deletions, and writes of a whole value under a
	// fixed name.
	always
	// conditional is for writes with If-Match. If the first one was carried
	// out, its repetition finds another ETag and is answered 412: the caller,
	// who must handle 412 anyway, reads the object and finds its own value.
	conditional
)

// op is what the user asked for, as far as sending and reporting depend on it.
type op struct {
	what   string // completes "cannot …"
	repeat repeatable
	filter bool // the request carries the user's filter expression
	keys   bool // the request needs more rights than others do
	flex   bool // a 404 means that the account has no Flex
}

type request struct {
	method, url string
	form        url.Values
	body        []byte // in place of form; header tells its type
	header      map[string]any
}

const (
	attemptTimeout = 30 * time.Second // for one answer, its body included
	maxBody        = 64 << 20         // far above a page of 1000 workers with 4096 characters each
	maxErrorBody   = 256 << 10

	// A 429 says when the server is busy, so it is worth more patience than a
	// failure.
	maxRateLimited = 12
	maxFailed      = 5

	firstWait     = 250 * time.Millisecond
	maxWait       = 10 * time.Second
	maxRetryAfter = 60 * time.Second
)

// failure is an attempt that brought no usable answer.
type failure struct {
	status     int    // of the answer; 0 when there was none
	code       int    // Twilio's own
	message    string // Twilio's own, fit to print
	requestID  string
	retryAfter time.Duration // what the answer asked for; 0 when nothing
	spoken     bool          // the answer is Twilio's: a JSON object
	cut        bool          // the answer ended early
	err        error
}

func (f *failure) Error() string {
	if f.status == 0 {
		return f.err.Error()
	}
	s := fmt.Sprintf("HTTP %d", f.status)
	if f.err != nil {
		s += ": " + f.err.Error()
	}
	return s
}

func (f *failure) Unwrap() error { return f.err }

// transient reports whether the same request may fare better a moment later.
func (f *failure) transient() bool {
	switch f.status {
	case 0, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return f.cut
}

// send repeats r until it is answered, or until repeating is unsafe or
// useless. read gets the body of a 2xx answer and may be called once per
// attempt. The error is a *failure, a *problem.Problem or the context's.
func (c *Client) send(ctx context.Context, o op, r request, read func(http.Header, io.Reader) error) error {
	u, err := url.Parse(r.url)
	if err != nil {
		return err
	}
	query, err := url.QueryUnescape(u.RawQuery)
	if err != nil {
		query = u.RawQuery
	}
	if err := c.checkTarget(u.Path, query); err != nil {
		return err
	}
	limited, failed := 0, 0
	for attempt := 1; ; attempt++ {
		err := c.attempt(ctx, o, r, u, attempt, read)
		if err == nil {
			return nil
		}
		var f *failure
		if ctx.Err() != nil || !errors.As(err, &f) {
			return err
		}
		var wait time.Duration
		switch {
		case f.status == http.StatusNotFound && r.method == http.MethodDelete && failed > 0:
			return nil // the attempt that seemed to fail had deleted it
		case f.status == http.StatusPreconditionFailed:
			return err // the status says it all, however much came of the rest
		case f.status == http.StatusTooManyRequests:
			if limited++; limited >= maxRateLimited {
				return err
			}
			wait = c.backoff(limited)
		case f.transient() && o.repeat != never:
			if failed++; failed >= maxFailed {
				return err
			}
			wait = c.backoff(failed)
		default:
			return err
		}
		c.retries.Add(1)
		if err := c.sleep(ctx, max(wait, f.retryAfter)); err != nil {
			return err
		}
	}
}

// backoff draws the wait before repeating for the nth time, with full jitter:
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
func (c *Client) backoff(n int) time.Duration {
	limit := min(firstWait<<(n-1), maxWait)
	c.randMu.Lock()
	defer c.randMu.Unlock()
	return time.Duration(c.rand.Int64N(int64(limit)))
}

func (c *Client) attempt(ctx context.Context, o op, r request, u *url.URL, n int, read func(http.Header, io.Reader) error) error {
	pace := c.pace
	if o.filter {
		pace = c.expression
	}
	turn, err := pace.wait(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := c.newRequest(ctx, r, u)
	if err != nil {
		return err
	}
	c.requests.Add(1)
	began := c.now()
	// No http.Client: it would follow redirects, and every 3xx is an answer
	// Twilio does not give.
	res, err := c.base.RoundTrip(req)
	if err != nil {
		c.log.Debug("twilio", "method", r.method, "host", u.Host, "path", u.Path, "attempt", n, "error", problem.Reason(err))
		return &failure{err: problem.Reason(err)}
	}
	defer res.Body.Close()
	limited := res.StatusCode == http.StatusTooManyRequests
	pace.answered(turn, !limited)
	if limited {
		c.rateLimited.Add(1)
	}
	if res.StatusCode/100 == 2 {
		if err = readAnswer(res, read); err == nil {
			c.works.Store(true)
		}
	} else {
		err = c.readFailure(res)
	}
	c.log.Debug("twilio", "method", r.method, "host", u.Host, "path", u.Path, "attempt", n,
		"status", res.StatusCode, "took", c.now().Sub(began), "request", res.Header.Get("Twilio-Request-Id"))
	return err
}

func (c *Client) newRequest(ctx context.Context, r request, u *url.URL) (*http.Request, error) {
	var body io.Reader
	switch {
	case r.body != nil:
		body = bytes.NewReader(r.body)
	case r.form != nil:
		body = strings.NewReader(r.form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if r.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range r.header {
		req.Header.Set(k, fmt.Sprint(v))
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	req.SetBasicAuth(c.username, c.password)
	if c.emulator != nil {
		req.Host = u.Host
		req.URL.Scheme, req.URL.Host = c.emulator.Scheme, c.emulator.Host
	}
	return req, nil
}

func readAnswer(res *http.Response, read func(http.Header, io.Reader) error) error {
	err := read(res.Header, io.LimitReader(res.Body, maxBody))
	if err == nil {
		// A connection is only used again once its answer is read to the end.
		_, err = io.Copy(io.Discard, io.LimitReader(res.Body, maxErrorBody))
	}
	if err == nil {
		return nil
	}
	return &failure{
		status:    res.StatusCode,
		requestID: res.Header.Get("Twilio-Request-Id"),
		cut:       !isMismatch(err),
		err:       problem.Reason(err),
	}
}

// isMismatch reports whether the text itself is wrong, so that asking again
// would bring the same; any other error means that the text ended early.
func isMismatch(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var when *time.ParseError
	return errors.As(err, &syntax) || errors.As(err, &kind) || errors.As(err, &when) || errors.Is(err, errShape)
}

func (c *Client) readFailure(res *http.Response) *failure {
	f := &failure{
		status:     res.StatusCode,
		requestID:  res.Header.Get("Twilio-Request-Id"),
		retryAfter: retryAfter(res.Header.Get("Retry-After"), c.now()),
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
	var said struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Detail  string `json:"detail"`
	}
	if json.Unmarshal(text, &said) == nil {
		f.spoken = true
		f.code = said.Code
		f.message = printable(said.Message)
		if f.message == "" {
			f.message = printable(said.Detail)
		}
		return f // whole, whatever became of the connection
	}
	if err != nil {
		f.cut, f.err = true, problem.Reason(err)
	}
	return f
}

// retryAfter reads both forms of RFC 9110, 10.2.3. What cannot be read or is
// over asks for nothing.
func retryAfter(v string, now time.Time) time.Duration {
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseUint(v, 10, 32); err == nil {
		return min(time.Duration(s)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, min(at.Sub(now), maxRetryAfter))
	}
	return 0
}

// session lets twilio-go's services send one call with a context. It is the
// client.BaseClient of that call alone.
type session struct {
	c   *Client
	ctx context.Context
	op  op
}

var _ twiliogo.BaseClient = session{}

// SendRequest is called by twilio-go with the finished address and parameters.
func (s session) SendRequest(method, rawURL string, data url.Values, headers map[string]any, body ...byte) (*http.Response, error) {
	r := request{method: method, url: rawURL, header: headers}
	switch {
	case method == http.MethodPost && len(body) > 0:
		r.body = body
	case method == http.MethodPost:
		r.form = data
	default:
		delete(headers, "Content-Type")
		if len(data) > 0 {
			r.url += "?" + data.Encode()
		}
	}
	// Stays empty when a repeated deletion finds nothing left to delete.
	res := &http.Response{Body: http.NoBody}
	err := s.c.send(s.ctx, s.op, r, func(h http.Header, body io.Reader) error {
		text, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		if method != http.MethodDelete {
			if err := json.NewDecoder(bytes.NewReader(text)).Decode(new(json.RawMessage)); err != nil {
				return err
			}
		}
		res = &http.Response{Header: h, Body: io.NopCloser(bytes.NewReader(text))}
		return nil
	})
	return res, err
}

func (s session) AccountSid() string       { return s.c.account }
func (s session) SetTimeout(time.Duration) {}
func (s session) SetOauth(twiliogo.OAuth)  {}
func (s session) OAuth() twiliogo.OAuth    { return nil }
