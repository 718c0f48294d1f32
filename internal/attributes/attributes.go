// Package attributes reads the attributes of a worker and changes one key in their
// text, so that every other byte stays. It knows no worker, no workspace and no
// request: what to change, and whether, is its caller's decision.
package attributes

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/flexvc/flexvc/internal/problem"
)

// MaxLength is Twilio's limit on the length of a worker's attributes, in
// characters. It is not said whether a character outside the basic plane counts
// as one or as two, so flexvc counts two: it may refuse too early, never too
// late. https://www.twilio.com/docs/taskrouter/limits
const MaxLength = 4096

// The keys of a worker's attributes that flexvc knows. All others are carried
// along byte for byte.
const (
	EnabledKey   = "extensionVoiceClientEnabled"
	EnabledAtKey = "extensionVoiceClientEnabledAt" // when flexvc set the flag, in seconds since 1970
	// FormerURIKey is where a worker's address is kept that is no voice client: its
	// presence allows the plugin to move the worker to the extension.
	FormerURIKey  = "extensionVoiceClientFormerContactUri"
	contactURIKey = "contact_uri"
)

// Edit is what enabling or disabling does to a worker's attributes.
type Edit struct {
	Enable bool `json:"enable"`
	// At is kept beside a flag that is set, in seconds since 1970: whether an
	// agent has logged in since is judged by it, on every machine alike. It is a
	// number because TaskRouter's expressions cannot read values with hyphens. 0
	// keeps none.
	At int64 `json:"at,omitempty"`
	// ResetContactURI turns "client:<Prefix>X" back into "client:X".
	ResetContactURI bool   `json:"reset_contact_uri,omitempty"`
	Prefix          string `json:"prefix,omitempty"` // the profile's identity prefix, such as "ext_"
	// URIOnly leaves the flag as it is, and an enabled worker alone.
	URIOnly bool `json:"uri_only,omitempty"`
	// IncludeForeign enables workers whose address is no voice client too, and keeps
	// the address under FormerURIKey; disabling puts it back.
	IncludeForeign bool `json:"include_foreign,omitempty"`
	// Unset removes the flag, and its time, instead of setting it to false.
	Unset bool `json:"unset,omitempty"`
}

// time is the value that the flag's time is to have; none beside a flag that is
// not set.
func (e Edit) time() string {
	if !e.Enable || e.At <= 0 {
		return ""
	}
	return strconv.FormatInt(e.At, 10)
}

// Change is the change of one key. From and To are JSON; From is empty when the
// key was not set, To when it is removed.
type Change struct {
	Key  string `json:"key"`
	From string `json:"from,omitempty"`
	To   string `json:"to"`
}

// Apply returns attributes with the edit made and every other byte as it was:
// order and spelling of keys, white space, numbers, escapes. No changes means
// that nothing had to be done. The error is AttributesInvalid when attributes
// is not one JSON object, AttributesTooLong when the result would be,
// AddressForeign when a worker is to be enabled whose calls ring no voice client.
//
// Of a key that occurs more than once the last is edited, as JSON.parse reads
// that one. A worker without the key counts as disabled already.
func (e Edit) Apply(attributes string) (string, []Change, error) {
	doc, err := parse(attributes)
	if err != nil {
		return "", nil, err
	}
	flag := doc.enabled.of(attributes)
	if e.URIOnly && flag == "true" {
		return attributes, nil, nil
	}
	after, changes := attributes, []Change(nil)
	put := func(key, to string) {
		if from := doc.value(key).of(attributes); from != to {
			after, changes = set(after, key, to), append(changes, Change{key, from, to})
		}
	}
	uri := doc.contactURI.of(attributes)
	if e.Enable && !e.URIOnly && flag != "true" && foreign(uri) {
		if !e.IncludeForeign {
			return "", nil, addressForeign(uri)
		}
		put(FormerURIKey, uri)
	}
	if former := doc.formerURI.of(attributes); former != "" && !e.Enable {
		put(contactURIKey, former)
		put(FormerURIKey, "")
		doc.contactURI = nil // it is what it is to be
	}
	switch want := boolean(e.Enable); {
	case e.URIOnly:
	case e.Unset:
		put(EnabledKey, "")
		put(EnabledAtKey, "")
	case flag != want && (flag != "" || e.Enable):
		put(EnabledKey, want)
		put(EnabledAtKey, e.time())
	}
	if e.ResetContactURI && doc.contactURI != nil {
		from := doc.contactURI.of(attributes)
		if to, ok := withoutPrefix(from, e.Prefix); ok && !OwnIdentity(identityOf(from), attributes, "") {
			put(contactURIKey, to)
		}
	}
	if n := length(after); len(changes) > 0 && n > MaxLength {
		if e.Enable && e.At > 0 {
			e.At = 0 // the flag alone may fit
			return e.Apply(attributes)
		}
		return "", nil, tooLong(n)
	}
	return after, changes, nil
}

// foreign reports whether calls for a contact_uri, as JSON, ring something else
// than a voice client: a desk phone, a number.
func foreign(uri string) bool {
	var text string
	switch {
	case uri == "" || uri == "null":
		return false
	case json.Unmarshal([]byte(uri), &text) != nil:
		return true
	}
	return text != "" && !strings.HasPrefix(text, "client:")
}

// Foreign reports whether a worker's calls ring something else than a voice
// client, and whether that address is kept, so that the plugin may replace it.
func Foreign(attributes *string) (isForeign, kept bool) {
	if attributes == nil {
		return false, false
	}
	doc, err := parse(*attributes)
	if err != nil {
		return false, false
	}
	uri, former := doc.contactURI.of(*attributes), doc.formerURI.of(*attributes)
	isForeign = foreign(uri)
	return isForeign, isForeign && former != "" && ReadsAs(former, uri)
}

