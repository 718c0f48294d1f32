package emulator

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/emulator/fault"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

// Product is a product of Twilio's, as its folder registers it.
type Product struct {
	Host string // first label of the hosts that it is asked under: taskrouter, flex-api

	// Operations are those that are served, and those that are known and have no
	// Serve. It is called when an emulator is made: no other command pays for it.
	Operations func() []Operation
	// Known are further operations that are not served, as
	// "product METHOD path operationId" lines. Twilio's OpenAPI files have them.
	Known string

	Kinds []store.AnyKind   // of the records that are the product's alone
	SIDs  map[string]string // parameters of its operations that hold a SID, and how that begins

	// Deliveries are what faults call the requests that the product sends.
	Deliveries []fault.Target
	// Told is told of what happened to a worker, under the lock of the store. It
	// neither waits nor locks.
	Told func(*Emulator, *WorkerEvent)
	// Sites answer for hosts that are no part of the REST API.
	Sites []Site

	// RateHeaders has the answers say how much of the rate limit is left.
	RateHeaders bool

	// Unknowns are the answers of Twilio that no public document gives.
	Unknowns []Unknown
}

// Unknown is a question about Twilio that no public document answers, and what
// the emulator does.
type Unknown [2]string

// Site answers for every host that ends in Suffix.
type Site struct {
	Suffix string
	Serve  func(e *Emulator, w http.ResponseWriter, r *http.Request, host, path string)
}

// Operation is one request that Twilio understands.
type Operation struct {
	Product string // first label of its host; "" is the product's
	Method  string
	Path    string
	ID      string // operationId of Twilio's OpenAPI files; ours where they have none
	Spec    bool   // whether those files have it
	Note    string // what there is to know about its emulation, for COVERAGE.md

	Query  []string // parameters it accepts besides those of the path
	Paged  bool     // and those of a list
	Form   []string // fields of the urlencoded body; nil refuses one
	List   []string // those of Form that may be repeated
	JSON   bool     // the body is JSON
	File   int64    // the body is multipart: Form, and one file of at most so many bytes
	Guard  Guard
	Serve  func(*Call) *Reply // nil: known and not emulated
	Itself bool               // Serve takes the lock of the store; others have it, for GET to read and otherwise to write

	segments []string
	product  *Product
}

// Guard says which credentials an operation accepts.
type Guard int

// The guards of Twilio's operations.
const (
	guardAny   Guard = iota // the account's token and every key, a restricted one by its policy
	GuardAdmin              // not a Standard key: /Accounts and /Keys
	GuardFlex               // the Flex token itself
)

func (op *Operation) target() fault.Target { return fault.Target{Product: op.Product, ID: op.ID} }

var paging = []string{"PageSize", "Page", "PageToken"}

// table is what the products of an emulator registered.
type table struct {
	products   []Product
	operations []*Operation // those that are served, then those that are known
}

func newTable(products []Product) *table {
	t := &table{products: products}
	var known []*Operation
	for i := range t.products {
		p := &t.products[i]
		add := func(op Operation) {
			op.segments, op.product, op.Product = strings.Split(op.Path, "/"), p, cmp.Or(op.Product, p.Host)
			if op.Paged {
				op.Query = slices.Concat(op.Query, paging)
			}
			if op.Serve == nil {
				known = append(known, &op)
				return
			}
			t.operations = append(t.operations, &op)
		}
		for _, op := range p.Operations() {
			add(op)
		}
		for line := range strings.Lines(p.Known) {
			f := strings.Fields(line)
			add(Operation{Product: f[0], Method: f[1], Path: f[2], ID: f[3], Spec: true})
		}
	}
	t.operations = append(t.operations, known...)
	return t
}

// Operations returns the operations of products that are served, then those that
// are known.
func Operations(products []Product) []*Operation { return newTable(products).operations }

// targets are what faults can strike.
func (t *table) targets() []fault.Target {
	var all []fault.Target
	for _, op := range t.operations {
		all = append(all, op.target())
	}
	for _, p := range t.products {
		all = append(all, p.Deliveries...)
	}
	return all
}

func (t *table) site(host string) *Site {
	for _, p := range t.products {
		for i := range p.Sites {
			if strings.HasSuffix(host, p.Sites[i].Suffix) {
				return &p.Sites[i]
			}
		}
	}
	return nil
}

// elsewhere are the first labels of Twilio's hosts that the emulator knows of
// and that no product of it serves.
var elsewhere = []string{"sync", "conversations", "studio", "insights", "monitor", "preview"}

// hosts reports whether an operation is asked under that first label.
func (t *table) hosts(label string) bool {
	return slices.ContainsFunc(t.operations, func(op *Operation) bool { return op.Product == label })
}

// route finds the operation for a request. Without one, allowed holds the
// methods that the path does accept.
func (t *table) route(product, method, path string) (op *Operation, vars map[string]string, allowed []string) {
	segments := strings.Split(path, "/")
	fewest := -1
	for _, candidate := range t.operations {
		if candidate.Product != product || len(candidate.segments) != len(segments) {
			continue
		}
		found, ok := candidate.match(segments)
		if !ok {
			continue
		}
		if candidate.Method != method {
			allowed = append(allowed, candidate.Method)
			continue
		}
		// A literal path such as /Workers/Statistics wins over /Workers/{Sid}.
		if fewest < 0 || len(found) < fewest {
			op, vars, fewest = candidate, found, len(found)
		}
	}
	slices.Sort(allowed)
	return op, vars, slices.Compact(allowed)
}

func (op *Operation) match(segments []string) (map[string]string, bool) {
	var vars map[string]string
	for i, want := range op.segments {
		name, isVar := strings.CutPrefix(want, "{")
		if !isVar {
			if want != segments[i] {
				return nil, false
			}
			continue
		}
		name, suffix, _ := strings.Cut(name, "}")
		value, ok := strings.CutSuffix(segments[i], suffix)
		if !ok || value == "" {
			return nil, false
		}
		if vars == nil {
			vars = make(map[string]string, 2)
		}
		vars[name] = value
	}
	return vars, true
}
