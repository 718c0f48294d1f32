package fault

import (
	"errors"
	"fmt"
	"sync"
)

// Set is the faults in force, in the order they were given. It is safe for use
// by many goroutines.
type Set struct {
	mu   sync.Mutex
	list []*fault
}

// Replace puts other faults in force, whose counts begin at 0. A specification
// that means nothing is problem.Usage and changes nothing.
func (s *Set) Replace(specs []string, targets []Target) error {
	list := make([]*fault, len(specs))
	for i, spec := range specs {
		var err error
		if list[i], err = parse(spec, targets); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = list
	return nil
}

// Rewind starts the counts anew.
func (s *Set) Rewind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.list {
		f.matched, f.fired = 0, 0
	}
}

// Strike counts the call with every fault that matches it and applies the first
// whose turn it is; delays add to whatever follows.
func (s *Set) Strike(t Target) Hit {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hit Hit
	over := false
	for _, f := range s.list {
		if !f.matches(t) {
			continue
		}
		f.matched++
		if over || f.matched < f.from || f.times > 0 && f.fired >= f.times {
			continue
		}
		f.fired++
		delay := hit.Delay + f.Delay
		if f.Delay == 0 {
			hit, over = f.Hit, true
		}
		hit.Delay = delay
	}
	return hit
}

// Status is the account of one declared fault.
type Status struct {
	Spec    string `json:"spec"`
	Matched int    `json:"matched"` // calls of its operation
	Fired   int    `json:"fired"`   // calls it struck
}

// Status returns what every declared fault has done so far.
func (s *Set) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Status, len(s.list))
	for i, f := range s.list {
		all[i] = Status{Spec: f.spec, Matched: f.matched, Fired: f.fired}
	}
	return all
}

// Unfired returns an error that names every declared fault that never struck, or
// struck less often than it says: a test that relied on one proved nothing.
func (s *Set) Unfired() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []error
	for _, f := range s.list {
		if f.fired == 0 || f.fired < f.times {
			all = append(all, fmt.Errorf("fault %s struck %d of %d calls", f.spec, f.fired, f.matched))
		}
	}
	return errors.Join(all...)
}
