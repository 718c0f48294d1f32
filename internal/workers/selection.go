package workers

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// Selection says which workers a command is about. Exactly one of its fields is
// set: nothing selected is never everything.
type Selection struct {
	All    bool
	Filter string   // a TaskRouter expression that Twilio evaluates
	Names  []string // friendly names, whatever their case, and SIDs
	Rows   []Row    // of a file: each is one worker
}

// fewSIDs is up to how many workers are fetched one by one where a list would
// do as well: the pages of the largest workspace Twilio allows.
const fewSIDs = 15

var workerSID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^WK[0-9a-fA-F]{32}$`) })

// Select calls visit for each selected worker, in the order Twilio lists them,
// with its attributes. Lists may leave them out; such workers are fetched, up
// to concurrency at a time. Workers deleted meanwhile are passed over. Names
// that are no worker's are one WorkerNotFound, after all visits.
func Select(ctx context.Context, api API, s Selection, concurrency int, visit func(twilio.Worker) error) error {
	f, err := find(ctx, api, s, concurrency, visit)
	if err != nil {
		return err
	}
	return f.notFound()
}

// findings is what a selection told apart from its workers.
type findings struct {
	missing []string // names that are no worker's
	known   []string // names there are, if names were looked for
	faults  []string // of rows: line and what is wrong
	unknown string   // the first name in a row that is no worker's
	listed  int      // workers in the workspace, if all were listed
}

// find is Select, but leaves it to the caller what missing names mean.
func find(ctx context.Context, api API, s Selection, concurrency int, visit func(twilio.Worker) error) (findings, error) {
	var f findings
	if len(s.Rows) == 0 && !s.All && s.Filter == "" && onlyFewSIDs(s.Names) {
		missing, err := fetchAll(ctx, api, s.Names, concurrency, visit)
		return findings{missing: missing}, err
	}
	wanted := make(map[string]bool, len(s.Names)) // true once seen
	for _, name := range s.Names {
		wanted[fold(name)] = false
	}
	m := newMatcher(s.Rows)
	rows := make([]twilio.Worker, 0, twilio.PageSize)
	flush := func() error {
		err := complete(ctx, api, rows, concurrency)
		for i := range rows {
			if err == nil && rows[i].SID != "" && m.takes(rows[i]) {
				err = visit(rows[i])
			}
		}
		clear(rows)
		rows = rows[:0]
		return err
	}
	listed := map[string]bool{} // pages shift when a worker is added meanwhile
	for w, err := range api.Workers(ctx, s.Filter) {
		if err != nil {
			return f, err
		}
		if listed[w.SID] {
			continue
		}
		listed[w.SID] = true
		if s.Filter == "" {
			f.listed++
		}
		if len(s.Rows) > 0 {
			f.known = append(f.known, w.FriendlyName)
		}
		if !m.mayTake(w) {
			continue
		}
		if len(wanted) > 0 {
			f.known = append(f.known, w.FriendlyName)
			_, bySID := wanted[fold(w.SID)]
			_, byName := wanted[fold(w.FriendlyName)]
			if !bySID && !byName {
				continue
			}
			if bySID {
				wanted[fold(w.SID)] = true
			}
			if byName {
				wanted[fold(w.FriendlyName)] = true
			}
		}
		if rows = append(rows, w); len(rows) == twilio.PageSize {
			if err := flush(); err != nil {
				return f, err
			}
		}
	}
	if err := flush(); err != nil {
		return f, err
	}
	for _, name := range s.Names {
		if !wanted[fold(name)] {
			f.missing = append(f.missing, name)
			wanted[fold(name)] = true // named twice, missing once
		}
	}
	f.faults, f.unknown = m.all()
	return f, nil
}

// fold is the form in which names are compared: Twilio keeps friendly names
// unique whatever their case.
func fold(name string) string { return strings.ToLower(name) }

func onlyFewSIDs(names []string) bool {
	return len(names) > 0 && len(names) <= fewSIDs &&
		!slices.ContainsFunc(names, func(n string) bool { return !workerSID().MatchString(n) })
}

// fetchAll is find for SIDs, without a list.
func fetchAll(ctx context.Context, api API, sids []string, concurrency int, visit func(twilio.Worker) error) (missing []string, err error) {
	seen := make(map[string]bool, len(sids))
	sids = slices.DeleteFunc(slices.Clone(sids), func(sid string) bool {
		again := seen[fold(sid)]
		seen[fold(sid)] = true
		return again
	})
	for sids := range slices.Chunk(sids, twilio.PageSize) {
		rows := make([]twilio.Worker, len(sids))
		for i, sid := range sids {
			rows[i].SID = sid
		}
		if err := complete(ctx, api, rows, concurrency); err != nil {
			return nil, err
		}
		for i, w := range rows {
			if w.SID == "" {
				missing = append(missing, sids[i])
			} else if err := visit(w); err != nil {
				return nil, err
			}
		}
	}
	return missing, nil
}

// complete fetches the rows that have no attributes. A row whose worker is gone
// becomes the zero Worker.
func complete(ctx context.Context, api API, rows []twilio.Worker, concurrency int) error {
	g, fetching := errgroup.WithContext(ctx)
	g.SetLimit(max(concurrency, 1))
	for i := range rows {
		if rows[i].Attributes != nil {
			continue
		}
		if fetching.Err() != nil {
			break
		}
		g.Go(func() error {
			w, err := api.Worker(fetching, rows[i].SID)
			if problem.Is(err, problem.NotFound) {
				w, err = twilio.Worker{}, nil
			}
			rows[i] = w
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// notFound is nil when there is nothing to say.
func (f findings) notFound() error {
	const show = 5
	switch {
	case len(f.faults) > 0:
		text := strings.Join(f.faults[:min(len(f.faults), show)], "; ")
		if n := len(f.faults) - show; n > 0 {
			text += fmt.Sprintf("; and %d more", n)
		}
		return f.near(problem.New(problem.WorkerNotFound, "%s", text), f.unknown)
	case len(f.missing) == 0:
		return nil
	}
	var quoted []string
	for _, name := range f.missing[:min(len(f.missing), show)] {
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	list := strings.Join(quoted, ", ")
	if n := len(f.missing) - show; n > 0 {
		list += fmt.Sprintf(" and %d more", n)
	}
	return f.near(problem.New(problem.WorkerNotFound, "no worker has the name or SID %s", list), f.missing[0])
}

// near adds to a problem what may have been meant by a name.
func (f findings) near(p *problem.Problem, name string) error {
	if near := problem.Nearest(name, f.known); near != "" {
		return p.WithHint("did you mean %q? list all workers: flexvc workers list", near)
	}
	return p.WithHint("list all workers: flexvc workers list")
}
