package turns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestAttackOneOwnerWantsEverything: what takes two seconds is asked for a thousand
// times a second by one, and now and then by others.
func TestAttackOneOwnerWantsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New(512, 4096)
		var all sync.WaitGroup
		ask := func(name string) (time.Duration, error) {
			began := time.Now()
			giveBack, err := turns.Take(t.Context(), name, 5*time.Second)
			waited := time.Since(began)
			if err == nil {
				time.Sleep(2 * time.Second)
				giveBack()
			}
			return waited, err
		}
		var longest atomic.Int64
		var refused atomic.Int64
		for i := range 20_000 {
			time.Sleep(time.Millisecond)
			all.Go(func() {
				if _, err := ask("flood"); err != nil {
					refused.Add(1)
				}
			})
			if i%100 == 0 {
				all.Go(func() {
					waited, err := ask(fmt.Sprint("agent", i))
					if err != nil {
						t.Errorf("agent %d: %v", i, err)
					}
					for was := longest.Load(); int64(waited) > was && !longest.CompareAndSwap(was, int64(waited)); was = longest.Load() {
					}
				})
			}
		}
		all.Wait()
		if longest := time.Duration(longest.Load()); longest > 100*time.Millisecond {
			t.Errorf("somebody waited %s behind the flood", longest)
		}
		if refused.Load() == 0 {
			t.Error("the flood was refused nothing")
		}
		if taken, waiting := turns.Figures(); taken != 0 || waiting != 0 || len(turns.owners) != 0 {
			t.Errorf("at the end %d are taken, %d wait, %d owners are remembered", taken, waiting, len(turns.owners))
		}
	})
}

// TestOneOwnerAlone: who is alone has most of it.
func TestOneOwnerAlone(t *testing.T) {
	turns := New(10, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nobody waits
	held := 0
	for range 20 {
		if _, err := turns.Take(ctx, "a", time.Hour); err == nil {
			held++
		}
	}
	if held != 8 {
		t.Errorf("one alone has %d of 10", held)
	}
	if _, err := turns.Take(ctx, "b", time.Hour); err != nil {
		t.Errorf("the next: %v", err)
	}
}

func TestWaitingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New(1, 2)
		giveBack, err := turns.Take(t.Context(), "a", 0)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := turns.Take(t.Context(), "b", time.Second); !errors.Is(err, ErrBusy) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := turns.Take(ctx, "b", time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who leaves: %v", err)
		}
		order := make(chan string, 3)
		for _, name := range []string{"b", "c"} {
			go func() {
				giveBack, err := turns.Take(t.Context(), name, time.Hour)
				if err != nil {
					t.Error(err)
				}
				order <- name
				giveBack()
			}()
			synctest.Wait()
		}
		if _, err := turns.Take(t.Context(), "d", time.Hour); !errors.Is(err, ErrBusy) {
			t.Errorf("one too many: %v", err)
		}
		giveBack()
		if first, second := <-order, <-order; first != "b" || second != "c" {
			t.Errorf("%s before %s", first, second)
		}
	})
}

// TestNothingIsLost: however owners come, leave and give back, the count is right.
func TestNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New(7, 50)
		var all sync.WaitGroup
		var running atomic.Int64
		random := rand.New(rand.NewPCG(1, 2))
		for range 3000 {
			name, patience, span := fmt.Sprint(random.IntN(9)), time.Duration(random.IntN(40))*time.Millisecond, time.Duration(random.IntN(30))*time.Millisecond
			time.Sleep(time.Duration(random.IntN(4)) * time.Millisecond)
			all.Go(func() {
				giveBack, err := turns.Take(t.Context(), name, patience)
				if err != nil {
					return
				}
				if n := running.Add(1); n > 7 {
					t.Errorf("%d at a time", n)
				}
				time.Sleep(span)
				running.Add(-1)
				giveBack()
			})
		}
		all.Wait()
		if taken, waiting := turns.Figures(); taken != 0 || waiting != 0 || len(turns.owners) != 0 || turns.ring.Len() != 0 {
			t.Errorf("at the end %d are taken, %d wait, %d owners, %d in the round", taken, waiting, len(turns.owners), turns.ring.Len())
		}
	})
}
