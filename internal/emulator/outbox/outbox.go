// Package outbox delivers what the emulator tells others of its own accord: in
// order, signed, with Twilio's patience and retries, and with the faults that
// delivery can have. What is told, and to whom, is the products' and does not
// belong here.
package outbox

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/fault"
)

// Twilio's patience and the emulator's.
const (
	retryFor      = 4 * time.Hour
	firstRetry    = time.Second
	lastRetry     = 5 * time.Minute
	lateAtMost    = time.Second // a late delivery that nothing follows
	maxBatch      = 100
	maxPosting    = 16    // requests at once
	maxWaiting    = 20000 // deliveries not made yet; more are lost
	maxDeliveries = 1000  // what Deliveries remembers
)

// Message is one thing that a posting tells.
type Message struct {
	Name string // as Deliveries show it
	Body any    // for the posting's Encode
}

// Posting is one request that tells of something.
type Posting struct {
	Target   fault.Target // as faults know it
	Receiver string       // postings to the same one may go together; "" is one that is tried once
	Batch    bool         // it goes together with those that wait at the same time
	Address  string       // may hold user and password
	Method   string
	Messages []Message
	Patience time.Duration // for the answer
	// Encode returns the body of what tells these messages: a form, whose fields
	// are signed, or else JSON, whose digest is.
	Encode func([]Message) (form url.Values, body []byte)
	// Wanted is asked before each further try.
	Wanted func() bool

	attempts int
	began    time.Time
}

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

// Host is the account that sends.
type Host struct {
	Strike    func(fault.Target) fault.Hit
	AuthToken func() string     // signs
	Outbound  http.RoundTripper // nil posts to servers on this machine, never to others
	Log       *slog.Logger
}

// Outbox delivers postings. Its dispatcher starts with the first of them.
type Outbox struct {
	host   Host
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	started bool
	waiting []Posting
	pending int // postings made and not yet delivered or given up
	wake    chan struct{}
	made    []Delivery // a ring
	next    int

	slots chan struct{}
}

// New makes an Outbox, which has to be closed.
func New(h Host) *Outbox {
	if h.Outbound == nil {
		h.Outbound = &http.Transport{DialContext: dialHere, MaxIdleConnsPerHost: maxPosting}
	}
	o := &Outbox{host: h, wake: make(chan struct{}, 1), slots: make(chan struct{}, maxPosting)}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	return o
}

// Close gives up what is not delivered and waits for what is on its way.
func (o *Outbox) Close() {
	o.cancel()
	o.done.Wait()
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

// Add queues a posting. It does not wait.
func (o *Outbox) Add(p Posting) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pending >= maxWaiting || o.ctx.Err() != nil {
		o.remember(p, 0, true)
		return
	}
	o.pending++
	p.began = time.Now()
	o.waiting = append(o.waiting, p)
	if !o.started {
		o.started = true
		o.done.Go(o.dispatch)
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// dispatch starts the postings in order; what becomes of the order on the way
// is up to the network and the faults, as at Twilio.
func (o *Outbox) dispatch() {
	var late []Posting
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-o.ctx.Done():
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
			hit := o.host.Strike(p.Target)
			switch {
			case hit.Drop:
				o.finish(p, 0, true)
				continue
			case hit.Late:
				late = append(late, p)
				tick.Reset(lateAtMost)
				continue
			}
			sent := o.start(p, hit.Delay, nil)
			if hit.Twice {
				o.mu.Lock()
				o.pending += p.size()
				o.mu.Unlock()
				o.start(p, hit.Delay, sent)
			}
			for _, held := range late {
				o.start(held, 0, sent)
			}
			late = nil
		}
	}
}

// size is how many postings became this one.
func (p Posting) size() int { return len(p.Messages) }

// batched joins the messages to one receiver that wait at the same time.
func batched(queue []Posting) []Posting {
	var out []Posting
	open := map[string]int{}
	for _, p := range queue {
		if at, ok := open[p.Receiver]; ok && p.Batch && len(out[at].Messages) < maxBatch {
			out[at].Messages = append(out[at].Messages, p.Messages...)
			continue
		}
		if p.Batch {
			open[p.Receiver] = len(out)
		}
		out = append(out, p)
	}
	return out
}

// start delivers in the background, after another posting if one is named. The
// channel it returns is closed after the first attempt.
func (o *Outbox) start(p Posting, delay time.Duration, after <-chan struct{}) <-chan struct{} {
	tried := make(chan struct{})
	o.done.Go(func() {
		first := sync.OnceFunc(func() { close(tried) })
		defer first()
		if after != nil {
			select {
			case <-after:
			case <-o.ctx.Done():
			}
		}
		if Pause(o.ctx, delay) != nil {
			return
		}
		o.deliver(p, first)
	})
	return tried
}

// deliver posts until the answer is 2xx. What has no receiver is tried once.
func (o *Outbox) deliver(p Posting, tried func()) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		select {
		case o.slots <- struct{}{}:
		case <-o.ctx.Done():
			return
		}
		p.attempts++
		status := o.post(p)
		<-o.slots
		tried()
		if status/100 == 2 || p.Receiver == "" || time.Since(p.began)+wait > retryFor {
			o.finish(p, status, false)
			return
		}
		o.mu.Lock()
		o.remember(p, status, false)
		o.mu.Unlock()
		if Pause(o.ctx, wait) != nil {
			return
		}
		if !p.Wanted() {
			o.finish(p, 0, true)
			return
		}
	}
}

func (o *Outbox) finish(p Posting, status int, lost bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending -= p.size()
	o.remember(p, status, lost)
}

// remember keeps a delivery for Deliveries. The caller holds o.mu.
func (o *Outbox) remember(p Posting, status int, lost bool) {
	d := Delivery{Time: time.Now().UTC(), Kind: p.Target.ID, Target: withoutUser(p.Address), Status: status, Attempts: p.attempts, Lost: lost}
	for _, m := range p.Messages {
		d.Events = append(d.Events, m.Name)
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
func (o *Outbox) Deliveries() []Delivery {
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
func (o *Outbox) post(p Posting) int {
	ctx, cancel := context.WithTimeout(o.ctx, p.Patience)
	defer cancel()
	u, err := url.Parse(p.Address)
	if err != nil {
		return 0
	}
	user := u.User
	u.User = nil
	form, body := p.Encode(p.Messages)
	contentType := "application/json"
	if form != nil {
		contentType, body = "application/x-www-form-urlencoded; charset=utf-8", []byte(form.Encode())
	} else {
		sum := sha256.Sum256(body)
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&bodySHA256="+hex.EncodeToString(sum[:]), "&")
	}
	r, err := http.NewRequestWithContext(ctx, p.Method, u.String(), bytes.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("User-Agent", "TwilioProxy/1.1")
	r.Header.Set("X-Twilio-Signature", Sign(o.host.AuthToken(), u.String(), form))
	if password, ok := user.Password(); ok {
		r.SetBasicAuth(user.Username(), password)
	}
	resp, err := o.host.Outbound.RoundTrip(r)
	if err != nil {
		o.host.Log.Debug("cannot deliver an event", "to", u.Host, "error", err)
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

// Pause waits, unless ctx ends first.
func Pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
