package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestApply(t *testing.T) {
	broken := errors.New("broken")
	var log []string
	does := func(name, id string, err error) step {
		return func(context.Context) (string, error) {
			log = append(log, name)
			return id, err
		}
	}
	plan := func(second error) *Plan {
		log = nil
		p := &Plan{finish: func(context.Context) error { log = append(log, "finish"); return nil }}
		p.add(Item{Action: Add, Name: "a"}, does("a", "1", nil))
		p.add(Item{Action: Same, Name: "b", ID: "2"}, does("b", "", broken))
		p.add(Item{Action: Change, Name: "c", ID: "3"}, does("c", "4", second))
		p.add(Item{Action: Remove, Name: "d", ID: "5"}, does("d", "5", nil))
		return p
	}
	told := func(item Item, err error) {
		log = append(log, fmt.Sprintf("%s is %s: %v", item.Name, item.ID, err))
	}

	p := plan(nil)
	if !p.Pending() || p.Count(Add) != 1 || p.Count(Same) != 1 {
		t.Errorf("pending %v, %d to add, %d the same", p.Pending(), p.Count(Add), p.Count(Same))
	}
	err := p.Apply(t.Context(), told)
	if want := []string{"a", "a is 1: <nil>", "c", "c is 4: <nil>", "d", "d is 5: <nil>", "finish"}; err != nil || !slices.Equal(log, want) {
		t.Errorf("Apply = %v, %q, want %q", err, log, want)
	}

	err = plan(broken).Apply(t.Context(), told)
	if want := []string{"a", "a is 1: <nil>", "c", "c is 4: broken"}; !errors.Is(err, broken) || !slices.Equal(log, want) {
		t.Errorf("Apply = %v, %q, want %q", err, log, want)
	}

	log, p = nil, &Plan{finish: p.finish}
	p.add(Item{Action: Same}, does("b", "", broken))
	if err := p.Apply(t.Context(), told); p.Pending() || err != nil || !slices.Equal(log, []string{"finish"}) {
		t.Errorf("a plan without changes: pending %v, Apply = %v, %q", p.Pending(), err, log)
	}
}
