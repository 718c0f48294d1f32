package tokensrv

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/tokenlog"
)

// The whole surface. Paths match exactly: a cleaning redirect, as ServeMux makes
// for "/x/../generateToken?Token=…", would put a Flex token into a Location header.
const (
	pathToken     = "/generateToken"
	pathLive      = "/healthz/live"
	pathReady     = "/healthz/ready"
	pathDegraded  = "/healthz/degraded"
	pathMetrics   = "/metrics"
	pathExtension = "/extension/" // a folder: update.xml and the .crx
)

// route is a handler and the name it has in log and metrics. Paths themselves
// are never logged: a client may put anything there, a token included.
type route struct {
	name    string
	handler http.Handler
	maxBody int64 // 0 is the token route's
	streams bool
	guest   bool // another package's
}

// Route is a handler of another package's beside our own.
type Route struct {
	Path    string // matched exactly
	Name    string // in log and metrics
	Handler http.Handler
	MaxBody int64 // bytes of a request body
	Streams bool  // its answers have no end: they are neither waited for nor measured
}

func names(guests []Route) []string {
	all := slices.Clone(routeNames)
	for _, g := range guests {
		all = append(all, g.Name)
	}
	return all
}

const (
	routeToken     = "generateToken"
	routeLive      = "live"
	routeReady     = "ready"
	routeExtension = "extension"
	routeOther     = "other"
)

var routeNames = []string{routeToken, routeLive, routeReady, routeExtension, routeOther}

func (s *Server) routes(extension http.Handler, guests []Route) func(path string) route {
	token := route{name: routeToken, handler: http.HandlerFunc(s.generateToken)}
	live := route{name: routeLive, handler: http.HandlerFunc(s.live)}
	ready := route{name: routeReady, handler: http.HandlerFunc(s.ready)}
	ext := route{name: routeExtension, handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		extension.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, w.(*exchange).client)))
	})}
	other := route{name: routeOther, handler: http.HandlerFunc(s.nothingHere)}
	return func(path string) route {
		for _, g := range guests {
			if path == g.Path {
				return route{name: g.Name, handler: g.Handler, maxBody: g.MaxBody, streams: g.Streams, guest: true}
			}
		}
		switch {
		case path == pathToken:
			return token
		case path == pathLive:
			return live
		case path == pathReady:
			return ready
		case extension != nil && strings.HasPrefix(path, pathExtension) && !strings.Contains(path, ".."):
			return ext
		default:
			return other
		}
	}
}

// clientKey is where the context of a request to Deps.Extension has its client.
type clientKey struct{}

// ClientOf is the address that a request to Deps.Extension came from, as far as
// proxies are trusted; invalid for a Unix socket.
func ClientOf(r *http.Request) netip.Addr {
	client, _ := r.Context().Value(clientKey{}).(netip.Addr)
	return client
}

// Admin answers /metrics, /log, the health checks and Deps.Admin, for a listener that
// only operators reach. On this machine's own address it answers to this machine's
// names alone: a page that a browser here has open could otherwise read it, by
// giving the address a name of its own.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+pathMetrics, s.m.handler(s.moreMetrics))
	mux.HandleFunc("GET "+pathLive, s.live)
	mux.HandleFunc("GET "+pathReady, s.ready)
	mux.HandleFunc("GET "+pathDegraded, s.showDegraded)
	mux.Handle("GET "+tokenlog.Path, s.remembered)
	for _, g := range s.admin {
		mux.Handle(g.Path, g.Handler)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ownName(r) {
			w.WriteHeader(http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// ownName reports whether a request that came over loopback asks for a loopback
// name.
func ownName(r *http.Request) bool {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil {
		return true
	}
	at, err := netip.ParseAddrPort(local.String())
	if err != nil || !at.Addr().Unmap().IsLoopback() {
		return true // other machines reach it, by names that only they know
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return loopbackHost(strings.Trim(host, "[]"))
}
