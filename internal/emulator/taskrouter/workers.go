package taskrouter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

// everyone is the name of the one TaskQueue the emulator knows of, which holds
// every worker: filters may name it.
const everyone = "Everyone"

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

func viewWorker(c *emulator.Call, sp *store.Space, w *store.Worker) workerView {
	ws := c.Base() + "/v1/Workspaces/" + w.Workspace
	url := ws + "/Workers/" + w.SID
	at := sp.Activity(w.Activity)
	attributes := w.Attributes
	return workerView{
		SID: w.SID, AccountSID: c.Account.SID, WorkspaceSID: w.Workspace, FriendlyName: w.FriendlyName,
		ActivitySID: at.SID, ActivityName: at.FriendlyName, Available: at.Available, Attributes: &attributes,
		DateCreated: emulator.Stamp(w.Created), DateUpdated: emulator.Stamp(w.Updated), DateStatusChanged: emulator.Stamp(w.StatusChanged), URL: url,
		Links: workerLinks{
			Activity: ws + "/Activities/" + at.SID, Workspace: ws, Channels: url + "/Channels", WorkerChannels: url + "/Channels",
			Reservations: url + "/Reservations", WorkerStatistics: url + "/Statistics", Statistics: ws + "/Workers/Statistics",
			RealTimeStatistics: ws + "/Workers/RealTimeStatistics", CumulativeStatistics: ws + "/Workers/CumulativeStatistics",
		},
	}
}

// listWorkers works on copies of the lists of records: filtering and encoding
// thousands of workers takes milliseconds, in which writers should not wait.
func listWorkers(c *emulator.Call) *emulator.Reply {
	c.Store.RLock()
	sp := around(c)
	if sp == nil {
		c.Store.RUnlock()
		return c.NotFound()
	}
	sp = sp.Frozen()
	seq := c.Store.Meta.Seq
	c.Store.RUnlock()

	list := func(c *emulator.Call) (emulator.Listing[*store.Worker], *emulator.Reply) {
		l := emulator.Oldest(sp.Workers, nil)
		no := order(c, &l)
		if no == nil {
			l.Keep, no = filter(c, sp)
		}
		return l, no
	}
	rep := emulator.List("workers", list, func(c *emulator.Call, w *store.Worker) any {
		v := viewWorker(c, sp, w)
		if c.Settings.ListAttributes == emulator.AttributesNull {
			v.Attributes = nil
		}
		return v
	})(c)
	if !rep.Good() {
		return rep
	}
	return rep.With("ETag", fmt.Sprintf(`"%d"`, seq))
}

// order sorts the rows as Ordering says: Field:asc or Field:desc.
func order(c *emulator.Call, l *emulator.Listing[*store.Worker]) *emulator.Reply {
	ordering, given := c.Queried("Ordering")
	if !given {
		return nil
	}
	field, direction, _ := strings.Cut(ordering, ":")
	value := map[string]func(*store.Worker) string{
		"FriendlyName":      func(w *store.Worker) string { return store.Fold(w.FriendlyName) },
		"DateCreated":       func(w *store.Worker) string { return emulator.Stamp(w.Created) },
		"DateStatusChanged": func(w *store.Worker) string { return emulator.Stamp(w.StatusChanged) },
	}[field]
	if value == nil || direction != "" && direction != "asc" && direction != "desc" {
		return emulator.Invalid("Invalid Ordering %q", ordering)
	}
	l.Position = func(w *store.Worker) emulator.Position { return emulator.Position{Key: value(w), Seq: w.Seq} }
	l.Descending = direction == "desc"
	l.Sort()
	return nil
}

// filter builds the filter of a worker list. An expression costs a token of its
// own bucket.
func filter(c *emulator.Call, sp *store.Space) (func(*store.Worker) bool, *emulator.Reply) {
	var tests []func(*store.Worker) bool
	for name, test := range map[string]func(value string, w *store.Worker) bool{
		"FriendlyName": func(value string, w *store.Worker) bool { return store.Fold(w.FriendlyName) == store.Fold(value) },
		"ActivitySid":  func(value string, w *store.Worker) bool { return w.Activity == value },
		"ActivityName": func(value string, w *store.Worker) bool { return sp.Activity(w.Activity).FriendlyName == value },
		"Available": func(value string, w *store.Worker) bool {
			return sp.Activity(w.Activity).Available == meansAvailable(value)
		},
		"TaskQueueSid":  func(value string, _ *store.Worker) bool { return value == c.Account.QueueSID() },
		"TaskQueueName": func(value string, _ *store.Worker) bool { return value == everyone },
	} {
		if value, given := c.Queried(name); given {
			tests = append(tests, func(w *store.Worker) bool { return test(value, w) })
		}
	}
	if text, given := c.Queried("TargetWorkersExpression"); given && text != "" {
		if no := c.AdmitExpression(); no != nil {
			return nil, no
		}
		ex, err := parseExpression(text)
		if err != nil {
			return nil, emulator.Invalid("Invalid TargetWorkersExpression: %v", err)
		}
		tests = append(tests, func(w *store.Worker) bool { return ex.match(documentOf(sp, w)) })
	}
	return func(w *store.Worker) bool {
		for _, test := range tests {
			if !test(w) {
				return false
			}
		}
		return true
	}, nil
}

