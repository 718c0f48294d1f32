package eventsrv

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/flexvc/flexvc/internal/problem"
)

// bus passes items on between replicas through a Redis channel. Redis keeps
// nothing: what a replica misses while it is cut off, its readers make up for
// with a resync.
type bus struct {
	client  *redis.Client
	channel string
	prefix  string
	seal    []byte // whoever can write to Redis must not be able to tell of events
	hub     *hub
	log     *slog.Logger
	m       *metrics
	owed    atomic.Bool // the others have not got something
	down    atomic.Bool
	pause   time.Duration
}

const (
	redisPatience = 150 * time.Millisecond
	redisRest     = time.Second
	redisQuiet    = 2 * time.Second // without a message, after which a ping tells whether anybody is there
	claimed       = time.Hour
)

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func newBus(cfg Config, h *hub, log *slog.Logger, m *metrics) (*bus, error) {
	opt, err := redis.ParseURL(cfg.RedisURL)
	if err != nil { // err would repeat the password
		return nil, problem.New(problem.ConfigInvalid, "cannot receive events: invalid Redis URL").
			WithHint("use redis://host:6379/0, rediss:// for TLS, or unix:///path")
	}
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = redisPatience, redisPatience, redisPatience, redisPatience
	opt.MaxRetries, opt.DialerRetries = -1, 1
	opt.ContextTimeoutEnabled, opt.DisableIdentity = true, true
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	redis.SetLogger(quiet{}) // what it would say is in our own warning and metrics
	mac := hmac.New(sha256.New, []byte(cfg.AuthToken))
	io.WriteString(mac, "flexvc events 1")
	prefix := "flexvc:" + cfg.AccountSID + ":" + cfg.WorkspaceSID + ":"
	return &bus{
		client: redis.NewClient(opt), prefix: prefix, channel: prefix + "events",
		seal: mac.Sum(nil), hub: h, log: log, m: m, pause: redisRest,
	}, nil
}

// publish passes items on. Twilio's answer waits for it, so not for long: what
// cannot be passed on now is owed.
func (b *bus) publish(ctx context.Context, items []item) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisPatience)
	defer cancel()
	if b.down.Load() {
		b.owed.Store(true)
		return
	}
	b.failed(b.send(ctx, items))
}

func (b *bus) send(ctx context.Context, items []item) error {
	body := encode(items)
	return b.client.Publish(ctx, b.channel, append(b.sign(body), body...)).Err()
}

// failed notes whether Redis took something.
func (b *bus) failed(err error) {
	if err == nil {
		return
	}
	b.m.redisErrors.Inc()
	b.owed.Store(true)
	if !b.down.Swap(true) {
		b.log.Warn("redis is down: other replicas get no events from this one until it recovers")
	}
}

// sign seals what is published with the account's auth token.
func (b *bus) sign(body []byte) []byte {
	mac := hmac.New(sha256.New, b.seal)
	io.WriteString(mac, b.channel)
	mac.Write(body)
	return mac.Sum(nil)
}

// run takes in what other replicas publish, until ctx ends.
func (b *bus) run(ctx context.Context) {
	defer b.client.Close()
	for first := true; ctx.Err() == nil; first = false {
		b.listen(ctx, first)
		select {
		case <-ctx.Done():
		case <-time.After(b.pause):
		}
	}
}

// listen subscribes once and reads until the connection breaks.
func (b *bus) listen(ctx context.Context, first bool) {
	sub := b.client.Subscribe(ctx, b.channel)
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })() // Receive does not look at its context
	if _, err := sub.ReceiveTimeout(ctx, redisPatience); err != nil {
		if ctx.Err() == nil {
			b.failed(err)
		}
		return
	}
	b.recovered()
	if !first {
		b.hub.add(resync("another replica's events may be missing"))
	}
	for pinged := false; ; {
		b.settle(ctx)
		message, err := sub.ReceiveTimeout(ctx, redisQuiet)
		var late net.Error
		switch m := message.(type) {
		case *redis.Message:
			b.take([]byte(m.Payload))
		case *redis.Pong:
		case *redis.Subscription:
			return // it was connected anew behind our back: something may be missing
		default:
			if ctx.Err() != nil {
				return
			}
			if pinged || !errors.As(err, &late) || !late.Timeout() || sub.Ping(ctx) != nil {
				b.failed(err)
				return
			}
			pinged = true
			continue
		}
		pinged = false
	}
}

// settle tells the others that they have missed something, once they can be
// told.
func (b *bus) settle(ctx context.Context) {
	if !b.owed.Swap(false) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	err := b.send(ctx, []item{resync("another replica's events are missing")})
	if err != nil {
		b.failed(err)
		return
	}
	b.recovered()
}

func (b *bus) recovered() {
	if b.down.Swap(false) {
		b.log.Info("redis is back: events are shared again")
	}
}

func (b *bus) take(message []byte) {
	if len(message) <= sha256.Size || !hmac.Equal(message[:sha256.Size], b.sign(message[sha256.Size:])) {
		b.m.redisForgeries.Inc()
		return
	}
	var items []item
	if json.Unmarshal(message[sha256.Size:], &items) != nil {
		b.m.redisForgeries.Inc()
		return
	}
	for _, it := range items {
		b.hub.add(it) // our own come back too: they are doubles
	}
}

// claim reports whether this replica is the first to ask for a name within an
// hour. Without Redis everybody is: better told twice than never.
func (b *bus) claim(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	won, err := b.client.SetNX(ctx, b.prefix+"told:"+name, 1, claimed).Result()
	if err != nil {
		b.m.redisErrors.Inc()
		return true
	}
	return won
}
