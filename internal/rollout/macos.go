package rollout

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// preferences are the policies of a browser's own domain.
func (s Settings) preferences(b Browser) map[string]any {
	p := s.policy(b)
	delete(p, thirdParty)
	return p
}

// profile is a configuration profile: one payload for the browser, one for the
// extension's settings. Its UUIDs follow from the ID, so that a new profile
// takes the old one's place.
func (s Settings) profile(b Browser) []byte {
	payload := func(domain string, settings map[string]any) map[string]any {
		p := map[string]any{
			"PayloadType":        domain,
			"PayloadIdentifier":  "flexvc." + s.ID + "." + domain,
			"PayloadUUID":        s.uuid(b.Name + domain),
			"PayloadVersion":     1,
			"PayloadEnabled":     true,
			"PayloadDisplayName": b.Title + ": flexvc",
		}
		maps.Copy(p, settings)
		return p
	}
	content := []any{payload(b.Domain, s.preferences(b))}
	if m := s.managed(); len(m) > 0 {
		content = append(content, payload(b.Domain+".extensions."+s.ID, m))
	}
	return plist(map[string]any{
		"PayloadType":        "Configuration",
		"PayloadScope":       "System",
		"PayloadIdentifier":  "flexvc." + s.ID + "." + b.Name,
		"PayloadUUID":        s.uuid(b.Name),
		"PayloadVersion":     1,
		"PayloadDisplayName": "flexvc for " + b.Title,
		"PayloadDescription": "Installs the flexvc extension, keeps it up to date and gives it the microphone.",
		"PayloadContent":     content,
	})
}

// uuid is a name-based UUID of version 8 (RFC 9562).
func (s Settings) uuid(name string) string {
	sum := sha256.Sum256([]byte("flexvc " + s.ID + " " + name))
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]))
}

// plist writes a property list in Apple's XML, keys sorted.
func plist(v map[string]any) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	b.WriteString(`<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n<plist version=\"1.0\">\n")
	plistValue(&b, v, "")
	b.WriteString("</plist>\n")
	return b.Bytes()
}

func plistValue(b *bytes.Buffer, v any, in string) {
	escaped := func(text string) string {
		var e bytes.Buffer
		_ = xml.EscapeText(&e, []byte(text)) // a buffer takes everything
		return e.String()
	}
	switch v := v.(type) {
	case map[string]any:
		fmt.Fprintf(b, "%s<dict>\n", in)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			fmt.Fprintf(b, "%s  <key>%s</key>\n", in, escaped(key))
			plistValue(b, v[key], in+"  ")
		}
		fmt.Fprintf(b, "%s</dict>\n", in)
	case []string:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = item
		}
		plistValue(b, items, in)
	case []any:
		fmt.Fprintf(b, "%s<array>\n", in)
		for _, item := range v {
			plistValue(b, item, in+"  ")
		}
		fmt.Fprintf(b, "%s</array>\n", in)
	case string:
		fmt.Fprintf(b, "%s<string>%s</string>\n", in, escaped(v))
	case bool:
		fmt.Fprintf(b, "%s<%t/>\n", in, v)
	case int:
		fmt.Fprintf(b, "%s<integer>%d</integer>\n", in, v)
	default:
		panic(fmt.Sprintf("no property list has a %T", v)) // all values are our own
	}
}
