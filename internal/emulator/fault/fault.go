//go:build ignore

package emulator

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
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

	status     int
	html       bool
	code       int    // 0 is the usual one for the status
	retryAfter string // seconds; "" sends no header
	delay      time.Duration
	dropBefore bool
	cut        cut
	twice      bool // of a delivery
	late       bool // of a delivery

	from  int // the first matching call that is struck, counted from 1
	times int // how many calls are struck; 0 is all

	matched, fired int
}

// cut says how much of the answer never arrives.
type cut int

const (
	cutNothing cut = iota
	cutHalf        // the body breaks off in the middle
	cutAll         // the connection is gone before the first byte
)

func (c cut) String() string { return [...]string{"", "truncated", "dropped"}[c] }

var (
	faultSuffix = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[*@][0-9]+$`) })
	faultStatus = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([1-9][0-9]{2})(html)?$`) })
)

// maxDelay keeps a mistyped delay from hanging a test for a day.
const maxDelay = time.Hour

// CheckFault reports a fault specification that means nothing as problem.Usage.
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
func CheckFault(spec string) error {
	_, err := parseFault(spec)
	return err
}

func parseFault(spec string) (*fault, error) {
	f := &fault{spec: spec, from: 1}
	bad := func(why string, args ...any) error {
		return problem.New(problem.Usage, "cannot use the fault %q: %s", spec, fmt.Sprintf(why, args...)).
			WithHint("write OPERATION:ACTION*TIMES@FIRST, as in UpdateWorker:429*5")
	}
	operation, rest, ok := strings.Cut(spec, ":")
	if !ok {
		return nil, bad("it has no colon")
	}
	if err := f.aim(operation); err != nil {
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

func (f *fault) aim(operation string) error {
	f.operation = operation
	if operation == "*" {
		return nil
	}
	if product, id, ok := strings.Cut(operation, "."); ok {
		f.product, f.operation = product, id
	}
	if !slices.ContainsFunc(operations(), f.matches) && !f.delivers() {
		return fmt.Errorf("no operation is called %q", operation)
	}
	return nil
}

func (f *fault) matches(op *operation) bool {
	return (f.operation == "*" || f.operation == op.id) && (f.product == "" || f.product == op.product)
}

// delivers reports whether the fault strikes what the emulator sends.
func (f *fault) delivers() bool {
	return f.operation != "*" && slices.ContainsFunc(deliveries, f.matches)
}

func (f *fault) act(action string) error {
	switch {
	case action == "drop":
		f.dropBefore = true
	case f.delivers() && action == "twice":
		f.twice = true
	case f.delivers() && action == "late":
		f.late = true
	case f.delivers() && !strings.HasPrefix(action, "delay="):
		return fmt.Errorf("a delivery takes drop, twice, late and delay=, not %q", action)
	case action == "drop-after":
		f.cut = cutAll
	case action == "truncate":
		f.cut = cutHalf
	case strings.HasPrefix(action, "delay="):
		d, err := time.ParseDuration(action[len("delay="):])
		if err != nil || d <= 0 || d > maxDelay {
			return fmt.Errorf("%q is not a delay such as delay=200ms", action)
		}
		f.delay = d
	default:
		m := faultStatus().FindStringSubmatch(action)
		if m == nil {
			return fmt.Errorf("%q is no action", action)
		}
		f.status, _ = strconv.Atoi(m[1])
		f.html = m[2] != ""
		if f.status < 400 || f.status > 599 {
			return fmt.Errorf("%d is not the status of an error", f.status)
		}
	}
	return nil
}

func (f *fault) option(option string) error {
	name, value, _ := strings.Cut(option, "=")
	n, err := strconv.Atoi(value)
	switch {
	case f.status == 0:
		return fmt.Errorf("%q goes with a status only", option)
	case err != nil || n < 0:
		return fmt.Errorf("%q needs a number", option)
	case name == "retry-after":
		f.retryAfter = strconv.Itoa(n)
	case name == "code" && !f.html:
		f.code = n
	default:
		return fmt.Errorf("%q is no option here", option)
	}
	return nil
}

var usualCodes = map[int]int{
	http.StatusBadRequest: codeInvalid, http.StatusUnauthorized: codeAuth, http.StatusForbidden: codeAuth,
	http.StatusNotFound: codeNotFound, http.StatusPreconditionFailed: codePrecondition,
	http.StatusTooManyRequests: codeTooMany, http.StatusServiceUnavailable: codeUnavailable,
}

func (f *fault) reply() *reply {
	if f.status == 0 {
		return nil
	}
	var rep reply
	code := f.code
	if code == 0 {
		code = usualCodes[f.status]
	}
	switch {
	case f.html:
		rep = htmlPage(f.status)
	case f.status == http.StatusTooManyRequests && f.code == 0:
		rep = tooMany()
	case code == 0 && f.status >= 500:
		rep = refuse(f.status, codeInternal, "%s", http.StatusText(f.status))
	case code == 0:
		rep = refuse(f.status, codeInvalid, "%s", http.StatusText(f.status))
	default:
		rep = refuse(f.status, code, "%s", http.StatusText(f.status))
	}
	if f.retryAfter != "" {
		rep = rep.with("Retry-After", f.retryAfter)
	}
	return &rep
}

func parseFaults(specs []string) ([]*fault, error) {
	faults := make([]*fault, len(specs))
	for i, spec := range specs {
		var err error
		if faults[i], err = parseFault(spec); err != nil {
			return nil, err
		}
	}
	return faults, nil
}

// faultSet is the faults in force, in the order they were given.
type faultSet struct {
	mu   sync.Mutex
	list []*fault
}

func (s *faultSet) set(list []*fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = list
}

func (s *faultSet) rewind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.list {
		f.matched, f.fired = 0, 0
	}
}

// struck is what the faults do to one call.
type struck struct {
	delay      time.Duration
	reply      *reply
	dropBefore bool
	cut        cut
	twice      bool
	late       bool
}

// strike counts the call with every fault that matches it and applies the first
// whose turn it is; delays add to whatever follows.
func (s *faultSet) strike(op *operation) struck {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hit struck
	over := false
	for _, f := range s.list {
		if !f.matches(op) || f.operation == "*" && slices.Contains(deliveries, op) {
			continue
		}
		f.matched++
		if over || f.matched < f.from || f.times > 0 && f.fired >= f.times {
			continue
		}
		f.fired++
		hit.delay += f.delay
		if f.delay == 0 {
			hit.reply, hit.dropBefore, hit.cut, over = f.reply(), f.dropBefore, f.cut, true
			hit.twice, hit.late = f.twice, f.late
		}
	}
	return hit
}

// FaultStatus is the account of one declared fault.
type FaultStatus struct {
	Spec    string `json:"spec"`
	Matched int    `json:"matched"` // calls of its operation
	Fired   int    `json:"fired"`   // calls it struck
}

// Faults returns what every declared fault has done so far.
func (e *Emulator) Faults() []FaultStatus {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	all := make([]FaultStatus, len(e.faults.list))
	for i, f := range e.faults.list {
		all[i] = FaultStatus{Spec: f.spec, Matched: f.matched, Fired: f.fired}
	}
	return all
}

// SetFaults replaces the declared faults and starts their counts anew. A
// specification that means nothing is problem.Usage and changes nothing.
func (e *Emulator) SetFaults(specs ...string) error {
	faults, err := parseFaults(specs)
	if err != nil {
		return err
	}
	e.faults.set(faults)
	return nil
}

// UnfiredFaults returns an error that names every declared fault that never
// struck, or struck less often than it says: a test that relied on one proved
// nothing.
func (e *Emulator) UnfiredFaults() error {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	var all []error
	for _, f := range e.faults.list {
		if f.fired == 0 || f.fired < f.times {
			all = append(all, fmt.Errorf("fault %s struck %d of %d calls", f.spec, f.fired, f.matched))
		}
	}
	return errors.Join(all...)
}
