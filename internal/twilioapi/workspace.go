package twilioapi

import (
	"context"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/twilio/twilio-go/client/metadata"
	taskrouter "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// Workspace reads and writes one TaskRouter workspace.
// https://www.twilio.com/docs/taskrouter/api
type Workspace struct {
	c   *Client
	sid string
}

// Workspace returns the workspace with the given SID, WS…, without asking
// whether it exists.
func (c *Client) Workspace(sid string) *Workspace { return &Workspace{c, sid} }

// Workers streams the workers matching a TaskRouter expression, all for
// "". An expression Twilio refuses is FilterRefused.
// https://www.twilio.com/docs/taskrouter/expression-syntax
func (w *Workspace) Workers(ctx context.Context, expression string) iter.Seq2[twilio.Worker, error] {
	o := op{what: "list the workers of " + twilio.Short(w.sid), repeat: always, filter: expression != ""}
	query := url.Values{}
	if expression != "" {
		query.Set("TargetWorkersExpression", expression)
	}
	return func(yield func(twilio.Worker, error) bool) {
		address, err := w.list("/Workers", query)
		if err != nil {
			yield(twilio.Worker{}, err)
			return
		}
		for row, err := range rows[listed](ctx, w.c, o, address, "workers") {
			if !yield(row.worker(), err) {
				return
			}
		}
	}
}

// Worker fetches one worker.
func (w *Workspace) Worker(ctx context.Context, sid string) (twilio.Worker, error) {
	o := op{what: "read worker " + twilio.Short(sid) + " of " + twilio.Short(w.sid), repeat: always}
	if err := w.check("WK", sid); err != nil {
		return twilio.Worker{}, err
	}
	return w.worker(ctx, o)(w.api(ctx, o).FetchWorkerWithMetadata(w.sid, sid))
}

// SetAttributes replaces the whole attributes text of a worker that still has
// the given ETag.
//
// It repeats the request when the connection broke or Twilio answered 5xx. If
// the lost attempt had been carried out, the worker has a new ETag by then and
// the answer is PreconditionFailed although nobody else wrote: the caller
// reads the worker again and finds the attributes as it wanted them.
func (w *Workspace) SetAttributes(ctx context.Context, sid, attributes, etag string) (twilio.Worker, error) {
	o := op{what: "change worker " + twilio.Short(sid) + " of " + twilio.Short(w.sid), repeat: conditional}
	if err := w.check("WK", sid); err != nil {
		return twilio.Worker{}, err
	}
	match := bareETag(etag)
	if match == "" || match == "*" {
		return twilio.Worker{}, problem.New(problem.Internal, "cannot %s: no ETag to compare", o.what)
	}
	params := (&taskrouter.UpdateWorkerParams{}).SetAttributes(attributes).SetIfMatch(match)
	return w.worker(ctx, o)(w.api(ctx, o).UpdateWorkerWithMetadata(w.sid, sid, params))
}

// bareETag is the form of an ETag that Twilio's own programs send in If-Match:
// answers carry "3", requests 3.
func bareETag(etag string) string {
	return strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)
}

// Workspace reads the workspace itself.
func (w *Workspace) Workspace(ctx context.Context) (twilio.Workspace, error) {
	o := op{what: "read workspace " + twilio.Short(w.sid), repeat: always}
	if err := checkSID("WS", w.sid); err != nil {
		return twilio.Workspace{}, err
	}
	ws, err := w.api(ctx, o).FetchWorkspace(w.sid)
	if err != nil {
		return twilio.Workspace{}, w.c.problem(ctx, o, err)
	}
	return twilio.Workspace{SID: value(ws.Sid), FriendlyName: value(ws.FriendlyName)}, nil
}

// Activities reads all activities; a workspace has at most 100.
func (w *Workspace) Activities(ctx context.Context) ([]twilio.Activity, error) {
	o := op{what: "list the activities of " + twilio.Short(w.sid), repeat: always}
	address, err := w.list("/Activities", url.Values{})
	if err != nil {
		return nil, err
	}
	var all []twilio.Activity
	for row, err := range rows[taskrouter.TaskrouterV1Activity](ctx, w.c, o, address, "activities") {
		if err != nil {
			return nil, err
		}
		all = append(all, activity(&row))
	}
	return all, nil
}

