package twilioapi

import twiliogo "github.com/twilio/twilio-go/client"

// Signed reports whether Twilio made the signature, the X-Twilio-Signature of a
// request with that body to that address, query included. With no auth token
// nothing is signed: HMAC would take the empty key from anyone.
// https://www.twilio.com/docs/usage/webhooks/webhooks-security
func Signed(authToken, address string, body []byte, signature string) bool {
	if authToken == "" || signature == "" {
		return false
	}
	v := twiliogo.NewRequestValidator(authToken)
	return v.ValidateBody(address, body, signature)
}
