package problem_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
)

func TestReason(t *testing.T) {
	full := errors.New("disk full")
	path := &fs.PathError{Op: "open", Path: "/p", Err: full}
	link := &os.LinkError{Op: "rename", Old: "/a", New: "/b", Err: full}
	call := os.NewSyscallError("bind", full)
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", full)}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"nothing to strip":     {full, "disk full"},
		"path":                 {path, "disk full"},
		"link":                 {link, "disk full"},
		"system call":          {call, "disk full"},
		"request":              {&url.Error{Op: "Get", URL: "https://x/?Token=t", Err: full}, "disk full"},
		"path in link":         {&os.LinkError{Op: "link", Old: "/a", New: "/b", Err: path}, "disk full"},
		"link in path":         {&fs.PathError{Op: "open", Path: "/p", Err: link}, "disk full"},
		"path in request":      {&url.Error{Op: "Get", URL: "file:///p", Err: path}, "disk full"},
		"system call in path":  {&fs.PathError{Op: "fsync", Path: "/p", Err: call}, "disk full"},
		"below a layer":        {fmt.Errorf("while writing: %w", path), "disk full"},
		"first of several":     {errors.Join(nil, path, &fs.PathError{Op: "close", Path: "/p", Err: fs.ErrClosed}), "disk full"},
		"several, none a path": {errors.Join(full, fs.ErrClosed), "disk full\nfile already closed"},
		"listener":             {&net.OpError{Op: "listen", Net: "tcp", Err: call}, "disk full"},
		"server":               {&url.Error{Op: "Get", URL: "https://x/?Token=t", Err: dial}, "dial tcp: connect: disk full"},
		"proxy": {&url.Error{Op: "Get", URL: "https://x/?Token=t", Err: &net.OpError{Op: "proxyconnect", Net: "tcp", Err: dial}},
			"proxyconnect tcp: dial tcp: connect: disk full"},
	} {
		if got := problem.Reason(test.err); got.Error() != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		if !errors.Is(problem.Reason(test.err), full) {
			t.Errorf("%s: the cause is lost", name)
		}
	}
	if got := problem.Reason(nil); got != nil {
		t.Errorf("of nil: %v", got)
	}
}

// What the system itself returns, rather than errors built for the purpose.
func TestReasonOfRealErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing", "file")
	_, open := os.Open(missing)
	rename := os.Rename(missing, missing+"2")
	for _, err := range []error{open, rename} {
		if got := problem.Reason(err); got.Error() == err.Error() || !errors.Is(got, fs.ErrNotExist) {
			t.Errorf("%q became %q", err, got)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = new(net.ListenConfig).Listen(context.Background(), "tcp", taken.Addr().String())
	var again *net.OpError
	if got := problem.Reason(err); errors.As(got, &again) {
		t.Errorf("%q became %q", err, got)
	}
}
