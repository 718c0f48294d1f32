package emulator

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/flexvc/flexvc/internal/emulator/outbox"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

// maxBody is far above anything the API accepts.
const maxBody = 1 << 20

// Call is one request on its way to an operation.
type Call struct {
	Op       *Operation
	Vars     map[string]string // of the path
	Path     string            // below the host
	Body     []byte            // of a JSON request
	Upload   Upload            // of a multipart request
	Now      time.Time
	Number   uint64 // counts the emulator's requests
	Account  Account
	Settings Settings
	Store    *store.Store

	e     *Emulator
	r     *http.Request
	host  string // Twilio's, as the client named it
	query url.Values
	form  url.Values
	shown string
}

// Upload is the file of a multipart body.
type Upload struct {
	ContentType string
	Content     []byte
}

// Base is how absolute links begin: always Twilio's own host, which clients
// that reroute it can follow and others must not.
func (c *Call) Base() string { return "https://" + c.host }

// NotFound says that the path leads to nothing.
func (c *Call) NotFound() *Reply { return notFound(c.Path) }

// Header returns the values of a header of the request.
func (c *Call) Header(name string) []string { return c.r.Header.Values(name) }

// BasicAuth returns the credentials of the request, which GuardFlex left to the
// operation.
func (c *Call) BasicAuth() (user, password string) {
	user, password, _ = c.r.BasicAuth()
	return user, password
}

// HasFlex reports whether the account ever set up Flex.
func (c *Call) HasFlex() bool { return !c.e.noFlex }

// Shown says that the answer shows a worker to a client that may be about to
// change it.
func (c *Call) Shown(workerSID string) { c.shown = workerSID }

// Post has something told to others.
func (c *Call) Post(p outbox.Posting) { c.e.outbox.Add(p) }

// Queried returns a query parameter and whether it is there at all.
func (c *Call) Queried(name string) (string, bool) { return first(c.query, name) }

// Filled returns a form field and whether it is there at all.
func (c *Call) Filled(name string) (string, bool) { return first(c.form, name) }

// Repeated returns every value of a form field that may be repeated.
func (c *Call) Repeated(name string) []string { return c.form[name] }

func first(values url.Values, name string) (string, bool) {
	all, ok := values[name]
	if !ok {
		return "", false
	}
	return all[0], true
}

// read parses query and body and refuses what the operation does not take:
// Twilio may ignore a misspelt parameter, an oracle should not.
func (c *Call) read() *Reply {
	var err error
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return Invalid("Invalid query string")
	}
	if no := c.checkKnown(c.query, c.Op.Query, nil); no != nil {
		return no
	}
	most := int64(maxBody) + c.Op.File
	body, err := io.ReadAll(io.LimitReader(c.r.Body, most+1))
	if err != nil {
		return Invalid("The request body could not be read")
	}
	if int64(len(body)) > most {
		return Refuse(http.StatusRequestEntityTooLarge, codeInvalid, "Request body too large")
	}
	kind, params, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	switch {
	case c.Op.File > 0:
		if kind != "multipart/form-data" {
			return Refuse(http.StatusUnsupportedMediaType, codeInvalid, "Content-Type must be multipart/form-data")
		}
		return c.readMultipart(body, params["boundary"])
	case c.Op.JSON:
		if kind != "application/json" {
			return Refuse(http.StatusUnsupportedMediaType, codeInvalid, "Content-Type must be application/json")
		}
		if !json.Valid(body) {
			return Invalid("The request body is not JSON")
		}
		c.Body = body
	case c.Op.Form != nil:
		if len(body) > 0 && kind != "application/x-www-form-urlencoded" {
			return Refuse(http.StatusUnsupportedMediaType, codeInvalid, "Content-Type must be application/x-www-form-urlencoded")
		}
		if c.form, err = url.ParseQuery(string(body)); err != nil {
			return Invalid("Invalid form")
		}
		return c.checkKnown(c.form, c.Op.Form, c.Op.List)
	case len(body) > 0:
		return Invalid("%s takes no body", c.Op.ID)
	}
	return nil
}

func (c *Call) checkKnown(given url.Values, known, lists []string) *Reply {
	for name, values := range given {
		switch {
		case !slices.Contains(known, name):
			return Invalid("Unknown parameter %s", name)
		case len(values) > 1 && !slices.Contains(lists, name):
			return Invalid("Parameter %s is given %d times", name, len(values))
		}
		for _, value := range values {
			switch {
			case !utf8.ValidString(value):
				return Invalid("Parameter %s is not UTF-8", name)
			case c.sidKind(name) != "" && !isSID(c.sidKind(name), value):
				return Invalid("Invalid %s %q", name, value)
			}
		}
	}
	return nil
}

// sidKind is how a parameter that holds a SID begins, "" for any other.
func (c *Call) sidKind(name string) string {
	if name == "AccountSid" {
		return "AC"
	}
	return c.Op.product.SIDs[name]
}

func isSID(kind, s string) bool {
	return len(s) == 34 && s[:2] == kind && strings.Trim(s[2:], "0123456789abcdefABCDEF") == ""
}

// readMultipart reads the fields of the form, and its one file under Content.
func (c *Call) readMultipart(body []byte, boundary string) *Reply {
	c.form = map[string][]string{}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return c.checkKnown(c.form, c.Op.Form, c.Op.List)
		}
		if err != nil {
			return Invalid("Invalid multipart body")
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return Invalid("Invalid multipart body")
		}
		name := part.FormName()
		if part.FileName() == "" {
			c.form[name] = append(c.form[name], string(text))
			continue
		}
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if name != "Content" || c.Upload.Content != nil || err != nil {
			return Invalid("Invalid file %q: one, named Content, with a content type, is expected", name)
		}
		c.Upload = Upload{kind, append([]byte{}, text...)}
	}
}
