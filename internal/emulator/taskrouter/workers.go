//go:build ignore

package emulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// TaskRouter's limits. https://www.twilio.com/docs/taskrouter/limits
const (
	maxName       = 64
	maxAttributes = 4096
)

// everyone is the name of the one TaskQueue the emulator knows of, which holds
// every worker: filters may name it.
const everyone = "Everyone"

func (a Account) queueSID() string { return "WQ" + a.WorkspaceSID[2:] }

// --- workspaces

type workspaceView struct {
	SID                  string            `json:"sid"`
	AccountSID           string            `json:"account_sid"`
	FriendlyName         string            `json:"friendly_name"`
	DefaultActivitySID   string            `json:"default_activity_sid"`
	DefaultActivityName  string            `json:"default_activity_name"`
	TimeoutActivitySID   string            `json:"timeout_activity_sid"`
	TimeoutActivityName  string            `json:"timeout_activity_name"`
	EventCallbackURL     *string           `json:"event_callback_url"`
	EventsFilter         *string           `json:"events_filter"`
	MultiTaskEnabled     bool              `json:"multi_task_enabled"`
	PrioritizeQueueOrder string            `json:"prioritize_queue_order"`
	DateCreated          string            `json:"date_created"`
	DateUpdated          string            `json:"date_updated"`
	URL                  string            `json:"url"`
	Links                map[string]string `json:"links"`
}

func (c *call) viewWorkspace(sp *space) workspaceView {
	url := c.base() + "/v1/Workspaces/" + sp.SID
	v := workspaceView{
		SID: sp.SID, AccountSID: c.account.SID, FriendlyName: sp.FriendlyName,
		DefaultActivitySID: sp.DefaultActivity, DefaultActivityName: sp.activity(sp.DefaultActivity).FriendlyName,
		TimeoutActivitySID: sp.TimeoutActivity, TimeoutActivityName: sp.activity(sp.TimeoutActivity).FriendlyName,
		EventCallbackURL: orNull(sp.EventCallbackURL), EventsFilter: orNull(sp.EventsFilter),
		MultiTaskEnabled: sp.MultiTask, PrioritizeQueueOrder: sp.QueueOrder,
		DateCreated: stamp(sp.Created), DateUpdated: stamp(sp.Updated), URL: url, Links: map[string]string{},
	}
	for name, path := range map[string]string{
		"activities": "Activities", "workers": "Workers", "workflows": "Workflows", "task_queues": "TaskQueues",
		"tasks": "Tasks", "task_channels": "TaskChannels", "events": "Events", "statistics": "Statistics",
		"real_time_statistics": "RealTimeStatistics", "cumulative_statistics": "CumulativeStatistics",
	} {
		v.Links[name] = url + "/" + path
	}
	return v
}

func listWorkspaces(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	l := listing[*space]{rows: c.st.workspaces, pos: func(sp *space) position { return position{Seq: sp.Seq} }}
	if name, given := c.queried("FriendlyName"); given {
		l.keep = func(sp *space) bool { return sp.FriendlyName == name }
	}
	return paged(c, "workspaces", l, func(sp *space) any { return c.viewWorkspace(sp) })
}

func fetchWorkspace(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	sp := c.st.space(c.vars["Sid"])
	if sp == nil {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewWorkspace(sp))
}

func updateWorkspace(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	sp := c.st.space(c.vars["Sid"])
	if sp == nil {
		return notFound(c.path)
	}
	changed := sp.workspace
	changed.Updated = c.now.Truncate(time.Second)
	if name, given := c.filled("FriendlyName"); given {
		if rep, ok := checkName(name); !ok {
			return rep
		}
		changed.FriendlyName = name
	}
	for field, target := range map[string]*string{"DefaultActivitySid": &changed.DefaultActivity, "TimeoutActivitySid": &changed.TimeoutActivity} {
		if sid, given := c.filled(field); given {
			if sp.activity(sid) == nil {
				return invalid("Invalid %s: no activity %s is in the workspace", field, sid)
			}
			*target = sid
		}
	}
	if url, given := c.filled("EventCallbackUrl"); given {
		changed.EventCallbackURL = url
	}
	if filter, given := c.filled("EventsFilter"); given {
		changed.EventsFilter = filter
	}
	if s, given := c.filled("MultiTaskEnabled"); given {
		on, ok := parseBool(s)
		if !ok {
			return invalid("Invalid MultiTaskEnabled %q", s)
		}
		changed.MultiTask = on
	}
	if order, given := c.filled("PrioritizeQueueOrder"); given {
		if order != "FIFO" && order != "LIFO" {
			return invalid("Invalid PrioritizeQueueOrder %q", order)
		}
		changed.QueueOrder = order
	}
	if err := c.st.put(changed.record()); err != nil {
		return c.broken(err)
	}
	sp.workspace = changed
	return ok(http.StatusOK, c.viewWorkspace(sp))
}

