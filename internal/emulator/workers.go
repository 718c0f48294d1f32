package emulator

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/flexvc/flexvc/internal/emulator/store"
	"github.com/flexvc/flexvc/internal/problem"
)

// Agent is a worker of the Flex workspace as the agent desktop shows it.
type Agent struct {
	SID           string
	FriendlyName  string
	Attributes    string // the text exactly as it is stored
	Version       int64
	ActivitySID   string
	ActivityName  string
	Available     bool // by its activity
	Created       time.Time
	Updated       time.Time
	StatusChanged time.Time

	FlexUserSID string
	Identity    string // of the Flex user, and of the voice client in the tab
	Email       string
	Roles       []string
}

// Login is what a good Flex token stands for.
type Login struct {
	Agent
	Expires time.Time
}

// AgentChange is what the agent desktop changes of a worker; nil leaves a field.
type AgentChange struct {
	Attributes *string
	Activity   *string // its SID
}

// Agent finds a worker of the Flex workspace by SID or, whatever the case of its
// letters, by friendly name. An unknown one is problem.NotFound.
func (e *Emulator) Agent(name string) (Agent, error) {
	e.store.RLock()
	defer e.store.RUnlock()
	sp := e.store.FlexSpace()
	w := sp.Worker(name)
	if w == nil {
		w = sp.WorkerNamed(name)
	}
	if w == nil {
		return Agent{}, problem.New(problem.NotFound, "the emulated account has no worker %q", name)
	}
	return agent(sp, w), nil
}

// Agents returns every worker of the Flex workspace, oldest first.
func (e *Emulator) Agents() []Agent {
	e.store.RLock()
	defer e.store.RUnlock()
	sp := e.store.FlexSpace()
	all := make([]Agent, len(sp.Workers))
	for i, w := range sp.Workers {
		all[i] = agent(sp, w)
	}
	return all
}

func agent(sp *store.Space, w *store.Worker) Agent {
	at, a := sp.Activity(w.Activity), w.Profile()
	return Agent{
		SID: w.SID, FriendlyName: w.FriendlyName, Attributes: w.Attributes, Version: w.Version,
		ActivitySID: at.SID, ActivityName: at.FriendlyName, Available: at.Available,
		Created: w.Created, Updated: w.Updated, StatusChanged: w.StatusChanged,
		FlexUserSID: w.FlexUserSID(), Identity: store.EncodeIdentity(a.Email), Email: a.Email, Roles: a.Roles,
	}
}

// Login returns whose token that is, or Twilio's code and message of why it is
// nobody's.
func (e *Emulator) Login(token string) (login Login, code int, why string) {
	now := e.Now()
	e.store.RLock()
	defer e.store.RUnlock()
	h, code, why := holder(e.store, token, now)
	if code != 0 {
		return Login{}, code, why
	}
	sp, w := e.store.Worker(h.Worker.SID)
	return Login{agent(sp, w), h.Expires}, 0, ""
}

// ChangeAgent does what the agent desktop asks for, under the rules of the REST
// API: attributes that it refuses are problem.AttributesInvalid, an unknown
// worker or activity is problem.NotFound.
func (e *Emulator) ChangeAgent(workerSID string, c AgentChange) (Agent, error) {
	if c.Attributes != nil {
		if no := CheckAttributes(*c.Attributes); no != nil {
			return Agent{}, problem.New(problem.AttributesInvalid, "%s", no.body.(apiError).Message)
		}
	}
	if c.Activity != nil {
		e.store.RLock()
		known := e.store.FlexSpace().Activity(*c.Activity) != nil
		e.store.RUnlock()
		if !known {
			return Agent{}, problem.New(problem.NotFound, "no activity %s is in the workspace", *c.Activity)
		}
	}
	err := e.change(workerSID, false, func(w *store.Worker) {
		if c.Attributes != nil {
			w.Attributes = *c.Attributes
		}
		if c.Activity != nil && *c.Activity != w.Activity {
			w.Activity, w.StatusChanged = *c.Activity, w.Updated
		}
	})
	if err != nil {
		return Agent{}, err
	}
	return e.Agent(workerSID)
}

// FlexConfiguration returns Flex's configuration, as GET /v1/Configuration does.
func (e *Emulator) FlexConfiguration() map[string]any {
	e.store.RLock()
	defer e.store.RUnlock()
	return e.store.FlexConfiguration("https://flex-api.twilio.com")
}

// WorkerState is one worker, with its attributes text exactly as it is stored.
type WorkerState struct {
	SID          string `json:"sid"`
	FriendlyName string `json:"friendly_name"`
	Activity     string `json:"activity"` // its name
	Attributes   string `json:"attributes"`
	ETag         string `json:"etag"`
}

