package tokensrv

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// minter signs Twilio voice access tokens with the header and claims, in the
// order, that Twilio's own npm library 6.2.0 writes: iat is present, nbf is not.
// twilio-go is no help here: it writes nbf, no iat, and never less than an hour.
type minter struct {
	header     string // encoded once: it is the same for every token
	account    string
	key        string
	secret     []byte
	ttl        time.Duration
	capToAgent bool
}

type claims struct {
	JTI    string `json:"jti"`
	Grants grants `json:"grants"`
	IAT    int64  `json:"iat"`
	EXP    int64  `json:"exp"`
	ISS    string `json:"iss"`
	SUB    string `json:"sub"`
}

type grants struct {
	Identity string     `json:"identity"`
	Voice    voiceGrant `json:"voice"`
}

type voiceGrant struct {
	Incoming struct {
		Allow bool `json:"allow"`
	} `json:"incoming"`
}

// minted is a signed token and the times written into it.
type minted struct {
	token   []byte
	issued  int64 // Unix seconds
	expires int64
}

func newMinter(c Config) *minter {
	header := `{"alg":"HS256","typ":"JWT","cty":"twilio-fpa;v=1"}`
	if c.Region != "" {
		header = `{"alg":"HS256","typ":"JWT","cty":"twilio-fpa;v=1","twr":"` + c.Region + `"}`
	}
	return &minter{
		header:     base64.RawURLEncoding.EncodeToString([]byte(header)) + ".",
		account:    c.AccountSID,
		key:        c.KeySID,
		secret:     []byte(c.KeySecret),
		ttl:        c.TTL,
		capToAgent: c.CapToFlexToken,
	}
}

// mint signs a token for identity. agentExpires is the Flex token's own end,
// which bounds the minted one when so configured.
func (m *minter) mint(identity string, agentExpires, now time.Time) (minted, error) {
	out := minted{issued: now.Unix(), expires: now.Add(m.ttl).Unix()}
	if m.capToAgent {
		out.expires = min(out.expires, agentExpires.Unix())
	}
	if out.expires <= out.issued {
		return minted{}, refuse(tokenExpired)
	}
	c := claims{
		// Twilio's library writes the same jti for two tokens of one second; it
		// names the pair (key, second), nothing looks it up.
		JTI:    m.key + "-" + strconv.FormatInt(out.issued, 10),
		Grants: grants{Identity: identity},
		IAT:    out.issued,
		EXP:    out.expires,
		ISS:    m.key,
		SUB:    m.account,
	}
	c.Grants.Voice.Incoming.Allow = true
	body, err := json.Marshal(c)
	if err != nil {
		return minted{}, err
	}
	text := make([]byte, 0, 768)
	text = append(text, m.header...)
	text = base64.RawURLEncoding.AppendEncode(text, body)
	signature, err := jwt.SigningMethodHS256.Sign(string(text), m.secret)
	if err != nil {
		return minted{}, err
	}
	text = append(text, '.')
	out.token = base64.RawURLEncoding.AppendEncode(text, signature)
	return out, nil
}

const (
	maxIdentity  = 256 // docs/api/errors/31100
	longIdentity = 121 // an older limit some Twilio components are said to keep
)

// voiceIdentity reports whether Twilio Voice takes s as a client name.
func voiceIdentity(s string) bool {
	if s == "" || len(s) > maxIdentity {
		return false
	}
	for i := range len(s) {
		if !alphanumeric(s[i]) && s[i] != '_' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}
