package voice

import (
	"encoding/json"
	"errors"
	"math"
	"unicode/utf8"
)

const (
	protocolVersion = "1.6"
	heartbeat       = "\n"

	// frameLimit bounds what one client can make the edge hold. An SDP is 3 kB
	// and a user-defined message 10 kB at most.
	frameLimit = 1 << 20
	sidLimit   = 128
)

// request is a frame from the voice client, with the fields of all its types.
type request struct {
	Type             string
	Token            string
	ReconnectTimeout int // s, 0 to 30
	Audio            *bool
	CallSID          string
	SDP              string
	Reconnect        string
	Params           string // of an outgoing call, a query string
	Digits           string
	Message          json.RawMessage // the payload of a message, sent on as it is
	VoiceEventSID    string
}

var errMalformed = errors.New("malformed frame")

// decode reads a frame. What the voice client would never send is an error; an
// unknown type is not, because newer clients may know more of them.
func decode(data []byte) (request, error) {
	if len(data) > frameLimit || !utf8.Valid(data) {
		return request{}, errMalformed
	}
	var envelope struct {
		Type    string          `json:"type"`
		Payload json.RawMessage `json:"payload"`
	}
	if json.Unmarshal(data, &envelope) != nil || envelope.Type == "" {
		return request{}, errMalformed
	}
	var p struct {
		Token            string  `json:"token"`
		ReconnectTimeout float64 `json:"reconnectTimeout"`
		Media            struct {
			Audio *bool `json:"audio"`
		} `json:"media"`
		CallSID   string `json:"callsid"`
		SDP       string `json:"sdp"`
		Reconnect string `json:"reconnect"`
		Twilio    struct {
			Params string `json:"params"`
		} `json:"twilio"`
		DTMF          string `json:"dtmf"`
		VoiceEventSID string `json:"voiceeventsid"`
	}
	if len(envelope.Payload) > 0 && json.Unmarshal(envelope.Payload, &p) != nil {
		return request{}, errMalformed
	}
	r := request{
		Type: envelope.Type, Token: p.Token, Audio: p.Media.Audio,
		ReconnectTimeout: int(math.Ceil(max(0, min(30, p.ReconnectTimeout)))),
		CallSID:          p.CallSID, SDP: p.SDP, Reconnect: p.Reconnect, Params: p.Twilio.Params,
		Digits: p.DTMF, VoiceEventSID: p.VoiceEventSID,
	}
	if len(r.CallSID) > sidLimit || len(r.VoiceEventSID) > sidLimit {
		return request{}, errMalformed
	}
	missing := false
	switch r.Type {
	case "register":
		missing = r.Audio == nil
	case "invite", "reinvite", "answer":
		missing = r.CallSID == "" || r.SDP == ""
	case "hangup", "reject", "dtmf":
		missing = r.CallSID == ""
	case "message":
		missing = r.CallSID == "" || r.VoiceEventSID == ""
		r.Message = envelope.Payload
	}
	if missing {
		return request{}, errMalformed
	}
	return r, nil
}

type object map[string]any

// encode writes a frame to the voice client.
func encode(kind string, payload any) []byte {
	frame, err := json.Marshal(object{"type": kind, "version": protocolVersion, "payload": payload})
	if err != nil { // every payload is made of strings, numbers and valid JSON
		panic("voice: " + err.Error())
	}
	return frame
}

func errorFrame(r *Refusal) []byte {
	return encode("error", object{"error": object{"code": r.Code, "message": r.Message}})
}
