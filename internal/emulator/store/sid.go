package store

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

// Derive returns n hexadecimal digits that follow from its parts alone.
func Derive(n int, parts ...any) string {
	sum := sha256.Sum256([]byte(fmt.Sprintln(parts...)))
	return hex.EncodeToString(sum[:])[:n]
}

// makeSID returns the SID of the n-th object of a kind under a seed value.
func makeSID(kind string, seed, n uint64) string {
	return kind + SIDMarker + Derive(24, seed, kind, n)
}

// makeSecret returns an alphanumeric secret, as Twilio's clients demand, that
// nobody takes for a real one.
func makeSecret(what string, parts ...any) string {
	return "emulated" + what + Derive(16, append([]any{what}, parts...)...)
}

// EncodeIdentity turns a Flex user name into a client identity: everything but
// ASCII letters and digits becomes an underscore and two hexadecimal digits per
// UTF-8 byte. Twilio documents the rule for "@" and "." only.
func EncodeIdentity(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02X", c)
		}
	}
	return b.String()
}
