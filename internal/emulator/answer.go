package emulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// reply is an answer before it is written.
type reply struct {
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
	codePrecondition = 20412
	codeTooMany      = 20429
	codeExpired      = 20104
	codeInternal     = 20500
	codeUnavailable  = 20503
)

func ok(status int, body any) reply { return reply{status: status, body: body} }

func ok201(body any) reply { return ok(http.StatusCreated, body) }

func (r reply) with(name, value string) reply {
	h := map[string]string{name: value}
	for k, v := range r.header {
		h[k] = v
	}
	r.header = h
	return r
}

func refuse(status, code int, format string, args ...any) reply {
	return reply{status: status, body: apiError{
		Code:     code,
		Message:  fmt.Sprintf(format, args...),
		MoreInfo: fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code),
		Status:   status,
	}}
}

func invalid(format string, args ...any) reply {
	return refuse(http.StatusBadRequest, codeInvalid, format, args...)
}

func unauthorized(message string) reply {
	return reply{status: http.StatusUnauthorized, body: apiError{
		Code:     codeAuth,
		Detail:   "Your AccountSid or AuthToken was incorrect.",
		Message:  message,
		MoreInfo: fmt.Sprintf("https://www.twilio.com/docs/errors/%d", codeAuth),
		Status:   http.StatusUnauthorized,
	}}.with("WWW-Authenticate", `Basic realm="Twilio API"`)
}

func notFound(path string) reply {
	return refuse(http.StatusNotFound, codeNotFound, "The requested resource %s was not found", path)
}

func tooMany() reply {
	return refuse(http.StatusTooManyRequests, codeTooMany, "Too Many Requests")
}

// encode returns the body's bytes and its content type.
func (r reply) encode() ([]byte, string, error) {
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

// stamp writes a date the way the newer APIs do.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// stamp2822 writes a date the way the 2010 API and the key API do.
func stamp2822(t time.Time) string { return t.UTC().Format(time.RFC1123Z) }

// orNull is JSON's null for an empty text.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

const maintenancePage = `<!DOCTYPE html>
<html><head><title>503 Service Temporarily Unavailable</title></head>
<body><center><h1>503 Service Temporarily Unavailable</h1></center><hr><center>nginx</center></body></html>
`

func htmlPage(status int) reply {
	page := strings.ReplaceAll(maintenancePage, "503 Service Temporarily Unavailable", fmt.Sprintf("%d %s", status, http.StatusText(status)))
	return reply{status: status, raw: []byte(page), contentType: "text/html"}
}