// documentOf is what an expression sees of a worker. Values are decoded when an
// expression asks for them, which few do for more than one.
func documentOf(sp *store.Space, w *store.Worker) document {
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
			return sp.Activity(w.Activity).FriendlyName
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

func createWorker(c *emulator.Call) *emulator.Reply {
	sp := around(c)
	if sp == nil {
		return c.NotFound()
	}
	name, _ := c.Filled("FriendlyName")
	if no := checkName(name); no != nil {
		return no
	}
	w := &store.Worker{Activity: sp.DefaultActivity, Attributes: "{}"}
	if no := place(c, sp, w); no != nil {
		return no
	}
	if sp.WorkerNamed(name) != nil {
		return workerExists(name)
	}
	if len(sp.Workers) >= store.MaxWorkers {
		return emulator.Invalid("The workspace already has %d workers", store.MaxWorkers)
	}
	w = c.Store.NewWorker(sp.SID, name, w.Activity, w.Attributes, c.Now)
	if no := c.Write(sp.AddWorker(w)); no != nil {
		return no
	}
	return emulator.Created(viewWorker(c, sp, w)).With("ETag", w.ETag())
}

func workerExists(name string) *emulator.Reply {
	return emulator.Invalid("A worker named %q already exists in the workspace", name)
}

// place gives a worker the attributes and the activity of the form.
func place(c *emulator.Call, sp *store.Space, w *store.Worker) *emulator.Reply {
	if sid, given := c.Filled("ActivitySid"); given {
		if sp.Activity(sid) == nil {
			return noActivity("ActivitySid", sid)
		}
		w.Activity = sid
	}
	if text, given := c.Filled("Attributes"); given {
		if no := emulator.CheckAttributes(text); no != nil {
			return no
		}
		w.Attributes = text
	}
	return nil
}

// worker is the one in the path, in its workspace.
func worker(c *emulator.Call) (*store.Space, *store.Worker) {
	sp := around(c)
	if sp == nil {
		return nil, nil
	}
	return sp, sp.Worker(c.Vars["Sid"])
}

func fetchWorker(c *emulator.Call) *emulator.Reply {
	sp, w := worker(c)
	if w == nil {
		return c.NotFound()
	}
	c.Shown(w.SID)
	return emulator.OK(viewWorker(c, sp, w)).With("ETag", w.ETag())
}

// matches compares If-Match with a version: quoted, bare or weak, one of a
// list, or an asterisk. Without the header everything matches.
func matches(c *emulator.Call, w *store.Worker) bool {
	values := c.Header("If-Match")
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

func stale() *emulator.Reply {
	return emulator.Refuse(http.StatusPreconditionFailed, emulator.CodePrecondition, "Precondition failed")
}

func updateWorker(c *emulator.Call) *emulator.Reply {
	sp, w := worker(c)
	if w == nil {
		return c.NotFound()
	}
	if !matches(c, w) {
		return stale()
	}
	changed := w.Changed(c.Now)
	if name, given := c.Filled("FriendlyName"); given {
		if no := checkName(name); no != nil {
			return no
		}
		if other := sp.WorkerNamed(name); other != nil && other != w {
			return workerExists(name)
		}
		changed.FriendlyName = name
	}
	if no := place(c, sp, changed); no != nil {
		return no
	}
	if changed.Activity != w.Activity {
		changed.StatusChanged = changed.Updated
	}
	reject, no := c.Flag("RejectPendingReservations", false)
	if no != nil {
		return no
	}
	if _, moving := c.Filled("ActivitySid"); reject && (!moving || sp.Activity(changed.Activity).Available) {
		return emulator.Invalid("RejectPendingReservations goes with an unavailable activity only")
	}
	if no := c.Write(sp.SetWorker(changed, false)); no != nil {
		return no
	}
	return emulator.OK(viewWorker(c, sp, changed)).With("ETag", changed.ETag())
}

func deleteWorker(c *emulator.Call) *emulator.Reply {
	sp, w := worker(c)
	switch {
	case w == nil:
		return c.NotFound()
	case !matches(c, w):
		return stale()
	}
	if no := c.Write(sp.RemoveWorker(w)); no != nil {
		return no
	}
	return emulator.NoContent()
}
