package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
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

	"github.com/flexvc/flexvc/internal/eventsrv"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/tokensrv"
	"github.com/flexvc/flexvc/internal/twilio"
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

// pathRequests tells how many requests, beside the validator's, Twilio would have
// had.
const pathRequests = "/bench/requests"

func serveOurs(upstream string, open, required bool) error {
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
	deps := tokensrv.Deps{Log: log}
	events, err := receiver(log)
	if err != nil {
		return err
	}
	deps.Public = append(deps.Public, tokensrv.Route{Path: eventsrv.PathTwilio, Name: "events", Handler: events.Receiver(), MaxBody: eventsrv.MaxBody})
	workspace := &roster{}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if required {
		c.RequireEnabled, c.RequireRoles = true, []string{"agent"}
		enabled := fleet.NewEnabled(workspace, time.Now, func(err error) { log.Warn("cannot list the workers", "cause", err) })
		deps.WorkerEnabled = enabled.Enabled
		go enabled.Run(ctx, time.Minute)
	}
	deps.Public = append(deps.Public, tokensrv.Route{Path: pathRequests, Name: "requests", MaxBody: 1, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, workspace.requests.Load())
	})})
	s, err := tokensrv.New(c, deps)
	if err != nil {
		return err
	}
	ln, err := tokensrv.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		announce(ln)
		cancel()
	}()
	return s.Run(ctx, tokensrv.Listeners{Public: []net.Listener{ln}}, ctx.Done())
}

// receiver takes events that nobody can sign.
func receiver(log *slog.Logger) (*eventsrv.Server, error) {
	return eventsrv.New(eventsrv.Config{AccountSID: account, AuthToken: secret}, eventsrv.Deps{
		Log:           log,
		Signed:        func(string, []byte, string) bool { return false },
		SignedAddress: func(string, string) bool { return false },
	})
}

// roster is a workspace in which everybody is enabled, and a page takes as long to
// come as one of Twilio's.
type roster struct{ requests atomic.Int64 }

const (
	pageTakes  = 300 * time.Millisecond
	attributes = `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_agent"}`
)

func (r *roster) Workers(context.Context, string) iter.Seq2[twilio.Worker, error] {
	return func(yield func(twilio.Worker, error) bool) {
		for n := range agents {
			if n%twilio.PageSize == 0 {
				r.requests.Add(1)
				time.Sleep(pageTakes)
			}
			if !yield(r.worker(fmt.Sprintf("WK%032x", n)), nil) {
				return
			}
		}
	}
}

func (r *roster) Worker(_ context.Context, sid string) (twilio.Worker, error) {
	r.requests.Add(1)
	time.Sleep(pageTakes)
	return r.worker(sid), nil
}

func (*roster) worker(sid string) twilio.Worker {
	text := attributes
	return twilio.Worker{SID: sid, FriendlyName: sid, Attributes: &text, DateUpdated: time.Unix(1, 0)}
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
			fmt.Fprint(w, `{"valid":false,"message":"not a token of this bench"}`)
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
