package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// JSON writes one object a line to w. What a terminal would act upon is spelled
// as an escape, so that programs still read what was there: encoding/json does
// so for the ASCII control characters only.
func JSON(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(inert{w})
	enc.SetEscapeHTML(false)
	return enc
}

// inert is Clean for JSON text, in which such characters occur in strings only.
type inert struct{ io.Writer }

func (w inert) Write(line []byte) (int, error) {
	text := string(line)
	if strings.IndexFunc(text, active) < 0 {
		return w.Writer.Write(line)
	}
	var b strings.Builder
	for _, r := range text {
		if active(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	_, err := io.WriteString(w.Writer, b.String())
	return len(line), err
}

// active reports whether r does something other than being drawn, besides
// ending the line.
func active(r rune) bool {
	return r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}
