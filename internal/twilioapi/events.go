package twilioapi

import (
	"context"
	"net/http"
	"net/url"

	streams "github.com/twilio/twilio-go/rest/events/v1"
	taskrouter "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/flexvc/flexvc/internal/twilio"
)

const eventsURL = "https://events.twilio.com"

func (c *Client) events(ctx context.Context, o op) *streams.ApiService {
	return streams.NewApiService(c.handler(session{c, ctx, o}))
}

// Sinks lists the account's Event Streams sinks.
func (c *Client) Sinks(ctx context.Context) ([]twilio.Sink, error) {
	o := op{what: "list the event sinks of " + twilio.Short(c.account), repeat: always}
	address, err := c.url(listURL(eventsURL+"/v1/Sinks", url.Values{}))
	if err != nil {
		return nil, c.problem(ctx, o, err)
	}
	var all []twilio.Sink
	for row, err := range rows[streams.EventsV1Sink](ctx, c, o, address, "sinks") {
		if err != nil {
			return nil, err
		}
		all = append(all, sink(&row))
	}
	return all, nil
}

// CreateSink makes a webhook sink.
func (c *Client) CreateSink(ctx context.Context, description, destination string) (twilio.Sink, error) {
	o := op{what: "create an event sink of " + twilio.Short(c.account), repeat: never}
	params := (&streams.CreateSinkParams{}).SetDescription(description).SetSinkType("webhook").
		SetSinkConfiguration(map[string]string{"destination": destination, "method": http.MethodPost})
	made, err := c.events(ctx, o).CreateSink(params)
	if err != nil {
		return twilio.Sink{}, c.problem(ctx, o, err)
	}
	return sink(made), nil
}

// DeleteSink removes a sink that no subscription uses.
func (c *Client) DeleteSink(ctx context.Context, sid string) error {
	o := op{what: "delete event sink " + twilio.Short(sid), repeat: always}
	if err := checkSID("DG", sid); err != nil {
		return err
	}
	return c.problem(ctx, o, c.events(ctx, o).DeleteSink(sid))
}

// Subscriptions lists the account's Event Streams subscriptions.
func (c *Client) Subscriptions(ctx context.Context) ([]twilio.Subscription, error) {
	o := op{what: "list the event subscriptions of " + twilio.Short(c.account), repeat: always}
	address, err := c.url(listURL(eventsURL+"/v1/Subscriptions", url.Values{}))
	if err != nil {
		return nil, c.problem(ctx, o, err)
	}
	var all []twilio.Subscription
	for row, err := range rows[streams.EventsV1Subscription](ctx, c, o, address, "subscriptions") {
		if err != nil {
			return nil, err
		}
		all = append(all, subscription(&row))
	}
	return all, nil
}

// SubscribedTypes lists the event types of a subscription.
func (c *Client) SubscribedTypes(ctx context.Context, sid string) ([]string, error) {
	o := op{what: "list the types of event subscription " + twilio.Short(sid), repeat: always}
	if err := checkSID("DF", sid); err != nil {
		return nil, err
	}
	address, err := c.url(listURL(eventsURL+"/v1/Subscriptions/"+sid+"/SubscribedEvents", url.Values{}))
	if err != nil {
		return nil, c.problem(ctx, o, err)
	}
	var all []string
	for row, err := range rows[streams.EventsV1SubscribedEvent](ctx, c, o, address, "types") {
		if err != nil {
			return nil, err
		}
		all = append(all, value(row.Type))
	}
	return all, nil
}

// Subscribe sends events of the given types to a sink, in the latest version of
// their schema.
func (c *Client) Subscribe(ctx context.Context, description, sinkSID string, types []string) (twilio.Subscription, error) {
	o := op{what: "subscribe event sink " + twilio.Short(sinkSID) + " to events of workers", repeat: never}
	if err := checkSID("DG", sinkSID); err != nil {
		return twilio.Subscription{}, err
	}
	var list []any
	for _, name := range types {
		list = append(list, map[string]string{"type": name})
	}
	params := (&streams.CreateSubscriptionParams{}).SetDescription(description).SetSinkSid(sinkSID).SetTypes(list)
	made, err := c.events(ctx, o).CreateSubscription(params)
	if err != nil {
		return twilio.Subscription{}, c.problem(ctx, o, err)
	}
	return subscription(made), nil
}

// Unsubscribe removes a subscription; its sink stays.
func (c *Client) Unsubscribe(ctx context.Context, sid string) error {
	o := op{what: "delete event subscription " + twilio.Short(sid), repeat: always}
	if err := checkSID("DF", sid); err != nil {
		return err
	}
	return c.problem(ctx, o, c.events(ctx, o).DeleteSubscription(sid))
}

// Callback reads what the workspace calls for its events.
func (w *Workspace) Callback(ctx context.Context) (twilio.Callback, error) {
	o := op{what: "read workspace " + twilio.Short(w.sid), repeat: always}
	if err := checkSID("WS", w.sid); err != nil {
		return twilio.Callback{}, err
	}
	ws, err := w.api(ctx, o).FetchWorkspace(w.sid)
	if err != nil {
		return twilio.Callback{}, w.c.problem(ctx, o, err)
	}
	return twilio.Callback{URL: value(ws.EventCallbackUrl), Filter: value(ws.EventsFilter)}, nil
}

// SetCallback sets what the workspace calls, whatever it called before.
func (w *Workspace) SetCallback(ctx context.Context, c twilio.Callback) error {
	o := op{what: "set the event callback of workspace " + twilio.Short(w.sid), repeat: always}
	if err := checkSID("WS", w.sid); err != nil {
		return err
	}
	params := (&taskrouter.UpdateWorkspaceParams{}).SetEventCallbackUrl(c.URL).SetEventsFilter(c.Filter)
	_, err := w.api(ctx, o).UpdateWorkspace(w.sid, params)
	return w.c.problem(ctx, o, err)
}

func sink(t *streams.EventsV1Sink) twilio.Sink {
	s := twilio.Sink{SID: value(t.Sid), Description: value(t.Description), Type: value(t.SinkType), Status: value(t.Status)}
	if config, ok := value(t.SinkConfiguration).(map[string]any); ok {
		s.Destination, _ = config["destination"].(string)
		s.Method, _ = config["method"].(string)
	}
	return s
}

func subscription(t *streams.EventsV1Subscription) twilio.Subscription {
	return twilio.Subscription{SID: value(t.Sid), Description: value(t.Description), SinkSID: value(t.SinkSid)}
}
