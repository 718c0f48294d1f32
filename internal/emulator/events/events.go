// Package events is Twilio Event Streams as the emulator has it: sinks,
// subscriptions, and what they are told of workers. What happens to a worker is
// package emulator's to say, and how it is sent package outbox's.
package events

import (
	_ "embed"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/fault"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

//go:embed unemulated.txt
var unemulated string

// Product registers Event Streams with an emulator.
func Product() emulator.Product {
	return emulator.Product{
		Host: "events", Operations: operations, Known: unemulated, Unknowns: unknowns,
		Kinds:      []store.AnyKind{sinks, subscriptions},
		SIDs:       map[string]string{"SinkSid": "DG"},
		Deliveries: []fault.Target{deliverEvent}, Told: deliver,
	}
}

func operations() []emulator.Operation {
	const types = "/v1/Subscriptions/{SubscriptionSid}/SubscribedEvents"
	return []emulator.Operation{
		{
			Method: "GET", Path: "/v1/Sinks", ID: "ListSink", Spec: true, Query: []string{"InUse", "Status"}, Paged: true,
			Serve: emulator.List("sinks", listSinks, viewSink),
		},
		{
			Method: "POST", Path: "/v1/Sinks", ID: "CreateSink", Spec: true, Form: []string{"Description", "SinkConfiguration", "SinkType"},
			Note:  "a webhook is active at once; sinks of other types are kept and get nothing",
			Serve: createSink,
		},
		{
			Method: "GET", Path: "/v1/Sinks/{Sid}", ID: "FetchSink", Spec: true,
			Serve: emulator.Fetch(sinkInPath, viewSink),
		},
		{
			Method: "POST", Path: "/v1/Sinks/{Sid}", ID: "UpdateSink", Spec: true, Form: []string{"Description"},
			Serve: emulator.Update(sinkTable, sinkInPath, updateSink, viewSink),
		},
		{
			Method: "DELETE", Path: "/v1/Sinks/{Sid}", ID: "DeleteSink", Spec: true,
			Note:  "refused while a subscription uses it",
			Serve: deleteSink,
		},
		{
			Method: "POST", Path: "/v1/Sinks/{Sid}/Test", ID: "CreateSinkTest", Spec: true, Form: []string{},
			Note:  "delivers the test event to a webhook",
			Serve: createSinkTest,
		},
		{
			Method: "POST", Path: "/v1/Sinks/{Sid}/Validate", ID: "CreateSinkValidate", Spec: true, Form: []string{"TestId"},
			Serve: createSinkValidate,
		},
		{
			Method: "GET", Path: "/v1/Subscriptions", ID: "ListSubscription", Spec: true, Query: []string{"SinkSid"}, Paged: true,
			Serve: emulator.List("subscriptions", listSubscriptions, viewSubscription),
		},
		{
			Method: "POST", Path: "/v1/Subscriptions", ID: "CreateSubscription", Spec: true, Form: []string{"Description", "SinkSid", "Types"}, List: []string{"Types"},
			Note:  "one subscription per sink; `Types` repeated, one JSON object each",
			Serve: createSubscription,
		},
		{
			Method: "GET", Path: "/v1/Subscriptions/{Sid}", ID: "FetchSubscription", Spec: true,
			Serve: emulator.Fetch(subscriptionInPath, viewSubscription),
		},
		{
			Method: "POST", Path: "/v1/Subscriptions/{Sid}", ID: "UpdateSubscription", Spec: true, Form: []string{"Description"},
			Serve: emulator.Update(subscriptionTable, subscriptionInPath, updateSubscription, viewSubscription),
		},
		{
			Method: "DELETE", Path: "/v1/Subscriptions/{Sid}", ID: "DeleteSubscription", Spec: true,
			Serve: deleteSubscription,
		},
		{
			Method: "GET", Path: types, ID: "ListSubscribedEvent", Spec: true, Paged: true,
			Serve: emulator.List("types", listTypes, viewListedType),
		},
		{
			Method: "POST", Path: types, ID: "CreateSubscribedEvent", Spec: true, Form: []string{"Type", "SchemaVersion"},
			Serve: createType,
		},
		{
			Method: "GET", Path: types + "/{Type}", ID: "FetchSubscribedEvent", Spec: true,
			Serve: fetchType,
		},
		{
			Method: "POST", Path: types + "/{Type}", ID: "UpdateSubscribedEvent", Spec: true, Form: []string{"SchemaVersion"},
			Serve: updateType,
		},
		{
			Method: "DELETE", Path: types + "/{Type}", ID: "DeleteSubscribedEvent", Spec: true,
			Serve: deleteType,
		},
	}
}
