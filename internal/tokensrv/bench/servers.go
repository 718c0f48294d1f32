package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/flexvc/flexvc/internal/tokensrv"
)

var (
	account = "AC" + strings.Repeat("0", 32)
	key     = "SK" + strings.Repeat("0", 32)
	secret  = strings.Repeat("bench", 6)
)

// announce tells the parent the address, then waits for the parent to go.
func announce(ln net.Listener) {
	fmt.Println(ln.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func serveOurs(upstream string, open bool) error {
	c := tokensrv.Defaults()
	c.AccountSID, c.KeySID, c.KeySecret = account, key, secret
	c.Validator = tokensrv.Credentials{User: key, Password: secret}
	c.ValidateURL = "http://" + upstream
	if open {
		c.IdentityRate = tokensrv.Rate{PerSecond: 1000, Burst: 1000}
		c.AddressRate = tokensrv.Rate{PerSecond: 1e6, Burst: 1e5}
	}
	file, err := os.CreateTemp("", "flexvc-bench-*.log")
	if err != nil {
		return err
	}
	defer file.Close()
	_ = os.Remove(file.Name())
	log, err := tokensrv.NewLog(file, "json", slog.LevelInfo)
	if err != nil {
		return err
	}
	s, err := tokensrv.New(c, tokensrv.Deps{Log: log})
	if err != nil {
		return err
	}
	ln, err := tokensrv.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		announce(ln)
		cancel()
	}()
	return s.Run(ctx, tokensrv.Listeners{Public: []net.Listener{ln}}, ctx.Done())
}

// serveBare is what one writes in an afternoon, with a connection pool and an
// unbounded cache so that it does not lose for the wrong reason.
func serveBare(upstream string) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512}}
	var cache sync.Map // token → identity
	http.HandleFunc("POST /generateToken", func(w http.ResponseWriter, r *http.Request) {
		token := r.PostFormValue("Token")
		identity, ok := cache.Load(token)
		if !ok {
			question, _ := json.Marshal(map[string]string{"token": token})
			req, _ := http.NewRequest("POST", "http://"+upstream, bytes.NewReader(question))
			req.SetBasicAuth(key, secret)
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			if err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			defer resp.Body.Close()
			var answer struct {
				Valid    bool
				Identity string
			}
			if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || !answer.Valid {
				http.Error(w, "refused", http.StatusForbidden)
				return
			}
			identity = "ext_" + answer.Identity
			cache.Store(token, identity)
		}
		now := time.Now()
		t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"jti": fmt.Sprintf("%s-%d", key, now.Unix()), "iss": key, "sub": account, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
			"grants": map[string]any{"identity": identity, "voice": map[string]any{"incoming": map[string]any{"allow": true}}},
		})
		t.Header["cty"] = "twilio-fpa;v=1"
		signed, err := t.SignedString([]byte(secret))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"identity": identity, "token": signed})
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(ln, nil) }()
	announce(ln)
	return nil
}

// serveValidator vouches for every token, as iam.twilio.com does.
func serveValidator(delay time.Duration) error {
	var calls atomic.Int64
	expiration := time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000Z")
	http.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if delay > 0 {
			time.Sleep(delay)
		}
		n, err := strconv.Atoi(strings.Trim(string(body[bytes.LastIndexByte(body, '.')+1:]), `"}`))
		if err != nil {
			http.Error(w, "not a token of this bench", http.StatusBadRequest)
			return
		}
		n %= agents
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"valid":true,"code":0,"message":null,"expiration":%q,"realm_user_id":"agent%d","identity":"agent%d_40example_2Ecom","roles":["agent"],"worker_sid":"WK%032x"}`, expiration, n, n, n)
	})
	http.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, calls.Load()) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(ln, nil) }()
	announce(ln)
	return nil
}
