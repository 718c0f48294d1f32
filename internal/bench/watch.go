package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

const (
	fleet      = 15000 // workers, Twilio's limit for a workspace
	keyPresses = 1000
)

// watch opens the screen on the largest workspace there can be, on a
// pseudo-terminal of its own, and prints how long the first whole picture takes,
// how long a key press, and how much memory it needs. It does so for lists that
// show attributes, and for lists that leave them out.
func watch(ctx context.Context, binary string) error {
	for _, c := range []limits{
		{lists: "present", latency: 400 * time.Millisecond},
		{lists: "null", rate: 200},
	} {
		if err := watchOnce(ctx, binary, c); err != nil {
			return err
		}
	}
	return nil
}

// chain is how many requests wait for one another: Flex is asked for the
// workspace, and a page has the address of the next. Others go alongside.
const chain = 1 + fleet/1000

// limits are the emulator's: latency bounds the chain, and the rate bounds the
// fetches.
type limits struct {
	lists   string
	rate    float64
	latency time.Duration
}

// allow is the least time that so many requests take.
func (l limits) allow(requests int) time.Duration {
	if l.rate == 0 {
		return chain * l.latency
	}
	return time.Duration(float64(requests) / l.rate * float64(time.Second))
}

func watchOnce(ctx context.Context, binary string, l limits) error {
	dir, err := os.MkdirTemp("", "flexvc-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	env := append(os.Environ(), "HOME="+dir, "FLEXVC_STATE_DIR="+dir, "FLEXVC_PROFILE=emulator", "TERM=xterm-256color", "NO_COLOR=")

	server := exec.CommandContext(ctx, binary, "emulator", "--memory", "--listen", "127.0.0.1:0", "-o", "json",
		"--agents", fmt.Sprint(fleet), "--rate", fmt.Sprint(l.rate), "--latency", l.latency.String(), "--list-attributes", l.lists)
	server.Env, server.Stderr = env, os.Stderr
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	out, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer func() {
		_ = server.Process.Signal(os.Interrupt)
		_ = server.Wait()
	}()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the emulator did not start: %w", err)
	}
	var listening struct{ URL string }
	if err := json.Unmarshal(line, &listening); err != nil {
		return err
	}

	screen := exec.CommandContext(ctx, binary, "watch", "--interval", "1h")
	screen.Env = env
	start := time.Now()
	terminal, err := pty.StartWithSize(screen, &pty.Winsize{Rows: 50, Cols: 160})
	if err != nil {
		return err
	}
	defer terminal.Close()
	s := &onScreen{more: make(chan struct{})}
	go s.read(terminal)
	stop := func() {
		_ = screen.Process.Signal(os.Interrupt)
		_ = screen.Wait()
	}
	if err := s.until(ctx, regexp.MustCompile(`live, `)); err != nil {
		stop()
		return err
	}
	first := time.Since(start)
	var stats struct {
		Requests        int `json:"requests"`
		TooManyRequests int `json:"too_many_requests"`
	}
	if err := control(ctx, listening.URL+"/_emulator/stats", &stats); err != nil {
		stop()
		return err
	}
	alone, err := startEcho(ctx)
	if err != nil {
		stop()
		return err
	}
	defer alone.stop()
	watching := &typist{terminal, s}
	var keys, echoes []time.Duration
	for i := range keyPresses {
		took, err := watching.press(ctx, []string{"j", "k", "\x1b[6~", "G", "g", "s"}[i%6])
		if err != nil {
			stop()
			return err
		}
		keys = append(keys, took)
		if took, err = alone.press(ctx, "j"); err != nil {
			stop()
			return err
		}
		echoes = append(echoes, took)
		// Frames are drawn by a clock, of which people know nothing.
		time.Sleep(rand.N(time.Second / 120))
	}
	peak := highWater(screen.Process.Pid)
	if _, err := terminal.WriteString("q"); err != nil {
		return err
	}
	if err := screen.Wait(); err != nil {
		return fmt.Errorf("watch: %w", err)
	}

	done := stats.Requests - stats.TooManyRequests
	allowed := l.allow(done)
	slices.Sort(keys)
	slices.Sort(echoes)
	fmt.Printf("attributes in lists  %8s   workers %d, requests %d, at %.0f/s, %v each, answered 429: %d\n",
		l.lists, fleet, done, l.rate, l.latency, stats.TooManyRequests)
	fmt.Printf("first whole picture  %8.2f s  limit allows %.2f s; ratio %.3f, wanted: at most 1.15\n",
		first.Seconds(), allowed.Seconds(), first.Seconds()/allowed.Seconds())
	fmt.Printf("key to drawn frame   %8.1f ms median, %.1f ms at the 99th percentile, wanted: at most 16\n",
		ms(keys[len(keys)/2]), ms(keys[len(keys)*99/100]))
	fmt.Printf("the machine alone    %8.1f ms median, %.1f ms at the 99th percentile, for a key that cat prints, by turns with the above\n",
		ms(echoes[len(echoes)/2]), ms(echoes[len(echoes)*99/100]))
	fmt.Printf("peak memory          %8.1f MB wanted: under 120 MB\n", peak)
	fmt.Printf("processor time       %8.2f s  of the whole watch, with %d keys\n",
		(screen.ProcessState.UserTime() + screen.ProcessState.SystemTime()).Seconds(), len(keys))
	return nil
}

