// Package store is what an emulated account holds, in memory and in its data
// file: the account itself, its workspaces with activities and workers, its keys
// and Flex tokens, the tables of the products, and the seeds all of it starts
// from. How any of it looks to who asks over HTTP does not belong here.
package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/flexvc/flexvc/internal/problem"
)

// Store holds one account. Records are never changed once they are in it: a
// change stores a copy, on disk first, so that readers need the lock only to
// pick the pointers up. The embedded lock guards all of it.
type Store struct {
	sync.RWMutex
	content

	db     *bbolt.DB           // nil in memory
	tables map[string]anyTable // of the products, by kind
	kinds  []AnyKind
	watch  func(WorkerChange)
	saved  uint64 // Meta.Seq as the data file has it
}

// content is what a seed replaces as a whole.
type content struct {
	Meta       Meta
	Workspaces []*Space
	Keys       *Table[*Key]
	tokens     map[string]*Token // by hash of the token
}

// Account is what a client needs to talk to the emulated account. The secrets
// are made up and follow from the seed value.
type Account struct {
	SID             string `json:"account_sid"`
	AuthToken       string `json:"auth_token"`
	KeySID          string `json:"api_key"` // a Main key
	KeySecret       string `json:"api_secret"`
	WorkspaceSID    string `json:"workspace_sid"` // the one Flex uses
	FlexInstanceSID string `json:"flex_instance_sid"`
}

// QueueSID is the SID of the one TaskQueue the emulator knows of, which holds
// every worker.
func (a Account) QueueSID() string { return "WQ" + a.WorkspaceSID[2:] }

// Meta is what there is one of.
type Meta struct {
	Account     Account                    `json:"account"`
	AccountName string                     `json:"account_name"`
	Created     time.Time                  `json:"created"`
	Origin      Origin                     `json:"origin"`
	Flex        map[string]json.RawMessage `json:"flex"` // what POST /v1/Configuration changed
	FlexUpdated time.Time                  `json:"flex_updated"`
	Seq         uint64                     `json:"seq"` // objects made so far, over all kinds
}

// record is one entry of the data file. A nil value deletes it.
type record struct {
	id    string
	value any
}

var bucket = []byte("account")

