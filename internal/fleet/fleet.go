// Package fleet knows where calls ring now: it folds listings, fetches and pushed
// events into one picture of the workers and judges which of them have drifted, for
// watch, doctor and serve alike. It changes no worker and draws nothing: mending is
// a run of internal/workers, and the browsers of a roll-out are internal/rollout's.
package fleet

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/twilio"
)

// Event is a change of one worker as Twilio pushes it: possibly late, more than
// once, after a later one, or never. Its JSON form is what goes over
// server-sent events.
type Event struct {
	WorkerSID string           `json:"worker_sid"`
	Kind      twilio.EventKind `json:"kind"`
	At        time.Time        `json:"at"`                // Twilio's time of the change, to the millisecond where it says so
	Version   int64            `json:"version,omitempty"` // WorkerVersion, which grows with each change of the worker; 0 when not said

	// What the worker is after the change. What an event does not say is left
	// empty, and then looked up.
	Name         string  `json:"name,omitempty"`
	ActivitySID  string  `json:"activity_sid,omitempty"`
	ActivityName string  `json:"activity_name,omitempty"`
	Available    bool    `json:"available,omitempty"`
	Attributes   *string `json:"attributes,omitempty"` // the whole text
}

// whole reports whether nothing has to be looked up.
func (e Event) whole() bool { return e.Name != "" && e.ActivitySID != "" && e.Attributes != nil }

// Row is a worker as the watch shows it.
type Row struct {
	SID, Name    string
	ActivitySID  string
	ActivityName string
	Available    bool
	Facts        Facts
	State        State
	Since        time.Time // when it came into this state, as far as is known; zero otherwise
}

// Difference is a change of one worker that is worth telling: its state, its
// contact URI, its flag or its activity.
type Difference struct {
	SID, Name string
	At        time.Time // Twilio's time of it
	Seen      time.Time // when it became known here
	From, To  Look
	Gone      bool // the worker was deleted: To is empty
	New       bool // the worker was created: From is empty
}

// Look is a worker's part of a Difference.
type Look struct {
	State      State
	Flag       attributes.Flag
	ContactURI string
	Activity   string
}

// StateChanged reports whether the change is one of state.
func (d Difference) StateChanged() bool { return d.From.State != d.To.State }

// Fleet is the workers of a workspace, put together from listings, fetches and
// pushed events. It is for one goroutine.
//
// A listing tells all there is, but its rows carry no version and a date to the
// second, and it takes a while. An event is fast, but may come late, twice, out
// of order or not at all. Three rules make one picture of both:
//
//   - among events of a worker the higher version wins;
//   - what was read from Twilio after an event arrived wins over that event,
//     unless its date is older: then the listing lags behind;
//   - whatever these leave open is in doubt, and a fetch settles it.
//
// So after a sweep, and the fetches of what is then in doubt, the picture is
// that of a fresh listing, whatever the events did.
type Fleet struct {
	rules Rules
	now   func() time.Time

	members map[string]*tracked
	graves  map[string]grave
	doubts  map[string]bool
	tick    uint64 // grows with each event and each mark
	read    int    // members whose attributes are known
	names   map[string]string
	swept   bool // a listing has come to its end

	changed     map[string]bool
	gone        []string
	differences []Difference
}

// tracked is a worker in the fleet. Its attributes are not kept.
type tracked struct {
	worker twilio.Worker // without attributes
	facts  Facts         // Flag is empty until the attributes were read
	state  State
	since  time.Time

	version int64     // the highest of an event, never of an ETag: they need not be the same numbers
	heard   uint64    // tick of the event that it is from; 0 when it was read
	at      time.Time // Twilio's time of what is held
	sweep   uint64    // the last listing that had it
	seen    uint64    // tick of the last look at it
	known   bool      // it was there before the first listing ended: not a new worker

	dated  time.Time // by our clock: when the current date was first seen
	looked time.Time // by our clock: when the look began that read the attributes
}

// grave remembers that a worker is gone. SIDs are never used again.
type grave struct {
	heard   uint64
	byEvent bool
}

// settling is how long after a date was seen a read is sure to show all that
// happened in that second.
const settling = 2 * time.Second

// NewFleet returns an empty fleet. The clock is this machine's.
func New(rules Rules, now func() time.Time) *Fleet {
	return &Fleet{
		rules: rules, now: now,
		members: map[string]*tracked{}, graves: map[string]grave{}, doubts: map[string]bool{},
		names: map[string]string{}, changed: map[string]bool{},
	}
}

// Mark is a moment between events. A read counts from the moment it was asked
// for, so the mark is taken before the request.
type Mark struct {
	tick uint64
	at   time.Time
}

// Mark returns this moment.
func (f *Fleet) Mark() Mark {
	f.tick++
	return Mark{f.tick, f.now()}
}