// typist presses keys in a terminal and looks at what the program there prints.
type typist struct {
	keys   io.Writer
	screen *onScreen
}

// press returns how long it takes until something is printed, and waits until
// all of it is, so that the next key does not measure this one.
func (t *typist) press(ctx context.Context, key string) (time.Duration, error) {
	seen := t.screen.size()
	pressed := time.Now()
	if _, err := io.WriteString(t.keys, key); err != nil {
		return 0, err
	}
	if err := t.screen.beyond(ctx, seen); err != nil {
		return 0, err
	}
	took := time.Since(pressed)
	for size := -1; size != t.screen.size(); {
		size = t.screen.size()
		select {
		case <-time.After(15 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return took, nil
}

// echo is a program that prints the keys as they come, and does nothing else:
// what the machine and its terminals take of a key press.
type echo struct {
	typist
	cat      *exec.Cmd
	terminal *os.File
}

func startEcho(ctx context.Context) (*echo, error) {
	cat := exec.CommandContext(ctx, "cat")
	terminal, screen, err := pty.Open()
	if err != nil {
		return nil, err
	}
	defer screen.Close()
	if _, err := term.MakeRaw(int(screen.Fd())); err != nil { // else it is the terminal that echoes
		return nil, errors.Join(err, terminal.Close())
	}
	cat.Stdin, cat.Stdout = screen, screen
	if err := cat.Start(); err != nil {
		return nil, errors.Join(err, terminal.Close())
	}
	s := &onScreen{more: make(chan struct{})}
	go s.read(terminal)
	return &echo{typist{terminal, s}, cat, terminal}, nil
}

func (e *echo) stop() {
	_ = e.cat.Process.Kill()
	_ = e.cat.Wait()
	_ = e.terminal.Close()
}

// onScreen is what a program has written to its terminal.
type onScreen struct {
	mu    sync.Mutex
	text  strings.Builder
	ended bool
	more  chan struct{}
}

func (s *onScreen) read(terminal *os.File) {
	chunk := make([]byte, 64<<10)
	for {
		n, err := terminal.Read(chunk)
		s.mu.Lock()
		s.text.Write(chunk[:n])
		s.ended = err != nil
		close(s.more)
		s.more = make(chan struct{})
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *onScreen) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Len()
}

func (s *onScreen) wait(ctx context.Context, enough func(string) bool) error {
	for {
		s.mu.Lock()
		done, ended, more := enough(s.text.String()), s.ended, s.more
		s.mu.Unlock()
		switch {
		case done:
			return nil
		case ended:
			return errors.New("the program on the terminal ended: " + s.text.String())
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *onScreen) until(ctx context.Context, re *regexp.Regexp) error {
	return s.wait(ctx, re.MatchString)
}

func (s *onScreen) beyond(ctx context.Context, size int) error {
	return s.wait(ctx, func(text string) bool { return len(text) > size })
}

// highWater is the most memory a process has had so far, in MB; 0 where the
// system does not tell.
func highWater(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024 / 1e6
		}
	}
	return 0
}
