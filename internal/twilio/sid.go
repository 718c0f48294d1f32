package twilio

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