// ActivityState is one activity.
type ActivityState struct {
	SID          string `json:"sid"`
	FriendlyName string `json:"friendly_name"`
	Available    bool   `json:"available"`
}

// KeyState is one API key without its secret.
type KeyState struct {
	SID          string        `json:"sid"`
	FriendlyName string        `json:"friendly_name"`
	Type         store.KeyType `json:"type"`
}

// State is what the Flex workspace and the account hold, oldest first, without
// secrets.
type State struct {
	Now        time.Time       `json:"now"`
	Workers    []WorkerState   `json:"workers"`
	Activities []ActivityState `json:"activities"`
	Keys       []KeyState      `json:"keys"`
}

// Export returns the state.
func (e *Emulator) Export() State {
	s := State{Now: e.Now()}
	e.store.RLock()
	defer e.store.RUnlock()
	sp := e.store.FlexSpace()
	for _, w := range sp.Workers {
		s.Workers = append(s.Workers, stateOf(sp, w))
	}
	for _, a := range sp.Activities.Rows() {
		s.Activities = append(s.Activities, ActivityState{a.SID, a.FriendlyName, a.Available})
	}
	for _, k := range e.store.Keys.Rows() {
		s.Keys = append(s.Keys, KeyState{k.SID, k.FriendlyName, k.Type})
	}
	return s
}

// ExportWorkers returns every worker of the Flex workspace, oldest first.
func (e *Emulator) ExportWorkers() []WorkerState {
	e.store.RLock()
	defer e.store.RUnlock()
	sp := e.store.FlexSpace()
	all := make([]WorkerState, len(sp.Workers))
	for i, w := range sp.Workers {
		all[i] = stateOf(sp, w)
	}
	return all
}

func stateOf(sp *store.Space, w *store.Worker) WorkerState {
	return WorkerState{SID: w.SID, FriendlyName: w.FriendlyName, Activity: sp.Activity(w.Activity).FriendlyName, Attributes: w.Attributes, ETag: w.ETag()}
}

// Bump raises a worker's ETag as a reservation or a change of capacity does,
// which leave the attributes alone. An unknown worker is problem.NotFound.
func (e *Emulator) Bump(workerSID string) error {
	return e.change(workerSID, true, func(*store.Worker) {})
}

// Edit replaces a worker's attributes behind the API's back, by any text. An
// unknown worker is problem.NotFound.
func (e *Emulator) Edit(workerSID, attributes string) error {
	return e.change(workerSID, false, func(w *store.Worker) { w.Attributes = attributes })
}

// change replaces a worker by an edited copy.
func (e *Emulator) change(workerSID string, capacity bool, how func(*store.Worker)) error {
	now := e.Now()
	e.store.Lock()
	defer e.store.Unlock()
	sp, w := e.store.Worker(workerSID)
	if w == nil {
		return problem.New(problem.NotFound, "cannot change worker %s: it does not exist", workerSID)
	}
	changed := w.Changed(now)
	how(changed)
	if err := e.store.Write(sp.SetWorker(changed, capacity)); err != nil {
		return problem.New(problem.StateUnwritable, "cannot write the emulator's data: %w", err)
	}
	return nil
}

// MaxAttributes is TaskRouter's limit, in characters.
// https://www.twilio.com/docs/taskrouter/limits
const MaxAttributes = 4096

// CheckAttributes refuses what is no JSON and what is too long.
func CheckAttributes(text string) *Reply {
	switch n := utf8.RuneCountInString(text); {
	case !json.Valid([]byte(text)):
		return Invalid("Attributes is not valid JSON")
	case n > MaxAttributes:
		return Invalid("Attributes has %d characters, the limit is %d", n, MaxAttributes)
	}
	return nil
}

// Conferences are the calls of Flex's agents, as the 2010 API has them. They
// live in Flex UI's back end.
type Conferences interface {
	// Participants are those who are in a conference; false if there is none.
	Participants(conference string) ([]Participant, bool)
	// ChangeParticipant is problem.NotFound without the one, problem.Usage when
	// the change makes no sense.
	ChangeParticipant(conference, call string, c ParticipantChange) (Participant, error)
}

// Participant is one who is in a conference.
type Participant struct {
	CallSID   string
	Muted     bool
	Hold      bool
	EndOnExit bool
	Coaches   string // SID of the call that alone hears it; empty is everybody
}

// ParticipantChange is what is changed of a participant; nil leaves a field.
type ParticipantChange struct {
	Muted     *bool
	Hold      *bool
	EndOnExit *bool
	Coaching  *bool
	Coaches   *string
	Leave     bool // ends the call
}

// HasConferences says who has the conferences. It is called before the emulator
// serves.
func (e *Emulator) HasConferences(c Conferences) { e.conferences = c }

// Conferences of the account; nil without Flex UI's back end.
func (c *Call) Conferences() Conferences { return c.e.conferences }
