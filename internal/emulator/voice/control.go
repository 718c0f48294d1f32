package voice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/voice/media"
	"github.com/flexvc/flexvc/internal/problem"
)

// Order is what a request to Control asks for; each verb reads the fields it
// needs. A call is named by its SID; without one it is the latest.
type Order struct {
	SID string `json:"sid"`

	// call
	Identity   string            `json:"identity"`
	From       string            `json:"from"`
	Parameters map[string]string `json:"parameters"`
	WAV        []byte            `json:"wav"`    // what the customer says, a whole file; a tone without
	Speech     bool              `json:"speech"` // talk instead of the tone
	Echo       bool              `json:"echo"`
	Record     bool              `json:"record"`

	Keys    string        `json:"keys"`   // press
	Hz      []float64     `json:"hz"`     // tones
	Start   time.Duration `json:"start"`  // heard, said: from here, since the invite
	End     time.Duration `json:"end"`    // up to here
	Code    int           `json:"code"`   // drop: see Cut
	Faults  Faults        `json:"faults"` // faults
	Seconds float64       `json:"seconds"`
	After   int           `json:"after"`  // events
	Socket  int           `json:"socket"` // strand: only that one
	Calls   bool          `json:"calls"`  // strand: their media too
}

// Control gives orders to an Edge over HTTP: POST /VERB with an Order, answered
// with JSON, or with an {"error":"..."} and a status that is not 200. It checks
// nobody: who serves it decides who may ask. It names no file of this machine,
// so that whoever may ask can read and write none.
//
//	call       places a call                              its SID
//	stats      what is known of a call                    Stats
//	heard      start, end: what came from the agent       Flow
//	said       start, end: what went to the agent         Flow
//	tones      hz: how loud each was in the last second,   Tones
//	           in a call, or for a customer in a conference
//	press      keys: the customer presses them
//	hangup     the customer hangs up
//	recording  waits for the end of a recorded call       the WAV file in base 64, once
//	drop       identity, code: drops its sockets          how many
//	strand     identity, socket, calls: see Strand        how many
//	faults     faults, seconds: see SetFaults
//	fired      how often each fault did something
//	sockets    the signalling connections                 []Socket
//	events     after: what happened                       []Event
//	insights   what the voice clients reported            []Insight
type Control struct {
	edge *Edge
	mux  *http.ServeMux

	mu     sync.Mutex
	folder string            // of recordings, made when it is needed
	kept   map[string]string // file by call SID
}

// orderLimit fits the longest WAV file that is read, in base 64.
const orderLimit = 96 << 20

// NewControl makes the Control of an Edge. Close it after the Edge.
func NewControl(edge *Edge) *Control {
	c := &Control{edge: edge, mux: http.NewServeMux(), kept: map[string]string{}}
	c.verb("call", c.call)
	c.verb("recording", c.recording)
	about := func(name string, answer func(Order, *Call) (any, error)) {
		c.verb(name, func(_ context.Context, o Order) (any, error) {
			call := c.find(o.SID)
			if call == nil {
				return nil, problem.New(problem.NotFound, "the voice edge has no such call")
			}
			return answer(o, call)
		})
	}
	about("stats", func(_ Order, call *Call) (any, error) { return call.Stats(), nil })
	about("heard", func(o Order, call *Call) (any, error) { return call.Heard(o.Start, o.End), nil })
	about("said", func(o Order, call *Call) (any, error) { return call.Said(o.Start, o.End), nil })
	about("press", func(o Order, call *Call) (any, error) { return nil, call.Press(o.Keys) })
	about("hangup", func(_ Order, call *Call) (any, error) { call.Hangup(); return nil, nil })

	c.verb("tones", func(_ context.Context, o Order) (any, error) {
		t, ok := edge.Tones(o.SID, o.Hz)
		if !ok {
			return nil, problem.New(problem.NotFound, "the voice edge has no such call")
		}
		return t, nil
	})

	plain := func(name string, answer func(Order) any) {
		c.verb(name, func(_ context.Context, o Order) (any, error) { return answer(o), nil })
	}
	plain("drop", func(o Order) any { return edge.DropSockets(o.Identity, Cut(o.Code)) })
	plain("strand", func(o Order) any { return edge.Strand(o.Identity, o.Socket, o.Calls) })
	plain("faults", func(o Order) any { edge.SetFaults(o.Faults, seconds(o.Seconds)); return nil })
	plain("fired", func(Order) any { return edge.Fired() })
	plain("sockets", func(Order) any { return edge.Sockets() })
	plain("events", func(o Order) any { return edge.Events(o.After) })
	plain("insights", func(Order) any { return edge.Insights() })
	return c
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// ServeHTTP implements http.Handler.
func (c *Control) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

// Close deletes the recordings that nobody fetched.
func (c *Control) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.folder == "" {
		return nil
	}
	return os.RemoveAll(c.folder)
}

