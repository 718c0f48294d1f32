package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	updateBrowsers = 10_000 // that ask, each under a name of its own
	updateClients  = 16     // connections
	updateTime     = 10 * time.Second
	updateWanted   = 1000 // a second
)

// updates has ten thousand browsers ask a running `flexvc serve` for updates as
// fast as it answers, and prints how fast that is and what it takes.
func updates(ctx context.Context, binary string) error {
	dir, err := os.MkdirTemp("", "flexvc-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	flexvc := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, binary, append([]string{"-p", "emulator"}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "FLEXVC_STATE_DIR="+dir, "XDG_CONFIG_HOME=")
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		return cmd
	}
	for _, args := range [][]string{{"init", "--yes"}, {"pack", "--version", "1.4.0", "--out", "flexvc.crx"}} {
		if out, err := flexvc(args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", args, err, out)
		}
	}
	serve := flexvc("serve", "--extension", "flexvc.crx", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--address-rate", "none")
	said, err := serve.StderrPipe()
	if err != nil {
		return err
	}
	if err := serve.Start(); err != nil {
		return err
	}
	defer func() {
		_ = serve.Process.Signal(os.Interrupt) // it may have ended
		_ = serve.Wait()
	}()
	address, metrics, err := addressesIn(said)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: updateClients}, Timeout: 10 * time.Second}
	get := func(url string) ([]byte, error) {
		resp, err := client.Get(url)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s answers %s", url, resp.Status)
		}
		return body, err
	}
	status := func() (s struct {
		ID                 string
		Browsers, Packages int
	}, err error) {
		body, err := get(metrics + "/rollout")
		if err == nil {
			err = json.Unmarshal(body, &s)
		}
		return s, err
	}
	first, err := status()
	if err != nil {
		return err
	}
	before, _ := residentKB(serve.Process.Pid)

	var asked atomic.Int64
	var failed atomic.Pointer[error]
	times := make([][]time.Duration, updateClients)
	var clients sync.WaitGroup
	end := time.Now().Add(updateTime)
	for i := range updateClients {
		clients.Go(func() {
			for time.Now().Before(end) && failed.Load() == nil {
				n := asked.Add(1)
				version := "1.3.0"
				if n%2 == 0 {
					version = "1.4.0"
				}
				start := time.Now()
				_, err := get(fmt.Sprintf("%s/extension/update.xml?os=linux&arch=x64&prod=chromiumcrx&prodversion=156.0.0.0&lang=en-US&browser=b%d&x=id%%3D%s%%26v%%3D%s%%26uc",
					address, n%updateBrowsers, first.ID, version))
				if err != nil {
					failed.Store(&err)
					return
				}
				times[i] = append(times[i], time.Since(start))
			}
		})
	}
	clients.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	var all []time.Duration
	for _, t := range times {
		all = append(all, t...)
	}
	if len(all) == 0 {
		return errors.New("nothing was answered")
	}
	last, err := status()
	if err != nil {
		return err
	}
	after, _ := residentKB(serve.Process.Pid)
	p50, p99 := percentiles(all)
	fmt.Printf("update requests   %8.0f a second from %d connections, server and clients on one machine; wanted: %d\n", float64(len(all))/updateTime.Seconds(), updateClients, updateWanted)
	fmt.Printf("time of one       %8.2f ms median, %.2f ms for 99 of 100\n", ms(p50), ms(p99))
	fmt.Printf("browsers known    %8d of %d\n", last.Browsers, updateBrowsers)
	fmt.Printf("resident memory   %8.1f MB before, %.1f MB after\n", megabytes(before), megabytes(after))
	return nil
}

func percentiles(all []time.Duration) (p50, p99 time.Duration) {
	p50 = middle(all)
	sorted := slices.Sorted(slices.Values(all))
	return p50, sorted[len(sorted)*99/100]
}

// addressesIn waits for the line that names both listeners.
func addressesIn(said io.Reader) (address, metrics string, err error) {
	lines := bufio.NewScanner(said)
	var all strings.Builder
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(&all, line)
		if _, rest, ok := strings.Cut(line, "listening on "); ok {
			fields := strings.Fields(rest)
			go func() { _, _ = io.Copy(io.Discard, said) }() // or the server would wait for a reader
			if len(fields) < 4 {
				break
			}
			return strings.TrimSuffix(fields[0], "/generateToken"), strings.TrimSuffix(fields[3], "/metrics"), nil
		}
	}
	return "", "", fmt.Errorf("flexvc serve does not start:\n%s", all.String())
}

// residentKB reads what a process has in memory; Linux only.
func residentKB(pid int) (int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, errors.New("no VmRSS")
	}
	return strconv.ParseInt(fields[0], 10, 64)
}
