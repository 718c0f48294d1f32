package twilio

import "encoding/hex"

// sidLength is that of every SID: two letters and 32 hexadecimal digits.
// https://www.twilio.com/docs/glossary/what-is-a-sid
const sidLength = 34

// Short shortens an SID for people to its type and last four digits, "WS…91c0".
// Anything that is no SID stays as it is.
func Short(sid string) string {
	if len(sid) != sidLength {
		return sid
	}
	return sid[:2] + "…" + sid[sidLength-4:]
}

// IsWorkerSID reports whether text is a worker's whole SID, WK….
func IsWorkerSID(text string) bool {
	if len(text) != sidLength || text[:2] != "WK" {
		return false
	}
	_, err := hex.DecodeString(text[2:])
	return err == nil
}
