package twilioapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// ServerTime is Twilio's clock, to the second, from the Date of the smallest
// answer that every kind of credentials may get.
func (c *Client) ServerTime(ctx context.Context) (time.Time, error) {
	o := op{what: "read Twilio's time", repeat: always}
	u, err := c.url(taskrouterURL + "/v1/Workspaces?PageSize=1")
	if err != nil {
		return time.Time{}, c.problem(ctx, o, err)
	}
	var at time.Time
	err = c.send(ctx, o, request{method: http.MethodGet, url: u}, func(h http.Header, r io.Reader) error {
		var err error
		if at, err = http.ParseTime(h.Get("Date")); err != nil {
			return fmt.Errorf("%w: no Date", errShape)
		}
		_, err = io.Copy(io.Discard, r)
		return err
	})
	return at, c.problem(ctx, o, err)
}

// flexTokenLife is enough to try a token endpoint once.
const flexTokenLife = time.Minute

// FlexToken makes a Flex token of some agent who can log in, to try a token
// endpoint with. The API is a public beta: an account without it, or without
// agents, is NotFound. Nobody may print the token.
// https://www.twilio.com/docs/flex/developer/user-management/flex-users-api
func (c *Client) FlexToken(ctx context.Context) (string, error) {
	o := op{what: "create a Flex token for a test", repeat: always}
	flex, err := c.FlexConfiguration(ctx)
	if err != nil {
		return "", err
	}
	if err := checkSID("GO", flex.FlexInstanceSID); err != nil {
		return "", problem.New(problem.NotFound, "cannot %s: Flex names no instance", o.what)
	}
	// v1 lists the users; in v4 the same path finds one, by the Username it demands.
	user, err := c.someFlexUser(ctx, o, flexURL+"/v1/Instances/"+flex.FlexInstanceSID+"/Users")
	if err != nil {
		return "", c.problem(ctx, o, err)
	}
	if user == "" {
		return "", problem.New(problem.NotFound, "cannot %s: Flex has no users", o.what)
	}
	address, err := c.url(flexURL + "/v4/Instances/" + flex.FlexInstanceSID + "/Users/" + user + "/Tokens")
	if err != nil {
		return "", c.problem(ctx, o, err)
	}
	var made struct {
		Token string `json:"access_token"`
	}
	body := fmt.Appendf(nil, `{"ttl":%d}`, int(flexTokenLife.Seconds()))
	r := request{method: http.MethodPost, url: address, body: body, header: map[string]any{"Content-Type": "application/json"}}
	err = c.send(ctx, o, r, func(_ http.Header, body io.Reader) error { return json.NewDecoder(body).Decode(&made) })
	if err == nil && made.Token == "" {
		err = fmt.Errorf("%w: no token in it", errShape)
	}
	return made.Token, c.problem(ctx, o, err)
}

// someFlexUser is an active user of the first page, "" without one.
func (c *Client) someFlexUser(ctx context.Context, o op, users string) (string, error) {
	address, err := c.url(users + "?PageSize=50")
	if err != nil {
		return "", err
	}
	type row struct {
		SID         string `json:"flex_user_sid"`
		Deactivated bool   `json:"deactivated"`
	}
	page, _, err := fetchPage[row](ctx, c, o, address, "users", nil)
	for _, u := range page {
		if !u.Deactivated && checkSID("FU", u.SID) == nil {
			return u.SID, err
		}
	}
	return "", err
}
