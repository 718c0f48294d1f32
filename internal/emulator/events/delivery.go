//go:build ignore

package emulator

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What TaskRouter tells of a worker. The names are those of callbacks; Event
// Streams puts typePrefix before them.
// https://www.twilio.com/docs/taskrouter/api/event/reference
const (
	workerCreated    = "worker.created"
	workerDeleted    = "worker.deleted"
	workerActivity   = "worker.activity.update"
	workerAttributes = "worker.attributes.update"
	workerCapacity   = "worker.capacity.update"
	workerChannel    = "worker.channel.availability.update" // can be subscribed to, never occurs
)

var workerEvents = []string{workerCreated, workerDeleted, workerActivity, workerAttributes, workerCapacity, workerChannel}

// Twilio's patience and the emulator's.
const (
	sinkPatience     = 5 * time.Second // error 91308 beyond it
	callbackPatience = 15 * time.Second
	retryFor         = 4 * time.Hour
	firstRetry       = time.Second
	lastRetry        = 5 * time.Minute
	lateAtMost       = time.Second // a late delivery that nothing follows
	maxBatch         = 100
	maxPosting       = 16    // requests at once
	maxWaiting       = 20000 // deliveries not made yet; more are lost
	maxDeliveries    = 1000  // what Deliveries remembers
)

// event is one thing that happened to a worker.
type event struct {
	id       string // EV…
	kind     string
	account  string
	space    workspace
	worker   *worker // after the change; as it last was when deleted
	activity *activity
	previous *activity     // with workerActivity
	stayed   time.Duration // in previous
	at       time.Time     // to the millisecond; rises with each event of one worker
}

// posting is one request that tells of events.
type posting struct {
	op       *operation // deliverEvent or deliverCallback
	sink     string     // SID; "" is the workspace callback
	batch    bool
	target   string
	method   string
	events   []*event
	test     *cloudEvent
	attempts int
	began    time.Time
}

// The deliveries as faults know them.
var (
	deliverEvent    = &operation{product: "events", id: "DeliverEvent"}
	deliverCallback = &operation{product: "taskrouter", id: "DeliverCallback"}
	deliveries      = []*operation{deliverEvent, deliverCallback}
)

// Delivery is one request that told of events, or should have.
type Delivery struct {
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"` // DeliverEvent or DeliverCallback
	Events   []string  `json:"events"`
	Target   string    `json:"target"`   // without user and password
	Status   int       `json:"status"`   // 0 when there was no answer
	Attempts int       `json:"attempts"` // this one included
	Lost     bool      `json:"lost,omitempty"`
}

// outbox delivers events. Its dispatcher starts with the first of them.
type outbox struct {
	e        *Emulator
	outbound http.RoundTripper

	mu      sync.Mutex
	started bool
	waiting []posting
	pending int // postings made and not yet delivered or given up
	wake    chan struct{}
	epoch   int64 // keeps IDs apart from those of an earlier process on the same data
	n       uint64
	last    map[string]time.Time // by worker
	made    []Delivery           // a ring
	next    int

	slots chan struct{}
}

func newOutbox(e *Emulator, outbound http.RoundTripper) *outbox {
	if outbound == nil {
		outbound = &http.Transport{DialContext: dialHere, MaxIdleConnsPerHost: maxPosting}
	}
	return &outbox{
		e: e, outbound: outbound, epoch: e.now().UnixNano(), wake: make(chan struct{}, 1),
		last: map[string]time.Time{}, slots: make(chan struct{}, maxPosting),
	}
}

