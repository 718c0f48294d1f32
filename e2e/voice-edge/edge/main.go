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

// routes serves the page, the voice client, tokens, and the edge's orders.
func routes(edge *voice.Edge, folder, sdk string, secret []byte) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir(folder)))
	mux.HandleFunc("GET /twilio.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, sdk) })
	mux.Handle("POST /", voice.NewControl(edge)) // records nothing, so there is nothing to close
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		var o voice.Order
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		now := time.Now()
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"jti": fmt.Sprintf("%s-%d", key, now.Unix()), "iss": key, "sub": account,
			"iat": now.Unix(), "exp": now.Unix() + int64(o.Seconds),
			"grants": map[string]any{"identity": o.Identity, "voice": map[string]any{"incoming": map[string]any{"allow": true}}},
		})
		token.Header["cty"] = "twilio-fpa;v=1"
		signed, err := token.SignedString(secret)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(signed)
	})
	return mux
}
