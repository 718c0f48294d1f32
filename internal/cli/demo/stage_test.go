//go:build voice

package demo

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestStageEndsEverything: the newest part first, whatever fails, and those
// that hang are not waited for when the patience is over.
func TestStageEndsEverything(t *testing.T) {
	broken := errors.New("broken")
	var told error
	s := &stage{over: func(err error) { told = err }}
	var order []string
	ending := func(name string, err error) func(context.Context) error {
		return func(context.Context) error { order = append(order, name); return err }
	}
	s.add("first", ending("first", nil))
	s.add("second", ending("second", broken))
	hanging := make(chan struct{})
	defer close(hanging)
	s.closing("hanging", func() error { <-hanging; return nil })
	s.add("last", ending("last", nil))
	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.strike(hurried); err != nil {
		t.Errorf("a hurried end complains: %v", err)
	}
	if got := strings.Join(order, " "); got != "last second first" {
		t.Errorf("ended in the order %s", got)
	}
	if err := s.strike(t.Context()); err != nil || told != nil {
		t.Errorf("ended twice: %v, %v", err, told)
	}
	s.add("second", ending("second", broken))
	if err := s.strike(t.Context()); !errors.Is(err, broken) {
		t.Errorf("the error of a part: %v", err)
	}
}
