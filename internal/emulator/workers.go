//go:build ignore

package emulator

import (
	"strings"
	"time"

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
	e.mu.RLock()
	defer e.mu.RUnlock()
	sp := e.st.space(e.st.meta.Account.WorkspaceSID)
	w := sp.bySID[name]
	if w == nil {
		w = sp.byName[fold(name)]
	}
	if w == nil {
		return Agent{}, problem.New(problem.NotFound, "the emulated account has no worker %q", name)
	}
	return sp.agent(w), nil
}

// Agents returns every worker of the Flex workspace, oldest first.
func (e *Emulator) Agents() []Agent {
	e.mu.RLock()
	defer e.mu.RUnlock()
	sp := e.st.space(e.st.meta.Account.WorkspaceSID)
	all := make([]Agent, len(sp.workers))
	for i, w := range sp.workers {
		all[i] = sp.agent(w)
	}
	return all
}

func (sp *space) agent(w *worker) Agent {
	at, a := sp.activity(w.Activity), w.agent()
	return Agent{
		SID: w.SID, FriendlyName: w.FriendlyName, Attributes: w.Attributes, Version: w.Version,
		ActivitySID: at.SID, ActivityName: at.FriendlyName, Available: at.Available,
		Created: w.Created, Updated: w.Updated, StatusChanged: w.StatusChanged,
		FlexUserSID: w.flexUser(), Identity: EncodeIdentity(a.Email), Email: a.Email, Roles: a.Roles,
	}
}

// Login returns whose token that is, or Twilio's code and message of why it is
// nobody's.
func (e *Emulator) Login(token string) (login Login, code int, why string) {
	now := e.Now()
	e.mu.RLock()
	defer e.mu.RUnlock()
	h, code, why := e.look(token, now)
	if code != 0 {
		return Login{}, code, why
	}
	sp, w := e.st.worker(h.worker.SID)
	return Login{sp.agent(w), h.expires}, 0, ""
}

// ChangeAgent does what the agent desktop asks for, under the rules of the REST
// API: attributes that it refuses are problem.AttributesInvalid, an unknown
// worker or activity is problem.NotFound.
func (e *Emulator) ChangeAgent(workerSID string, c AgentChange) (Agent, error) {
	if c.Attributes != nil {
		if rep, ok := checkAttributes(*c.Attributes); !ok {
			return Agent{}, problem.New(problem.AttributesInvalid, "%s", rep.body.(apiError).Message)
		}
	}
	if c.Activity != nil {
		e.mu.RLock()
		known := e.st.space(e.st.meta.Account.WorkspaceSID).activity(*c.Activity) != nil
		e.mu.RUnlock()
		if !known {
			return Agent{}, problem.New(problem.NotFound, "no activity %s is in the workspace", *c.Activity)
		}
	}
	err := e.change(workerSID, "", func(w *worker) {
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

// Watch has tell called with the SID of every worker that is created, changed
// or deleted, by whomever, and with "" when all may have changed. The emulator
// is locked meanwhile: tell must neither wait nor ask it anything. Watch is
// called before the emulator serves.
func (e *Emulator) Watch(tell func(workerSID string)) { e.watchers = append(e.watchers, tell) }

func (e *Emulator) tellWatchers(id string) {
	sid, ok := strings.CutPrefix(id, "worker/")
	if !ok {
		return
	}
	for _, tell := range e.watchers {
		tell(sid)
	}
}

// FlexConfiguration returns Flex's configuration, as GET /v1/Configuration does.
func (e *Emulator) FlexConfiguration() map[string]any {
	c := &call{Emulator: e, host: "flex-api.twilio.com", account: e.Account()}
	e.mu.RLock()
	defer e.mu.RUnlock()
	return c.configuration()
}
