package workers

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers/rows"
)

// Selection says which workers a command is about. Exactly one of its fields is
// set: nothing selected is never everything.
type Selection struct {
	All    bool
	Filter string     // a TaskRouter expression that Twilio evaluates
	Names  []string   // friendly names, whatever their case, and SIDs
	Rows   []rows.Row // of a file: each is one worker
}

// fewSIDs is up to how many workers are fetched one by one where a list would
// do as well: the pages of the largest workspace Twilio allows.
const fewSIDs = 15

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
	page := make([]twilio.Worker, 0, twilio.PageSize)
	flush := func() error {
		err := complete(ctx, api, page, concurrency)
		for i := range page {
			if err == nil && page[i].SID != "" && m.takes(page[i]) {
				err = visit(page[i])
			}
		}
		clear(page)
		page = page[:0]
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
		if page = append(page, w); len(page) == twilio.PageSize {
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
		!slices.ContainsFunc(names, func(n string) bool { return !twilio.IsWorkerSID(n) })
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
		page := make([]twilio.Worker, len(sids))
		for i, sid := range sids {
			page[i].SID = sid
		}
		if err := complete(ctx, api, page, concurrency); err != nil {
			return nil, err
		}
		for i, w := range page {
			if w.SID == "" {
				missing = append(missing, sids[i])
			} else if err := visit(w); err != nil {
				return nil, err
			}
		}
	}
	return missing, nil
}

// complete fetches the workers of a page that have no attributes. One that is gone
// becomes the zero Worker.
func complete(ctx context.Context, api API, page []twilio.Worker, concurrency int) error {
	g, fetching := errgroup.WithContext(ctx)
	g.SetLimit(max(concurrency, 1))
	for i := range page {
		if page[i].Attributes != nil {
			continue
		}
		if fetching.Err() != nil {
			break
		}
		g.Go(func() error {
			w, err := api.Worker(fetching, page[i].SID)
			if problem.Is(err, problem.NotFound) {
				w, err = twilio.Worker{}, nil
			}
			page[i] = w
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

// matcher finds the workers of rows. Without rows it takes everybody.
type matcher struct {
	rows    []rows.Row
	by      map[string][]int // what a row is found by, to rows
	emails  bool             // some are found by it, so attributes are needed
	found   []string         // by row: the worker's SID
	problem []string         // by row
}

func newMatcher(list []rows.Row) *matcher {
	m := &matcher{rows: list, by: map[string][]int{}, found: make([]string, len(list)), problem: make([]string, len(list))}
	for i, r := range list {
		m.by[rowKey(r)] = append(m.by[rowKey(r)], i)
		m.emails = m.emails || r.SID == "" && r.Name == ""
	}
	return m
}

func rowKey(r rows.Row) string {
	switch {
	case r.SID != "":
		return "sid " + fold(r.SID)
	case r.Name != "":
		return "name " + fold(r.Name)
	}
	return "email " + fold(r.Email)
}

func rowWhat(r rows.Row) string {
	switch {
	case r.SID != "":
		return "SID " + r.SID
	case r.Name != "":
		return fmt.Sprintf("name %q", r.Name)
	}
	return fmt.Sprintf("e-mail %q", r.Email)
}

// mayTake reports whether a worker whose attributes may be missing is worth a
// closer look.
func (m *matcher) mayTake(w twilio.Worker) bool {
	return len(m.rows) == 0 || m.emails || len(m.of(w, "")) > 0
}

// takes reports whether a row is about the worker, and notes what speaks against
// it.
func (m *matcher) takes(w twilio.Worker) bool {
	if len(m.rows) == 0 {
		return true
	}
	email := emailOf(w)
	about := m.of(w, cmp.Or(email, w.FriendlyName))
	for _, i := range about {
		r := m.rows[i]
		switch {
		case m.found[i] != "" && m.found[i] != w.SID:
			m.problem[i] = fmt.Sprintf("more than one worker has the %s", rowWhat(r))
		case r.Name != "" && fold(r.Name) != fold(w.FriendlyName):
			m.problem[i] = fmt.Sprintf("%s is %q, not %q", w.SID, w.FriendlyName, r.Name)
		case r.Email != "" && email != "" && fold(r.Email) != fold(email):
			m.problem[i] = fmt.Sprintf("%q has the e-mail %q, not %q", w.FriendlyName, email, r.Email)
		}
		m.found[i] = w.SID
	}
	return len(about) > 0
}

func (m *matcher) of(w twilio.Worker, email string) []int {
	return slices.Concat(m.by["sid "+fold(w.SID)], m.by["name "+fold(w.FriendlyName)], m.by["email "+fold(email)])
}

// all says what is wrong with rows, in their order, and which is the first name
// that nobody has.
func (m *matcher) all() (faults []string, unknown string) {
	for i, r := range m.rows {
		switch {
		case m.problem[i] != "":
			faults = append(faults, fmt.Sprintf("line %d: %s", r.Line, m.problem[i]))
		case m.found[i] == "":
			faults = append(faults, fmt.Sprintf("line %d: no worker has the %s", r.Line, rowWhat(r)))
			unknown = cmp.Or(unknown, r.Name)
		}
	}
	return faults, unknown
}

// emailOf is the worker's attribute, which Flex sets; empty without it.
func emailOf(w twilio.Worker) string {
	var known struct {
		Email any `json:"email"`
	}
	if w.Attributes != nil {
		_ = json.Unmarshal([]byte(*w.Attributes), &known) // not an object: no e-mail
	}
	text, _ := known.Email.(string)
	return text
}
