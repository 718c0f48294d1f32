package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MaxWorkers and MaxActivities are TaskRouter's limits per workspace.
// https://www.twilio.com/docs/taskrouter/limits
const (
	MaxWorkers    = 15000
	MaxActivities = 100
)

// Workspace is the stored part of a Space.
type Workspace struct {
	Object
	FriendlyName     string `json:"friendly_name"`
	DefaultActivity  string `json:"default_activity"`
	TimeoutActivity  string `json:"timeout_activity"`
	EventCallbackURL string `json:"event_callback_url"`
	EventsFilter     string `json:"events_filter"`
	MultiTask        bool   `json:"multi_task"`
	QueueOrder       string `json:"queue_order"`
}

// Activity is an activity of a workspace.
type Activity struct {
	Object
	Workspace    string `json:"workspace"`
	FriendlyName string `json:"friendly_name"`
	Available    bool   `json:"available"`
}

// Worker is a worker of a workspace.
type Worker struct {
	Object
	Workspace     string    `json:"workspace"`
	FriendlyName  string    `json:"friendly_name"`
	Activity      string    `json:"activity"`
	Attributes    string    `json:"attributes"`
	FlexUser      bool      `json:"flex_user"`
	Version       int64     `json:"version"`
	StatusChanged time.Time `json:"status_changed"`
}

// ETag is what a REST answer shows of the version.
func (w *Worker) ETag() string { return fmt.Sprintf("%q", fmt.Sprint(w.Version)) }

// FlexUserSID returns the SID of the Flex user tied to the worker.
func (w *Worker) FlexUserSID() string { return "FU" + w.SID[2:] }

// Profile is what Flex knows of a worker besides its friendly name. It reads the
// attributes, as the emulator keeps no second copy that could disagree.
type Profile struct {
	FullName string   `json:"full_name"`
	Email    string   `json:"email"`
	Roles    []string `json:"roles"`
}

// Profile returns what Flex knows of the worker.
func (w *Worker) Profile() Profile {
	var p Profile
	if json.Unmarshal([]byte(w.Attributes), &p) != nil {
		p = Profile{}
	}
	if p.Email == "" {
		p.Email = w.FriendlyName
	}
	if len(p.Roles) == 0 {
		p.Roles = []string{"agent"}
	}
	return p
}

// Changed returns a copy of the worker to be changed, one version on.
func (w *Worker) Changed(now time.Time) *Worker {
	c := *w
	c.Version++
	c.Updated = now.Truncate(time.Second)
	return &c
}

func (w *Worker) id() string { return "worker/" + w.SID }

// WorkerChange tells of a worker whose record was replaced. Without Was it is
// new, without Is it is gone.
type WorkerChange struct {
	Space    *Space
	Was, Is  *Worker
	Capacity bool // the worker's capacity is said to have changed, which is in no record
}

// Space is a workspace with what is in it.
type Space struct {
	Workspace
	Activities *Table[*Activity]
	Workers    []*Worker // by Seq
	bySID      map[string]*Worker
	byName     map[string]*Worker // by folded friendly name
}

// Fold maps names that TaskRouter holds to be equal to the same text.
func Fold(name string) string { return strings.ToLower(name) }

func newSpace(w Workspace) *Space {
	return &Space{Workspace: w, Activities: newTable[Activity]("activity"), bySID: map[string]*Worker{}, byName: map[string]*Worker{}}
}

func (sp *Space) id() string { return "workspace/" + sp.SID }

// Space finds a workspace, or returns nil.
func (c *content) Space(sid string) *Space {
	for _, sp := range c.Workspaces {
		if sp.SID == sid {
			return sp
		}
	}
	return nil
}

// FlexSpace is the workspace that Flex uses.
func (c *content) FlexSpace() *Space { return c.Space(c.Meta.Account.WorkspaceSID) }

// Worker finds a worker in any workspace, or returns nil.
func (c *content) Worker(sid string) (*Space, *Worker) {
	for _, sp := range c.Workspaces {
		if w := sp.bySID[sid]; w != nil {
			return sp, w
		}
	}
	return nil, nil
}

// Set replaces the stored part.
func (sp *Space) Set(w Workspace) Change {
	return Change{id: sp.id(), value: w, apply: func() { sp.Workspace = w }}
}

// Frozen returns a copy that keeps its activities and the list of its workers
// when the lock is given back. It finds no worker.
func (sp *Space) Frozen() *Space {
	activities := *sp.Activities
	return &Space{Workspace: sp.Workspace, Activities: &activities, Workers: slices.Clone(sp.Workers)}
}

// Activity finds an activity of the workspace, or returns nil.
func (sp *Space) Activity(sid string) *Activity { return sp.Activities.Find(sid) }

// ActivityNamed finds an activity by its exact name, or returns nil.
func (sp *Space) ActivityNamed(name string) *Activity {
	for _, a := range sp.Activities.rows {
		if a.FriendlyName == name {
			return a
		}
	}
	return nil
}

// NewActivity makes an activity, which AddActivity would add.
func (c *content) newActivity(workspace string, a SeedActivity, now time.Time) *Activity {
	return &Activity{Object: c.Next("WA", now), Workspace: workspace, FriendlyName: a.FriendlyName, Available: a.Available}
}

// NewWorker makes a worker for AddWorker.
func (c *content) NewWorker(workspace, name, activity, attributes string, now time.Time) *Worker {
	w := &Worker{Object: c.Next("WK", now), Workspace: workspace, FriendlyName: name, Activity: activity, Attributes: attributes}
	w.StatusChanged = w.Created
	return w
}

// Worker finds a worker of the workspace, or returns nil.
func (sp *Space) Worker(sid string) *Worker { return sp.bySID[sid] }

// WorkerNamed finds a worker by its name in any case, or returns nil.
func (sp *Space) WorkerNamed(name string) *Worker { return sp.byName[Fold(name)] }

// AddWorker puts a new worker behind the others.
func (sp *Space) AddWorker(w *Worker) Change {
	return Change{id: w.id(), value: w, apply: func() { sp.add(w) }, told: &WorkerChange{Space: sp, Is: w}}
}

// SetWorker replaces the worker of the same SID. It writes into the list of
// workers, which is why readers copy that under the lock.
func (sp *Space) SetWorker(w *Worker, capacity bool) Change {
	was := sp.bySID[w.SID]
	return Change{id: w.id(), value: w, told: &WorkerChange{Space: sp, Was: was, Is: w, Capacity: capacity}, apply: func() {
		delete(sp.byName, Fold(was.FriendlyName))
		sp.Workers[sp.index(w)] = w
		sp.bySID[w.SID] = w
		sp.byName[Fold(w.FriendlyName)] = w
	}}
}

// RemoveWorker takes the worker out.
func (sp *Space) RemoveWorker(w *Worker) Change {
	return Change{id: w.id(), told: &WorkerChange{Space: sp, Was: w}, apply: func() {
		i := sp.index(w)
		sp.Workers = slices.Delete(sp.Workers, i, i+1)
		delete(sp.bySID, w.SID)
		delete(sp.byName, Fold(w.FriendlyName))
	}}
}

func (sp *Space) add(w *Worker) {
	sp.Workers = append(sp.Workers, w)
	sp.bySID[w.SID] = w
	sp.byName[Fold(w.FriendlyName)] = w
}

func (sp *Space) index(w *Worker) int {
	i, _ := slices.BinarySearchFunc(sp.Workers, w.Seq, func(x *Worker, seq uint64) int { return cmp.Compare(x.Seq, seq) })
	return i
}
