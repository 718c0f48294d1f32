//go:build unix

package tokensrv

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// realRedis is a redis-server of this test's own, on a Unix socket.
type realRedis struct {
	t      *testing.T
	path   string
	cmd    *exec.Cmd
	client *redis.Client
}

func startRedis(t *testing.T) *realRedis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed: apt-get install redis-server")
	}
	dir, err := os.MkdirTemp("", "rds") // t.TempDir may be longer than a socket's path can be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &realRedis{t: t, path: filepath.Join(dir, "s")}
	r.client = redis.NewClient(&redis.Options{Network: "unix", Addr: r.path})
	t.Cleanup(func() { r.client.Close() })
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *realRedis) url() string { return "unix://" + r.path + "?db=0" }

func (r *realRedis) start() {
	r.t.Helper()
	r.cmd = exec.Command("redis-server", "--port", "0", "--unixsocket", r.path, "--save", "", "--appendonly", "no", "--dir", filepath.Dir(r.path))
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "redis answers", func() bool { return r.client.Ping(context.Background()).Err() == nil })
}

func (r *realRedis) kill() {
	if r.cmd.ProcessState != nil {
		return
	}
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait() // says that it was killed
}

// replica is a server that shares r with others.
func (r *realRedis) replica(change func(*Config)) *fixture {
	return newFixture(r.t, func(c *Config, _ *Deps) {
		c.RedisURL = r.url()
		if change != nil {
			change(c)
		}
	})
}

func TestReplicasShareVerdicts(t *testing.T) {
	r := startRedis(t)
	a, b := r.replica(nil), r.replica(nil)
	good, bad := a.agent("alice"), flexToken("bad")
	a.do(post(good)).wantToken(t)
	a.do(post(bad)).want(t, 403, tokenRefused)
	// b's Twilio knows neither token: only the shared verdict lets alice in.
	answer := b.do(post(good))
	answer.wantToken(t)
	if !strings.Contains(answer.body, `"identity":"ext_alice"`) {
		t.Error("another identity than the first replica's")
	}
	b.do(post(bad)).want(t, 403, tokenRefused)
	if n := b.twilio.calls.Load(); n != 0 {
		t.Errorf("the second replica asked Twilio %d times", n)
	}
}

// TestTurningRequirementsOn: a replica that has just been given --require-enabled
// or --require-role reads what one without them has shared, and what one of an
// earlier version has, which left out what it did not need.
func TestTurningRequirementsOn(t *testing.T) {
	r := startRedis(t)
	demanding := func() *fixture {
		return newFixture(t, func(c *Config, d *Deps) {
			c.RedisURL, c.RequireEnabled, c.RequireRoles = r.url(), true, []string{"agent"}
			d.WorkerEnabled = func(context.Context, string) (bool, error) { return true, nil }
		})
	}
	before, after := r.replica(nil), demanding()
	token := before.agent("alice")
	before.do(post(token)).wantToken(t)
	after.do(post(token)).wantToken(t)
	if n := after.twilio.calls.Load(); n != 0 {
		t.Errorf("Twilio was asked %d times about a token that was shared", n)
	}

	token = after.agent("bob")
	sum := sha256.Sum256([]byte(token))
	key := after.shared.prefix + "verdict:" + hex.EncodeToString(sum[:])
	body := fmt.Sprintf(`{"identity":"bob","until":%q}`, time.Now().Add(time.Minute).Format(time.RFC3339))
	if err := r.client.Set(t.Context(), key, append(after.shared.sign(key, []byte(body)), body...), time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	after.do(post(token)).wantToken(t)
}

func TestRedisHoldsNoToken(t *testing.T) {
	r := startRedis(t)
	f := r.replica(func(c *Config) { c.AddressRate = Rate{PerSecond: 0.1, Burst: 10} }) // slow enough to be seen
	f.do(post(f.agent("alice"))).wantToken(t)
	f.do(post(flexToken("bad"))).want(t, 403, tokenRefused)
	ctx := t.Context()
	keys, err := r.client.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 4 { // two verdicts, one address, one identity
		t.Errorf("keys %q", keys)
	}
	for _, k := range keys {
		value, err := r.client.Get(ctx, k).Result()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&said, "%s %s\n", k, value)
		life := r.client.PTTL(ctx, k).Val()
		if life <= 0 || life > keepVerified {
			t.Errorf("%s lives %s", k, life)
		}
	}
}

