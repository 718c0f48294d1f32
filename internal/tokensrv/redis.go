package tokensrv

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/sony/gobreaker/v2"
)

// shared is what replicas have in common: verdicts and rate limits, in Redis.
// It is a convenience, never a dependency: every method reports failure within
// redisPatience and its caller goes on with what this process knows.
type shared struct {
	client  *redis.Client
	breaker *gobreaker.CircuitBreaker[any] // a hanging Redis must not delay every request
	prefix  string
	seal    atomic.Pointer[[]byte] // see sealOf

	needsAll bool // roles or the worker decide, which a record of an earlier version may lack

	now func() time.Time
	m   *metrics
}

const (
	redisPatience = 150 * time.Millisecond
	redisRest     = time.Second
)

// quiet keeps go-redis from writing to standard error on its own; what it would
// say is in our own warning and metrics.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func newShared(c Config, now func() time.Time, log *slog.Logger, m *metrics) (*shared, error) {
	opt, err := redis.ParseURL(c.RedisURL)
	if err != nil {
		return nil, err
	}
	opt.DialTimeout = redisPatience
	opt.ReadTimeout = redisPatience
	opt.WriteTimeout = redisPatience
	opt.PoolTimeout = redisPatience
	opt.PoolSize = 64
	opt.MaxRetries = -1
	opt.DialerRetries = 1
	opt.ContextTimeoutEnabled = true
	opt.DisableIdentity = true
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	redis.SetLogger(quiet{})

	m.redisUp = m.set.NewGauge("flexvc_redis_up", nil)
	m.redisUp.Set(1)
	s := &shared{
		client:   redis.NewClient(opt),
		prefix:   "flexvc:" + c.AccountSID + ":",
		needsAll: len(c.RequireRoles) > 0 || len(c.AllowWorkers) > 0 || c.RequireEnabled,
		now:      now,
		m:        m,
		breaker: gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
			Name:        "redis",
			MaxRequests: 1,
			Timeout:     redisRest,
			ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= 3 },
			OnStateChange: func(_ string, from, to gobreaker.State) {
				switch {
				case from == gobreaker.StateClosed:
					m.redisUp.Set(0)
					log.Warn("redis is down: limits and cache are local to this replica until it recovers")
				case to == gobreaker.StateClosed:
					m.redisUp.Set(1)
					log.Info("redis is back: limits and cache are shared again")
				}
			},
		}),
	}
	s.seal.Store(sealOf(c))
	return s, nil
}

// do runs one command, detached from the request: a client that hangs up is no
// fault of Redis.
func (s *shared) do(ctx context.Context, command func(ctx context.Context) error) error {
	_, err := s.breaker.Execute(func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisPatience)
		defer cancel()
		err := command(ctx)
		if errors.Is(err, redis.Nil) {
			err = nil
		}
		return nil, err
	})
	if err != nil {
		s.m.redisErrors.Inc()
	}
	return err
}

// record is a verdict at rest. The token is not in it: the key is its SHA-256.
type record struct {
	Identity  string    `json:"identity,omitempty"`
	Roles     []string  `json:"roles,omitempty"`
	WorkerSID string    `json:"worker,omitempty"`
	Expires   time.Time `json:"expires,omitzero"`
	Refused   reason    `json:"refused,omitempty"`
	Until     time.Time `json:"until"`
	Whole     bool      `json:"whole,omitempty"` // with all that Twilio said; earlier versions left out what their flags did not need
}

func (s *shared) verdict(ctx context.Context, sum string) (verdict, time.Time, bool) {
	key := s.prefix + "verdict:" + hex.EncodeToString([]byte(sum))
	var raw []byte
	err := s.do(ctx, func(ctx context.Context) (err error) {
		raw, err = s.client.Get(ctx, key).Bytes()
		return err
	})
	if err != nil || len(raw) <= sha256.Size {
		return verdict{}, time.Time{}, false
	}
	body := raw[sha256.Size:]
	if !hmac.Equal(raw[:sha256.Size], s.sign(key, body)) {
		return verdict{}, time.Time{}, false
	}
	var r record
	if json.Unmarshal(body, &r) != nil || !r.Until.After(s.now()) || s.needsAll && !r.Whole && r.Refused == "" {
		return verdict{}, time.Time{}, false
	}
	d := verdict{agent: agent{Identity: r.Identity, Roles: r.Roles, WorkerSID: r.WorkerSID, Expires: r.Expires}}
	if r.Refused != "" {
		d.refused = &refusal{reason: r.Refused, shape: "another-replica"}
	}
	return d, r.Until, true
}

func (s *shared) keep(ctx context.Context, sum string, d verdict, until time.Time) {
	r := record{Identity: d.Identity, Roles: d.Roles, WorkerSID: d.WorkerSID, Expires: d.Expires, Until: until, Whole: true}
	if d.refused != nil {
		r.Refused = d.refused.reason
	}
	body, err := json.Marshal(r)
	if err != nil {
		return
	}
	key := s.prefix + "verdict:" + hex.EncodeToString([]byte(sum))
	life := max(until.Sub(s.now()), time.Millisecond)
	_ = s.do(ctx, func(ctx context.Context) error { // counted by do; nothing depends on it
		return s.client.Set(ctx, key, append(s.sign(key, body), body...), life).Err()
	})
}

func (s *shared) sign(key string, body []byte) []byte {
	mac := hmac.New(sha256.New, *s.seal.Load())
	mac.Write([]byte(key))
	mac.Write(body)
	return mac.Sum(nil)
}

// take is a token bucket as one number, the time at which it is full again
// (the generic cell rate algorithm), on Redis's clock so that replicas need not
// agree on theirs. It answers the microseconds to wait, 0 for "go ahead".
var take = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + interval
local wait = full - now - interval * burst
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return 0
`)

func (s *shared) take(ctx context.Context, bucket string, r Rate) (time.Duration, error) {
	var wait int64
	err := s.do(ctx, func(ctx context.Context) (err error) {
		wait, err = take.Run(ctx, s.client, []string{s.prefix + "limit:" + bucket}, 1e6/r.PerSecond, r.Burst).Int64()
		return err
	})
	return time.Duration(wait) * time.Microsecond, err
}