// dialHere connects to this machine only: an emulated account tells nobody
// else, whatever address it was given.
func dialHere(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return nil, fmt.Errorf("the emulator delivers to this machine only, not to %s", host)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// changed tells of a worker whose record was replaced; was is nil for a new one
// and is for one that is gone. kind is what else to tell, when neither
// attributes nor activity differ. The caller holds the account's lock.
func (o *outbox) changed(sp *space, was, is *worker, kind string) {
	subscribed := len(o.e.st.subscriptions) > 0
	if !subscribed && sp.EventCallbackURL == "" {
		return
	}
	now := o.e.now().Add(o.e.offset).UTC().Truncate(time.Millisecond)
	tell := func(kind string, w *worker, previous *activity) {
		o.tell(sp, &event{kind: kind, worker: w, previous: previous, stayed: now.Sub(w.StatusChanged)}, now)
	}
	switch {
	case was == nil:
		tell(workerCreated, is, nil)
		return
	case is == nil:
		tell(workerDeleted, was, nil)
		return
	}
	told := false
	if is.Activity != was.Activity {
		o.tell(sp, &event{kind: workerActivity, worker: is, previous: sp.activity(was.Activity), stayed: now.Sub(was.StatusChanged)}, now)
		told = true
	}
	if is.Attributes != was.Attributes {
		tell(workerAttributes, is, nil)
		told = true
	}
	if !told && kind != "" {
		tell(kind, is, nil)
	}
}

// tell makes the postings for one event. The caller holds the account's lock.
func (o *outbox) tell(sp *space, ev *event, now time.Time) {
	st := o.e.st
	ev.account, ev.space, ev.activity = st.meta.Account.SID, sp.workspace, sp.activity(ev.worker.Activity)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n++
	ev.id = "EV" + SIDMarker + derive(24, "EV", o.epoch, o.n)
	if last := o.last[ev.worker.SID]; !now.After(last) {
		now = last.Add(time.Millisecond)
	}
	o.last[ev.worker.SID], ev.at = now, now
	for _, s := range st.subscriptions {
		_, listens := slices.BinarySearchFunc(s.Types, subscribedType{Type: typePrefix + ev.kind}, byType)
		to := st.sink(s.Sink)
		if !listens || to == nil || to.Type != sinkWebhook || to.Status != sinkActive {
			continue
		}
		conf, wrong := readWebhook(to.Config)
		if wrong != "" {
			continue
		}
		o.add(posting{op: deliverEvent, sink: to.SID, batch: conf.BatchEvents, target: conf.Destination, method: conf.Method, events: []*event{ev}})
	}
	if sp.EventCallbackURL != "" && filtered(sp.EventsFilter, ev.kind) {
		o.add(posting{op: deliverCallback, target: sp.EventCallbackURL, method: http.MethodPost, events: []*event{ev}})
	}
}

// filtered reports whether an EventsFilter lets an event through; an empty one
// lets all.
func filtered(filter, kind string) bool {
	if filter == "" {
		return true
	}
	for name := range strings.SplitSeq(filter, ",") {
		if strings.TrimSpace(name) == kind {
			return true
		}
	}
	return false
}

// testSink delivers a test event. The caller holds the account's lock.
func (o *outbox) testSink(account Account, s *sink, now time.Time) {
	conf, wrong := readWebhook(s.Config)
	if s.Type != sinkWebhook || wrong != "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.add(posting{op: deliverEvent, sink: s.SID, target: conf.Destination, method: conf.Method, test: &cloudEvent{
		SpecVersion: "1.0", Type: "com.twilio.eventstreams.test-event", Source: "Sink", ID: account.SID,
		DataSchema: "https://events-schemas.twilio.com/EventStreams.TestSink/1.json", DataContentType: "application/json",
		Time: millis(now), Data: map[string]string{"test_id": s.TestID},
	}})
}

// add queues a posting. The caller holds o.mu.
func (o *outbox) add(p posting) {
	if o.pending >= maxWaiting || o.e.ctx.Err() != nil {
		o.remember(p, 0, true)
		return
	}
	o.pending++
	p.began = time.Now()
	o.waiting = append(o.waiting, p)
	if !o.started {
		o.started = true
		o.e.done.Go(o.dispatch)
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// dispatch starts the postings in order; what becomes of the order on the way
// is up to the network and the faults, as at Twilio.
func (o *outbox) dispatch() {
	var late []posting
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-o.e.ctx.Done():
			return
		case <-o.wake:
		case <-tick.C:
			for _, p := range late {
				o.start(p, 0, nil)
			}
			late = nil
		}
		o.mu.Lock()
		queue := batched(o.waiting)
		o.waiting = nil
		o.mu.Unlock()
		for _, p := range queue {
			hit := o.e.faults.strike(p.op)
			switch {
			case hit.dropBefore:
				o.finish(p, 0, true)
				continue
			case hit.late:
				late = append(late, p)
				tick.Reset(lateAtMost)
				continue
			}
			sent := o.start(p, hit.delay, nil)
			if hit.twice {
				o.mu.Lock()
				o.pending += p.size()
				o.mu.Unlock()
				o.start(p, hit.delay, sent)
			}
			for _, held := range late {
				o.start(held, 0, sent)
			}
			late = nil
		}
	}
}

// size is how many postings became this one.
func (p posting) size() int { return max(1, len(p.events)) }

