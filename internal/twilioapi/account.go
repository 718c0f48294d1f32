package twilioapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	flex "github.com/twilio/twilio-go/rest/flex/v1"
	iam "github.com/twilio/twilio-go/rest/iam/v1"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// FlexConfiguration reads the account's Flex configuration.
// https://www.twilio.com/docs/flex/developer/config/flex-configuration-rest-api
func (c *Client) FlexConfiguration(ctx context.Context) (twilio.FlexConfiguration, error) {
	o := op{what: "read the Flex configuration of " + twilio.Short(c.account), repeat: always, flex: true}
	f, err := flex.NewApiService(c.handler(session{c, ctx, o})).FetchConfiguration(nil)
	if err != nil {
		return twilio.FlexConfiguration{}, c.problem(ctx, o, err)
	}
	return twilio.FlexConfiguration{
		AccountSID:         value(f.AccountSid),
		WorkspaceSID:       value(f.TaskrouterWorkspaceSid),
		OfflineActivitySID: value(f.TaskrouterOfflineActivitySid),
		FlexInstanceSID:    value(f.FlexInstanceSid),
		UIVersion:          value(f.UiVersion),
		RuntimeDomain:      value(f.RuntimeDomain),
		NoBrowserVoice:     isSet(f.UiAttributes, "disableBrowserVoice"),
	}, nil
}

// isSet reports whether a JSON object says true under that name.
func isSet(object *any, name string) bool {
	if object == nil {
		return false
	}
	fields, _ := (*object).(map[string]any)
	return fields[name] == true
}

// AccountName is the account's friendly name. Standard API keys may not read it:
// that is PermissionDenied.
// https://www.twilio.com/docs/iam/api/account
func (c *Client) AccountName(ctx context.Context) (string, error) {
	o := op{what: "read the name of account " + twilio.Short(c.account), repeat: always, keys: true}
	u, err := c.url(apiURL + "/2010-04-01/Accounts/" + c.account + ".json")
	if err != nil {
		return "", c.problem(ctx, o, err)
	}
	// The answer holds the auth token too, of which nothing is kept.
	var account struct {
		FriendlyName string `json:"friendly_name"`
	}
	err = c.send(ctx, o, request{method: http.MethodGet, url: u}, func(_ http.Header, body io.Reader) error {
		return json.NewDecoder(body).Decode(&account)
	})
	return account.FriendlyName, c.problem(ctx, o, err)
}

// Keys lists the account's API keys.
// https://www.twilio.com/docs/iam/api-keys/key-resource-v1
func (c *Client) Keys(ctx context.Context) ([]twilio.Key, error) {
	o := op{what: "list the API keys of " + twilio.Short(c.account), repeat: always, keys: true}
	address, err := c.url(listURL(iamURL+"/v1/Keys", url.Values{"AccountSid": {c.account}}))
	if err != nil {
		return nil, c.problem(ctx, o, err)
	}
	var all []twilio.Key
	for row, err := range rows[iam.IamV1GetKeys](ctx, c, o, address, "keys") {
		if err != nil {
			return nil, err
		}
		all = append(all, key(row.Sid, row.FriendlyName, row.DateCreated))
	}
	return all, nil
}

// CreateKey makes a Standard API key. Its secret is nowhere but in the answer,
// so a lost answer leaves a key nobody can use: the error says so.
func (c *Client) CreateKey(ctx context.Context, name string) (twilio.Key, string, error) {
	o := op{what: "create API key " + printable(name) + " of " + twilio.Short(c.account), repeat: never, keys: true}
	params := (&iam.CreateNewKeyParams{}).SetAccountSid(c.account).SetFriendlyName(name)
	k, err := c.iam(ctx, o).CreateNewKey(params)
	if err != nil {
		return twilio.Key{}, "", c.problem(ctx, o, err)
	}
	if value(k.Sid) == "" || value(k.Secret) == "" {
		return twilio.Key{}, "", problem.New(problem.TwilioAnswer, "cannot %s: the response contains no secret", o.what).
			WithHint("delete the key in the Twilio Console and try again")
	}
	return key(k.Sid, k.FriendlyName, k.DateCreated), *k.Secret, nil
}

// KeyRestricted reports whether a key is a Restricted one, which may not sign
// access tokens: https://www.twilio.com/docs/iam/api-keys/restricted-api-keys.
// Reading a key takes the auth token or a Main key.
func (c *Client) KeyRestricted(ctx context.Context, sid string) (bool, error) {
	o := op{what: "read API key " + twilio.Short(sid) + " of " + twilio.Short(c.account), repeat: always, keys: true}
	if err := checkSID("SK", sid); err != nil {
		return false, err
	}
	k, err := c.iam(ctx, o).FetchKey(sid)
	if err != nil {
		return false, c.problem(ctx, o, err)
	}
	return k.Policy != nil, nil
}

// RenameKey gives a key another friendly name.
func (c *Client) RenameKey(ctx context.Context, sid, name string) error {
	o := op{what: "rename API key " + twilio.Short(sid) + " of " + twilio.Short(c.account), repeat: always, keys: true}
	if err := checkSID("SK", sid); err != nil {
		return err
	}
	_, err := c.iam(ctx, o).UpdateKey(sid, (&iam.UpdateKeyParams{}).SetFriendlyName(name))
	return c.problem(ctx, o, err)
}

// DeleteKey removes a key for good.
func (c *Client) DeleteKey(ctx context.Context, sid string) error {
	o := op{what: "delete API key " + twilio.Short(sid) + " of " + twilio.Short(c.account), repeat: always, keys: true}
	if err := checkSID("SK", sid); err != nil {
		return err
	}
	return c.problem(ctx, o, c.iam(ctx, o).DeleteKey(sid))
}

func (c *Client) iam(ctx context.Context, o op) *iam.ApiService {
	return iam.NewApiService(c.handler(session{c, ctx, o}))
}

func key(sid, name, created *string) twilio.Key {
	k := twilio.Key{SID: value(sid), FriendlyName: value(name)}
	// RFC 2822 by the specification; RFC 3339 elsewhere in the same API.
	for _, form := range []string{time.RFC1123Z, time.RFC3339} {
		if t, err := time.Parse(form, value(created)); err == nil {
			k.Created = t.UTC()
			break
		}
	}
	return k
}
