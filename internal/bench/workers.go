package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"
)

const (
	agents = 10000
	limit  = 200.0 // requests per second
)

// workers runs `workers enable --all` in a process of its own against an
// emulator in another, and prints what the emulator counted.
func workers(ctx context.Context, binary string) error {
	dir, err := os.MkdirTemp("", "flexvc-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	env := append(os.Environ(), "HOME="+dir, "FLEXVC_STATE_DIR="+dir, "FLEXVC_PROFILE=emulator")

	server := exec.CommandContext(ctx, binary, "emulator", "--memory", "--listen", "127.0.0.1:0", "-o", "json",
		"--agents", fmt.Sprint(agents), "--rate", fmt.Sprint(limit))
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

	run := exec.CommandContext(ctx, binary, "workers", "enable", "--all", "--yes", "--force")
	var result bytes.Buffer
	run.Env, run.Stdout, run.Stderr = env, &result, os.Stderr
	start := time.Now()
	err = run.Run()
	took := time.Since(start)
	if err != nil && run.ProcessState.ExitCode() != 3 { // 3: some were left alone
		return fmt.Errorf("workers enable --all: %w", err)
	}
	memory := peakMemory(run.ProcessState)

	var stats struct {
		Requests        int            `json:"requests"`
		TooManyRequests int            `json:"too_many_requests"`
		Operations      map[string]int `json:"operations"`
	}
	if err := control(ctx, listening.URL+"/_emulator/stats", &stats); err != nil {
		return err
	}
	changed := stats.Operations["UpdateWorker"]
	pages := (agents + 999) / 1000
	least := 2*changed + pages // N is what had to change: some are enabled already
	allowed := time.Duration(float64(least) / limit * float64(time.Second))

	fmt.Printf("%s\n", bytes.TrimSpace(result.Bytes()))
	fmt.Printf("workers              %8d   writes %d, reads %d, list pages %d\n", agents, changed,
		stats.Operations["FetchWorker"], stats.Operations["ListWorker"])
	fmt.Printf("requests             %8d   wanted: at most %d (2N + %d pages + 1%%)\n", stats.Requests, least+least/100, pages)
	fmt.Printf("time                 %8.1f s  limit allows %.1f s; ratio %.3f, wanted: at most 1.10\n",
		took.Seconds(), allowed.Seconds(), took.Seconds()/allowed.Seconds())
	fmt.Printf("answered 429         %8d   %.2f %% of requests, wanted: under 1 %%\n",
		stats.TooManyRequests, 100*float64(stats.TooManyRequests)/float64(stats.Requests))
	fmt.Printf("peak memory          %8.1f MB wanted: under 64 MB\n", float64(memory)/1024)
	return nil
}

// control asks the emulator's control plane.
func control(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-Flexvc-Emulator", "1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
