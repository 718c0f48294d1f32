//go:build unix

package eventsrv

import (
	"context"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/twilio"
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

// replicas are servers that share r, once they listen.
func (r *realRedis) replicas(n int, log *said) []*Server {
	var all []*Server
	for i := range n {
		all = append(all, newServer(r.t, func(c *Config, d *Deps) {
			c.RedisURL = "unix://" + r.path + "?db=0"
			d.Random = strings.NewReader(strings.Repeat(string(rune('a'+i)), 6))
			if log != nil {
				d.Log = log.logger()
			}
		}))
	}
	r.listening(all[0], n)
	return all
}

func (r *realRedis) listening(s *Server, n int) {
	eventually(r.t, "the replicas listen", func() bool {
		return r.client.PubSubNumSub(context.Background(), s.bus.channel).Val()[s.bus.channel] == int64(n)
	})
}

func (s *Server) resyncs() (n int) {
	items, _, _, _ := s.hub.since(1, 1<<20)
	for _, it := range items {
		if it.Name == nameResync {
			n++
		}
	}
	return n
}

func TestReplicasShareEvents(t *testing.T) {
	r := startRedis(t)
	all := r.replicas(3, nil)
	for i := range 30 {
		id := "EZ" + string(rune('A'+i))
		all[i%3].post(batch(cloud(id, nil)))
		all[(i+1)%3].post(batch(cloud(id, nil))) // Twilio tells twice, and another replica
	}
	for _, s := range all {
		eventually(t, "each replica has each event", func() bool { return len(s.held(t)) >= 30 })
	}
	for _, s := range all {
		if n := len(s.held(t)); n != 30 {
			t.Errorf("a replica has %d events", n)
		}
		if n := s.resyncs(); n != 0 {
			t.Errorf("%d resyncs without need", n)
		}
	}
}

func TestAttackForgedEventsInRedis(t *testing.T) {
	r := startRedis(t)
	s := r.replicas(1, nil)[0]
	ctx := t.Context()
	spy := r.client.Subscribe(ctx, s.bus.channel)
	defer spy.Close()
	if _, err := spy.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	s.post(batch(cloud("EZ1", nil)))
	sealed, err := spy.ReceiveMessage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	body := string(encode([]item{worker("EZ2", fleet.Event{WorkerSID: "WKforged", Kind: twilio.EventDeleted, At: time.Unix(1, 0)})}))
	forgeries := []string{body, strings.Repeat("\x00", sha256.Size) + body, sealed.Payload[:sha256.Size] + body, "", "x", strings.Replace(sealed.Payload, "carol", "darol", 1)}
	for _, message := range forgeries {
		if err := r.client.Publish(ctx, s.bus.channel, message).Err(); err != nil {
			t.Fatal(err)
		}
	}
	s.post(batch(cloud("EZ3", nil)))
	eventually(t, "all were read", func() bool {
		return strings.Contains(s.metrics(), `flexvc_event_redis_errors_total{reason="seal"} 6`)
	})
	for _, e := range s.held(t) {
		if e.WorkerSID != testWorker || e.Name != "carol" {
			t.Errorf("a forged event was taken: %+v", e)
		}
	}
}

func TestRedisGoesAndComesBack(t *testing.T) {
	r := startRedis(t)
	var log said
	all := r.replicas(2, &log)
	all[0].post(batch(cloud("EZ1", nil)))
	eventually(t, "the other has it", func() bool { return len(all[1].held(t)) == 1 })
	r.kill()
	if status := all[0].post(batch(cloud("EZ2", nil))); status != 204 {
		t.Errorf("without Redis Twilio is answered %d", status)
	}
	if n := len(all[0].held(t)); n != 2 {
		t.Errorf("without Redis the replica has %d events of its own", n)
	}
	eventually(t, "both notice", func() bool { return all[0].bus.down.Load() && all[1].bus.down.Load() })
	r.start()
	r.listening(all[0], 2)
	for _, s := range all {
		eventually(t, "readers are told that something may be missing", func() bool { return s.resyncs() > 0 })
	}
	eventually(t, "events are passed on again", func() bool {
		all[0].post(batch(cloud("EZ"+time.Now().String(), nil)))
		return len(all[1].held(t)) > 1
	})
	if text := log.String(); !strings.Contains(text, "redis is down") || !strings.Contains(text, "redis is back") {
		t.Errorf("the log is\n%s", text)
	}
}

func TestOneReplicaTellsOfAChange(t *testing.T) {
	r := startRedis(t)
	all := r.replicas(3, nil)
	won := 0
	for _, s := range all {
		if s.bus.claim(t.Context(), "WK1:drift:1") {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d of 3 replicas tell of one change", won)
	}
	if !all[0].bus.claim(t.Context(), "WK1:drift:2") {
		t.Error("another change is not told")
	}
	r.kill()
	if !all[0].bus.claim(t.Context(), "WK1:drift:3") {
		t.Error("without Redis nobody is told")
	}
}
