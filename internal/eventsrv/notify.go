package eventsrv

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	vm "github.com/VictoriaMetrics/metrics"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
)

// Change is a worker's change of state that somebody should know of. From and To
// are states; fine ones (ok, pending, offline) count as one.
type Change struct {
	SID        string      `json:"sid"`
	Name       string      `json:"name"`
	From       fleet.State `json:"from"`
	To         fleet.State `json:"to"`
	Meaning    string      `json:"meaning"`
	ContactURI string      `json:"contact_uri"`
	Since      time.Time   `json:"since,omitzero"`
}

// claim names the change, the same at every replica.
func (c Change) claim() string {
	return c.SID + ":" + string(c.To) + ":" + strconv.FormatInt(c.Since.Unix(), 10)
}

// The formats of notifications.
const (
	FormatJSON  = "json"
	FormatSlack = "slack"
)

// NotifierOptions say who is told of drift. The URL is a secret: whoever has it
// can post there.
type NotifierOptions struct {
	URL       string
	Format    string // FormatJSON or FormatSlack
	Workspace string // its SID, for the message
	Transport http.RoundTripper
	Log       *slog.Logger
}

// Notifier posts changes to a webhook, several at once when they come at once.
type Notifier struct {
	o    NotifierOptions
	host string // all of the URL that may be shown

	mu      sync.Mutex
	queue   []Change
	dropped int
	wake    chan struct{}

	sent, failed, lost *vm.Counter
}

const (
	maxQueue      = 1000
	maxTogether   = 50 // changes in one message
	maxTries      = 10
	firstTry      = time.Second
	lastTry       = time.Minute
	notifyWithin  = 10 * time.Second
	maxNotifyWait = 5 * time.Minute // that a webhook may ask for
)

// NewNotifier checks the options. A URL or a format that cannot be used is
// Usage; the message does not repeat the URL.
func NewNotifier(o NotifierOptions) (*Notifier, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return nil, problem.New(problem.Usage, "cannot notify: the --notify URL is neither https:// nor http:// on this machine")
	}
	if o.Format != FormatJSON && o.Format != FormatSlack {
		return nil, problem.New(problem.Usage, "cannot notify: --notify-format %q is not json or slack", o.Format)
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Notifier{
		o: o, host: u.Host, wake: make(chan struct{}, 1),
		sent: new(vm.Counter), failed: new(vm.Counter), lost: new(vm.Counter),
	}, nil
}

// attach puts the notifier's figures among the server's.
func (n *Notifier) attach(s *Server) {
	n.sent = s.m.set.NewCounter(`flexvc_notifications_total{result="sent"}`)
	n.failed = s.m.set.NewCounter(`flexvc_notifications_total{result="failed"}`)
	n.lost = s.m.set.NewCounter("flexvc_notifications_changes_lost_total")
}

// add queues a change and never waits: of too many the oldest are dropped, and
// the next message says how many.
func (n *Notifier) add(c Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == maxQueue {
		n.queue = n.queue[1:]
		n.dropped++
		n.lost.Inc()
	}
	n.queue = append(n.queue, c)
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// take returns the next message's changes.
func (n *Notifier) take() (changes []Change, dropped int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := min(len(n.queue), maxTogether)
	changes, n.queue = slices.Clone(n.queue[:count]), n.queue[count:]
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.SID, b.SID)) })
	if count > 0 {
		dropped, n.dropped = n.dropped, 0
	}
	return changes, dropped
}

func (n *Notifier) run(ctx context.Context) {
	for {
		changes, dropped := n.take()
		if len(changes) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-n.wake:
				continue
			}
		}
		n.deliver(ctx, n.message(changes, dropped), len(changes))
	}
}

// deliver tries until the webhook takes the message, refuses it for good, or has
// failed too often.
func (n *Notifier) deliver(ctx context.Context, body []byte, changes int) {
	wait := firstTry
	for try := 1; ; try++ {
		again, asked, err := n.post(ctx, body)
		if err == nil {
			n.sent.Inc()
			return
		}
		if ctx.Err() != nil {
			return
		}
		n.failed.Inc()
		if !again || try == maxTries {
			n.lost.Add(changes)
			n.o.Log.Error("cannot notify", "host", n.host, "cause", err, "tries", try, "changes lost", changes)
			return
		}
		n.o.Log.Warn("cannot notify", "host", n.host, "cause", err, "try", try)
		pause := max(asked, wait/2+time.Duration(rand.Int64N(int64(wait/2))))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		wait = min(2*wait, lastTry)
	}
}

// post sends one message. again says whether another try may fare better, asked
// how long the webhook wants to be left alone. The error never holds the URL.
func (n *Notifier) post(ctx context.Context, body []byte) (again bool, asked time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, notifyWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.o.URL, bytes.NewReader(body))
	if err != nil {
		return false, 0, errors.New("the URL cannot be used")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "flexvc")
	resp, err := n.o.Transport.RoundTrip(r) // no redirects: the message goes where it was sent
	if err != nil {
		return true, 0, problem.Reason(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // for the connection's sake; what it says is not ours to print
	switch {
	case resp.StatusCode/100 == 2:
		return false, 0, nil
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout || resp.StatusCode >= 500:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		asked = min(time.Duration(max(seconds, 0))*time.Second, maxNotifyWait)
		return true, asked, fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	return false, 0, fmt.Errorf("HTTP %d", resp.StatusCode)
}

// message writes changes in the wanted format.
func (n *Notifier) message(changes []Change, dropped int) []byte {
	if n.o.Format == FormatJSON {
		return encode(struct {
			V         int      `json:"v"`
			Event     string   `json:"event"`
			Workspace string   `json:"workspace"`
			Changes   []Change `json:"changes"`
			Dropped   int      `json:"dropped,omitempty"`
		}{1, "drift", n.o.Workspace, changes, dropped})
	}
	var b strings.Builder
	noun := "workers"
	if len(changes) == 1 {
		noun = "worker"
	}
	fmt.Fprintf(&b, "flexvc: %d %s changed", len(changes), noun)
	for _, c := range changes {
		fmt.Fprintf(&b, "\n• *%s*  %s → %s: %s", slackText(c.Name), c.From, c.To, c.Meaning)
	}
	if dropped > 0 {
		fmt.Fprintf(&b, "\n… and %d earlier changes; see all with flexvc watch", dropped)
	}
	return encode(map[string]string{"text": b.String()})
}

// slackText writes a name that cannot become a link, a mention or markup.
// https://api.slack.com/reference/surfaces/formatting#escaping
func slackText(name string) string {
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune("*_~`", r) || r < ' ' {
			return ' '
		}
		return r
	}, name)
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(name)
}
