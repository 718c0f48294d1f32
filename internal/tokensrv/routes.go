package tokensrv

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

// The whole surface. Paths match exactly: a cleaning redirect, as ServeMux makes
// for "/x/../generateToken?Token=…", would put a Flex token into a Location header.
const (
	pathToken     = "/generateToken"
	pathLive      = "/healthz/live"
	pathReady     = "/healthz/ready"
	pathMetrics   = "/metrics"
	pathExtension = "/extension/" // a folder: update.xml and the .crx
	pathRollout   = "/rollout"
)

// route is a handler and the name it has in log and metrics. Paths themselves
// are never logged: a client may put anything there, a token included.
type route struct {
	name    string
	handler http.Handler
}

const (
	routeToken     = "generateToken"
	routeLive      = "live"
	routeReady     = "ready"
	routeExtension = "extension"
	routeOther     = "other"
)

var routeNames = []string{routeToken, routeLive, routeReady, routeExtension, routeOther}

func (s *Server) routes(extension http.Handler) func(path string) route {
	token := route{routeToken, http.HandlerFunc(s.generateToken)}
	live := route{routeLive, http.HandlerFunc(s.live)}
	ready := route{routeReady, http.HandlerFunc(s.ready)}
	ext := route{routeExtension, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		extension.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, w.(*exchange).client)))
	})}
	other := route{routeOther, http.HandlerFunc(s.nothingHere)}
	return func(path string) route {
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

// Admin answers /metrics, both health checks and /rollout, for a listener that
// only operators reach.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+pathMetrics, s.m.handler(s.figures))
	if s.rollout != nil {
		mux.Handle("GET "+pathRollout, s.rollout)
	}
	mux.HandleFunc("GET "+pathLive, s.live)
	mux.HandleFunc("GET "+pathReady, s.ready)
	return mux
}
