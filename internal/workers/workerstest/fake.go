// Package workerstest is a TaskRouter workspace in memory for the tests of workers
// and of the fleet. It is no emulator: it knows no HTTP and no rate limit, and only
// tests import it.
package workerstest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// fake is TaskRouter in memory: versions as ETags, 412, lists with and without
// attributes.
type Workspace struct {
	Mu       sync.Mutex
	order    []string
	Records  map[string]*fakeWorker
	NullList bool
	Clock    time.Time

	Requests int
	listed   int // pages
	Fetched  int
	Written  int

	// before is called with the lock held before a request takes effect, and
	// may change the workers. An error is answered instead.
	Before func(op, sid string) error
	// after is called once a write has taken effect: its error is answered
	// although the write was carried out.
	After func(sid string) error
	// normalise is what TaskRouter stores for a text sent to it.
	Normalise func(string) string
}

type fakeWorker struct {
	sid, name, Attributes string
	Version               int
	updated               time.Time
}

// Updated is when the worker was changed last.
func (w *fakeWorker) Updated() time.Time { return w.updated }

// sidOf is the SID of the i-th worker of a fake.
func SID(i int) string { return fmt.Sprintf("WK%032x", i+1) }

// newFake has a worker agent0, agent1… per text.
func New(texts ...string) *Workspace {
	f := &Workspace{Records: map[string]*fakeWorker{}, Clock: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)}
	for i, text := range texts {
		f.order = append(f.order, SID(i))
		f.Records[SID(i)] = &fakeWorker{SID(i), fmt.Sprintf("agent%d", i), text, 1, f.Clock}
	}
	return f
}

// Samples are attributes of the kinds that are easily spoiled.
func Samples(n int) []string {
	kinds := []string{
		`{}`,
		`{"b":1.0,"a":12345678901234567890,"c":"x&y<z>"}`,
		`{ "full_name" : "Zoë \u00e9 😀", "extensionVoiceClientEnabled" : false , "contact_uri":"client:zoe" }`,
		`{"extensionVoiceClientEnabled":true,"n":1e400}`,
		"{\n  \"roles\": [\"agent\"],\n  \"routing\": {\"skills\": []}\n}\n",
		`{"extensionVoice\u0043lientEnabled":null,"z":"\ud83d\ude00"}`,
	}
	var texts []string
	for i := range n {
		texts = append(texts, strings.Replace(kinds[i%len(kinds)], "{", `{"id":`+strconv.Itoa(i)+map[bool]string{true: "", false: ","}[kinds[i%len(kinds)] == "{}"], 1))
	}
	return texts
}

func (f *Workspace) ask(ctx context.Context, op, sid string) error {
	if ctx.Err() != nil {
		return problem.New(problem.Interrupted, "interrupted").Because(ctx.Err())
	}
	f.Requests++
	if f.Before != nil {
		return f.Before(op, sid)
	}
	return nil
}

func (f *Workspace) Workers(ctx context.Context, expression string) iter.Seq2[twilio.Worker, error] {
	return func(yield func(twilio.Worker, error) bool) {
		for page := range slices.Chunk(slices.Clone(f.order), twilio.PageSize) {
			rows, err := f.page(ctx, page, expression)
			if err != nil {
				yield(twilio.Worker{}, err)
				return
			}
			for _, w := range rows {
				if !yield(w, nil) {
					return
				}
			}
		}
	}
}

func (f *Workspace) page(ctx context.Context, sids []string, expression string) ([]twilio.Worker, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.listed++
	if err := f.ask(ctx, "list", ""); err != nil {
		return nil, err
	}
	var rows []twilio.Worker
	for _, sid := range sids {
		w := f.Records[sid]
		if w == nil || (expression != "" && !strings.Contains(w.Attributes, expression)) {
			continue
		}
		row := w.row()
		row.ETag = ""
		if f.NullList {
			row.Attributes = nil
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (w *fakeWorker) row() twilio.Worker {
	text := w.Attributes
	return twilio.Worker{SID: w.sid, FriendlyName: w.name, Attributes: &text, ETag: strconv.Itoa(w.Version), DateUpdated: w.updated}
}

func (f *Workspace) Worker(ctx context.Context, sid string) (twilio.Worker, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Fetched++
	if err := f.ask(ctx, "fetch", sid); err != nil {
		return twilio.Worker{}, err
	}
	if w := f.Records[sid]; w != nil {
		return w.row(), nil
	}
	return twilio.Worker{}, problem.New(problem.NotFound, "worker %s: not found (404, code 20404)", sid)
}

func (f *Workspace) SetAttributes(ctx context.Context, sid, attributes, etag string) (twilio.Worker, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Written++
	if err := f.ask(ctx, "write", sid); err != nil {
		return twilio.Worker{}, err
	}
	w := f.Records[sid]
	if w == nil {
		return twilio.Worker{}, problem.New(problem.NotFound, "worker %s: not found (404, code 20404)", sid)
	}
	if etag != strconv.Itoa(w.Version) {
		return twilio.Worker{}, problem.New(problem.PreconditionFailed, "worker %s changed (412, code 20412)", sid)
	}
	if f.Normalise != nil {
		attributes = f.Normalise(attributes)
	}
	f.Put(w, attributes)
	if f.After != nil {
		if err := f.After(sid); err != nil {
			return twilio.Worker{}, err
		}
	}
	return w.row(), nil
}

// Put writes without any condition, as a browser does. The lock is held.
func (f *Workspace) Put(w *fakeWorker, attributes string) {
	f.Clock = f.Clock.Add(time.Second)
	w.Attributes, w.Version, w.updated = attributes, w.Version+1, f.Clock
}

// Texts returns what the workers hold.
func (f *Workspace) Texts() []string {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	var texts []string
	for _, sid := range f.order {
		if w := f.Records[sid]; w != nil {
			texts = append(texts, w.Attributes)
		} else {
			texts = append(texts, "gone")
		}
	}
	return texts
}

// Set changes a worker as somebody else would.
func (f *Workspace) Set(i int, text string) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Clock = f.Clock.Add(time.Second)
	w := f.Records[SID(i)]
	w.Attributes, w.updated = text, f.Clock
	w.Version++
}
