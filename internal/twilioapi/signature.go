package twilioapi

import twiliogo "github.com/twilio/twilio-go/client"

// SignedAddress reports whether Twilio made the signature of a request with a JSON
// body to that address. Such an address names the digest of the body, bodySHA256,
// so this can be asked before the body is read, and the digest compared after.
func SignedAddress(authToken, address, signature string) bool {
	if authToken == "" || signature == "" {
		return false
	}
	v := twiliogo.NewRequestValidator(authToken)
	return v.Validate(address, nil, signature)
}

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