// --- activities

type activityView struct {
	SID          string            `json:"sid"`
	AccountSID   string            `json:"account_sid"`
	WorkspaceSID string            `json:"workspace_sid"`
	FriendlyName string            `json:"friendly_name"`
	Available    bool              `json:"available"`
	DateCreated  string            `json:"date_created"`
	DateUpdated  string            `json:"date_updated"`
	URL          string            `json:"url"`
	Links        map[string]string `json:"links"`
}

func (c *call) viewActivity(a *activity) activityView {
	url := c.base() + "/v1/Workspaces/" + a.Workspace
	return activityView{
		SID: a.SID, AccountSID: c.account.SID, WorkspaceSID: a.Workspace, FriendlyName: a.FriendlyName,
		Available: a.Available, DateCreated: stamp(a.Created), DateUpdated: stamp(a.Updated),
		URL: url + "/Activities/" + a.SID, Links: map[string]string{"workspace": url},
	}
}

func listActivities(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	sp := c.st.space(c.vars["WorkspaceSid"])
	if sp == nil {
		return notFound(c.path)
	}
	name, byName := c.queried("FriendlyName")
	available, byAvailable := c.queried("Available")
	return paged(c, "activities", listing[*activity]{
		rows: sp.activities,
		pos:  func(a *activity) position { return position{Seq: a.Seq} },
		keep: func(a *activity) bool {
			return (!byName || a.FriendlyName == name) && (!byAvailable || a.Available == meansAvailable(available))
		},
	}, func(a *activity) any { return c.viewActivity(a) })
}

// meansAvailable reads a filter: true, 1 and yes are available, all else not.
func meansAvailable(s string) bool {
	return slices.Contains([]string{"true", "1", "yes"}, strings.ToLower(s))
}

func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

func checkName(name string) (reply, bool) {
	switch {
	case strings.TrimSpace(name) == "":
		return invalid("Missing required parameter FriendlyName"), false
	case utf8.RuneCountInString(name) > maxName:
		return invalid("FriendlyName is longer than %d characters", maxName), false
	}
	return reply{}, true
}

func createActivity(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	sp := c.st.space(c.vars["WorkspaceSid"])
	if sp == nil {
		return notFound(c.path)
	}
	name, _ := c.filled("FriendlyName")
	if rep, ok := checkName(name); !ok {
		return rep
	}
	available := false
	if s, given := c.filled("Available"); given {
		var ok bool
		if available, ok = parseBool(s); !ok {
			return invalid("Invalid Available %q", s)
		}
	}
	if sp.activityNamed(name) != nil {
		return invalid("An activity named %q already exists in the workspace", name)
	}
	if len(sp.activities) >= MaxActivities {
		return invalid("The workspace already has %d activities", MaxActivities)
	}
	a := c.st.newActivity(sp.SID, name, available, c.now.Truncate(time.Second))
	if err := c.st.put(c.st.meta.record(), a.record()); err != nil {
		return c.broken(err)
	}
	sp.activities = append(sp.activities, a)
	return ok(http.StatusCreated, c.viewActivity(a))
}

func fetchActivity(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, a := c.activity()
	if a == nil {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewActivity(a))
}

func (c *call) activity() (*space, *activity) {
	sp := c.st.space(c.vars["WorkspaceSid"])
	if sp == nil {
		return nil, nil
	}
	return sp, sp.activity(c.vars["Sid"])
}

func updateActivity(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	sp, a := c.activity()
	if a == nil {
		return notFound(c.path)
	}
	changed := *a
	changed.Updated = c.now.Truncate(time.Second)
	if name, given := c.filled("FriendlyName"); given {
		if rep, ok := checkName(name); !ok {
			return rep
		}
		if other := sp.activityNamed(name); other != nil && other != a {
			return invalid("An activity named %q already exists in the workspace", name)
		}
		changed.FriendlyName = name
	}
	if err := c.st.put(changed.record()); err != nil {
		return c.broken(err)
	}
	sp.activities[slices.Index(sp.activities, a)] = &changed
	return ok(http.StatusOK, c.viewActivity(&changed))
}

