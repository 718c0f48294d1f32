package emulator

import (
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiters are the account's token buckets.
type limiters struct {
	mu         sync.Mutex
	requests   *rate.Limiter // nil is off
	expression *rate.Limiter // nil is off
}

func (l *limiters) set(limits Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = bucketOf(limits.RequestsPerSecond, limits.Burst)
	l.expression = bucketOf(limits.ExpressionPerSecond, 0)
}

func bucketOf(perSecond float64, burst int) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	if burst == 0 {
		burst = max(1, int(math.Ceil(perSecond)))
	}
	return rate.NewLimiter(rate.Limit(perSecond), burst)
}

// admit takes a request's token, or refuses it as Twilio does: not processed,
// with 429.
func (l *limiters) admit(now time.Time, inFlight int, limits Limits) *Reply {
	l.mu.Lock()
	bucket := l.requests
	l.mu.Unlock()
	if limits.Concurrency > 0 && inFlight > limits.Concurrency || bucket != nil && !bucket.AllowN(now, 1) {
		return l.refusal(limits)
	}
	return nil
}

// admitExpression takes a token of the bucket that worker lists with an
// expression share.
func (l *limiters) admitExpression(now time.Time, limits Limits) *Reply {
	l.mu.Lock()
	bucket := l.expression
	l.mu.Unlock()
	if bucket != nil && !bucket.AllowN(now, 1) {
		return l.refusal(limits)
	}
	return nil
}

func (l *limiters) refusal(limits Limits) *Reply {
	rep := tooMany()
	if limits.RetryAfter {
		rep = rep.With("Retry-After", "1")
	}
	return rep
}

// describe adds the X-Rate-Limit headers that TaskRouter's specification
// declares, when there is a limit. Their format at Twilio is not documented.
func (l *limiters) describe(rep *Reply, now time.Time, limits Limits) *Reply {
	l.mu.Lock()
	bucket := l.requests
	l.mu.Unlock()
	if bucket == nil {
		return rep
	}
	perSecond := strconv.FormatFloat(limits.RequestsPerSecond, 'f', -1, 64)
	return rep.
		With("X-Rate-Limit-Limit", perSecond).
		With("X-Rate-Limit-Remaining", strconv.Itoa(max(0, int(bucket.TokensAt(now))))).
		With("X-Rate-Limit-Config", fmt.Sprintf("account;rps=%s;burst=%d", perSecond, bucket.Burst()))
}

// AdmitExpression takes a token of the bucket that worker lists with an
// expression share, or refuses.
func (c *Call) AdmitExpression() *Reply { return c.e.limit.admitExpression(c.Now, c.Settings.Limits) }