func addressForeign(uri string) error {
	return problem.New(problem.AddressForeign, "calls ring %s, which is no voice client", uri).
		WithHint("--include-foreign moves such workers too, and keeps the address")
}

func tooLong(n int) error {
	return problem.New(problem.AttributesTooLong,
		"attributes would be %d characters long, %d over Twilio's limit", n, n-MaxLength)
}

// Flag is what a worker's attributes say about the extension.
type Flag string

// The states of a worker.
const (
	Enabled  Flag = "enabled"
	Disabled Flag = "disabled" // set, but not to true
	Unset    Flag = "unset"
	Invalid  Flag = "invalid" // the attributes are not a JSON object
)

// Inspect reads the flag and the contact URI. The contact URI is empty when it is
// not set or not a string.
func Inspect(attributes *string) (Flag, string) {
	if attributes == nil {
		return Invalid, ""
	}
	doc, err := parse(*attributes)
	if err != nil {
		return Invalid, ""
	}
	state, uri := Unset, ""
	if doc.enabled != nil {
		state = Disabled
		if doc.enabled.of(*attributes) == "true" {
			state = Enabled
		}
	}
	if doc.contactURI != nil {
		_ = json.Unmarshal([]byte(doc.contactURI.of(*attributes)), &uri) // not a string: stays empty
	}
	return state, uri
}

// EnabledAt is when flexvc set the flag that a worker has now. It is the zero
// time when the flag is not set, or another program set it.
func EnabledAt(attributes *string) time.Time {
	if attributes == nil {
		return time.Time{}
	}
	doc, err := parse(*attributes)
	if err != nil || doc.enabledAt == nil || doc.enabled == nil || doc.enabled.of(*attributes) != "true" {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(doc.enabledAt.of(*attributes), 10, 64)
	if err != nil || seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// document says where in an attributes text the known values are.
type document struct {
	enabled    *span
	enabledAt  *span
	contactURI *span
	formerURI  *span
	members    int
	end        int // after the last value, or after the opening brace
}

// span is a value, and where in the text its member begins: behind the value
// before it, or behind the brace that opens the object if it is the first.
type span struct {
	start, end int
	member     int
	first      bool
}

// of is the value's text; nothing for a key that is not there.
func (s *span) of(text string) string {
	if s == nil {
		return ""
	}
	return text[s.start:s.end]
}

// value is that of one of the keys flexvc knows; nil if it is not set.
func (d document) value(key string) *span {
	switch key {
	case EnabledKey:
		return d.enabled
	case EnabledAtKey:
		return d.enabledAt
	case contactURIKey:
		return d.contactURI
	case FormerURIKey:
		return d.formerURI
	}
	return nil
}

func parse(text string) (document, error) {
	var doc document
	if !json.Valid([]byte(text)) || !utf8.ValidString(text) {
		return doc, invalidAttributes()
	}
	dec := json.NewDecoder(strings.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return doc, invalidAttributes()
	}
	doc.end = int(dec.InputOffset())
	opened := doc.end
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return doc, invalidAttributes()
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return doc, invalidAttributes()
		}
		before := doc.end
		doc.end = int(dec.InputOffset())
		doc.members++
		where := &span{doc.end - len(value), doc.end, before, before == opened}
		switch key {
		case EnabledKey:
			doc.enabled = where
		case EnabledAtKey:
			doc.enabledAt = where
		case contactURIKey:
			doc.contactURI = where
		case FormerURIKey:
			doc.formerURI = where
		}
	}
	return doc, nil
}

func invalidAttributes() error {
	return problem.New(problem.AttributesInvalid, "attributes are not a JSON object").
		WithHint("fix them in the Twilio Console under TaskRouter, Workers")
}

// withoutPrefix strips prefix from the identity of a JSON string
// "client:<identity>[?query]". It reports false for any other value.
func withoutPrefix(value, prefix string) (string, bool) {
	var uri string
	if prefix == "" || json.Unmarshal([]byte(value), &uri) != nil {
		return "", false
	}
	rest, ok := strings.CutPrefix(uri, "client:"+prefix)
	if identity, _, _ := strings.Cut(rest, "?"); !ok || identity == "" {
		return "", false
	}
	if tail, ok := strings.CutPrefix(value, `"client:`+prefix); ok {
		return `"client:` + tail, true
	}
	// The prefix is spelled with escapes, so the value has to be spelled anew.
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode("client:" + rest); err != nil {
		return "", false
	}
	return strings.TrimSuffix(b.String(), "\n"), true
}

// set gives a key a value in the text of an object: its last one is replaced, or a
// member is added behind the others. An empty value removes the key, as often as
// it occurs.
func set(text, key, value string) string {
	for {
		doc, err := parse(text)
		if err != nil {
			return text // the caller has parsed it
		}
		where := doc.value(key)
		switch {
		case where == nil && value == "":
			return text
		case where == nil:
			member := `"` + key + `":` + value
			if doc.members > 0 {
				member = "," + member
			}
			return text[:doc.end] + member + text[doc.end:]
		case value != "":
			return text[:where.start] + value + text[where.end:]
		}
		end := where.end
		if where.first && doc.members > 1 {
			end += strings.IndexByte(text[end:], ',') + 1
		}
		text = text[:where.member] + text[end:]
	}
}

func boolean(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// length counts UTF-16 units, as JavaScript does.
func length(text string) int {
	n := 0
	for r := strings.NewReader(text); ; {
		c, _, err := r.ReadRune()
		if err == io.EOF {
			return n
		}
		n += utf16.RuneLen(c)
	}
}
