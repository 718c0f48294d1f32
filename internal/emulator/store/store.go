//go:build ignore

package emulator

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/flexvc/flexvc/internal/problem"
)

// state is the account. Records are never changed once they are in it: a change
// stores a copy, on disk first, so that readers need the lock only to pick the
// pointers up. The Emulator's mutex guards all of it.
type state struct {
	db      *bbolt.DB       // nil in memory
	changed func(id string) // told of every record that was written; may be nil

	meta       meta
	workspaces []*space
	keys       []*key            // by Seq
	tokens     map[string]*token // by hash of the token

	sinks         []*sink         // by Seq
	subscriptions []*subscription // by Seq
	hosting
}

// meta is what there is one of.
type meta struct {
	Account     Account                    `json:"account"`
	AccountName string                     `json:"account_name"`
	Created     time.Time                  `json:"created"`
	Origin      origin                     `json:"origin"`
	Flex        map[string]json.RawMessage `json:"flex"` // what POST /v1/Configuration changed
	FlexUpdated time.Time                  `json:"flex_updated"`
	Seq         uint64                     `json:"seq"` // objects made so far, over all kinds
}

// workspace is the stored part of a space.
type workspace struct {
	SID              string    `json:"sid"`
	Seq              uint64    `json:"seq"`
	FriendlyName     string    `json:"friendly_name"`
	DefaultActivity  string    `json:"default_activity"`
	TimeoutActivity  string    `json:"timeout_activity"`
	EventCallbackURL string    `json:"event_callback_url"`
	EventsFilter     string    `json:"events_filter"`
	MultiTask        bool      `json:"multi_task"`
	QueueOrder       string    `json:"queue_order"`
	Created          time.Time `json:"created"`
	Updated          time.Time `json:"updated"`
}

type activity struct {
	SID          string    `json:"sid"`
	Seq          uint64    `json:"seq"`
	Workspace    string    `json:"workspace"`
	FriendlyName string    `json:"friendly_name"`
	Available    bool      `json:"available"`
	Created      time.Time `json:"created"`
	Updated      time.Time `json:"updated"`
}

type worker struct {
	SID           string    `json:"sid"`
	Seq           uint64    `json:"seq"`
	Workspace     string    `json:"workspace"`
	FriendlyName  string    `json:"friendly_name"`
	Activity      string    `json:"activity"`
	Attributes    string    `json:"attributes"`
	FlexUser      bool      `json:"flex_user"`
	Version       int64     `json:"version"`
	Created       time.Time `json:"created"`
	Updated       time.Time `json:"updated"`
	StatusChanged time.Time `json:"status_changed"`
}

func (w *worker) etag() string { return fmt.Sprintf("%q", fmt.Sprint(w.Version)) }

// flexUser returns the SID of the Flex user tied to the worker.
func (w *worker) flexUser() string { return "FU" + w.SID[2:] }

// KeyType says what an API key may do.
type KeyType string

// The three types of API keys. https://www.twilio.com/docs/iam/api-keys
const (
	KeyMain       KeyType = "main"       // everything
	KeyStandard   KeyType = "standard"   // everything but /Accounts and /Keys
	KeyRestricted KeyType = "restricted" // what its policy allows
)

type key struct {
	SID          string          `json:"sid"`
	Seq          uint64          `json:"seq"`
	FriendlyName string          `json:"friendly_name"`
	Type         KeyType         `json:"type"`
	Policy       json.RawMessage `json:"policy,omitempty"`
	Secret       string          `json:"secret"`
	Created      time.Time       `json:"created"`
	Updated      time.Time       `json:"updated"`
}

type token struct {
	Hash    string    `json:"hash"`
	Worker  string    `json:"worker"`
	Expires time.Time `json:"expires"`
}

// space is a workspace with what is in it.
type space struct {
	workspace
	activities []*activity // by Seq
	workers    []*worker   // by Seq
	bySID      map[string]*worker
	byName     map[string]*worker // by folded friendly name
}

// fold maps names that TaskRouter holds to be equal to the same text.
func fold(name string) string { return strings.ToLower(name) }

// record is one entry of the data file. A nil value deletes it.
type record struct {
	id    string
	value any
}

func (m meta) record() record       { return record{"meta", m} }
func (w workspace) record() record  { return record{"workspace/" + w.SID, w} }
func (a *activity) record() record  { return record{"activity/" + a.SID, a} }
func (w *worker) record() record    { return record{"worker/" + w.SID, w} }
func (k *key) record() record       { return record{"key/" + k.SID, k} }
func (t *token) record() record     { return record{"token/" + t.Hash, t} }
func forget(kind, id string) record { return record{kind + "/" + id, nil} }