// Listed takes in a row of the listing that began at sweep. page is the moment
// the row's page was asked for.
func (f *Fleet) Listed(sweep, page Mark, w twilio.Worker) {
	m := f.members[w.SID]
	if m == nil {
		if g, dead := f.graves[w.SID]; dead && g.byEvent {
			// Either the listing lags behind or the event was about something
			// else: only a fetch knows.
			f.doubt(w.SID)
			return
		}
		m = f.add(w.SID)
	}
	m.sweep = sweep.tick
	same := m.at.Truncate(time.Second).Equal(w.DateUpdated)
	if m.heard != 0 && !f.newer(m, page, w) {
		if !f.agrees(m, w) {
			f.doubt(w.SID)
		}
		return
	}
	if w.Attributes == nil && !(same && m.facts.Flag != "" && m.looked.Sub(m.dated) >= settling) {
		f.doubt(w.SID)
	}
	f.take(m, page, w)
}

// newer reports whether a row of a listing is newer than the event that m is
// from.
func (f *Fleet) newer(m *tracked, page Mark, w twilio.Worker) bool {
	second := m.at.Truncate(time.Second)
	if m.heard > page.tick {
		return w.DateUpdated.After(second)
	}
	return !w.DateUpdated.Before(second)
}

// agrees reports whether a row says what is held.
func (f *Fleet) agrees(m *tracked, w twilio.Worker) bool {
	return w.Attributes != nil && f.rules.Facts(w) == m.facts && w.FriendlyName == m.worker.FriendlyName &&
		w.ActivitySID == m.worker.ActivitySID && w.Available == m.worker.Available
}

// Swept ends the listing that began at sweep: workers it did not list are gone.
func (f *Fleet) Swept(sweep Mark) {
	for sid, m := range f.members {
		switch {
		case m.sweep == sweep.tick:
		case m.seen > sweep.tick: // fetched since: created after its page was read
		case m.heard > sweep.tick:
			f.doubt(sid)
		default:
			f.remove(sid, grave{heard: sweep.tick}, f.now())
		}
	}
	f.swept = true
}

// Fetched takes in a single worker that was asked for at asked.
func (f *Fleet) Fetched(asked Mark, w twilio.Worker) {
	m := f.members[w.SID]
	if m == nil {
		if g := f.graves[w.SID]; g.heard > asked.tick {
			return // deleted while the answer was on its way
		}
		m = f.add(w.SID)
	}
	if m.heard > asked.tick && !w.DateUpdated.After(m.at.Truncate(time.Second)) && !f.agrees(m, w) {
		return // an event came meanwhile: still in doubt
	}
	delete(f.doubts, w.SID)
	f.take(m, asked, w)
}

// Missing says that a worker asked for at asked does not exist.
func (f *Fleet) Missing(asked Mark, sid string) {
	if m := f.members[sid]; m != nil && m.heard > asked.tick {
		return
	}
	delete(f.doubts, sid)
	f.remove(sid, grave{heard: asked.tick, byEvent: true}, f.now())
}

// Doubts returns the SIDs of workers that have to be fetched to be sure of
// them, in no order.
func (f *Fleet) Doubts() []string {
	return slices.Collect(maps.Keys(f.doubts))
}

// Unread is how many workers are known by name only, and how many there are.
func (f *Fleet) Unread() (unread, total int) {
	return len(f.members) - f.read, len(f.members)
}

// Apply takes in a pushed event.
func (f *Fleet) Apply(e Event) {
	f.tick++
	if e.WorkerSID == "" {
		return
	}
	if e.Kind == twilio.EventDeleted {
		f.remove(e.WorkerSID, grave{heard: f.tick, byEvent: true}, e.At)
		delete(f.doubts, e.WorkerSID)
		return
	}
	m := f.members[e.WorkerSID]
	if m == nil {
		g, dead := f.graves[e.WorkerSID]
		switch {
		case dead && g.byEvent: // late
			return
		case dead || e.Kind != twilio.EventCreated || e.Attributes == nil:
			// It may have been deleted before we began to watch: Twilio tries
			// to deliver an event for hours.
			f.doubt(e.WorkerSID)
			return
		}
		m = f.add(e.WorkerSID)
	}
	switch second, held := e.At.Truncate(time.Second), m.at.Truncate(time.Second); {
	case e.Version > 0 && e.Version <= m.version:
		return // twice, or overtaken by a later event
	case m.heard != 0 && e.Version > 0 && m.version > 0: // later
	case m.heard != 0 && !e.At.After(m.at):
		if e.At.Equal(m.at) {
			f.doubt(e.WorkerSID)
		}
		return
	case m.heard == 0 && second.Before(held):
		m.version = max(m.version, e.Version)
		return
	case m.heard == 0 && second.Equal(held):
		m.version = max(m.version, e.Version)
		if m.looked.Sub(m.dated) < settling {
			// Of the same second as what was read: before it or after it.
			f.doubt(e.WorkerSID)
		}
		return
	}
	f.hear(m, e)
}

