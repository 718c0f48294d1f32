// Package fault is how the emulator misbehaves when it is told to: the grammar
// of a fault, the faults in force, and the account of what each has struck. What
// a strike looks like on the wire does not belong here.
package fault

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// fault is a parsed fault specification.
type fault struct {
	spec      string
	product   string // "" is any
	operation string // "*" is any

	delivery bool // it strikes what the emulator sends
	Hit

	from  int // the first matching call that is struck, counted from 1
	times int // how many calls are struck; 0 is all

	matched, fired int
}

// Hit is what a fault does to a call, or to a delivery.
type Hit struct {
	Delay   time.Duration // before anything else
	Refusal Refusal       // instead of serving the call
	Drop    bool          // nothing is done, nothing answered or sent
	Cut     Cut
	Twice   bool // of a delivery
	Late    bool // of a delivery
}

// Refusal is the answer of a fault. A Status of 0 is none.
type Refusal struct {
	Status     int
	HTML       bool
	Code       int    // 0 is the usual one for the status
	RetryAfter string // seconds; "" sends no header
}

// Cut says how much of the answer never arrives.
type Cut int

// How much that is.
const (
	Nothing Cut = iota
	Half        // the body breaks off in the middle
	All         // the connection is gone before the first byte
)

func (c Cut) String() string { return [...]string{"", "truncated", "dropped"}[c] }

var (
	faultSuffix = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[*@][0-9]+$`) })
	faultStatus = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([1-9][0-9]{2})(html)?$`) })
)

// maxDelay keeps a mistyped delay from hanging a test for a day.
const maxDelay = time.Hour

// Target is what a fault can strike: an operation, or a kind of delivery.
type Target struct {
	Product, ID string
	Delivery    bool
}

// parse reads a fault specification; one that means nothing is problem.Usage.
//
// A fault strikes the calls of one operation:
//
//	fault     = operation ":" action { "," option } [ "*" N ] [ "@" K ]
//	operation = operationId | product "." operationId | "*"
//	action    = STATUS          answers with this status and Twilio's JSON error
//	          | STATUS "html"   answers with this status and an HTML page
//	          | "delay=" D      waits D, then serves the call, or what the next fault says
//	          | "drop"          hangs up before anything is done
//	          | "drop-after"    does everything, then hangs up without an answer
//	          | "truncate"      does everything, then hangs up in the middle of the body
//	option    = "retry-after=" SECONDS | "code=" TWILIO-CODE    with a STATUS
//
// Two operations are not calls but what the emulator sends: events.DeliverEvent
// to a webhook sink, taskrouter.DeliverCallback to a workspace's callback. They
// take
//
//	"drop"       it is lost
//	"twice"      it arrives a second time, after the first
//	"late"       it arrives after the one that follows it, or a second late
//	"delay=" D   it arrives D later, others meanwhile
//
// and "*" does not mean them. "*N" strikes N calls, by default all of them; "@K" begins with the K-th call
// of that operation, by default the first. The operation is an operationId of
// Twilio's OpenAPI files, or one of COVERAGE.md's; "*" is every operation and
// needs none of the others. Examples:
//
//	UpdateWorker:429*5                  the first five updates are refused
//	UpdateWorker:503html@10             from the tenth update on, the load balancer answers
//	FetchWorker:delay=200ms             every fetch takes a fifth of a second longer
//	UpdateWorker:drop-after@3*1         the third update is made, and its answer lost
//	*:429,retry-after=1*3               the first three calls of any kind
//	api.CreateNewKey:403,code=20003     the 2010 API refuses keys, IAM does not
//	DeliverEvent:twice*10@5             ten events from the fifth on arrive twice
func parse(spec string, targets []Target) (*fault, error) {
	f := &fault{spec: spec, from: 1}
	bad := func(why string, args ...any) error {
		return problem.New(problem.Usage, "cannot use the fault %q: %s", spec, fmt.Sprintf(why, args...)).
			WithHint("write OPERATION:ACTION*TIMES@FIRST, as in UpdateWorker:429*5")
	}
	operation, rest, ok := strings.Cut(spec, ":")
	if !ok {
		return nil, bad("it has no colon")
	}
	if err := f.aim(operation, targets); err != nil {
		return nil, bad("%v", err)
	}
	seen := ""
	for {
		suffix := faultSuffix().FindString(rest)
		if suffix == "" {
			break
		}
		n, err := strconv.Atoi(suffix[1:])
		if err != nil || n < 1 {
			return nil, bad("%s is not a number of calls", suffix)
		}
		if strings.Contains(seen, suffix[:1]) {
			return nil, bad("%q is given twice", suffix[:1])
		}
		seen += suffix[:1]
		if suffix[0] == '*' {
			f.times = n
		} else {
			f.from = n
		}
		rest = strings.TrimSuffix(rest, suffix)
	}
	action, options, more := strings.Cut(rest, ",")
	if err := f.act(action); err != nil {
		return nil, bad("%v", err)
	}
	if more {
		for option := range strings.SplitSeq(options, ",") {
			if err := f.option(option); err != nil {
				return nil, bad("%v", err)
			}
		}
	}
	return f, nil
}

func (f *fault) aim(operation string, targets []Target) error {
	f.operation = operation
	if operation == "*" {
		return nil
	}
	if product, id, ok := strings.Cut(operation, "."); ok {
		f.product, f.operation = product, id
	}
	known := false
	for _, t := range targets {
		if f.matches(t) {
			known, f.delivery = true, f.delivery || t.Delivery
		}
	}
	if !known {
		return fmt.Errorf("no operation is called %q", operation)
	}
	return nil
}

// matches reports whether a target is what the fault is aimed at. An asterisk
// means no delivery.
func (f *fault) matches(t Target) bool {
	return (f.operation == "*" && !t.Delivery || f.operation == t.ID) && (f.product == "" || f.product == t.Product)
}

func (f *fault) act(action string) error {
	switch {
	case action == "drop":
		f.Drop = true
	case f.delivery && action == "twice":
		f.Twice = true
	case f.delivery && action == "late":
		f.Late = true
	case f.delivery && !strings.HasPrefix(action, "delay="):
		return fmt.Errorf("a delivery takes drop, twice, late and delay=, not %q", action)
	case action == "drop-after":
		f.Cut = All
	case action == "truncate":
		f.Cut = Half
	case strings.HasPrefix(action, "delay="):
		d, err := time.ParseDuration(action[len("delay="):])
		if err != nil || d <= 0 || d > maxDelay {
			return fmt.Errorf("%q is not a delay such as delay=200ms", action)
		}
		f.Delay = d
	default:
		m := faultStatus().FindStringSubmatch(action)
		if m == nil {
			return fmt.Errorf("%q is no action", action)
		}
		f.Refusal.Status, _ = strconv.Atoi(m[1])
		f.Refusal.HTML = m[2] != ""
		if f.Refusal.Status < 400 || f.Refusal.Status > 599 {
			return fmt.Errorf("%d is not the status of an error", f.Refusal.Status)
		}
	}
	return nil
}

func (f *fault) option(option string) error {
	name, value, _ := strings.Cut(option, "=")
	n, err := strconv.Atoi(value)
	switch {
	case f.Refusal.Status == 0:
		return fmt.Errorf("%q goes with a status only", option)
	case err != nil || n < 0:
		return fmt.Errorf("%q needs a number", option)
	case name == "retry-after":
		f.Refusal.RetryAfter = strconv.Itoa(n)
	case name == "code" && !f.Refusal.HTML:
		f.Refusal.Code = n
	default:
		return fmt.Errorf("%q is no option here", option)
	}
	return nil
}
