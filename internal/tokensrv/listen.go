package tokensrv

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// unixScheme begins an address that is a socket file: unix:/run/flexvc/serve.sock
const unixScheme = "unix:"

// CheckListen refuses to carry bearer secrets over plain HTTP beyond this
// machine. addr is host:port or unix:/path.
func CheckListen(addr string, tls, behindProxy bool) error {
	if strings.HasPrefix(addr, unixScheme) {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return problem.New(problem.Usage, "cannot listen on %q: not an address", addr).
			WithHint("use host:port, such as 127.0.0.1:3001, or unix:/path")
	}
	if tls || behindProxy || loopbackHost(host) {
		return nil
	}
	return problem.New(problem.Usage, "refusing to serve tokens over plain HTTP beyond this machine").
		WithHint("add --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy with --behind-proxy")
}

func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// Listen binds addr: host:port (port 0 picks one) or unix:/path. A socket file
// whose server is gone is replaced; one that answers is not, and no other file.
func Listen(addr string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(addr, unixScheme)
	if !isUnix {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, unavailable(addr, err)
		}
		return ln, nil
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return nil, problem.New(problem.AddressUnavailable, "cannot listen on %s: the file exists and is not a socket", addr).
			WithHint("name a file that does not exist yet")
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close()
		return nil, unavailable(addr, syscall.EADDRINUSE)
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, unavailable(addr, err)
	}
	// Who may open the socket may say who they forward for.
	if err := os.Chmod(path, 0o660); err != nil {
		_ = ln.Close()
		return nil, unavailable(addr, err)
	}
	return ln, nil
}

func unavailable(addr string, err error) error {
	return problem.New(problem.AddressUnavailable, "cannot listen on %s: %w", addr, problem.Reason(err))
}

// firstInherited is the first descriptor systemd passes, see sd_listen_fds(3).
const firstInherited = 3

// Inherited returns the sockets systemd opened for this process, by the names
// its FileDescriptorName= gave them, or none when it opened none. lookup reads
// the environment; pid is this process's own. Call it once: it takes the
// descriptors over.
func Inherited(lookup func(string) (string, bool), pid int) (map[string][]net.Listener, error) {
	forPID, ok := lookup("LISTEN_PID")
	if !ok || forPID != strconv.Itoa(pid) {
		return nil, nil // the sockets, if any, are another process's
	}
	count, _ := lookup("LISTEN_FDS")
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 64 {
		return nil, problem.New(problem.AddressUnavailable, "cannot take over systemd's sockets: LISTEN_FDS is %q", count)
	}
	var names []string
	if all, ok := lookup("LISTEN_FDNAMES"); ok {
		names = strings.Split(all, ":")
	}
	out := map[string][]net.Listener{}
	for i := range n {
		name := "unknown" // what systemd itself calls a socket without name
		if i < len(names) {
			name = names[i]
		}
		file := os.NewFile(uintptr(firstInherited+i), name)
		ln, err := net.FileListener(file) // duplicates the descriptor
		_ = file.Close()
		if err != nil {
			for _, opened := range out {
				for _, ln := range opened {
					_ = ln.Close()
				}
			}
			return nil, problem.New(problem.AddressUnavailable, "cannot take over systemd's socket %q: not a listening stream socket", name).Because(err)
		}
		out[name] = append(out[name], ln)
	}
	return out, nil
}