func deleteActivity(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	sp, a := c.activity()
	switch {
	case a == nil:
		return notFound(c.path)
	case a.SID == sp.DefaultActivity || a.SID == sp.TimeoutActivity:
		return invalid("The activity is the default or the timeout activity of the workspace")
	case slices.ContainsFunc(sp.workers, func(w *worker) bool { return w.Activity == a.SID }):
		return invalid("Workers are in the activity")
	}
	if err := c.st.put(forget("activity", a.SID)); err != nil {
		return c.broken(err)
	}
	sp.activities = slices.DeleteFunc(sp.activities, func(x *activity) bool { return x == a })
	return ok(http.StatusNoContent, nil)
}

// --- workers

type workerView struct {
	SID               string      `json:"sid"`
	AccountSID        string      `json:"account_sid"`
	WorkspaceSID      string      `json:"workspace_sid"`
	FriendlyName      string      `json:"friendly_name"`
	ActivitySID       string      `json:"activity_sid"`
	ActivityName      string      `json:"activity_name"`
	Available         bool        `json:"available"`
	Attributes        *string     `json:"attributes"`
	DateCreated       string      `json:"date_created"`
	DateUpdated       string      `json:"date_updated"`
	DateStatusChanged string      `json:"date_status_changed"`
	URL               string      `json:"url"`
	Links             workerLinks `json:"links"`
}

// workerLinks is no map, which would take longer to write than all the rest of
// a row.
type workerLinks struct {
	Activity             string `json:"activity"`
	Workspace            string `json:"workspace"`
	Channels             string `json:"channels"`
	WorkerChannels       string `json:"worker_channels"`
	Reservations         string `json:"reservations"`
	WorkerStatistics     string `json:"worker_statistics"`
	Statistics           string `json:"statistics"`
	RealTimeStatistics   string `json:"real_time_statistics"`
	CumulativeStatistics string `json:"cumulative_statistics"`
}

func (c *call) viewWorker(sp *space, w *worker) workerView {
	ws := c.base() + "/v1/Workspaces/" + w.Workspace
	url := ws + "/Workers/" + w.SID
	at := sp.activity(w.Activity)
	attributes := w.Attributes
	return workerView{
		SID: w.SID, AccountSID: c.account.SID, WorkspaceSID: w.Workspace, FriendlyName: w.FriendlyName,
		ActivitySID: at.SID, ActivityName: at.FriendlyName, Available: at.Available, Attributes: &attributes,
		DateCreated: stamp(w.Created), DateUpdated: stamp(w.Updated), DateStatusChanged: stamp(w.StatusChanged), URL: url,
		Links: workerLinks{
			Activity: ws + "/Activities/" + at.SID, Workspace: ws, Channels: url + "/Channels", WorkerChannels: url + "/Channels",
			Reservations: url + "/Reservations", WorkerStatistics: url + "/Statistics", Statistics: ws + "/Workers/Statistics",
			RealTimeStatistics: ws + "/Workers/RealTimeStatistics", CumulativeStatistics: ws + "/Workers/CumulativeStatistics",
		},
	}
}

func listWorkers(c *call) reply {
	settings := c.Settings()
	c.mu.RLock()
	sp := c.st.space(c.vars["WorkspaceSid"])
	if sp == nil {
		c.mu.RUnlock()
		return notFound(c.path)
	}
	// Filtering and encoding thousands of workers takes milliseconds, in which
	// writers should not wait: work on copies of the lists of records.
	frozen := &space{workspace: sp.workspace, activities: slices.Clone(sp.activities)}
	rows := slices.Clone(sp.workers)
	seq := c.st.meta.Seq
	c.mu.RUnlock()

	l := listing[*worker]{rows: rows, pos: func(w *worker) position { return position{Seq: w.Seq} }}
	if ordering, given := c.queried("Ordering"); given {
		if rep, ok := l.orderBy(ordering); !ok {
			return rep
		}
	}
	keep, rep, ok := c.filterWorkers(frozen, settings.Limits)
	if !ok {
		return rep
	}
	l.keep = keep
	rep = paged(c, "workers", l, func(w *worker) any {
		v := c.viewWorker(frozen, w)
		if settings.ListAttributes == AttributesNull {
			v.Attributes = nil
		}
		return v
	})
	if rep.status != http.StatusOK {
		return rep
	}
	return rep.with("ETag", fmt.Sprintf(`"%d"`, seq))
}