var bucket = []byte("account")

// openState reads the data folder, or makes the state that opts ask for.
func openState(opts Options, now time.Time) (*state, error) {
	s := &state{}
	if opts.DataDir != "" {
		if err := s.open(opts.DataDir); err != nil {
			return nil, err
		}
		found, err := s.load()
		if err != nil {
			_ = s.close()
			return nil, problem.New(problem.StateUnreadable, "cannot read the emulator's data in %s: %w", opts.DataDir, err).
				WithHint("remove the folder to start anew")
		}
		if found {
			return s, nil
		}
	}
	s.meta.Account = Account{
		SID:             makeSID("AC", opts.SeedValue, 0),
		AuthToken:       makeSecret("AuthToken", opts.SeedValue),
		KeySID:          makeSID("SK", opts.SeedValue, 0),
		KeySecret:       makeSecret("KeySecret", opts.SeedValue, 0),
		WorkspaceSID:    makeSID("WS", opts.SeedValue, 0),
		FlexInstanceSID: makeSID("GO", opts.SeedValue, 0),
	}
	if err := s.replace(origin{Seed: opts.Seed, Agents: opts.Agents, SeedValue: opts.SeedValue}, now); err != nil {
		_ = s.close()
		return nil, err
	}
	return s, nil
}

func (s *state) open(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return problem.New(problem.StateUnwritable, "cannot create the emulator's data folder %s: %w", dir, err)
	}
	// Without fsync a power cut may lose the last writes; the death of the
	// process may not, as the kernel has them. That is enough for a test double
	// and a hundred times faster.
	db, err := bbolt.Open(filepath.Join(dir, "emulator.db"), 0o600, &bbolt.Options{
		Timeout:        500 * time.Millisecond,
		NoSync:         true,
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return problem.New(problem.Locked, "cannot open the emulator's data in %s: another emulator uses it", dir).
			WithHint("stop the other one, or give another folder with --data")
	case err != nil:
		return problem.New(problem.StateUnreadable, "cannot open the emulator's data in %s: %w", dir, err)
	}
	s.db = db
	return nil
}

func (s *state) close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// put writes records in one transaction: all or none. In memory there is
// nothing to write, as the caller then changes the maps.
func (s *state) put(records ...record) error {
	if s.db != nil {
		if err := s.db.Update(func(tx *bbolt.Tx) error { return write(tx, records) }); err != nil {
			return err
		}
	}
	if s.changed != nil {
		for _, r := range records {
			s.changed(r.id)
		}
	}
	return nil
}

func write(tx *bbolt.Tx, records []record) error {
	b, err := tx.CreateBucketIfNotExists(bucket)
	if err != nil {
		return err
	}
	for _, r := range records {
		if r.value == nil {
			if err := b.Delete([]byte(r.id)); err != nil {
				return err
			}
			continue
		}
		data, err := json.Marshal(r.value)
		if err != nil {
			return err
		}
		if err := b.Put([]byte(r.id), data); err != nil {
			return err
		}
	}
	return nil
}

