//go:build ignore

package emulator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// SIDMarker is how the hexadecimal part of every SID the emulator makes up
// begins. A client can refuse to send a SID without it to the emulator, or one
// with it to Twilio.
const SIDMarker = "e0e0e0e0"

// IsEmulated reports whether sid was made up by an emulator.
func IsEmulated(sid string) bool {
	return len(sid) == 34 && strings.HasPrefix(sid[2:], SIDMarker)
}

// derive returns n hexadecimal digits that follow from its parts alone.
func derive(n int, parts ...any) string {
	sum := sha256.Sum256([]byte(fmt.Sprintln(parts...)))
	return hex.EncodeToString(sum[:])[:n]
}

// makeSID returns the SID of the n-th object of a kind under a seed value.
func makeSID(kind string, seed, n uint64) string {
	return kind + SIDMarker + derive(24, seed, kind, n)
}

// makeSecret returns an alphanumeric secret, as Twilio's clients demand, that
// nobody takes for a real one.
func makeSecret(what string, parts ...any) string {
	return "emulated" + what + derive(16, append([]any{what}, parts...)...)
}

// sidKinds are the parameters that hold a SID, and how it begins.
var sidKinds = map[string]string{
	"AccountSid": "AC", "ActivitySid": "WA", "DefaultActivitySid": "WA", "TimeoutActivitySid": "WA", "TaskQueueSid": "WQ",
	"SinkSid":       "DG",
	"AssetVersions": "ZN", "FunctionVersions": "ZN", "BuildSid": "ZB", "ConfigurationId": "FJ",
}

func isSID(kind, s string) bool {
	return len(s) == 34 && s[:2] == kind && strings.Trim(s[2:], "0123456789abcdefABCDEF") == ""
}
