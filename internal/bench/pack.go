package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// packer is one program of the comparison.
type packer struct {
	name  string
	argv  []string
	stdin []byte
	dir   string

	times []time.Duration // on the clock
	cpu   []time.Duration // of the processor, which a busy machine changes less
	peak  int64           // kB, of the largest process
}

// pack times `flexvc pack` of the built-in extension against the least there is
// to do, openssl's signature over the same bytes, and against chromium and
// npm's crx3 where they are installed. They take turns.
func pack(ctx context.Context, binary string) error {
	dir, err := os.MkdirTemp("", "flexvc-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		return errors.New("openssl is not installed, and is what packing is measured against")
	}
	key := filepath.Join(dir, "key.pem")
	if err := exec.CommandContext(ctx, openssl, "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key).Run(); err != nil {
		return fmt.Errorf("openssl genpkey: %w", err)
	}
	if err := os.Chmod(key, 0o600); err != nil {
		return err
	}
	run := func(p *packer) error {
		cmd := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...)
		cmd.Dir, cmd.Stdin = p.dir, bytes.NewReader(p.stdin)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME=", "FLEXVC_PROFILE=")
		start := time.Now()
		out, err := cmd.CombinedOutput()
		p.times = append(p.times, time.Since(start))
		if err != nil {
			return fmt.Errorf("%v: %w\n%s", p.argv, err, out)
		}
		p.cpu = append(p.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		p.peak = max(p.peak, peakMemory(cmd.ProcessState))
		return nil
	}

	ours := &packer{name: "flexvc pack", argv: []string{binary, "pack", "-q", "--key", key, "--out", "flexvc.crx"}, dir: dir}
	folder := &packer{argv: []string{binary, "pack", "-q", "--format", "dir", "--key", key, "--out", "app"}, dir: dir}
	for _, p := range []*packer{ours, folder} {
		if err := run(p); err != nil {
			return err
		}
		p.times, p.cpu, p.peak = nil, nil, 0
	}
	payload, err := signedBytes(filepath.Join(dir, "flexvc.crx"))
	if err != nil {
		return err
	}
	floor := &packer{name: "openssl dgst -sign", argv: []string{openssl, "dgst", "-sha256", "-sign", key, "-out", "signature"}, stdin: payload, dir: dir}
	all := []*packer{floor, ours}
	if chromium, err := chromiumBinary(); err == nil {
		all = append(all, &packer{name: "chromium --pack-extension", dir: dir, argv: []string{chromium, "--headless=new", "--no-sandbox",
			"--user-data-dir=" + filepath.Join(dir, "profile"), "--pack-extension=" + filepath.Join(dir, "app"), "--pack-extension-key=" + key}})
	} else {
		fmt.Println("chromium is not installed")
	}
	if crx3, err := npmCRX3(ctx, dir); err == nil {
		all = append(all, &packer{name: "npm crx3 " + crx3Version, argv: append(crx3, "-p", key, "-o", "npm.crx", "app"), dir: dir})
	} else {
		fmt.Println("npm crx3 cannot be installed:", err)
	}

	const rounds = 20
	for range rounds {
		for _, p := range all {
			if err := run(p); err != nil {
				return err
			}
		}
	}
	fmt.Printf("%-28s %10s %10s %10s %10s\n", "", "wall", "/ openssl", "cpu", "peak")
	least := middle(floor.times)
	for _, p := range all {
		fmt.Printf("%-28s %7.1f ms %10.2f %7.1f ms %7.1f MB\n", p.name, ms(middle(p.times)),
			float64(middle(p.times))/float64(least), ms(middle(p.cpu)), megabytes(p.peak))
	}
	fmt.Printf("median of %d, %d bytes signed; wanted of flexvc: at most 4 x openssl, under 16 MB, the fastest packer\n", rounds, len(payload))
	return nil
}

// crx3Version is the latest at the time of writing: a figure is of one version.
const crx3Version = "2.0.0"

// npmCRX3 fetches crx3 into dir, and returns how it is started.
func npmCRX3(ctx context.Context, dir string) ([]string, error) {
	at := filepath.Join(dir, "npm")
	cmd := exec.CommandContext(ctx, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", at, "crx3@"+crx3Version)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w %s", err, bytes.TrimSpace(out))
	}
	return []string{"node", filepath.Join(at, "node_modules", "crx3", "bin", "crx3.js")}, nil
}

// signedBytes is what a package's signature is over.
func signedBytes(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	const signed = 18 // the length of the signed part, at the end of the header
	if len(data) < 12 {
		return nil, errors.New("the package is too short")
	}
	archive := 12 + int(binary.LittleEndian.Uint32(data[8:]))
	if archive < 12+signed || archive > len(data) {
		return nil, errors.New("the package is damaged")
	}
	return slices.Concat([]byte("CRX3 SignedData\x00"), []byte{signed, 0, 0, 0}, data[archive-signed:]), nil
}

// chromiumBinary prefers the program to the script that Debian puts before it.
func chromiumBinary() (string, error) {
	const debian = "/usr/lib/chromium/chromium"
	if info, err := os.Stat(debian); err == nil && info.Mode()&0o111 != 0 {
		return debian, nil
	}
	return exec.LookPath("chromium")
}

// middle is the median; the order of the times stays.
func middle(times []time.Duration) time.Duration { return median(slices.Clone(times)) }

// megabytes converts what the system counts: kB on Linux, bytes on macOS.
func megabytes(peak int64) float64 {
	if runtime.GOOS == "darwin" {
		peak /= 1024
	}
	return float64(peak) * 1024 / 1e6
}
