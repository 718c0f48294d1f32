package emulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/fault"
)

// Reply is an answer before it is written. Functions that check a request return
// the refusal, or nil.
type Reply struct {
	status      int
	header      map[string]string
	body        any    // encoded as JSON; nil is no body
	raw         []byte // instead of body
	contentType string // of raw
}

// apiError is Twilio's error body. Detail is sent with code 20003 only.
type apiError struct {
	Code     int    `json:"code"`
	Detail   string `json:"detail,omitempty"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`
}

// Codes of https://www.twilio.com/docs/api/errors that the emulator sends.
const (
	codeInvalid      = 20001 // TaskRouter's for a parameter it does not like
	codeAuth         = 20003
	codeMethod       = 20004
	codeNotFound     = 20404
	codeConflict     = 20409
	CodePrecondition = 20412
	codeTooMany      = 20429
	codeExpired      = 20104
	codeInternal     = 20500
	codeUnavailable  = 20503
)

// OK answers with a body.
func OK(body any) *Reply { return &Reply{status: http.StatusOK, body: body} }

// Created answers with the body of something new.
func Created(body any) *Reply { return &Reply{status: http.StatusCreated, body: body} }

// NoContent answers a deletion.
func NoContent() *Reply { return &Reply{status: http.StatusNoContent} }

// With adds a header to the answer.
func (r *Reply) With(name, value string) *Reply {
	if r.header == nil {
		r.header = map[string]string{}
	}
	r.header[name] = value
	return r
}

// Good reports whether the answer is no refusal.
func (r *Reply) Good() bool { return r.status < http.StatusBadRequest }

// Refuse answers with Twilio's error body.
func Refuse(status, code int, format string, args ...any) *Reply {
	return &Reply{status: status, body: apiError{
		Code:     code,
		Message:  fmt.Sprintf(format, args...),
		MoreInfo: fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code),
		Status:   status,
	}}
}

// Invalid refuses a parameter.
func Invalid(format string, args ...any) *Reply {
	return Refuse(http.StatusBadRequest, codeInvalid, format, args...)
}

// Conflict refuses a name that is taken.
func Conflict(format string, args ...any) *Reply {
	return Refuse(http.StatusConflict, codeConflict, format, args...)
}

// Unauthorized refuses credentials.
func Unauthorized(message string) *Reply {
	r := Refuse(http.StatusUnauthorized, codeAuth, "%s", message)
	e := r.body.(apiError)
	e.Detail = "Your AccountSid or AuthToken was incorrect."
	r.body = e
	return r.With("WWW-Authenticate", `Basic realm="Twilio API"`)
}

func notFound(path string) *Reply {
	return Refuse(http.StatusNotFound, codeNotFound, "The requested resource %s was not found", path)
}

func tooMany() *Reply {
	return Refuse(http.StatusTooManyRequests, codeTooMany, "Too Many Requests")
}

var usualCodes = map[int]int{
	http.StatusBadRequest: codeInvalid, http.StatusUnauthorized: codeAuth, http.StatusForbidden: codeAuth,
	http.StatusNotFound: codeNotFound, http.StatusPreconditionFailed: CodePrecondition,
	http.StatusTooManyRequests: codeTooMany, http.StatusServiceUnavailable: codeUnavailable,
}

// faulty is the answer that a fault asks for, or nil.
func faulty(f fault.Refusal) *Reply {
	if f.Status == 0 {
		return nil
	}
	var rep *Reply
	code := f.Code
	if code == 0 {
		code = usualCodes[f.Status]
	}
	switch {
	case f.HTML:
		rep = HTMLPage(f.Status)
	case f.Status == http.StatusTooManyRequests && f.Code == 0:
		rep = tooMany()
	case code == 0 && f.Status >= 500:
		rep = Refuse(f.Status, codeInternal, "%s", http.StatusText(f.Status))
	case code == 0:
		rep = Refuse(f.Status, codeInvalid, "%s", http.StatusText(f.Status))
	default:
		rep = Refuse(f.Status, code, "%s", http.StatusText(f.Status))
	}
	if f.RetryAfter != "" {
		rep = rep.With("Retry-After", f.RetryAfter)
	}
	return rep
}

// encode returns the body's bytes and its content type.
func (r *Reply) encode() ([]byte, string, error) {
	if r.raw != nil {
		return r.raw, r.contentType, nil
	}
	if r.body == nil {
		return nil, "", nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r.body); err != nil {
		return nil, "", err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), "application/json; charset=utf-8", nil
}

// Stamp writes a date the way the newer APIs do.
func Stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// StampMillis writes a date the way tokens and events have it.
func StampMillis(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Stamp2822 writes a date the way the 2010 API and the key API do.
func Stamp2822(t time.Time) string { return t.UTC().Format(time.RFC1123Z) }

// OrNull is JSON's null for an empty text.
func OrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

const maintenancePage = `<!DOCTYPE html>
<html><head><title>503 Service Temporarily Unavailable</title></head>
<body><center><h1>503 Service Temporarily Unavailable</h1></center><hr><center>nginx</center></body></html>
`

// HTMLPage answers as a load balancer does.
func HTMLPage(status int) *Reply {
	page := strings.ReplaceAll(maintenancePage, "503 Service Temporarily Unavailable", fmt.Sprintf("%d %s", status, http.StatusText(status)))
	return &Reply{status: status, raw: []byte(page), contentType: "text/html"}
}