// load reads every record and reports whether there was a state.
func (s *state) load() (found bool, err error) {
	fresh := &state{db: s.db, tokens: map[string]*token{}}
	spaces := map[string]*space{}
	var activities []*activity
	var workers []*worker
	read := func(id string, data []byte) error {
		kind, _, _ := strings.Cut(id, "/")
		switch kind {
		case "meta":
			found = true
			return json.Unmarshal(data, &fresh.meta)
		case "workspace":
			sp := newSpace(workspace{})
			if err := json.Unmarshal(data, &sp.workspace); err != nil {
				return err
			}
			spaces[sp.SID] = sp
			fresh.workspaces = append(fresh.workspaces, sp)
		case "activity":
			return collect(data, &activities)
		case "worker":
			return collect(data, &workers)
		case "key":
			return collect(data, &fresh.keys)
		case "sink":
			return collect(data, &fresh.sinks)
		case "subscription":
			return collect(data, &fresh.subscriptions)
		case "token":
			t := &token{}
			if err := json.Unmarshal(data, t); err != nil {
				return err
			}
			fresh.tokens[t.Hash] = t
		default:
			known, err := fresh.hosting.read(kind, data)
			if err == nil && !known {
				err = fmt.Errorf("unknown record %q", id)
			}
			return err
		}
		return nil
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		if b == nil {
			return nil
		}
		return b.ForEach(func(id, data []byte) error { return read(string(id), data) })
	})
	if err != nil || !found {
		return false, err
	}
	slices.SortFunc(fresh.workspaces, func(a, b *space) int { return cmp.Compare(a.Seq, b.Seq) })
	slices.SortFunc(fresh.keys, func(a, b *key) int { return cmp.Compare(a.Seq, b.Seq) })
	slices.SortFunc(fresh.sinks, func(a, b *sink) int { return cmp.Compare(a.Seq, b.Seq) })
	slices.SortFunc(fresh.subscriptions, func(a, b *subscription) int { return cmp.Compare(a.Seq, b.Seq) })
	fresh.hosting.sort()
	slices.SortFunc(activities, func(a, b *activity) int { return cmp.Compare(a.Seq, b.Seq) })
	slices.SortFunc(workers, func(a, b *worker) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, a := range activities {
		sp := spaces[a.Workspace]
		if sp == nil {
			return false, fmt.Errorf("activity %s is in no workspace", a.SID)
		}
		sp.activities = append(sp.activities, a)
	}
	for _, w := range workers {
		sp := spaces[w.Workspace]
		if sp == nil {
			return false, fmt.Errorf("worker %s is in no workspace", w.SID)
		}
		sp.add(w)
	}
	*s = *fresh
	return true, nil
}

func collect[T any](data []byte, into *[]*T) error {
	v := new(T)
	if err := json.Unmarshal(data, v); err != nil {
		return err
	}
	*into = append(*into, v)
	return nil
}

// replace makes the state that an origin describes, keeping the account. The
// old state stays when that fails.
func (s *state) replace(o origin, now time.Time) error {
	seed, err := o.seed()
	if err != nil {
		return err
	}
	fresh, err := build(s.meta.Account, o, seed, now.UTC().Truncate(time.Second))
	if err != nil {
		return err
	}
	fresh.db, fresh.changed = s.db, s.changed
	if s.db != nil {
		err := s.db.Update(func(tx *bbolt.Tx) error {
			if err := tx.DeleteBucket(bucket); err != nil && !errors.Is(err, bolterrors.ErrBucketNotFound) {
				return err
			}
			return write(tx, fresh.records())
		})
		if err != nil {
			return problem.New(problem.StateUnwritable, "cannot write the emulator's data: %w", err)
		}
	}
	*s = *fresh
	return nil
}

func (s *state) records() []record {
	all := []record{s.meta.record()}
	for _, sp := range s.workspaces {
		all = append(all, sp.workspace.record())
		for _, a := range sp.activities {
			all = append(all, a.record())
		}
		for _, w := range sp.workers {
			all = append(all, w.record())
		}
	}
	for _, k := range s.keys {
		all = append(all, k.record())
	}
	for _, t := range s.tokens {
		all = append(all, t.record())
	}
	for _, x := range s.sinks {
		all = append(all, x.record())
	}
	for _, x := range s.subscriptions {
		all = append(all, x.record())
	}
	return all
}

// build makes a state in memory.
func build(account Account, o origin, seed *Seed, now time.Time) (*state, error) {
	s := &state{tokens: map[string]*token{}}
	s.meta = meta{Account: account, AccountName: cmp.Or(seed.AccountName, "flexvc emulator"), Created: now, Origin: o, FlexUpdated: now}

	s.keys = append(s.keys, &key{
		SID: account.KeySID, Seq: s.next(), FriendlyName: "emulator main key", Type: KeyMain,
		Secret: account.KeySecret, Created: now, Updated: now,
	})
	for _, k := range seed.Keys {
		s.keys = append(s.keys, s.newKey(k.FriendlyName, cmp.Or(k.Type, KeyStandard), nil, now))
	}

	names := seed.Activities
	if len(names) == 0 {
		names = activities
	}
	for i, name := range append([]string{cmp.Or(seed.WorkspaceName, "Flex Task Assignment")}, seed.OtherSpaces...) {
		sid, n := account.WorkspaceSID, s.next()
		if i > 0 {
			sid = makeSID("WS", o.SeedValue, n)
		}
		sp := newSpace(workspace{SID: sid, Seq: n, FriendlyName: name, MultiTask: true, QueueOrder: "FIFO", Created: now, Updated: now})
		for _, a := range names {
			if sp.activityNamed(a.FriendlyName) != nil {
				return nil, problem.New(problem.Usage, "cannot seed two activities named %q", a.FriendlyName)
			}
			sp.activities = append(sp.activities, s.newActivity(sid, a.FriendlyName, a.Available, now))
		}
		sp.DefaultActivity, sp.TimeoutActivity = sp.activities[0].SID, sp.activities[0].SID
		s.workspaces = append(s.workspaces, sp)
	}

	sp := s.workspaces[0]
	if len(seed.Workers) > MaxWorkers {
		return nil, problem.New(problem.Usage, "cannot seed %d workers: a workspace holds at most %d", len(seed.Workers), MaxWorkers)
	}
	for _, sw := range seed.Workers {
		at := sp.activities[0]
		if sw.Activity != "" {
			if at = sp.activityNamed(sw.Activity); at == nil {
				return nil, problem.New(problem.Usage, "cannot seed worker %q: no activity is named %q", sw.FriendlyName, sw.Activity)
			}
		}
		if sp.byName[fold(sw.FriendlyName)] != nil {
			return nil, problem.New(problem.Usage, "cannot seed two workers named %q", sw.FriendlyName)
		}
		w := s.newWorker(sp.SID, sw.FriendlyName, at.SID, string(cmp.Or(sw.Attributes, "{}")), now)
		w.FlexUser, w.Version = !sw.NoFlexUser, sw.Version
		sp.add(w)
	}
	return s, nil
}

