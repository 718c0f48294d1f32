package tokensrv

import (
	"context"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// bucketsKept bounds the memory of one limiter. An evicted bucket starts full
// again, which is also what it would have become by standing idle.
const bucketsKept = 32 << 10

// limiter keeps one token bucket per key: an identity or an address.
type limiter struct {
	name    string
	rate    Rate
	buckets *lru.Cache[string, *rate.Limiter]
	shared  *shared // nil without Redis
	now     func() time.Time
}

func newLimiter(name string, r Rate, sh *shared, now func() time.Time) *limiter {
	buckets, err := lru.New[string, *rate.Limiter](bucketsKept)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &limiter{name: name, rate: r, buckets: buckets, shared: sh, now: now}
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
	bucket, ok := l.buckets.Get(key)
	if !ok {
		fresh := rate.NewLimiter(rate.Limit(l.rate.PerSecond), l.rate.Burst)
		// Two first requests of one key must share the bucket that won.
		if won, lost, _ := l.buckets.PeekOrAdd(key, fresh); lost {
			bucket = won
		} else {
			bucket = fresh
		}
	}
	now := l.now()
	r := bucket.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
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
