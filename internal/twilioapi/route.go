package twilioapi

import (
	"net/url"
	"strings"

	twiliogo "github.com/twilio/twilio-go/client"

	"github.com/flexvc/flexvc/internal/problem"
)

const (
	apiURL        = "https://api.twilio.com"
	taskrouterURL = "https://taskrouter.twilio.com"
	iamURL        = "https://iam.twilio.com"
	flexURL       = "https://flex-api.twilio.com"
	serverlessURL = "https://serverless.twilio.com"
	uploadURL     = "https://serverless-upload.twilio.com"
)

// Twilio's own tools add these edges; product.region.twilio.com without an
// edge is the form Twilio is switching off.
// https://www.twilio.com/docs/global-infrastructure
var edgeOfRegion = map[string]string{
	"au1": "sydney",
	"br1": "sao-paulo",
	"de1": "frankfurt",
	"ie1": "dublin",
	"jp1": "tokyo",
	"jp2": "osaka",
	"sg1": "singapore",
	"us1": "ashburn",
	"us2": "umatilla",
}

func route(region, edge string) (string, string, error) {
	if !label(region) || !label(edge) {
		return "", "", problem.New(problem.ConfigInvalid, "cannot reach Twilio: region %q or edge %q is invalid", region, edge).
			WithHint("use names like ie1 and dublin: https://www.twilio.com/docs/global-infrastructure")
	}
	switch {
	case region == "" && edge == "":
		return "", "", nil
	case region == "":
		return "us1", edge, nil
	case edge == "":
		edge = edgeOfRegion[region]
		if edge == "" {
			return "", "", problem.New(problem.ConfigInvalid, "cannot reach Twilio: region %q requires an edge", region).
				WithHint("set TWILIO_EDGE too: https://www.twilio.com/docs/global-infrastructure")
		}
	}
	return region, edge, nil
}

func label(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-')
	}) < 0
}

// handler carries the requests of twilio-go's services over b. It is built by
// hand because the library's constructor reads TWILIO_REGION and TWILIO_EDGE.
func (c *Client) handler(b twiliogo.BaseClient) *twiliogo.RequestHandler {
	return &twiliogo.RequestHandler{Client: b, Region: c.region, Edge: c.edge}
}

// url puts region and edge into the address of a product.
func (c *Client) url(raw string) (string, error) {
	return c.handler(nil).BuildUrl(raw)
}

// sameProduct reports whether credentials meant for the host of from may go to
// the host of to: same product, same region; only the edge may differ.
func sameProduct(from, to *url.URL) bool {
	if to.Scheme != "https" || to.User != nil || to.Port() != "" {
		return false
	}
	fromProduct, fromRegion := hostParts(from.Host)
	toProduct, toRegion := hostParts(to.Host)
	return toProduct != "" && fromProduct == toProduct && fromRegion == toRegion
}

// hostParts reads product[.edge][.region].twilio.com; the product of any other
// host is "".
func hostParts(host string) (product, region string) {
	rest, ok := strings.CutSuffix(strings.ToLower(host), ".twilio.com")
	if !ok {
		return "", ""
	}
	l := strings.Split(rest, ".")
	switch len(l) {
	case 1:
		return l[0], "us1"
	case 2:
		return l[0], l[1]
	case 3:
		return l[0], l[2]
	}
	return "", ""
}