// CreateActivity adds an activity. It is not repeated unless Twilio answered
// that it did nothing: names need not be unique, so a repetition could make a
// second one.
func (w *Workspace) CreateActivity(ctx context.Context, name string, available bool) (twilio.Activity, error) {
	o := op{what: "create activity " + printable(name) + " in " + twilio.Short(w.sid), repeat: never}
	if err := checkSID("WS", w.sid); err != nil {
		return twilio.Activity{}, err
	}
	params := (&taskrouter.CreateActivityParams{}).SetFriendlyName(name).SetAvailable(available)
	a, err := w.api(ctx, o).CreateActivity(w.sid, params)
	if err != nil {
		return twilio.Activity{}, w.c.problem(ctx, o, err)
	}
	return activity(a), nil
}

// DeleteActivity removes an activity. Twilio refuses one that is in use.
func (w *Workspace) DeleteActivity(ctx context.Context, sid string) error {
	o := op{what: "delete activity " + twilio.Short(sid) + " of " + twilio.Short(w.sid), repeat: always}
	if err := w.check("WA", sid); err != nil {
		return err
	}
	return w.c.problem(ctx, o, w.api(ctx, o).DeleteActivity(w.sid, sid))
}

func (w *Workspace) api(ctx context.Context, o op) *taskrouter.ApiService {
	return taskrouter.NewApiService(w.c.handler(session{w.c, ctx, o}))
}

func (w *Workspace) check(kind, sid string) error {
	if err := checkSID("WS", w.sid); err != nil {
		return err
	}
	return checkSID(kind, sid)
}

func (w *Workspace) list(what string, query url.Values) (string, error) {
	if err := checkSID("WS", w.sid); err != nil {
		return "", err
	}
	return w.c.url(listURL(taskrouterURL+"/v1/Workspaces/"+w.sid+what, query))
}

type workerAnswer = metadata.ResourceMetadata[taskrouter.TaskrouterV1Worker]

func (w *Workspace) worker(ctx context.Context, o op) func(*workerAnswer, error) (twilio.Worker, error) {
	return func(m *workerAnswer, err error) (twilio.Worker, error) {
		if err != nil {
			return twilio.Worker{}, w.c.problem(ctx, o, err)
		}
		return worker(&m.Resource, m.GetHeader("ETag")), nil
	}
}

// listed is what is read of a worker in a list: decoding the links of 15,000
// workers would be for nothing.
type listed struct {
	SID           *string    `json:"sid"`
	FriendlyName  *string    `json:"friendly_name"`
	ActivitySID   *string    `json:"activity_sid"`
	ActivityName  *string    `json:"activity_name"`
	Available     *bool      `json:"available"`
	Attributes    *string    `json:"attributes"`
	Updated       *time.Time `json:"date_updated"`
	StatusChanged *time.Time `json:"date_status_changed"`
}

func (l *listed) worker() twilio.Worker {
	return worker(&taskrouter.TaskrouterV1Worker{
		Sid: l.SID, FriendlyName: l.FriendlyName, ActivitySid: l.ActivitySID, ActivityName: l.ActivityName,
		Available: l.Available, Attributes: l.Attributes, DateUpdated: l.Updated, DateStatusChanged: l.StatusChanged,
	}, "")
}

func worker(t *taskrouter.TaskrouterV1Worker, etag string) twilio.Worker {
	return twilio.Worker{
		SID:          value(t.Sid),
		FriendlyName: value(t.FriendlyName),
		ActivitySID:  value(t.ActivitySid),
		ActivityName: value(t.ActivityName),
		Available:    value(t.Available),
		Attributes:   t.Attributes,
		ETag:         etag,
		DateUpdated:  value(t.DateUpdated).Truncate(time.Second),

		StatusChanged: value(t.DateStatusChanged).Truncate(time.Second),
	}
}

func activity(t *taskrouter.TaskrouterV1Activity) twilio.Activity {
	return twilio.Activity{SID: value(t.Sid), FriendlyName: value(t.FriendlyName), Available: value(t.Available)}
}

// value reads one of twilio-go's optional fields; every field may be null.
func value[T any](p *T) T {
	if p == nil {
		var none T
		return none
	}
	return *p
}