// filterWorkers builds the filter of a worker list. An expression costs a token
// of its own bucket.
func (c *call) filterWorkers(sp *space, limits Limits) (func(*worker) bool, reply, bool) {
	var tests []func(*worker) bool
	if name, given := c.queried("FriendlyName"); given {
		tests = append(tests, func(w *worker) bool { return fold(w.FriendlyName) == fold(name) })
	}
	if sid, given := c.queried("ActivitySid"); given {
		tests = append(tests, func(w *worker) bool { return w.Activity == sid })
	}
	if name, given := c.queried("ActivityName"); given {
		tests = append(tests, func(w *worker) bool { return sp.activity(w.Activity).FriendlyName == name })
	}
	if s, given := c.queried("Available"); given {
		want := meansAvailable(s)
		tests = append(tests, func(w *worker) bool { return sp.activity(w.Activity).Available == want })
	}
	if sid, given := c.queried("TaskQueueSid"); given {
		tests = append(tests, func(*worker) bool { return sid == c.account.queueSID() })
	}
	if name, given := c.queried("TaskQueueName"); given {
		tests = append(tests, func(*worker) bool { return name == everyone })
	}
	if text, given := c.queried("TargetWorkersExpression"); given && text != "" {
		if rep, ok := c.limit.admitExpression(c.now, limits); !ok {
			return nil, rep, false
		}
		ex, err := parseExpression(text)
		if err != nil {
			return nil, invalid("Invalid TargetWorkersExpression: %v", err), false
		}
		tests = append(tests, func(w *worker) bool { return ex.match(sp.document(w)) })
	}
	return func(w *worker) bool {
		for _, test := range tests {
			if !test(w) {
				return false
			}
		}
		return true
	}, reply{}, true
}

// document is what an expression sees of a worker. Values are decoded when an
// expression asks for them, which few do for more than one.
func (sp *space) document(w *worker) document {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(w.Attributes), &members) != nil {
		members = nil // attributes that are no object have no keys
	}
	return func(key string) any {
		switch key {
		case "sid":
			return w.SID
		case "friendly_name":
			return w.FriendlyName
		case "activity_sid":
			return w.Activity
		case "activity_name":
			return sp.activity(w.Activity).FriendlyName
		}
		dec := json.NewDecoder(bytes.NewReader(members[key]))
		dec.UseNumber()
		var v any
		if dec.Decode(&v) != nil {
			return nil
		}
		return v
	}
}

// orderBy sorts the rows by Field:asc or Field:desc.
func (l *listing[T]) orderBy(ordering string) (reply, bool) {
	field, direction, _ := strings.Cut(ordering, ":")
	value := map[string]func(*worker) string{
		"FriendlyName":      func(w *worker) string { return fold(w.FriendlyName) },
		"DateCreated":       func(w *worker) string { return stamp(w.Created) },
		"DateStatusChanged": func(w *worker) string { return stamp(w.StatusChanged) },
	}[field]
	if value == nil || direction != "" && direction != "asc" && direction != "desc" {
		return invalid("Invalid Ordering %q", ordering), false
	}
	l.pos = func(row T) position {
		w := any(row).(*worker)
		return position{Key: value(w), Seq: w.Seq}
	}
	l.desc = direction == "desc"
	slices.SortFunc(l.rows, func(a, b T) int {
		if l.desc {
			a, b = b, a
		}
		return byPosition(l.pos(a), l.pos(b))
	})
	return reply{}, true
}

// checkAttributes refuses what is no JSON and what is too long.
func checkAttributes(text string) (reply, bool) {
	switch n := utf8.RuneCountInString(text); {
	case !json.Valid([]byte(text)):
		return invalid("Attributes is not valid JSON"), false
	case n > maxAttributes:
		return invalid("Attributes has %d characters, the limit is %d", n, maxAttributes), false
	}
	return reply{}, true
}