func TestAttackForgedVerdictInRedis(t *testing.T) {
	r := startRedis(t)
	f := r.replica(nil)
	honest := f.agent("alice")
	f.do(post(honest)).wantToken(t)
	verdictKey := func(token string) string {
		sum := sha256.Sum256([]byte(token))
		return "flexvc:" + testAccount + ":verdict:" + hex.EncodeToString(sum[:])
	}
	ctx := t.Context()
	sealed, err := r.client.Get(ctx, verdictKey(honest)).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string][]byte{
		"written by hand":        []byte(`{"identity":"boss","until":"2999-01-01T00:00:00Z"}`),
		"under a made-up seal":   append(make([]byte, sha256.Size), `{"identity":"boss","until":"2999-01-01T00:00:00Z"}`...),
		"copied from another":    sealed,
		"changed after the seal": bytes.Replace(sealed, []byte("alice"), []byte("bobby"), 1),
		"empty":                  nil,
	} {
		stolen := flexToken(name)
		if err := r.client.Set(ctx, verdictKey(stolen), value, 0).Err(); err != nil {
			t.Fatal(err)
		}
		before := f.twilio.calls.Load()
		f.do(post(stolen)).want(t, 403, tokenRefused)
		if f.twilio.calls.Load() != before+1 {
			t.Errorf("%s: Twilio was not asked", name)
		}
	}
}

func TestReplicasShareLimits(t *testing.T) {
	r := startRedis(t)
	slow := func(c *Config) { c.IdentityRate = Rate{PerSecond: 0.001, Burst: 4} }
	replicas := []*fixture{r.replica(slow), r.replica(slow), r.replica(slow)}
	token := replicas[0].agent("alice")
	issued := 0
	for i := range 12 {
		a := replicas[i%3].do(post(token))
		if a.status == 200 {
			issued++
			continue
		}
		a.want(t, 429, identityLimited)
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if issued != 4 {
		t.Errorf("three replicas issued %d tokens with a limit of 4", issued)
	}
}

func TestSharedBucketRefills(t *testing.T) {
	r := startRedis(t)
	f := r.replica(func(c *Config) { c.IdentityRate = Rate{PerSecond: 20, Burst: 1} })
	token := f.agent("alice")
	f.do(post(token)).wantToken(t)
	eventually(t, "a token is there again", func() bool { return f.do(post(token)).status == 200 })
}

func TestRedisLost(t *testing.T) {
	r := startRedis(t)
	f := r.replica(func(c *Config) { c.IdentityRate = Rate{PerSecond: 0.001, Burst: 20} })
	f.do(post(f.agent("before"))).wantToken(t)

	for name, lose := range map[string]struct{ away, back func() }{
		"killed":  {r.kill, r.start},
		"hanging": {func() { _ = r.cmd.Process.Signal(syscall.SIGSTOP) }, func() { _ = r.cmd.Process.Signal(syscall.SIGCONT) }},
	} {
		t.Run(name, func(t *testing.T) {
			logged := len(f.log.String())
			since := func() string { return f.log.String()[logged:] }
			metric := func(line string) bool {
				w := httptest.NewRecorder()
				f.Admin().ServeHTTP(w, httptest.NewRequest("GET", pathMetrics, nil))
				return strings.Contains(w.Body.String(), line+"\n")
			}
			lose.away()
			for i := range 10 {
				f.do(post(f.agent(name + "_" + strconv.Itoa(i)))).wantToken(t)
			}
			if strings.Count(since(), "redis is down") != 1 || !metric("flexvc_redis_up 0") || metric("flexvc_redis_errors_total 0") {
				t.Errorf("the loss is not told once: %s", since())
			}
			// This replica's own limits hold.
			token := f.agent(name + "_greedy")
			for range 20 {
				f.do(post(token)).wantToken(t)
			}
			f.do(post(token)).want(t, 429, identityLimited)

			lose.back()
			n := 0
			eventually(t, "redis is used again", func() bool {
				n++
				f.do(post(f.agent(name + "_back" + strconv.Itoa(n)))).wantToken(t)
				return strings.Contains(since(), "redis is back")
			})
			if !metric("flexvc_redis_up 1") {
				t.Error("the metric does not say that redis is back")
			}
		})
	}
}

func TestStartsWithoutRedis(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *Deps) { c.RedisURL = "unix:///nonexistent/redis.sock" })
	for i := range 5 {
		f.do(post(f.agent("agent" + strconv.Itoa(i)))).wantToken(t)
	}
}

// fleet is three replicas on real ports behind a real reverse proxy.
type fleet struct {
	t        *testing.T
	change   func(*Config)
	redis    *realRedis
	twilio   *fakeTwilio // one, as in life
	servers  [3]*fixture
	addrs    [3]string
	stop     [3]func()
	proxy    *httptest.Server
	next     atomic.Int64
	outgoing *http.Transport
}

