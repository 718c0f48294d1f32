package attributes

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/problem"
)

// Edited is an edit of a worker's attributes that was carried out.
type Edited struct {
	Before, After string
	Prefix        string // the profile's identity prefix; empty: contact_uri is restored only if it is exactly After's
	Name          string // the worker's friendly name, which tells its own identity
}

// Undo takes the edit back in attributes that others have changed since: the keys
// that it changed get their former values, and all others stay as they are now. The
// time of the flag goes with the flag, whoever has set it since. A contact_uri that the plugin has moved to the extension because of the edit moves
// back with the flag; an edit that is taken back never moves one there, since only
// an agent's Flex knows whether the extension is registered.
//
// If the result is Before as a browser writes it, it becomes Before byte for byte.
// No changes means that nothing is left to take back. The error is EditedSince when
// somebody has given one of the edit's keys another value, AttributesInvalid when
// attributes is not one JSON object, AttributesTooLong when the result would be.
func (e Edited) Undo(attributes string) (string, []Change, error) {
	before, err := parse(e.Before)
	if err != nil {
		return "", nil, err
	}
	after, err := parse(e.After)
	if err != nil {
		return "", nil, err
	}
	now, err := parse(attributes)
	if err != nil {
		return "", nil, err
	}
	flag := three{before.enabled.of(e.Before), after.enabled.of(e.After), now.enabled.of(attributes)}
	toFlag, ok := flag.restored()
	if !ok && flag.was != "true" && flag.is != "true" {
		toFlag, ok = flag.is, true // neither enables the worker
	}
	if !ok {
		return "", nil, editedSince(EnabledKey, flag.is)
	}
	uri := three{before.contactURI.of(e.Before), after.contactURI.of(e.After), now.contactURI.of(attributes)}
	toURI, ok := e.restoredURI(uri, attributes, toFlag == "true")
	if !ok {
		return "", nil, editedSince(contactURIKey, uri.is)
	}

	time := three{before.enabledAt.of(e.Before), after.enabledAt.of(e.After), now.enabledAt.of(attributes)}
	toTime := time.is
	if !ReadsAs(flag.was, flag.ours) && (toFlag != "true" || flag.is != "true") {
		toTime = time.was
	}

	former := three{before.formerURI.of(e.Before), after.formerURI.of(e.After), now.formerURI.of(attributes)}
	toFormer := former.is
	if !ReadsAs(former.was, former.ours) && toFlag != "true" {
		toFormer = former.was
	}

	var changes []Change
	text := attributes
	for _, c := range []Change{{EnabledKey, flag.is, toFlag}, {EnabledAtKey, time.is, toTime}, {contactURIKey, uri.is, toURI}, {FormerURIKey, former.is, toFormer}} {
		if c.From != c.To {
			changes = append(changes, c)
			text = set(text, c.Key, c.To)
		}
	}
	switch {
	case len(changes) == 0:
		return attributes, nil, nil
	case attributes == e.After || ReadsAs(text, e.Before):
		return e.Before, changes, nil
	}
	if n := length(text); n > MaxLength {
		return "", nil, tooLong(n)
	}
	return text, changes, nil
}

// three is a key's value before an edit, after it, and now, as JSON; empty where
// the key is not set.
type three struct{ was, ours, is string }

// restored returns the value that the key is to have when the edit is taken back.
// It is false when that is neither the edit's nor the former one.
func (v three) restored() (string, bool) {
	switch {
	case ReadsAs(v.was, v.ours), ReadsAs(v.is, v.was):
		return v.is, true
	case ReadsAs(v.is, v.ours):
		return v.was, true
	}
	return "", false
}

func (e Edited) restoredURI(v three, attributes string, enabled bool) (string, bool) {
	if ReadsAs(v.is, v.was) {
		return v.is, true
	}
	moved, onExtension := withoutPrefix(v.is, e.Prefix)
	onExtension = onExtension && !OwnIdentity(identityOf(v.is), attributes, e.Name)
	switch {
	case onExtension && (ReadsAs(moved, v.was) || foreign(v.was)) && !enabled:
		return v.was, true
	case ReadsAs(v.was, v.ours) && onExtension && !enabled:
		return moved, true // nobody would answer there
	}
	return v.restored()
}

// identityOf is the identity of a JSON string "client:<identity>[?query]".
func identityOf(value string) string {
	var uri string
	_ = json.Unmarshal([]byte(value), &uri) // no string: no identity
	identity, _, _ := strings.Cut(strings.TrimPrefix(uri, "client:"), "?")
	return identity
}

// ReadsAs reports whether now is was, or was as a browser writes it that has read
// it: white space, escapes and the order of keys do not count, nor does a number
// that is spelled as JSON.stringify spells it.
func ReadsAs(now, was string) bool {
	if now == was {
		return true
	}
	x, y := numbered(now), numbered(was)
	return x != nil && y != nil && sameValue(*x, *y)
}

// numbered decodes a value and keeps the spelling of its numbers; nil if it is not
// JSON.
func numbered(text string) *any {
	var v any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return nil
	}
	return &v
}

func sameValue(now, was any) bool {
	switch was := was.(type) {
	case map[string]any:
		now, ok := now.(map[string]any)
		return ok && maps.EqualFunc(now, was, sameValue)
	case []any:
		now, ok := now.([]any)
		return ok && slices.EqualFunc(now, was, sameValue)
	case json.Number:
		now, ok := now.(json.Number)
		return ok && (now == was || now == browserNumber(was))
	}
	return now == was
}

// browserNumber is the number as JSON.stringify writes it once JSON.parse has read
// it. encoding/json follows the same rule, ECMAScript's Number::toString.
func browserNumber(n json.Number) json.Number {
	f, err := n.Float64()
	if err != nil {
		return "" // JSON.stringify writes null
	}
	text, _ := json.Marshal(f + 0) // JSON.stringify knows no negative zero
	return json.Number(text)
}

func editedSince(key, value string) error {
	if value == "" {
		return problem.New(problem.EditedSince, "%s was removed since", key)
	}
	return problem.New(problem.EditedSince, "%s was set to %s since", key, value)
}
