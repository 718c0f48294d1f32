package functions

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/certificate"
)

//go:embed runtime.js
var runtimeJS []byte

//go:embed network.js
var networkJS []byte

var errTimeout = errors.New("the Function took longer than it may")

// startLimit is far above what Node needs to start on a busy machine.
const startLimit = 60 * time.Second

// Nobody outside this process and its children trusts this certificate.
var cert = sync.OnceValues(func() (tls.Certificate, error) { return certificate.Load("", time.Now()) })

// job is what runtime.js reads.
type job struct {
	File         string            `json:"file"`
	Files        []jobFile         `json:"files"`
	Context      map[string]string `json:"context"`
	Headers      [][2]string       `json:"headers"`
	HeadersShown bool              `json:"headersShown"`
	Query        string            `json:"query"`
	Body         []byte            `json:"body"`
	Port         int               `json:"port"`
	Limit        int64             `json:"limit"` // ms
}

type jobFile struct {
	Kind string `json:"kind"` // function or asset
	Path string `json:"path"`
	File string `json:"file"`
}

// line is what runtime.js writes.
type line struct {
	Started bool   `json:"started"`
	Log     string `json:"log"`
	Level   string `json:"level"`
	Reply   *reply `json:"reply"`
}

type reply struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
	Body    []byte      `json:"body"`
}

// run invokes the Function. Without Node the error is exec.ErrNotFound, and
// beyond the time limit errTimeout.
func (f Function) run(r *http.Request, body []byte) (*reply, error) {
	if _, err := exec.LookPath(f.Node); err != nil {
		return nil, exec.ErrNotFound
	}
	folder, err := os.MkdirTemp("", "flexvc-function-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	j, err := f.write(folder)
	if err != nil {
		return nil, err
	}
	port, hangUp, err := f.twilio()
	if err != nil {
		return nil, err
	}
	defer hangUp()
	j.Context, j.HeadersShown, j.Port = f.Context, f.Headers, port
	j.Query, j.Body, j.Limit = r.URL.RawQuery, body, f.Limit.Milliseconds()
	j.Headers = [][2]string{}
	for name, values := range r.Header {
		for _, value := range values {
			j.Headers = append(j.Headers, [2]string{name, value})
		}
	}
	// net/http keeps these apart from the others.
	if r.ContentLength >= 0 && r.Header.Get("Content-Length") == "" && (r.Method == http.MethodPost || r.ContentLength > 0) {
		j.Headers = append(j.Headers, [2]string{"Content-Length", strconv.FormatInt(r.ContentLength, 10)})
	}

	ctx, cancel := context.WithTimeoutCause(r.Context(), startLimit, errors.New("no start of Node in time"))
	defer cancel()
	cmd := exec.CommandContext(ctx, f.Node, "--max-old-space-size="+strconv.Itoa(memoryLimit), filepath.Join(folder, "runtime.js"))
	cmd.Dir = folder
	cmd.Env = []string{"NODE_EXTRA_CA_CERTS=" + filepath.Join(folder, "ca.pem"), "TMPDIR=" + folder, "TZ=UTC"}
	cmd.WaitDelay = time.Second
	return f.converse(ctx, cancel, cmd, j)
}

// converse runs the process until it has answered.
func (f Function) converse(ctx context.Context, kill func(), cmd *exec.Cmd, j job) (*reply, error) {
	var crash tail
	cmd.Stderr = &crash
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(j)
	if err == nil {
		_, err = in.Write(append(text, '\n')) // stays open: its end tells the process that we are gone
	}
	var got *reply
	late := false
	var limit *time.Timer
	lines := bufio.NewReader(out)
	for err == nil && got == nil {
		var b []byte
		if b, err = lines.ReadBytes('\n'); err != nil {
			break
		}
		var l line
		if json.Unmarshal(b, &l) != nil {
			continue // written past the runtime's back
		}
		switch {
		case l.Started:
			limit = time.AfterFunc(f.Limit, kill)
		case l.Reply != nil:
			got = l.Reply
		default:
			f.log(l)
		}
	}
	if limit != nil {
		late = !limit.Stop()
	}
	cause := context.Cause(ctx)
	kill()
	_ = in.Close()
	ended := cmd.Wait()
	switch {
	case got != nil:
		return got, nil
	case late:
		return nil, errTimeout
	case cause != nil:
		return nil, cause
	case err == io.EOF:
		return nil, fmt.Errorf("%w: %s", ended, crash.text())
	}
	return nil, err
}

func (f Function) log(l line) {
	level := map[string]slog.Level{"debug": slog.LevelDebug, "warn": slog.LevelWarn, "error": slog.LevelError}[l.Level]
	f.Log.Log(context.Background(), level, "function", "path", f.Path, "said", l.Log)
}

// write puts the runtime and the files into the folder.
func (f Function) write(folder string) (j job, err error) {
	c, err := cert()
	if err != nil {
		return j, err
	}
	put := func(name string, content []byte) error {
		return os.WriteFile(filepath.Join(folder, name), content, 0o600)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
	if err := errors.Join(put("runtime.js", runtimeJS), put("network.js", networkJS), put("ca.pem", ca)); err != nil {
		return j, err
	}
	for i, file := range f.Files {
		name, kind := "function-"+strconv.Itoa(i)+".js", "function"
		if file.Asset {
			name, kind = "asset-"+strconv.Itoa(i)+filepath.Ext(file.Path), "asset"
		}
		if err := put(name, file.Content); err != nil {
			return j, err
		}
		at := filepath.Join(folder, name)
		j.Files = append(j.Files, jobFile{kind, file.Path, at})
		if file.Path == f.Path {
			j.File = at
		}
	}
	return j, nil
}

// twilio serves Twilio to the process, over TLS on this machine.
func (f Function) twilio() (port int, hangUp func(), err error) {
	c, err := cert()
	if err != nil {
		return 0, nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, nil, err
	}
	srv := &http.Server{
		Handler:           f.Twilio,
		ReadHeaderTimeout: timeLimit,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12},
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	go func() { _ = srv.ServeTLS(ln, "", "") }() // until hangUp
	return ln.Addr().(*net.TCPAddr).Port, func() { _ = srv.Close() }, nil
}

// tail keeps the beginning of what a crashing Node writes.
type tail struct{ b bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.b.Write(p[:min(len(p), max(0, 2048-t.b.Len()))])
	return len(p), nil
}

func (t *tail) text() string { return t.b.String() }