func (c *Control) verb(name string, answer func(context.Context, Order) (any, error)) {
	c.mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
		var o Order
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, orderLimit))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&o); err != nil {
			complain(w, problem.New(problem.Usage, "cannot read the order: %w", err))
			return
		}
		v, err := answer(r.Context(), o)
		if err != nil {
			complain(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // whoever asked went away
	})
}

func complain(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case problem.Is(err, problem.Usage), problem.Is(err, problem.InputUnreadable):
		status = http.StatusBadRequest
	case problem.Is(err, problem.NotFound):
		status = http.StatusNotFound
	case problem.Is(err, problem.WorkerOffline):
		status = http.StatusConflict
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}

func (c *Control) find(sid string) *Call {
	var found *Call
	for _, call := range c.edge.Calls() {
		if sid == "" || call.SID() == sid {
			found = call
		}
	}
	return found
}

func (c *Control) call(ctx context.Context, o Order) (any, error) {
	options := CallOptions{
		Identity: o.Identity, From: o.From, Parameters: o.Parameters, Echo: o.Echo, Audio: media.Tone(440, -10),
	}
	if o.Speech {
		options.Audio = media.Speech(1)
	}
	if len(o.WAV) > 0 {
		var err error
		if options.Audio, err = media.WAV(bytes.NewReader(o.WAV)); err != nil {
			return nil, problem.New(problem.InputUnreadable, "cannot play the file: %w", err)
		}
	}
	if o.Record {
		var err error
		if options.Record, err = c.file(); err != nil {
			return nil, err
		}
	}
	call, err := c.edge.Call(ctx, options)
	if err != nil {
		if o.Record {
			err = errors.Join(err, os.Remove(options.Record))
		}
		return nil, err
	}
	if o.Record {
		c.mu.Lock()
		c.kept[call.SID()] = options.Record
		c.mu.Unlock()
	}
	return call.SID(), nil
}

// file is the name of a new recording.
func (c *Control) file() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.folder == "" {
		folder, err := os.MkdirTemp("", "flexvc-voice")
		if err != nil {
			return "", problem.New(problem.OutputUnwritable, "cannot keep a recording: %w", media.Cause(err))
		}
		c.folder = folder
	}
	return filepath.Join(c.folder, c.edge.sid("RE")+".wav"), nil
}

func (c *Control) recording(ctx context.Context, o Order) (any, error) {
	c.mu.Lock()
	name := c.kept[o.SID]
	delete(c.kept, o.SID)
	c.mu.Unlock()
	call := c.find(o.SID)
	if name == "" || call == nil {
		return nil, problem.New(problem.NotFound, "the voice edge has no recording of that call")
	}
	defer os.Remove(name)
	select {
	case <-call.Done():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	content, err := os.ReadFile(name)
	if err = errors.Join(call.Recorded(), err); err != nil {
		return nil, problem.New(problem.OutputUnwritable, "the recording is incomplete: %w", err)
	}
	return content, nil
}
