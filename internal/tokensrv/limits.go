package tokensrv

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// bucketsKept bounds the memory of one limiter. An evicted bucket starts full
// again, which is also what it would have become by standing idle.
const bucketsKept = 32 << 10

// limiter keeps one token bucket per key: an identity or an address. A bucket
// is one number, the time at which it is full again: the same generic cell rate
// algorithm as in Redis, and a tenth of the memory of a rate.Limiter per agent.
type limiter struct {
	name   string
	rate   Rate
	shared *shared // nil without Redis
	now    func() time.Time

	mu     sync.Mutex
	fullAt *simplelru.LRU[string, int64] // Unix nanoseconds
}

func newLimiter(name string, r Rate, sh *shared, now func() time.Time) *limiter {
	buckets, err := simplelru.NewLRU[string, int64](bucketsKept, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &limiter{name: name, rate: r, fullAt: buckets, shared: sh, now: now}
}

// wait takes one from key's bucket and returns 0, or returns how long until
// there is one to take. Without an answer from Redis this replica's own bucket
// decides: a lost Redis loosens limits, it never refuses service.
func (l *limiter) wait(ctx context.Context, key string) time.Duration {
	if l.rate.unlimited() {
		return 0
	}
	if l.shared != nil {
		if wait, err := l.shared.take(ctx, l.name+":"+key, l.rate); err == nil {
			return wait
		}
	}
	interval := int64(float64(time.Second) / l.rate.PerSecond)
	now := l.now().UnixNano()
	l.mu.Lock()
	defer l.mu.Unlock()
	full, _ := l.fullAt.Get(key)
	full = max(full, now) + interval
	if wait := full - now - interval*int64(l.rate.Burst); wait > 0 {
		return time.Duration(wait)
	}
	l.fullAt.Add(key, full)
	return 0
}

// due is how long until there is one to take from key's bucket; none is taken.
func (l *limiter) due(key string) time.Duration {
	if l.rate.unlimited() {
		return 0
	}
	interval := int64(float64(time.Second) / l.rate.PerSecond)
	now := l.now().UnixNano()
	l.mu.Lock()
	defer l.mu.Unlock()
	full, _ := l.fullAt.Get(key)
	return time.Duration(max(0, full-now-interval*int64(l.rate.Burst-1)))
}

// refund puts one back into key's bucket, which this replica's wait has taken.
func (l *limiter) refund(key string) {
	if l.rate.unlimited() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if full, ok := l.fullAt.Peek(key); ok {
		l.fullAt.Add(key, full-int64(float64(time.Second)/l.rate.PerSecond))
	}
}

// addressName is an address for the log.
func addressName(a netip.Addr) string {
	if !a.IsValid() {
		return "local" // a Unix socket has no address
	}
	return a.String()
}

// addressKey is what an address is limited under. An IPv6 customer owns at
// least a /64 and could take a new address for every request.
func addressKey(a netip.Addr) string {
	if !a.IsValid() {
		return addressName(a)
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.String()
	}
	return a.String()
}
