package tokensrv

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// memo remembers answers until they go stale and asks once however many wait.
// It holds at most size answers; the least recently used one makes room.
type memo[V any] struct {
	entries *lru.Cache[string, remembered[V]]
	flight  singleflight.Group
	timeout time.Duration // of one ask, whoever waits for it
	now     func() time.Time

	freshUntil atomic.Int64 // Unix nanoseconds; when the last of the answers goes stale
}

type remembered[V any] struct {
	value V
	until int64 // Unix nanoseconds
}

// asker finds an answer and says until when it may be reused. A zero time means
// it may not be.
type asker[V any] func(ctx context.Context) (V, time.Time, error)

func newMemo[V any](size int, timeout time.Duration, now func() time.Time) *memo[V] {
	entries, err := lru.New[string, remembered[V]](size)
	if err != nil {
		panic(err) // only for a size below 1, and sizes are constants
	}
	return &memo[V]{entries: entries, timeout: timeout, now: now}
}

// fresh reports whether any answer can still be reused, unless it made room.
func (m *memo[V]) fresh() bool { return m.freshUntil.Load() > m.now().UnixNano() }

func (m *memo[V]) peek(key string) (V, bool) {
	e, ok := m.entries.Get(key)
	if !ok || e.until <= m.now().UnixNano() {
		var none V
		return none, false
	}
	return e.value, true
}

// keep remembers an answer.
func (m *memo[V]) keep(key string, value V, until time.Time) {
	m.entries.Add(key, remembered[V]{value, until.UnixNano()})
	for last := m.freshUntil.Load(); last < until.UnixNano() && !m.freshUntil.CompareAndSwap(last, until.UnixNano()); {
		last = m.freshUntil.Load()
	}
}

// get returns the remembered answer or what ask finds. The ask outlives the
// caller that started it: others may be waiting, and the answer is kept. A
// caller whose own ctx ends leaves alone, with ctx's error.
func (m *memo[V]) get(ctx context.Context, key string, ask asker[V]) (V, error) {
	if v, ok := m.peek(key); ok {
		return v, nil
	}
	answer := m.flight.DoChan(key, func() (out any, err error) {
		// A panic in singleflight's goroutine would end the process.
		defer func() {
			if v := recover(); v != nil {
				err = errors.Join(refuse(internalError), panicked(v))
			}
		}()
		if v, ok := m.peek(key); ok { // settled between peek and flight
			return v, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.timeout)
		defer cancel()
		v, until, err := ask(ctx)
		if err != nil {
			return nil, err
		}
		if !until.IsZero() {
			m.keep(key, v, until)
		}
		return v, nil
	})
	var none V
	select {
	case <-ctx.Done():
		return none, ctx.Err()
	case r := <-answer:
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(V), nil
	}
}
