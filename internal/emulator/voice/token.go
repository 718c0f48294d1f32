package voice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The codes with which signalling refuses a token, from Twilio's error
// dictionary.
const (
	codeAuthorization = 31201 // the key is unknown, or may not do this
	codeSignature     = 31202
	codeAccount       = 31203
	codeInvalid       = 31204 // no token, or none that can be read
	codeExpired       = 31205
	codeTooLong       = 31207 // good for more than 24 hours
)

// A Refusal is an error with the code that is sent to the voice client.
type Refusal struct {
	Code    int
	Message string
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s (%d)", r.Message, r.Code) }

// Claims is what the edge needs to know of a voice access token.
type Claims struct {
	Identity string
	Account  string // AC...
	Incoming bool   // may register
	Expires  time.Time
}

// A Key signs access tokens.
type Key struct {
	Account string
	Secret  string
}

const maxTokenLife = 24 * time.Hour

// tokenClaims has the shape that Twilio's helper libraries mint.
type tokenClaims struct {
	jwt.RegisteredClaims
	Grants struct {
		Identity string `json:"identity"`
		Voice    *struct {
			Incoming struct {
				Allow bool `json:"allow"`
			} `json:"incoming"`
		} `json:"voice"`
	} `json:"grants"`
}

// verifier checks tokens the way Twilio documents them: HS256, Twilio's content
// type, a known key of the account the token speaks for, and a life of at most
// 24 hours. Its errors are Refusals; none repeats a part of the token.
func verifier(keys func(sid string) (Key, bool), now func() time.Time) func(context.Context, string) (Claims, error) {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithTimeFunc(now),
		jwt.WithExpirationRequired())
	return func(_ context.Context, token string) (Claims, error) {
		var claims tokenClaims
		_, err := parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
			if t.Header["cty"] != "twilio-fpa;v=1" {
				return nil, &Refusal{codeInvalid, "JWT is no access token"}
			}
			key, ok := keys(claims.Issuer)
			switch {
			case !ok:
				return nil, &Refusal{codeAuthorization, "authorization failed: unknown key"}
			case key.Account != claims.Subject:
				return nil, &Refusal{codeAccount, "no valid account"}
			}
			return []byte(key.Secret), nil
		})
		var refusal *Refusal
		switch {
		case errors.As(err, &refusal):
			return Claims{}, refusal
		case errors.Is(err, jwt.ErrTokenSignatureInvalid) && !errors.Is(err, jwt.ErrTokenUnverifiable):
			return Claims{}, &Refusal{codeSignature, "JWT signature validation failed"}
		case errors.Is(err, jwt.ErrTokenExpired):
			return Claims{}, &Refusal{codeExpired, "JWT token expired"}
		case err != nil:
			return Claims{}, &Refusal{codeInvalid, "invalid JWT token"}
		case claims.Grants.Identity == "" || claims.Grants.Voice == nil:
			return Claims{}, &Refusal{codeInvalid, "invalid JWT token"}
		}
		// Twilio's Go library mints nbf and no iat, the others iat and no nbf.
		from := now()
		if claims.IssuedAt != nil {
			from = claims.IssuedAt.Time
		} else if claims.NotBefore != nil {
			from = claims.NotBefore.Time
		}
		if claims.ExpiresAt.Sub(from) > maxTokenLife {
			return Claims{}, &Refusal{codeTooLong, "JWT token expiration too long"}
		}
		return Claims{
			Identity: claims.Grants.Identity,
			Account:  claims.Subject,
			Incoming: claims.Grants.Voice.Incoming.Allow,
			Expires:  claims.ExpiresAt.Time,
		}, nil
	}
}

func refusal(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return &Refusal{codeAuthorization, "authorization failed"}
}
