// Command edge runs the emulated voice edge for a browser test: it prints where
// it listens, serves a page with the voice client, and takes orders over HTTP on
// loopback until its standard input ends.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/flexvc/flexvc/internal/emulator/voice"
)

const (
	account = "AC00000000000000000000000000000001"
	key     = "SK00000000000000000000000000000001"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "edge:", err)
		os.Exit(1)
	}
}

// run takes the folder with the page and the file of the voice client.
func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: edge FOLDER SDK")
	}
	secret := rand.Text()
	options := voice.Options{
		Keys: func(sid string) (voice.Key, bool) { return voice.Key{Account: account, Secret: secret}, sid == key },
	}
	if os.Getenv("EDGE_LOG") != "" {
		options.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	edge, err := voice.New(options)
	if err != nil {
		return err
	}
	signal, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	pages, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	server := &http.Server{Handler: routes(edge, args[0], args[1], []byte(secret)), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(pages) }()
	defer server.Close()
	err = json.NewEncoder(os.Stdout).Encode(map[string]string{
		"signal": signal.Addr().String(), "pages": "http://" + pages.Addr().String(), "spki": edge.SPKI(),
	})
	if err != nil {
		return err
	}
	return edge.Run(ctx, signal)
}

// order is what the test asks for; each verb reads the fields it needs.
type order struct {
	Identity   string            `json:"identity"`
	Seconds    int               `json:"seconds"`
	SID        string            `json:"sid"`
	Parameters map[string]string `json:"parameters"`
	Keys       string            `json:"keys"`
	From, To   time.Duration
	Code       int          `json:"code"`
	Faults     voice.Faults `json:"faults"`
	Record     string       `json:"record"`
}

func routes(edge *voice.Edge, folder, sdk string, secret []byte) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir(folder)))
	mux.HandleFunc("GET /twilio.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, sdk) })

	do := func(verb string, answer func(context.Context, order, *voice.Call) (any, error)) {
		mux.HandleFunc("POST /"+verb, func(w http.ResponseWriter, r *http.Request) {
			var o order
			if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			var call *voice.Call
			for _, c := range edge.Calls() {
				if o.SID == "" || c.SID() == o.SID {
					call = c
				}
			}
			v, err := answer(r.Context(), o, call)
			if err != nil {
				http.Error(w, err.Error(), http.StatusConflict)
				return
			}
			_ = json.NewEncoder(w).Encode(v)
		})
	}
	do("token", func(_ context.Context, o order, _ *voice.Call) (any, error) {
		now := time.Now()
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"jti": fmt.Sprintf("%s-%d", key, now.Unix()), "iss": key, "sub": account,
			"iat": now.Unix(), "exp": now.Unix() + int64(o.Seconds),
			"grants": map[string]any{"identity": o.Identity, "voice": map[string]any{"incoming": map[string]any{"allow": true}}},
		})
		token.Header["cty"] = "twilio-fpa;v=1"
		return token.SignedString(secret)
	})
	do("call", func(ctx context.Context, o order, _ *voice.Call) (any, error) {
		call, err := edge.Call(ctx, voice.CallOptions{
			Identity: o.Identity, Parameters: o.Parameters, Audio: voice.Tone(440, -10), Record: o.Record,
		})
		if err != nil {
			return nil, err
		}
		return call.SID(), nil
	})
	do("stats", func(_ context.Context, _ order, c *voice.Call) (any, error) {
		if c == nil {
			return nil, fmt.Errorf("no such call")
		}
		return c.Stats(), nil
	})
	do("heard", func(_ context.Context, o order, c *voice.Call) (any, error) { return c.Heard(o.From, o.To), nil })
	do("said", func(_ context.Context, o order, c *voice.Call) (any, error) { return c.Said(o.From, o.To), nil })
	do("press", func(_ context.Context, o order, c *voice.Call) (any, error) { return nil, c.Press(o.Keys) })
	do("hangup", func(_ context.Context, _ order, c *voice.Call) (any, error) { c.Hangup(); return nil, nil })
	do("drop", func(_ context.Context, o order, _ *voice.Call) (any, error) {
		return edge.DropSockets(o.Identity, voice.Cut(o.Code)), nil
	})
	do("faults", func(_ context.Context, o order, _ *voice.Call) (any, error) {
		edge.SetFaults(o.Faults, time.Duration(o.Seconds)*time.Second)
		return nil, nil
	})
	do("sockets", func(context.Context, order, *voice.Call) (any, error) { return edge.Sockets(), nil })
	do("events", func(context.Context, order, *voice.Call) (any, error) { return edge.Events(0), nil })
	do("insights", func(context.Context, order, *voice.Call) (any, error) { return edge.Insights(), nil })
	return mux
}