// batched joins the events of one sink that wait at the same time.
func batched(queue []posting) []posting {
	var out []posting
	open := map[string]int{}
	for _, p := range queue {
		if at, ok := open[p.sink]; ok && p.batch && p.test == nil && len(out[at].events) < maxBatch {
			out[at].events = append(out[at].events, p.events...)
			continue
		}
		if p.batch && p.test == nil {
			open[p.sink] = len(out)
		}
		out = append(out, p)
	}
	return out
}

// start delivers in the background, after another posting if one is named. The
// channel it returns is closed after the first attempt.
func (o *outbox) start(p posting, delay time.Duration, after <-chan struct{}) <-chan struct{} {
	tried := make(chan struct{})
	o.e.done.Go(func() {
		first := sync.OnceFunc(func() { close(tried) })
		defer first()
		if after != nil {
			select {
			case <-after:
			case <-o.e.ctx.Done():
			}
		}
		if pause(o.e.ctx, delay) != nil {
			return
		}
		o.deliver(p, first)
	})
	return tried
}

// deliver posts until the answer is 2xx. Callbacks are tried once.
func (o *outbox) deliver(p posting, tried func()) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		select {
		case o.slots <- struct{}{}:
		case <-o.e.ctx.Done():
			return
		}
		p.attempts++
		status := o.post(p)
		<-o.slots
		tried()
		if status/100 == 2 || p.sink == "" || time.Since(p.began)+wait > retryFor {
			o.finish(p, status, false)
			return
		}
		o.mu.Lock()
		o.remember(p, status, false)
		o.mu.Unlock()
		if pause(o.e.ctx, wait) != nil {
			return
		}
		if !o.wanted(p.sink) {
			o.finish(p, 0, true)
			return
		}
	}
}

// wanted reports whether the sink is still there.
func (o *outbox) wanted(sid string) bool {
	o.e.mu.RLock()
	defer o.e.mu.RUnlock()
	return o.e.st.sink(sid) != nil
}

func (o *outbox) finish(p posting, status int, lost bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending -= p.size()
	o.remember(p, status, lost)
}

// remember keeps a delivery for Deliveries. The caller holds o.mu.
func (o *outbox) remember(p posting, status int, lost bool) {
	d := Delivery{Time: time.Now().UTC(), Kind: p.op.id, Target: withoutUser(p.target), Status: status, Attempts: p.attempts, Lost: lost}
	for _, ev := range p.events {
		d.Events = append(d.Events, ev.kind)
	}
	if p.test != nil {
		d.Events = []string{p.test.Type}
	}
	if len(o.made) < maxDeliveries {
		o.made = append(o.made, d)
		return
	}
	o.made[o.next] = d
	o.next = (o.next + 1) % maxDeliveries
}

// Deliveries returns the latest thousand requests that told of events, oldest
// first.
func (e *Emulator) Deliveries() []Delivery {
	o := e.events
	o.mu.Lock()
	defer o.mu.Unlock()
	return append(append([]Delivery{}, o.made[o.next:]...), o.made[:o.next]...)
}