func createWorker(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	sp := c.st.space(c.vars["WorkspaceSid"])
	if sp == nil {
		return notFound(c.path)
	}
	name, _ := c.filled("FriendlyName")
	if rep, ok := checkName(name); !ok {
		return rep
	}
	at := sp.DefaultActivity
	if sid, given := c.filled("ActivitySid"); given {
		if at = sid; sp.activity(sid) == nil {
			return invalid("Invalid ActivitySid: no activity %s is in the workspace", sid)
		}
	}
	attributes := "{}"
	if text, given := c.filled("Attributes"); given {
		if rep, ok := checkAttributes(text); !ok {
			return rep
		}
		attributes = text
	}
	if sp.byName[fold(name)] != nil {
		return invalid("A worker named %q already exists in the workspace", name)
	}
	if len(sp.workers) >= MaxWorkers {
		return invalid("The workspace already has %d workers", MaxWorkers)
	}
	w := c.st.newWorker(sp.SID, name, at, attributes, c.now.Truncate(time.Second))
	if err := c.st.put(c.st.meta.record(), w.record()); err != nil {
		return c.broken(err)
	}
	sp.add(w)
	c.events.changed(sp, nil, w, "")
	return ok(http.StatusCreated, c.viewWorker(sp, w)).with("ETag", w.etag())
}

func (c *call) worker() (*space, *worker) {
	sp := c.st.space(c.vars["WorkspaceSid"])
	if sp == nil {
		return nil, nil
	}
	return sp, sp.bySID[c.vars["Sid"]]
}

func fetchWorker(c *call) reply {
	c.mu.RLock()
	sp, w := c.worker()
	if w == nil {
		c.mu.RUnlock()
		return notFound(c.path)
	}
	rep := ok(http.StatusOK, c.viewWorker(sp, w)).with("ETag", w.etag())
	c.mu.RUnlock()
	c.browsers.fetched(w.SID)
	return rep
}

// matches compares If-Match with a version: quoted, bare or weak, one of a
// list, or an asterisk. Without the header everything matches.
func (w *worker) matches(r *http.Request) bool {
	values := r.Header.Values("If-Match")
	if len(values) == 0 {
		return true
	}
	for tag := range strings.SplitSeq(strings.Join(values, ","), ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || strings.Trim(tag, `"`) == fmt.Sprint(w.Version) {
			return true
		}
	}
	return false
}

func stale() reply {
	return refuse(http.StatusPreconditionFailed, codePrecondition, "Precondition failed")
}

func updateWorker(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	sp, w := c.worker()
	if w == nil {
		return notFound(c.path)
	}
	if !w.matches(c.r) {
		return stale()
	}
	changed := *w
	changed.Version++
	changed.Updated = c.now.Truncate(time.Second)
	if name, given := c.filled("FriendlyName"); given {
		if rep, ok := checkName(name); !ok {
			return rep
		}
		if other := sp.byName[fold(name)]; other != nil && other != w {
			return invalid("A worker named %q already exists in the workspace", name)
		}
		changed.FriendlyName = name
	}
	if text, given := c.filled("Attributes"); given {
		if rep, ok := checkAttributes(text); !ok {
			return rep
		}
		changed.Attributes = text
	}
	if sid, given := c.filled("ActivitySid"); given {
		if sp.activity(sid) == nil {
			return invalid("Invalid ActivitySid: no activity %s is in the workspace", sid)
		}
		if sid != w.Activity {
			changed.StatusChanged = changed.Updated
		}
		changed.Activity = sid
	}
	if s, given := c.filled("RejectPendingReservations"); given {
		reject, ok := parseBool(s)
		switch _, moving := c.filled("ActivitySid"); {
		case !ok:
			return invalid("Invalid RejectPendingReservations %q", s)
		case reject && (!moving || sp.activity(changed.Activity).Available):
			return invalid("RejectPendingReservations goes with an unavailable activity only")
		}
	}
	if err := c.st.put(changed.record()); err != nil {
		return c.broken(err)
	}
	sp.set(&changed)
	c.events.changed(sp, w, &changed, "")
	return ok(http.StatusOK, c.viewWorker(sp, &changed)).with("ETag", changed.etag())
}

func deleteWorker(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	sp, w := c.worker()
	switch {
	case w == nil:
		return notFound(c.path)
	case !w.matches(c.r):
		return stale()
	}
	if err := c.st.put(forget("worker", w.SID)); err != nil {
		return c.broken(err)
	}
	sp.remove(w)
	c.events.changed(sp, w, nil, "")
	return ok(http.StatusNoContent, nil)
}

// broken answers when the data file could not be written: nothing was changed.
func (c *call) broken(err error) reply {
	c.log.Error("cannot write the data file", "error", err)
	return refuse(http.StatusInternalServerError, codeInternal, "An internal server error has occurred")
}