func startFleet(t *testing.T, r *realRedis, change func(*Config)) *fleet {
	t.Helper()
	fl := &fleet{
		t: t, change: change, redis: r,
		twilio:   &fakeTwilio{agents: map[string]string{}},
		outgoing: &http.Transport{MaxIdleConnsPerHost: 32},
	}
	for i := range fl.servers {
		fl.addrs[i] = "127.0.0.1:0"
		fl.run(i)
	}
	fl.proxy = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", "replica"
			p.SetXForwarded()
		},
		Transport: fl,
	})
	t.Cleanup(func() {
		fl.proxy.Close()
		fl.outgoing.CloseIdleConnections()
		for _, stop := range fl.stop {
			stop()
		}
	})
	return fl
}

// run starts a replica that remembers nothing, on the port of the one before.
func (fl *fleet) run(i int) {
	fl.t.Helper()
	s := newFixture(fl.t, func(c *Config, d *Deps) {
		c.RedisURL = fl.redis.url()
		c.BehindProxy = true
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		d.Transport = fl.twilio
		fl.change(c)
	})
	s.twilio = fl.twilio
	fl.servers[i] = s
	var ln net.Listener
	eventually(fl.t, "the port is free", func() bool {
		var err error
		ln, err = Listen(fl.addrs[i])
		return err == nil
	})
	if fl.stop[i] == nil { // later ones take the same port, and the proxy is reading
		fl.addrs[i] = ln.Addr().String()
	}
	ctx, cancel := context.WithCancel(context.Background())
	abort := make(chan struct{})
	close(abort) // a kill, not a drain
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, Listeners{Public: []net.Listener{ln}}, abort) }()
	fl.stop[i] = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			fl.t.Error(err)
		}
	})
}

// RoundTrip is the proxy's retry: a request no replica answered goes to the next.
func (fl *fleet) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var all error
	// Counted from one start: with a counter that all requests move, one request
	// could meet the same dead replica at every try.
	first := fl.next.Add(1)
	for i := range int64(6) {
		try := r.Clone(r.Context())
		try.Body = io.NopCloser(bytes.NewReader(body))
		try.URL.Host = fl.addrs[(first+i)%3]
		resp, err := fl.outgoing.RoundTrip(try)
		if err == nil {
			return resp, nil
		}
		all = errors.Join(all, err)
	}
	return nil, all
}

func TestReplicasKilledInTurnUnderLoad(t *testing.T) {
	r := startRedis(t)
	fl := startFleet(t, r, func(c *Config) { c.AddressRate = Rate{} })
	tokens := make([]string, 200)
	for i := range tokens {
		tokens[i] = fl.servers[0].agent("agent" + strconv.Itoa(i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var answeredOK, next atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	for range 8 {
		load.Go(func() {
			for ctx.Err() == nil {
				// Ten rounds at most, so that no agent meets the limit of 20.
				n := next.Add(1) - 1
				if n >= int64(10*len(tokens)) {
					return
				}
				resp, err := client.PostForm(fl.proxy.URL+pathToken, url.Values{"Token": {tokens[n%int64(len(tokens))]}})
				if err != nil {
					t.Error(err)
					return
				}
				a := note(t, resp)
				if a.status != 200 {
					t.Errorf("request %d was lost: %d %s", n, a.status, a.body)
				}
				answeredOK.Add(1)
			}
		})
	}
	for i := range fl.servers {
		before := answeredOK.Load()
		eventually(t, "load flows", func() bool { return answeredOK.Load() >= before+50 || next.Load() >= int64(10*len(tokens)) })
		fl.stop[i]()
		before = answeredOK.Load()
		eventually(t, "load flows with two replicas", func() bool { return answeredOK.Load() >= before+50 || next.Load() >= int64(10*len(tokens)) })
		fl.run(i)
	}
	cancel()
	load.Wait()
	if answeredOK.Load() < 300 {
		t.Errorf("only %d requests were made while replicas came and went", answeredOK.Load())
	}
}

func TestFleetLimitsOneAddress(t *testing.T) {
	r := startRedis(t)
	fl := startFleet(t, r, func(c *Config) { c.AddressRate = Rate{PerSecond: 0.001, Burst: 5} })
	token := fl.servers[0].agent("alice")
	ask := func(forged string) int {
		req, err := http.NewRequest("POST", fl.proxy.URL+pathToken, strings.NewReader("Token="+token))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("X-Forwarded-For", forged)
		resp, err := fl.proxy.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return note(t, resp).status
	}
	issued := 0
	for i := range 9 {
		if ask("198.51.100."+strconv.Itoa(i)) == 200 {
			issued++
		}
	}
	if issued != 5 {
		t.Errorf("one client got %d tokens through three replicas with a limit of 5", issued)
	}
	// Redis goes: everyone is served on, within each replica's own limit.
	r.kill()
	if got := ask(""); got != 200 {
		t.Errorf("without redis answered %d", got)
	}
}
