package tokensrv

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// ask is what a client says: a Flex token, and the prefix it expects. A client
// never says who it is.
type ask struct {
	token     string
	prefix    string
	hasPrefix bool
}

// decode reads a GET or POST. The token comes from the query (GET), from a form
// or JSON body (POST), or from Authorization: Bearer (both); named twice it must
// be the same. Fields it does not know are ignored. The error is a *refusal.
func decode(r *http.Request) (ask, error) {
	var a ask
	var err error
	if r.Method == http.MethodGet {
		a, err = decodeForm(r.URL.RawQuery)
	} else {
		a, err = decodeBody(r)
	}
	if err != nil {
		return ask{}, err
	}
	bearer, given := bearerToken(r.Header["Authorization"])
	switch {
	case given && a.token != "" && a.token != bearer:
		return ask{}, refuse(malformedRequest)
	case given:
		a.token = bearer
	}
	if a.token == "" {
		return ask{}, refuse(missingToken)
	}
	return a, nil
}

func bearerToken(headers []string) (string, bool) {
	if len(headers) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

func decodeBody(r *http.Request) (ask, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return ask{}, refuse(mediaType)
	}
	body, err := readBody(r)
	if err != nil {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			return ask{}, refuse(tooLarge)
		}
		return ask{}, refuse(malformedRequest)
	}
	if len(body) == 0 {
		return ask{}, nil
	}
	switch contentType(r.Header.Get("Content-Type")) {
	case "application/x-www-form-urlencoded":
		return decodeForm(string(body))
	case "application/json":
		return decodeJSON(body)
	}
	return ask{}, refuse(mediaType)
}

// atFirst is what a body may take before any of it has come, in bytes.
const atFirst = 4 << 10

// readBody reads in one piece what says how long it is, unless that is more than a
// token usually is: saying so costs a client nothing. The limit middleware bounded
// what it may say.
func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength < 0 || r.ContentLength > atFirst {
		return io.ReadAll(r.Body)
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, body)
	return body, err
}

func contentType(header string) string {
	switch header {
	case "application/x-www-form-urlencoded", "application/json":
		return header
	}
	t, params, err := mime.ParseMediaType(header)
	if err != nil {
		return ""
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return ""
	}
	return t
}

func decodeForm(encoded string) (ask, error) {
	form, err := url.ParseQuery(encoded)
	if err != nil {
		return ask{}, refuse(malformedRequest)
	}
	token, prefix := form["Token"], form["VoiceClientPrefix"]
	// Of two values one would be checked by whatever stands in front of us and
	// the other used here.
	if len(token) > 1 || len(prefix) > 1 {
		return ask{}, refuse(malformedRequest)
	}
	for name := range form {
		if miscased(name) {
			return ask{}, refuse(malformedRequest)
		}
	}
	var a ask
	if len(token) == 1 {
		a.token = token[0]
	}
	if len(prefix) == 1 {
		a.prefix, a.hasPrefix = prefix[0], true
	}
	return a, nil
}

// miscased reports whether a name is one of ours but for its case, which whatever
// stands in front of us may take for it.
func miscased(name string) bool {
	for _, ours := range []string{"Token", "VoiceClientPrefix"} {
		if strings.EqualFold(name, ours) && name != ours {
			return true
		}
	}
	return false
}

// unambiguous reports whether a JSON object has each of our fields once at most,
// and none that differs in case alone: Go would take both, the last winning, and
// whatever stands in front of us may take another.
func unambiguous(body []byte) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return true // null; nothing to mistake
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false
		}
		field, _ := name.(string)
		if miscased(field) || seen[field] {
			return false
		}
		seen[field] = true
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return false
		}
	}
	return true
}

func decodeJSON(body []byte) (ask, error) {
	// Into a struct, "token" would do as well: a form's names are exact, and so are these.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil || !unambiguous(body) {
		return ask{}, refuse(malformedRequest)
	}
	var a ask
	var prefix *string
	for name, value := range map[string]any{"Token": &a.token, "VoiceClientPrefix": &prefix} {
		if field, given := fields[name]; given && json.Unmarshal(field, value) != nil {
			return ask{}, refuse(malformedRequest)
		}
	}
	if prefix != nil {
		a.prefix, a.hasPrefix = *prefix, true
	}
	return a, nil
}