// Open reads the data folder, or makes the account that origin describes. An
// empty dir keeps everything in memory. kinds are those of the products. watch
// is told of every worker that changes; the store is locked meanwhile, so watch
// must neither wait nor lock it.
func Open(dir string, origin Origin, kinds []AnyKind, now time.Time, watch func(WorkerChange)) (*Store, error) {
	s := &Store{kinds: kinds, watch: watch}
	s.clear()
	if dir != "" {
		if err := s.open(dir); err != nil {
			return nil, err
		}
		found, err := s.load()
		if err != nil {
			_ = s.Close()
			return nil, problem.New(problem.StateUnreadable, "cannot read the emulator's data in %s: %w", dir, err).
				WithHint("remove the folder to start anew")
		}
		if found {
			return s, nil
		}
	}
	s.Meta.Account = Account{
		SID:             makeSID("AC", origin.SeedValue, 0),
		AuthToken:       makeSecret("AuthToken", origin.SeedValue),
		KeySID:          makeSID("SK", origin.SeedValue, 0),
		KeySecret:       makeSecret("KeySecret", origin.SeedValue, 0),
		WorkspaceSID:    makeSID("WS", origin.SeedValue, 0),
		FlexInstanceSID: makeSID("GO", origin.SeedValue, 0),
	}
	if err := s.Replace(origin, now); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// clear empties the tables of the products.
func (s *Store) clear() {
	s.tables = map[string]anyTable{}
	for _, k := range s.kinds {
		name, t := k.table()
		s.tables[name] = t
	}
}

func (s *Store) open(dir string) error {
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

// Close closes the data file.
func (s *Store) Close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// Change is one write, made by who knows the record and carried out by Write.
type Change struct {
	id    string
	value any    // nil deletes the record
	apply func() // makes the change in memory
	told  *WorkerChange
}

// Write makes all of the changes or none: on disk in one transaction, then in
// memory, then it tells of the workers among them. The caller holds the lock.
func (s *Store) Write(changes ...Change) error {
	if s.db != nil {
		var records []record
		if s.saved != s.Meta.Seq {
			records = append(records, record{"meta", s.Meta})
		}
		for _, c := range changes {
			records = append(records, record{c.id, c.value})
		}
		if err := s.db.Update(func(tx *bbolt.Tx) error { return write(tx, records) }); err != nil {
			return err
		}
	}
	s.saved = s.Meta.Seq
	for _, c := range changes {
		c.apply()
	}
	for _, c := range changes {
		if c.told != nil {
			s.watch(*c.told)
		}
	}
	return nil
}

// SetMeta replaces what there is one of.
func (s *Store) SetMeta(m Meta) Change {
	return Change{id: "meta", value: m, apply: func() { s.Meta = m }}
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
func (s *Store) load() (found bool, err error) {
	fresh := newContent()
	activities, workers := newTable[Activity]("activity"), newTable[Worker]("worker")
	known := map[string]anyTable{"activity": activities, "worker": workers, "key": fresh.Keys}
	for name, t := range s.tables {
		known[name] = t
	}
	read := func(id string, data []byte) error {
		kind, _, _ := strings.Cut(id, "/")
		switch kind {
		case "meta":
			found = true
			return json.Unmarshal(data, &fresh.Meta)
		case "workspace":
			sp := newSpace(Workspace{})
			fresh.Workspaces = append(fresh.Workspaces, sp)
			return json.Unmarshal(data, &sp.Workspace)
		case "token":
			t := &Token{}
			err := json.Unmarshal(data, t)
			fresh.tokens[t.Hash] = t
			return err
		}
		if known[kind] == nil {
			return fmt.Errorf("unknown record %q", id)
		}
		return known[kind].read(data)
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
	for _, t := range known {
		t.sort()
	}
	slices.SortFunc(fresh.Workspaces, func(a, b *Space) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, a := range activities.rows {
		sp := fresh.Space(a.Workspace)
		if sp == nil {
			return false, fmt.Errorf("activity %s is in no workspace", a.SID)
		}
		sp.Activities.rows = append(sp.Activities.rows, a)
	}
	for _, w := range workers.rows {
		sp := fresh.Space(w.Workspace)
		if sp == nil {
			return false, fmt.Errorf("worker %s is in no workspace", w.SID)
		}
		sp.add(w)
	}
	s.content, s.saved = fresh, fresh.Meta.Seq
	return true, nil
}

// Replace makes the state that an origin describes, keeping the account. The
// old state stays when that fails. The caller holds the lock.
func (s *Store) Replace(o Origin, now time.Time) error {
	seed, err := o.seed()
	if err != nil {
		return err
	}
	fresh, err := build(s.Meta.Account, o, seed, now.UTC().Truncate(time.Second))
	if err != nil {
		return err
	}
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
	s.content, s.saved = fresh, fresh.Meta.Seq
	s.clear()
	return nil
}

func newContent() content {
	return content{Keys: newTable[Key]("key"), tokens: map[string]*Token{}}
}

// records are those of a state that was just built.
func (c *content) records() []record {
	all := append([]record{{"meta", c.Meta}}, c.Keys.records()...)
	for _, sp := range c.Workspaces {
		all = append(all, record{sp.id(), sp.Workspace})
		all = append(all, sp.Activities.records()...)
		for _, w := range sp.Workers {
			all = append(all, record{w.id(), w})
		}
	}
	return all
}

// Next begins a new thing: its SID starts with kind.
func (c *content) Next(kind string, now time.Time) Object {
	c.Meta.Seq++
	now = now.Truncate(time.Second)
	return Object{SID: makeSID(kind, c.Meta.Origin.SeedValue, c.Meta.Seq), Seq: c.Meta.Seq, Created: now, Updated: now}
}