func withoutUser(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

// post sends one request, signed as Twilio signs, and returns the status of the
// answer, 0 without one.
// https://www.twilio.com/docs/usage/webhooks/webhooks-security
func (o *outbox) post(p posting) int {
	patience := sinkPatience
	if p.sink == "" {
		patience = callbackPatience
	}
	ctx, cancel := context.WithTimeout(o.e.ctx, patience)
	defer cancel()
	u, err := url.Parse(p.target)
	if err != nil {
		return 0
	}
	user := u.User
	u.User = nil
	body, contentType, signed := p.encode()
	if p.sink != "" {
		sum := sha256.Sum256(body)
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&bodySHA256="+hex.EncodeToString(sum[:]), "&")
	}
	r, err := http.NewRequestWithContext(ctx, p.method, u.String(), bytes.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("User-Agent", "TwilioProxy/1.1")
	r.Header.Set("X-Twilio-Signature", Sign(o.e.Account().AuthToken, u.String(), signed))
	if password, ok := user.Password(); ok {
		r.SetBasicAuth(user.Username(), password)
	}
	resp, err := o.outbound.RoundTrip(r)
	if err != nil {
		o.e.log.Debug("cannot deliver an event", "to", u.Host, "error", err)
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // for the connection's sake
	return resp.StatusCode
}

// Sign returns the X-Twilio-Signature of a request to address with the given
// form; a request with a JSON body has its digest in the address and no form.
func Sign(authToken, address string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(authToken))
	io.WriteString(mac, address)
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		io.WriteString(mac, name+form.Get(name))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// cloudEvent is one element of what a sink gets.
// https://github.com/cloudevents/spec/blob/v1.0/spec.md
type cloudEvent struct {
	SpecVersion     string `json:"specversion"`
	Type            string `json:"type"`
	Source          string `json:"source"`
	ID              string `json:"id"`
	DataSchema      string `json:"dataschema"`
	DataContentType string `json:"datacontenttype"`
	Time            string `json:"time"`
	Data            any    `json:"data"`
}

func millis(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// encode returns the body, and the fields of a form, which are signed.
func (p posting) encode() (body []byte, contentType string, form url.Values) {
	if p.sink == "" {
		form = p.events[0].form()
		return []byte(form.Encode()), "application/x-www-form-urlencoded; charset=utf-8", form
	}
	var list []any
	if p.test != nil {
		list = append(list, p.test)
	}
	for _, ev := range p.events {
		list = append(list, ev.cloud())
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(list) // texts and numbers always encode
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), "application/json", nil
}

// form is the event as a workspace callback.
func (ev *event) form() url.Values {
	f := url.Values{}
	for name, value := range map[string]string{
		"Sid": ev.id, "EventType": ev.kind, "AccountSid": ev.account, "WorkspaceSid": ev.space.SID, "WorkspaceName": ev.space.FriendlyName,
		"EventDescription": "Worker " + ev.worker.FriendlyName + ": " + ev.kind, "ResourceType": "worker", "ResourceSid": ev.worker.SID,
		"Timestamp": strconv.FormatInt(ev.at.Unix(), 10), "TimestampMs": strconv.FormatInt(ev.at.UnixMilli(), 10),
		"WorkerSid": ev.worker.SID, "WorkerName": ev.worker.FriendlyName, "WorkerAttributes": ev.worker.Attributes,
		"WorkerActivitySid": ev.activity.SID, "WorkerActivityName": ev.activity.FriendlyName, "WorkerVersion": strconv.FormatInt(ev.worker.Version, 10),
	} {
		f.Set(name, value)
	}
	if ev.previous != nil {
		f.Set("WorkerPreviousActivitySid", ev.previous.SID)
		f.Set("WorkerPreviousActivityName", ev.previous.FriendlyName)
		f.Set("WorkerTimeInPreviousActivity", strconv.FormatInt(int64(ev.stayed.Seconds()), 10))
		f.Set("WorkerTimeInPreviousActivityMs", strconv.FormatInt(ev.stayed.Milliseconds(), 10))
	}
	return f
}

// cloud is the event as Event Streams tells it.
// https://www.twilio.com/docs/events/event-types/taskrouter/worker
func (ev *event) cloud() cloudEvent {
	payload := map[string]any{
		"sid": ev.id, "eventtype": ev.kind, "account_sid": ev.account, "timestamp": millis(ev.at),
		"workspace_sid": ev.space.SID, "workspace_name": ev.space.FriendlyName,
		"worker_sid": ev.worker.SID, "worker_name": ev.worker.FriendlyName, "worker_attributes": ev.worker.Attributes,
		"worker_activity_sid": ev.activity.SID, "worker_activity_name": ev.activity.FriendlyName,
	}
	if ev.previous != nil {
		payload["worker_previous_activity_sid"] = ev.previous.SID
		payload["worker_previous_activity_name"] = ev.previous.FriendlyName
		payload["worker_time_in_previous_activity"] = int64(ev.stayed.Seconds())
		payload["worker_time_in_previous_activity_ms"] = ev.stayed.Milliseconds()
	}
	return cloudEvent{
		SpecVersion: "1.0", Type: typePrefix + ev.kind, Source: "/v1/Workspaces/" + ev.space.SID, ID: "EZ" + ev.id[2:],
		DataSchema: "https://events-schemas.twilio.com/TaskRouter.WDSEvent/4.json", DataContentType: "application/json", Time: millis(ev.at),
		Data: map[string]any{
			"sid": ev.id, "name": ev.kind, "account_sid": ev.account, "timestamp": millis(ev.at), "level": "INFO", "group": "worker",
			"product_name": "TaskRouter", "publisher": ev.space.FriendlyName, "publisher_metadata": "{}",
			"payload_type": "application/json", "payload": payload,
		},
	}
}
