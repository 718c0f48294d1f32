package workers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

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
	if err != nil || len(f.missing) == 0 {
		return err
	}
	return f.notFound()
}

// findings is what a selection told apart from its workers.
type findings struct {
	missing []string // names that are no worker's
	known   []string // names there are, if names were looked for
	listed  int      // workers in the workspace, if all were listed
}

// find is Select, but leaves it to the caller what missing names mean.
func find(ctx context.Context, api API, s Selection, concurrency int, visit func(twilio.Worker) error) (findings, error) {
	var f findings
	if !s.All && s.Filter == "" && onlyFewSIDs(s.Names) {
		missing, err := fetchAll(ctx, api, s.Names, concurrency, visit)
		return findings{missing: missing}, err
	}
	wanted := make(map[string]bool, len(s.Names)) // true once seen
	for _, name := range s.Names {
		wanted[fold(name)] = false
	}
	rows := make([]twilio.Worker, 0, twilio.PageSize)
	flush := func() error {
		err := complete(ctx, api, rows, concurrency)
		for i := range rows {
			if err == nil && rows[i].SID != "" {
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

func (f findings) notFound() error {
	const show = 5
	var quoted []string
	for _, name := range f.missing[:min(len(f.missing), show)] {
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	list := strings.Join(quoted, ", ")
	if n := len(f.missing) - show; n > 0 {
		list += fmt.Sprintf(" and %d more", n)
	}
	p := problem.New(problem.WorkerNotFound, "no worker has the name or SID %s", list)
	if near := problem.Nearest(f.missing[0], f.known); near != "" {
		return p.WithHint("did you mean %q? list all workers: flexvc workers list", near)
	}
	return p.WithHint("list all workers: flexvc workers list")
}

// nameColumns are the headers of a CSV column that names workers, the most
// exact first: "name" comes last because it is a person's name in many exports.
var nameColumns = []string{"sid", "friendly_name", "worker", "username", "email", "name"}

// listLimit is far above the names of all workers that a workspace may have.
const listLimit = 16 << 20 // bytes

// ReadNames reads workers' names or SIDs: one per line, or a CSV table with one
// of the columns sid, friendly_name, worker, username, email or name. In a list
// a "#" at the start of a line or between spaces starts a comment. A byte order
// mark and CRLF do no harm. Each name is returned once, in order.
func ReadNames(r io.Reader) ([]string, error) {
	text, err := io.ReadAll(io.LimitReader(r, listLimit+1))
	switch {
	case err != nil:
		return nil, problem.New(problem.InputUnreadable, "cannot read the list of workers: %w", problem.Reason(err))
	case len(text) > listLimit:
		return nil, problem.New(problem.InputUnreadable, "cannot read the list of workers: it is longer than %d MiB", listLimit>>20)
	case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
		return nil, problem.New(problem.InputUnreadable, "cannot read the list of workers: it is not text in UTF-8").
			WithHint("export it from the spreadsheet as \"CSV UTF-8\"")
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	names, err := readTable(text)
	if errors.Is(err, errNoTable) {
		names, err = readLines(text)
	}
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(names))
	names = slices.DeleteFunc(names, func(name string) bool {
		again := seen[fold(name)]
		seen[fold(name)] = true
		return again
	})
	if len(names) == 0 {
		return nil, problem.New(problem.InputUnreadable, "the list of workers is empty").
			WithHint("write one name or SID per line, or a CSV table with a column friendly_name or sid")
	}
	return names, nil
}

func readLines(text []byte) (names []string, err error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := " " + strings.TrimSpace(lines.Text()) + " "
		line, _, _ = strings.Cut(line, " # ")
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			names = append(names, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, problem.New(problem.InputUnreadable, "cannot read the list of workers: %w", err)
	}
	return names, nil
}

var errNoTable = errors.New("not a table")

// readTable reads text as CSV if its first line is a header that names one of
// nameColumns; errNoTable otherwise.
func readTable(text []byte) ([]string, error) {
	header, _, _ := strings.Cut(strings.TrimLeft(string(text), "\r\n"), "\n")
	for _, comma := range ",;\t" {
		head := csv.NewReader(strings.NewReader(header))
		head.Comma = comma
		titles, err := head.Read()
		if err != nil {
			continue
		}
		column := nameColumn(titles)
		if column < 0 {
			continue
		}
		table := csv.NewReader(bytes.NewReader(text))
		table.Comma = comma
		table.FieldsPerRecord = -1
		rows, err := table.ReadAll()
		if err != nil {
			return nil, problem.New(problem.InputUnreadable, "cannot read the list of workers as CSV: %w", err)
		}
		var names []string
		for _, row := range rows[1:] {
			if column < len(row) && strings.TrimSpace(row[column]) != "" {
				names = append(names, strings.TrimSpace(row[column]))
			}
		}
		return names, nil
	}
	return nil, errNoTable
}

func nameColumn(titles []string) int {
	for _, want := range nameColumns {
		for i, title := range titles {
			if fold(strings.TrimSpace(title)) == want {
				return i
			}
		}
	}
	return -1
}
