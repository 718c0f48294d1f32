package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// process is one of the other roles, running.
type process struct {
	addr  string
	cmd   *exec.Cmd
	stdin io.Closer
}

func start(ctx context.Context, role string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"-role", role}, args...)...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // the child leaves when this closes, however we end
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = stdin.Close()
		return nil, errors.Join(fmt.Errorf("%s did not start", role), err, cmd.Wait())
	}
	return &process{addr: strings.TrimSpace(addr), cmd: cmd, stdin: stdin}, nil
}

func (p *process) stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Wait()
}

// memory reads a figure such as VmRSS, which only Linux has.
func (p *process) memory(name string) string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kB, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			if err == nil {
				return fmt.Sprintf("%.1f MB", float64(kB)/1024)
			}
		}
	}
	return "unknown"
}

// cpu is the processor time the process has used, which other work on the
// machine disturbs less than it does requests per second. 0 where unknown.
func (p *process) cpu() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	// Counted after the command's name, which may hold spaces: utime, stime in 1/100 s.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func (p *process) calls() (int, error) { return p.count("http://" + p.addr + "/calls") }

func (p *process) count(address string) (int, error) {
	resp, err := http.Get(address)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// client speaks just enough HTTP/1.1 to leave the cores to the servers.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	buf  []byte
}

func dial(addr string) (*client, error) { return dialFrom(addr, 1) }

// dialFrom dials from one of many addresses that a Linux machine has by itself.
func dialFrom(addr string, site int) (*client, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	if site > 1 {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(site))}
	}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, r: bufio.NewReaderSize(conn, 4096)}, nil
}

func (c *client) ask(token string) error {
	c.buf = fmt.Appendf(c.buf[:0], "POST /generateToken HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\nToken=%s", len("Token=")+len(token), token)
	if err := c.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.buf); err != nil {
		return err
	}
	status, err := c.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200 "))
	what := strings.TrimSpace(string(status[:min(len(status), 40)]))
	length := 0
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if v, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return err
			}
		}
	}
	if _, err := c.r.Discard(length); err != nil {
		return err
	}
	if !ok {
		return errors.New(what)
	}
	return nil
}

// pace is how fast requests were answered and what each cost the server.
type pace struct {
	perSecond float64
	cpu       time.Duration // of the server, per request
}

// hammer asks as fast as conns connections can for span. tokens maps the
// running number of a request to its token.
func hammer(p *process, conns int, span time.Duration, tokens func(i int) int) (pace, error) {
	var next, done atomic.Int64
	var fault atomic.Pointer[error]
	var all sync.WaitGroup
	started, used := time.Now(), p.cpu()
	for range conns {
		all.Go(func() {
			c, err := dial(p.addr)
			if err != nil {
				fault.Store(&err)
				return
			}
			defer c.conn.Close()
			for time.Since(started) < span && fault.Load() == nil {
				if err := c.ask(flexToken(tokens(int(next.Add(1) - 1)))); err != nil {
					fault.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	if err := fault.Load(); err != nil {
		return pace{}, *err
	}
	return pace{
		perSecond: float64(done.Load()) / time.Since(started).Seconds(),
		cpu:       (p.cpu() - used) / time.Duration(max(done.Load(), 1)),
	}, nil
}

// visit asks once for each of the first n tokens.
func visit(addr string, conns, n int) error {
	var next atomic.Int64
	errs := make(chan error, conns)
	for range conns {
		go func() {
			c, err := dial(addr)
			if err != nil {
				errs <- err
				return
			}
			defer c.conn.Close()
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				if err := c.ask(flexToken(i)); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	var all error
	for range conns {
		all = errors.Join(all, <-errs)
	}
	return all
}

// logIn lets n agents arrive evenly over span, from so many addresses. A latency counts from the moment
// the agent was due, so a stalled server cannot hide the queue before it.
func logIn(addr string, n int, span time.Duration, sites int) (latencies []time.Duration, failures []error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	sockets := make(chan struct{}, 15_000) // as many as this process may have; who waits for one is late
	started := time.Now()
	for i := range n {
		due := started.Add(time.Duration(i) * span / time.Duration(n))
		time.Sleep(time.Until(due))
		all.Go(func() {
			sockets <- struct{}{}
			defer func() { <-sockets }()
			c, err := dialFrom(addr, 1+i%sites)
			if err == nil {
				err = c.ask(flexToken(i))
				_ = c.conn.Close()
			}
			took := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, took)
			if err != nil {
				failures = append(failures, err)
			}
		})
	}
	all.Wait()
	slices.Sort(latencies)
	return latencies, failures
}

func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[min(len(sorted)-1, len(sorted)*p/100)].Round(100 * time.Microsecond)
}
