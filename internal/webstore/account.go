package webstore

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/flexvc/flexvc/internal/problem"
)

const (
	scope         = "https://www.googleapis.com/auth/chromewebstore"
	assertionLife = 5 * time.Minute // Google takes up to an hour
	tokenMargin   = time.Minute     // before its end a token is renewed
	accountLimit  = 64 << 10
)

// Account is a Google Cloud service account, as its JSON key file has it.
type Account struct {
	Email string

	keyID, tokenURL string
	key             *rsa.PrivateKey
}

// ReadAccount reads a key file. Nothing of the key is ever in its error.
func ReadAccount(path string) (*Account, error) {
	unusable := func(why string) error {
		return problem.New(problem.InputUnreadable, "cannot use the service account %s: %s", path, why).
			WithHint("create a JSON key in Google Cloud: IAM > Service accounts > Keys")
	}
	f, err := os.Open(path)
	if err != nil {
		var failed *os.PathError
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, unusable(err.Error())
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, accountLimit))
	if err != nil {
		return nil, unusable("it cannot be read")
	}
	var file struct {
		Type     string `json:"type"`
		Email    string `json:"client_email"`
		KeyID    string `json:"private_key_id"`
		Key      string `json:"private_key"`
		TokenURL string `json:"token_uri"`
	}
	if json.Unmarshal(text, &file) != nil {
		return nil, unusable("it is not JSON")
	}
	if file.Type != "service_account" || file.Email == "" {
		return nil, unusable("it is not a service account key")
	}
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(file.Key))
	if err != nil {
		return nil, unusable("its private key is unreadable")
	}
	if file.TokenURL == "" {
		file.TokenURL = "https://oauth2.googleapis.com/token"
	}
	// An assertion is as good as a password for its life: it travels encrypted.
	u, err := url.Parse(file.TokenURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && net.ParseIP(u.Hostname()).IsLoopback()) {
		return nil, unusable("its token_uri is not an https URL")
	}
	return &Account{Email: file.Email, keyID: file.KeyID, tokenURL: file.TokenURL, key: key}, nil
}

// accessToken is the one at hand, or a new one for a signed assertion.
//
// Source: https://developers.google.com/identity/protocols/oauth2/service-account#httprest
func (c *Client) accessToken(ctx context.Context) (string, error) {
	now := c.o.Now()
	if c.token != "" && now.Before(c.until) {
		return c.token, nil
	}
	assertion := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": c.account.Email, "scope": scope, "aud": c.account.tokenURL,
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if c.account.keyID != "" {
		assertion.Header["kid"] = c.account.keyID
	}
	signed, err := assertion.SignedString(c.account.key)
	if err != nil {
		return "", problem.New(problem.CredentialsRefused, "cannot publish: the service account's key cannot sign")
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {signed}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.account.tokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, text, err := c.do(req)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token       string `json:"access_token"`
		Life        int    `json:"expires_in"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(text, &answer) != nil || status != http.StatusOK || answer.Token == "" {
		said := problemText(answer.Error + ": " + answer.Description)
		return "", problem.New(problem.CredentialsRefused, "cannot publish: Google does not accept the service account (%d): %s", status, strings.Trim(said, ": ")).
			WithHint("the key may have been deleted, or this machine's clock is wrong; create another in Google Cloud")
	}
	c.token, c.until = answer.Token, now.Add(time.Duration(answer.Life)*time.Second-tokenMargin)
	return c.token, nil
}
