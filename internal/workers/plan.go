package workers

import (
	"context"
	"os"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// Plan is what a run would do. Nothing has been changed when it exists.
type Plan struct {
	Total   int       // workers looked at; for a rollback, workers the run changed
	Change  []Planned // in the order Twilio lists them
	Blocked []Blocked // left alone
	Same    int       // need no change
	Again   int       // of Change, in a resumed run: changed by it before, and undone since
	Enables int       // of Change, in a rollback: enabled by it

	edit   *attributes.Edit
	of     string // the run to roll back, if any
	prefix string // see Header
	listed int    // workers in the workspace, if all were listed
	spool  *spool
}

// Planned is a worker to change.
type Planned struct {
	SID, Name string
	Changes   []attributes.Change

	// What was fetched while planning, so that it is not fetched again.
	etag string
	text place
}

// Blocked is a worker that is left alone, and why.
type Blocked struct {
	SID, Name string
	Code      problem.Code
	Reason    string
	Remedy    string // the command that can change it, without the worker: "workers enable"; empty: none
}

// PlanEdit finds out what edit would change in the selected workers. lock is
// nil when the plan is only to be looked at.
func PlanEdit(ctx context.Context, api API, s Selection, edit attributes.Edit, concurrency int, lock *Lock) (*Plan, error) {
	p := &Plan{edit: &edit, spool: newSpool(lock)}
	f, err := find(ctx, api, s, concurrency, func(w twilio.Worker) error { return p.add(w, editing{edit}) })
	if missing := f.notFound(); err == nil && missing != nil {
		p := problem.As(missing)
		p.Summary += "; nothing was changed"
		err = p
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	p.listed = f.listed
	return p, nil
}

// PlanRollback finds out what the run's changes still are. Workers that hold what
// it wrote get the text they had; where others have changed more since, the run's
// own keys go back and the rest stays. prefix is the profile's identity prefix.
func PlanRollback(ctx context.Context, api API, f Folder, id, prefix string, concurrency int, lock *Lock) (*Plan, error) {
	source, err := f.Load(id)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	p := &Plan{of: source.ID, prefix: prefix, spool: newSpool(lock)}
	if err := p.addTouched(ctx, api, source, concurrency); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Plan) addTouched(ctx context.Context, api API, source *Run, concurrency int) error {
	var sids []string
	for _, it := range source.items {
		if it.last.size > 0 {
			sids = append(sids, it.sid)
		}
	}
	lost := source.Lost()
	p.Total, p.Blocked = len(lost), lost
	if len(sids) == 0 {
		return nil
	}
	op := restoring{source, p.prefix}
	found, err := find(ctx, api, Selection{Names: sids}, concurrency, func(w twilio.Worker) error {
		if source.bySID[w.SID].effective.size == 0 {
			// The run died or gave up on this write: it only counts if it arrived.
			arrived, err := op.arrived(w)
			if err != nil || !arrived {
				return err
			}
		}
		return p.add(w, op)
	})
	if err != nil {
		return err
	}
	p.listed = found.listed
	for _, sid := range found.missing {
		if it := source.bySID[sid]; it.effective.size > 0 {
			p.Total++
			p.Blocked = append(p.Blocked, Blocked{SID: sid, Name: it.name, Code: problem.NotFound, Reason: workerGone})
		}
	}
	return nil
}

// add plans one worker.
func (p *Plan) add(w twilio.Worker, op operation) error {
	p.Total++
	text := ""
	if w.Attributes != nil {
		text = *w.Attributes
	}
	next, changes, err := op.next(w.SID, text)
	switch pr := problem.As(err); {
	case pr != nil && refuses(pr.Code):
		p.Blocked = append(p.Blocked, Blocked{w.SID, w.FriendlyName, pr.Code, pr.Summary, op.remedy(w.SID, pr.Code)})
	case err != nil:
		return err
	case len(changes) == 0:
		p.Same++
	default:
		planned := Planned{SID: w.SID, Name: w.FriendlyName, Changes: changes, etag: w.ETag}
		if planned.text, err = p.spool.put(w); err != nil {
			return err
		}
		p.Change = append(p.Change, planned)
		if p.of != "" && isEnabled(next) && !isEnabled(text) {
			p.Enables++
		}
	}
	return nil
}

func isEnabled(text string) bool {
	flag, _ := attributes.Inspect(&text)
	return flag == attributes.Enabled
}

// Close drops what was kept for the run.
func (p *Plan) Close() {
	p.spool.close()
}

// spool keeps the texts fetched while planning out of memory: ten thousand
// workers may have 40 MB of them. The file has no name while it is in use.
type spool struct {
	dir  string // empty: keep nothing
	file *os.File
	size int64
}

func newSpool(lock *Lock) *spool {
	if lock == nil {
		return &spool{}
	}
	return &spool{dir: lock.Path}
}

const spoolPrefix = "plan-"

// put keeps the worker's text if it came with the ETag that a write needs.
func (s *spool) put(w twilio.Worker) (place, error) {
	if s.dir == "" || w.ETag == "" || w.Attributes == nil {
		return place{}, nil
	}
	if s.file == nil {
		file, err := os.CreateTemp(s.dir, spoolPrefix+"*")
		if err != nil {
			return place{}, unwritable(s.dir, err)
		}
		s.file = file
		_ = os.Remove(file.Name()) // where open files cannot be removed, close does it
	}
	at := place{s.size, len(*w.Attributes)}
	if _, err := s.file.WriteString(*w.Attributes); err != nil {
		return place{}, unwritable(s.dir, err)
	}
	s.size += int64(at.size)
	return at, nil
}

func (s *spool) get(at place) (string, error) {
	text := make([]byte, at.size)
	_, err := s.file.ReadAt(text, at.offset)
	return string(text), err
}

func (s *spool) close() {
	if s != nil && s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
		s.file = nil
	}
}

// latest is the later of two dates of a worker.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
