package twilio

import "testing"

func TestShort(t *testing.T) {
	for sid, want := range map[string]string{
		"WS000000000000000000000000000091c0":  "WS…91c0",
		"":                                    "",
		"WS":                                  "WS",
		"anna@example.com":                    "anna@example.com",
		"WS000000000000000000000000000091c0a": "WS000000000000000000000000000091c0a",
	} {
		if got := Short(sid); got != want {
			t.Errorf("Short(%q) = %q, want %q", sid, got, want)
		}
	}
}