// hear makes m what e says.
func (f *Fleet) hear(m *tracked, e Event) {
	m.version = max(m.version, e.Version)
	m.heard, m.at, m.dated, m.looked = f.tick, e.At, f.now(), time.Time{}
	w := m.worker
	w.DateUpdated = e.At.Truncate(time.Second)
	if e.Name != "" {
		w.FriendlyName = e.Name
	}
	if e.ActivitySID != "" {
		if e.ActivitySID != w.ActivitySID {
			w.StatusChanged = w.DateUpdated
		}
		w.ActivitySID, w.ActivityName, w.Available = e.ActivitySID, e.ActivityName, e.Available
	}
	w.Attributes = e.Attributes
	if !e.whole() {
		f.doubt(w.SID)
	}
	f.become(m, w, e.At)
}

// take makes m what was read from Twilio by a look that began at mark.
func (f *Fleet) take(m *tracked, mark Mark, w twilio.Worker) {
	if m.heard != 0 || !m.at.Equal(w.DateUpdated) {
		m.dated = f.now()
	}
	m.heard, m.at, m.seen = 0, w.DateUpdated, mark.tick
	if w.Attributes != nil {
		m.looked = mark.at
	}
	at := w.DateUpdated
	if at.IsZero() {
		at = f.now()
	}
	f.become(m, w, at)
}

func (f *Fleet) add(sid string) *tracked {
	delete(f.graves, sid)
	m := &tracked{worker: twilio.Worker{SID: sid}, known: !f.swept}
	f.members[sid] = m
	return m
}

// become judges m anew, as w, and notes what is different. Attributes that w
// does not have are as they were.
func (f *Fleet) become(m *tracked, w twilio.Worker, at time.Time) {
	before, was, look := m.facts, m.worker, m.look()
	if w.Attributes != nil {
		m.facts = f.rules.Facts(w)
		keep(&m.facts.ContactURI, before.ContactURI)
	}
	w.Attributes, w.ETag = nil, ""
	w.ActivityName, w.ActivitySID = f.name(w.ActivityName), f.name(w.ActivitySID)
	keep(&w.SID, was.SID)
	keep(&w.FriendlyName, was.FriendlyName)
	m.worker = w
	if m.facts.Flag == "" {
		return // nothing to judge yet
	}
	first := before.Flag == ""
	if first {
		f.read++
	}
	m.state = f.rules.Judge(m.facts, w)
	if m.state != look.State {
		m.since = at
	}
	now := m.look()
	if now == look && was.FriendlyName == w.FriendlyName {
		return
	}
	f.changed[w.SID] = true
	if now != look && !(first && m.known) {
		f.differences = append(f.differences, Difference{
			SID: w.SID, Name: w.FriendlyName, At: at, Seen: f.now(), From: look, To: now, New: first,
		})
	}
}

func (m *tracked) look() Look {
	if m.facts.Flag == "" {
		return Look{}
	}
	return Look{m.state, m.facts.Flag, m.facts.ContactURI, m.worker.ActivityName}
}

// keep lets an equal text that is held already stand for the new one, so that
// the answer it came in can be freed.
func keep(text *string, held string) {
	if *text == held {
		*text = held
	}
}

// name keeps one copy of each activity's name and SID.
func (f *Fleet) name(text string) string {
	if kept, ok := f.names[text]; ok {
		return kept
	}
	f.names[text] = text
	return text
}

func (f *Fleet) doubt(sid string) { f.doubts[sid] = true }

func (f *Fleet) remove(sid string, g grave, at time.Time) {
	m := f.members[sid]
	f.graves[sid] = g
	if m == nil {
		return
	}
	delete(f.members, sid)
	delete(f.doubts, sid)
	delete(f.changed, sid)
	if m.facts.Flag == "" {
		return
	}
	f.read--
	f.gone = append(f.gone, sid)
	f.differences = append(f.differences, Difference{
		SID: sid, Name: m.worker.FriendlyName, At: at, Seen: f.now(), From: m.look(), Gone: true,
	})
}

// Plugin says whether Flex loads the plugin, as of now. All are judged anew when
// that is different.
func (f *Fleet) Plugin(loaded bool) {
	if f.rules.NoPlugin == !loaded {
		return
	}
	f.rules.NoPlugin = !loaded
	for _, m := range f.members {
		f.become(m, m.worker, f.now())
	}
}

// Update is what changed in a fleet.
type Update struct {
	Rows        []Row        // as they are now, by SID
	Gone        []string     // SIDs of those no longer there
	Differences []Difference // in the order they became known
	Status      Status
}

// Take returns what changed since it was last called. The status is not set.
func (f *Fleet) Take() Update {
	u := Update{Gone: f.gone, Differences: f.differences}
	for sid := range f.changed {
		u.Rows = append(u.Rows, f.members[sid].row())
	}
	slices.SortFunc(u.Rows, func(a, b Row) int { return cmp.Compare(a.SID, b.SID) })
	clear(f.changed)
	f.gone, f.differences = nil, nil
	return u
}

func (m *tracked) row() Row {
	return Row{
		SID: m.worker.SID, Name: m.worker.FriendlyName,
		ActivitySID: m.worker.ActivitySID, ActivityName: m.worker.ActivityName, Available: m.worker.Available,
		Facts: m.facts, State: m.state, Since: m.since,
	}
}
