package attributes

import (
	"encoding/json"
	"strings"
)

// OwnIdentity reports whether Flex itself made a client identity, from the e-mail
// address in the worker's attributes or from its user name. It settles whether
// "ext_5Fbob" is ext_bob, or 5Fbob on the extension.
func OwnIdentity(identity, attributes, name string) bool {
	var known struct {
		Email any `json:"email"`
	}
	_ = json.Unmarshal([]byte(attributes), &known) // not an object: no e-mail
	for _, user := range []any{known.Email, name} {
		if s, ok := user.(string); ok && s != "" && EncodeIdentity(s) == identity {
			return true
		}
	}
	return false
}

// EncodeIdentity is how Flex makes a client identity of a user name: what is
// neither an ASCII letter nor a digit becomes "_" and two hexadecimal digits per
// byte. Twilio documents the rule for "@" and "." only:
// https://help.twilio.com/articles/42799965656987
func EncodeIdentity(name string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(name) {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'_', digits[c>>4], digits[c&15]})
	}
	return b.String()
}
