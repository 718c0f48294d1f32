package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// KeyType says what an API key may do.
type KeyType string

// The three types of API keys. https://www.twilio.com/docs/iam/api-keys
const (
	KeyMain       KeyType = "main"       // everything
	KeyStandard   KeyType = "standard"   // everything but /Accounts and /Keys
	KeyRestricted KeyType = "restricted" // what its policy allows
)

// Key is an API key.
type Key struct {
	Object
	FriendlyName string          `json:"friendly_name"`
	Type         KeyType         `json:"type"`
	Policy       json.RawMessage `json:"policy,omitempty"`
	Secret       string          `json:"secret"`
}

// NewKey makes a key for Keys.Add.
func (c *content) NewKey(name string, kind KeyType, policy json.RawMessage, now time.Time) *Key {
	o := c.Next("SK", now)
	return &Key{Object: o, FriendlyName: name, Type: kind, Policy: policy, Secret: makeSecret("KeySecret", c.Meta.Origin.SeedValue, o.Seq)}
}

// Token is a Flex token, of which the hash is kept.
type Token struct {
	Hash    string    `json:"hash"`
	Worker  string    `json:"worker"`
	Expires time.Time `json:"expires"`
}

// remembered is how long an expired token is kept, to say so when it comes.
const remembered = 24 * time.Hour

// Token finds a token by its text, or returns nil.
func (c *content) Token(text string) *Token { return c.tokens[hashOf(text)] }

// AddToken keeps a new token for a worker, and forgets those that expired a day
// ago.
func (s *Store) AddToken(text, worker string, expires, now time.Time) (*Token, []Change) {
	t := &Token{Hash: hashOf(text), Worker: worker, Expires: expires.Truncate(time.Millisecond)}
	changes := []Change{{id: "token/" + t.Hash, value: t, apply: func() { s.tokens[t.Hash] = t }}}
	for hash, old := range s.tokens {
		if now.Sub(old.Expires) > remembered {
			changes = append(changes, Change{id: "token/" + hash, apply: func() { delete(s.tokens, hash) }})
		}
	}
	return t, changes
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
