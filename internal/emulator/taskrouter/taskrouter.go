// Package taskrouter is Twilio TaskRouter as the emulator has it: workspaces,
// activities, workers, and the callbacks that tell of them. What Flex UI asks of
// TaskRouter through its event bridge belongs to package flexui, and the records
// to package store.
package taskrouter

import (
	_ "embed"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/fault"
)

//go:embed unemulated.txt
var unemulated string

// Product registers TaskRouter with an emulator.
func Product() emulator.Product {
	return emulator.Product{
		Host: "taskrouter", Operations: operations, Known: unemulated, RateHeaders: true, Unknowns: unknowns,
		SIDs:       map[string]string{"ActivitySid": "WA", "DefaultActivitySid": "WA", "TimeoutActivitySid": "WA", "TaskQueueSid": "WQ"},
		Deliveries: []fault.Target{deliverCallback}, Told: call,
	}
}

func operations() []emulator.Operation {
	const ws = "/v1/Workspaces/{WorkspaceSid}"
	return []emulator.Operation{
		{
			Method: "GET", Path: "/v1/Workspaces", ID: "ListWorkspace", Spec: true, Query: []string{"FriendlyName"}, Paged: true,
			Note:  "filter FriendlyName (exact)",
			Serve: emulator.List("workspaces", workspaces, viewWorkspace),
		},
		{
			Method: "GET", Path: "/v1/Workspaces/{Sid}", ID: "FetchWorkspace", Spec: true,
			Serve: emulator.Fetch(workspace, viewWorkspace),
		},
		{
			Method: "POST", Path: "/v1/Workspaces/{Sid}", ID: "UpdateWorkspace", Spec: true, Form: []string{"FriendlyName", "DefaultActivitySid", "TimeoutActivitySid", "EventCallbackUrl", "EventsFilter", "MultiTaskEnabled", "PrioritizeQueueOrder"},
			Note:  "the event callback is called for worker events that its filter names; nothing else of the workspace is told",
			Serve: updateWorkspace,
		},
		{
			Method: "GET", Path: ws + "/Activities", ID: "ListActivity", Spec: true, Query: []string{"FriendlyName", "Available"}, Paged: true,
			Note:  "filters FriendlyName (exact) and Available",
			Serve: emulator.List("activities", activities, viewActivity),
		},
		{
			Method: "POST", Path: ws + "/Activities", ID: "CreateActivity", Spec: true, Form: []string{"FriendlyName", "Available"},
			Note:  "at most 100 per workspace, names of at most 64 characters",
			Serve: createActivity,
		},
		{
			Method: "GET", Path: ws + "/Activities/{Sid}", ID: "FetchActivity", Spec: true,
			Serve: emulator.Fetch(activity, viewActivity),
		},
		{
			Method: "POST", Path: ws + "/Activities/{Sid}", ID: "UpdateActivity", Spec: true, Form: []string{"FriendlyName"},
			Note:  "FriendlyName only: `available` never changes",
			Serve: emulator.Update(activityTable, activity, updateActivity, viewActivity),
		},
		{
			Method: "DELETE", Path: ws + "/Activities/{Sid}", ID: "DeleteActivity", Spec: true,
			Note:  "refused for the default and timeout activities and while a worker is in it",
			Serve: deleteActivity,
		},
		{
			Method: "GET", Path: ws + "/Workers", ID: "ListWorker", Spec: true, Query: []string{"ActivityName", "ActivitySid", "Available", "FriendlyName", "TargetWorkersExpression", "TaskQueueName", "TaskQueueSid", "Ordering"}, Paged: true,
			Note:  "every documented filter; TargetWorkersExpression with its own limit of 3 requests per second; `attributes` present or null by a switch",
			Serve: listWorkers, Itself: true,
		},
		{
			Method: "POST", Path: ws + "/Workers", ID: "CreateWorker", Spec: true, Form: []string{"FriendlyName", "ActivitySid", "Attributes"},
			Note:  "at most 15,000 per workspace",
			Serve: createWorker,
		},
		{
			Method: "GET", Path: ws + "/Workers/{Sid}", ID: "FetchWorker", Spec: true,
			Note:  "ETag is a quoted integer",
			Serve: fetchWorker,
		},
		{
			Method: "POST", Path: ws + "/Workers/{Sid}", ID: "UpdateWorker", Spec: true, Form: []string{"FriendlyName", "ActivitySid", "Attributes", "RejectPendingReservations"},
			Note:  "replaces `attributes` whole; If-Match; at most 4096 characters of JSON; there are no reservations to reject",
			Serve: updateWorker,
		},
		{
			Method: "DELETE", Path: ws + "/Workers/{Sid}", ID: "DeleteWorker", Spec: true,
			Note:  "If-Match",
			Serve: deleteWorker,
		},
	}
}
