package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// What deploy/ gives the server.
const (
	memoryLimit = 128 << 20
	goLimit     = "80MiB"
)

const (
	withheld  = 200    // posts of 4 MiB
	idleConns = 20_000 // in two processes, as one may not have so many descriptors
)

// connections attacks with bodies that never come and connections that say nothing,
// while agents of another address log in.
func connections(ctx context.Context, out io.Writer) error {
	const thinks = 50 * time.Millisecond
	validator, err := start(ctx, "validator", "-delay", thinks.String())
	if err != nil {
		return err
	}
	defer validator.stop()
	if err := os.Setenv("GOMEMLIMIT", goLimit); err != nil {
		return err
	}
	server, err := start(ctx, "ours", "-upstream", validator.addr)
	_ = os.Unsetenv("GOMEMLIMIT")
	if err != nil {
		return err
	}
	confined, release := confine(server.cmd.Process.Pid)
	defer func() { server.stop(); release() }()

	fmt.Fprintf(out, "\n%d withheld posts of 4 MiB and %d idle connections, GOMEMLIMIT %s, %s; validator answers after %s\n", withheld, idleConns, goLimit, confined, thinks)
	quiet, failed := logIn(server.addr, 1000, 10*time.Second, 1)
	for range 2 {
		attacker, err := start(ctx, "attacker", "-target", server.addr, "-posts", strconv.Itoa(withheld/2), "-idle", strconv.Itoa(idleConns/2))
		if err != nil {
			return err
		}
		defer attacker.stop()
	}
	latencies, failures := logIn(server.addr, 1000, 10*time.Second, 1)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "before\t%d of 1000 agents without a token, p99 %s\n", len(failed), percentile(quiet, 99))
	fmt.Fprintf(w, "during\t%d of 1000 agents without a token, p99 %s\n", len(failures), percentile(latencies, 99))
	fmt.Fprintf(w, "RSS\t%s (peak %s)\n", server.memory("VmRSS"), server.memory("VmHWM"))
	if len(failures) > 0 {
		fmt.Fprintf(w, "first error\t%v\n", failures[0])
	}
	return w.Flush()
}

// confine puts a process under the memory limit, where this machine lets us.
func confine(pid int) (what string, release func()) {
	for _, v := range []struct{ root, limit string }{{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"}} {
		folder := filepath.Join(v.root, "flexvc-bench-"+strconv.Itoa(pid))
		if os.Mkdir(folder, 0o755) != nil {
			continue
		}
		err := os.WriteFile(filepath.Join(folder, v.limit), strconv.AppendInt(nil, memoryLimit, 10), 0o644)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, "cgroup.procs"), strconv.AppendInt(nil, int64(pid), 10), 0o644)
		}
		if err == nil {
			return "killed beyond 128 MiB", func() { _ = os.Remove(folder) }
		}
		_ = os.Remove(folder)
	}
	return "no cgroup to limit it", func() {}
}

// again is after how long the attacker opens what the server has closed: as long as
// the server lets a connection be that says nothing.
const again = 5 * time.Second

// attack withholds and idles until its standard input ends. What the server closes
// is opened again.
func attack(target string, posts, idle int) error {
	from := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 66)}}
	var opened atomic.Int64
	var once sync.Once
	ready := make(chan struct{})
	keep := func(say func(net.Conn)) {
		for first := true; ; first = false {
			c, err := from.Dial("tcp", target)
			if first && opened.Add(1) == int64(posts+idle) {
				once.Do(func() { close(ready) })
			}
			if err != nil {
				time.Sleep(time.Second)
				continue
			}
			say(c)
			_, _ = io.Copy(io.Discard, c) // until the server closes it
			_ = c.Close()
			time.Sleep(again)
		}
	}
	block := bytes.Repeat([]byte{'x'}, 64<<10)
	for range posts {
		go keep(func(c net.Conn) {
			left := 4<<20 - 1
			_, err := fmt.Fprintf(c, "POST /events/twilio HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", left+1)
			for err == nil && left > 0 {
				var n int
				n, err = c.Write(block[:min(left, len(block))])
				left -= n
			}
		})
	}
	for range idle {
		go keep(func(net.Conn) {})
	}
	<-ready
	fmt.Println(target)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// garbage floods a slow validator's server from one address, at the limit per
// address, with what looks like Flex tokens; agents of another one log in.
func garbage(ctx context.Context, out io.Writer) error {
	const thinks, rate, span = 2 * time.Second, 1000, 20 * time.Second
	validator, err := start(ctx, "validator", "-delay", thinks.String())
	if err != nil {
		return err
	}
	defer validator.stop()
	server, err := start(ctx, "ours", "-upstream", validator.addr)
	if err != nil {
		return err
	}
	defer server.stop()
	var flood sync.WaitGroup
	flood.Go(func() {
		var each sync.WaitGroup
		begun := time.Now()
		for i := range int(span.Seconds()) * rate {
			time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / rate)))
			each.Go(func() {
				c, err := dialFrom(server.addr, 66)
				if err != nil {
					return
				}
				_ = c.ask(flexToken(i) + "x") // refused, as it is to be
				_ = c.conn.Close()
			})
		}
		each.Wait()
	})
	time.Sleep(span / 10)
	const good = 200
	latencies, failures := logIn(server.addr, good, span*3/4, 2)
	flood.Wait()
	calls, err := validator.calls()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d garbage tokens/s from one address, validator answers after %s\n", rate, thinks)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "agents served\t%d of %d\n", good-len(failures), good)
	fmt.Fprintf(w, "p99\t%s\n", percentile(latencies, 99))
	fmt.Fprintf(w, "validator calls\t%d\n", calls)
	if len(failures) > 0 {
		fmt.Fprintf(w, "first error\t%v\n", failures[0])
	}
	return w.Flush()
}