func (s *state) next() uint64 {
	s.meta.Seq++
	return s.meta.Seq
}

func (s *state) newKey(name string, kind KeyType, policy json.RawMessage, now time.Time) *key {
	n := s.next()
	return &key{
		SID: makeSID("SK", s.meta.Origin.SeedValue, n), Seq: n, FriendlyName: name, Type: kind, Policy: policy,
		Secret: makeSecret("KeySecret", s.meta.Origin.SeedValue, n), Created: now, Updated: now,
	}
}

func (s *state) newActivity(workspace, name string, available bool, now time.Time) *activity {
	n := s.next()
	return &activity{
		SID: makeSID("WA", s.meta.Origin.SeedValue, n), Seq: n, Workspace: workspace,
		FriendlyName: name, Available: available, Created: now, Updated: now,
	}
}

func (s *state) newWorker(workspace, name, activity, attributes string, now time.Time) *worker {
	n := s.next()
	return &worker{
		SID: makeSID("WK", s.meta.Origin.SeedValue, n), Seq: n, Workspace: workspace, FriendlyName: name,
		Activity: activity, Attributes: attributes, Created: now, Updated: now, StatusChanged: now,
	}
}

func (s *state) space(sid string) *space {
	for _, sp := range s.workspaces {
		if sp.SID == sid {
			return sp
		}
	}
	return nil
}

func (s *state) key(sid string) *key {
	for _, k := range s.keys {
		if k.SID == sid {
			return k
		}
	}
	return nil
}

// worker finds a worker in any workspace.
func (s *state) worker(sid string) (*space, *worker) {
	for _, sp := range s.workspaces {
		if w := sp.bySID[sid]; w != nil {
			return sp, w
		}
	}
	return nil, nil
}

func newSpace(w workspace) *space {
	return &space{workspace: w, bySID: map[string]*worker{}, byName: map[string]*worker{}}
}

func (sp *space) activity(sid string) *activity {
	for _, a := range sp.activities {
		if a.SID == sid {
			return a
		}
	}
	return nil
}

func (sp *space) activityNamed(name string) *activity {
	for _, a := range sp.activities {
		if a.FriendlyName == name {
			return a
		}
	}
	return nil
}

func (sp *space) add(w *worker) {
	sp.workers = append(sp.workers, w)
	sp.bySID[w.SID] = w
	sp.byName[fold(w.FriendlyName)] = w
}

// set replaces the worker of the same SID. It writes into the slice, which is
// why readers copy it under the lock.
func (sp *space) set(w *worker) {
	old := sp.bySID[w.SID]
	delete(sp.byName, fold(old.FriendlyName))
	sp.workers[sp.index(w)] = w
	sp.bySID[w.SID] = w
	sp.byName[fold(w.FriendlyName)] = w
}

func (sp *space) remove(w *worker) {
	i := sp.index(w)
	sp.workers = slices.Delete(sp.workers, i, i+1)
	delete(sp.bySID, w.SID)
	delete(sp.byName, fold(w.FriendlyName))
}

func (sp *space) index(w *worker) int {
	i, _ := slices.BinarySearchFunc(sp.workers, w.Seq, func(x *worker, seq uint64) int { return cmp.Compare(x.Seq, seq) })
	return i
}
