package provision

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
)

// fake is TaskRouter in memory: versions as ETags, 412, lists with and without
// attributes.
type fake struct {
	mu       sync.Mutex
	order    []string
	workers  map[string]*fakeWorker
	nullList bool
	clock    time.Time

	requests int
	listed   int // pages
	fetched  int
	written  int

	// before is called with the lock held before a request takes effect, and
	// may change the workers. An error is answered instead.
	before func(op, sid string) error
	// after is called once a write has taken effect: its error is answered
	// although the write was carried out.
	after func(sid string) error
	// normalise is what TaskRouter stores for a text sent to it.
	normalise func(string) string
}

type fakeWorker struct {
	sid, name, attributes string
	version               int
	updated               time.Time
}

var _ WorkerAPI = (*fake)(nil)

// sidOf is the SID of the i-th worker of a fake.
func sidOf(i int) string { return fmt.Sprintf("WK%032x", i+1) }

// newFake has a worker agent0, agent1… per text.
func newFake(texts ...string) *fake {
	f := &fake{workers: map[string]*fakeWorker{}, clock: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)}
	for i, text := range texts {
		f.order = append(f.order, sidOf(i))
		f.workers[sidOf(i)] = &fakeWorker{sidOf(i), fmt.Sprintf("agent%d", i), text, 1, f.clock}
	}
	return f
}

// samples are attributes of the kinds that are easily spoiled.
func samples(n int) []string {
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

func (f *fake) ask(ctx context.Context, op, sid string) error {
	if ctx.Err() != nil {
		return problem.New(problem.Interrupted, "interrupted").Because(ctx.Err())
	}
	f.requests++
	if f.before != nil {
		return f.before(op, sid)
	}
	return nil
}

func (f *fake) Workers(ctx context.Context, expression string) iter.Seq2[Worker, error] {
	return func(yield func(Worker, error) bool) {
		for page := range slices.Chunk(slices.Clone(f.order), PageSize) {
			rows, err := f.page(ctx, page, expression)
			if err != nil {
				yield(Worker{}, err)
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

func (f *fake) page(ctx context.Context, sids []string, expression string) ([]Worker, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listed++
	if err := f.ask(ctx, "list", ""); err != nil {
		return nil, err
	}
	var rows []Worker
	for _, sid := range sids {
		w := f.workers[sid]
		if w == nil || (expression != "" && !strings.Contains(w.attributes, expression)) {
			continue
		}
		row := w.row()
		row.ETag = ""
		if f.nullList {
			row.Attributes = nil
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (w *fakeWorker) row() Worker {
	text := w.attributes
	return Worker{SID: w.sid, FriendlyName: w.name, Attributes: &text, ETag: strconv.Itoa(w.version), DateUpdated: w.updated}
}

func (f *fake) Worker(ctx context.Context, sid string) (Worker, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fetched++
	if err := f.ask(ctx, "fetch", sid); err != nil {
		return Worker{}, err
	}
	if w := f.workers[sid]; w != nil {
		return w.row(), nil
	}
	return Worker{}, problem.New(problem.NotFound, "worker %s: not found (404, code 20404)", sid)
}

func (f *fake) SetAttributes(ctx context.Context, sid, attributes, etag string) (Worker, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written++
	if err := f.ask(ctx, "write", sid); err != nil {
		return Worker{}, err
	}
	w := f.workers[sid]
	if w == nil {
		return Worker{}, problem.New(problem.NotFound, "worker %s: not found (404, code 20404)", sid)
	}
	if etag != strconv.Itoa(w.version) {
		return Worker{}, problem.New(problem.PreconditionFailed, "worker %s changed (412, code 20412)", sid)
	}
	if f.normalise != nil {
		attributes = f.normalise(attributes)
	}
	f.put(w, attributes)
	if f.after != nil {
		if err := f.after(sid); err != nil {
			return Worker{}, err
		}
	}
	return w.row(), nil
}

// put writes without any condition, as a browser does. The lock is held.
func (f *fake) put(w *fakeWorker, attributes string) {
	f.clock = f.clock.Add(time.Second)
	w.attributes, w.version, w.updated = attributes, w.version+1, f.clock
}

// texts returns what the workers hold.
func (f *fake) texts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var texts []string
	for _, sid := range f.order {
		if w := f.workers[sid]; w != nil {
			texts = append(texts, w.attributes)
		} else {
			texts = append(texts, "gone")
		}
	}
	return texts
}

// set changes a worker as somebody else would.
func (f *fake) set(i int, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = f.clock.Add(time.Second)
	w := f.workers[sidOf(i)]
	w.attributes, w.updated = text, f.clock
	w.version++
}
