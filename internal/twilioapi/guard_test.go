package twilioapi

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
)

const marker = "e0e0e0e0"

// madeUp is an SID as the emulator makes them.
func madeUp(kind string) string { return kind + marker + strings.Repeat("0", 24) }

func TestSIDsNeverReachTheWrongServer(t *testing.T) {
	local := &url.URL{Scheme: "http", Host: "127.0.0.1:8021"}
	for _, tc := range []struct {
		name     string
		emulator *url.URL
		right    func(kind string) string
		wrong    func(kind string) string
	}{
		{"real SID to the emulator", local, madeUp, func(kind string) string { return kind + account[2:] }},
		{"made-up SID to Twilio", nil, func(kind string) string { return kind + account[2:] }, madeUp},
	} {
		t.Run(tc.name, func(t *testing.T) {
			base := func(o *Options) {
				o.SIDMarker, o.Emulator = marker, tc.emulator
				o.AccountSID, o.Username = tc.right("AC"), tc.right("AC")
			}
			sent := 0
			o := options(roundTripper(func(*http.Request) (*http.Response, error) {
				sent++
				return respond(200, oneWorker), nil
			}))
			base(&o)
			c := newClient(t, o)
			if _, err := c.Workspace(tc.right("WS")).Worker(t.Context(), tc.right("WK")); err != nil || sent != 1 {
				t.Fatalf("right SIDs: %d requests, %v", sent, err)
			}
			for _, account := range []struct{ account, user string }{
				{tc.wrong("AC"), tc.right("AC")},
				{tc.right("AC"), tc.wrong("AC")},
				{tc.right("AC"), tc.wrong("SK")},
			} {
				o := o
				o.AccountSID, o.Username = account.account, account.user
				_, err := New(o)
				wantCode(t, err, problem.WrongTarget)
			}
			ctx := t.Context()
			_, err := c.Workspace(tc.wrong("WS")).Worker(ctx, tc.right("WK"))
			wantCode(t, err, problem.WrongTarget)
			_, err = c.Workspace(tc.right("WS")).SetAttributes(ctx, tc.wrong("WK"), "{}", "1")
			wantCode(t, err, problem.WrongTarget)
			_, err = names(t, c.Workspace(tc.right("WS")), `sid == "`+tc.wrong("WK")+`"`)
			wantCode(t, err, problem.WrongTarget)
			wantCode(t, c.DeleteKey(ctx, tc.wrong("SK")), problem.WrongTarget)
			if sent != 1 {
				t.Errorf("%d requests were sent with a wrong SID", sent-1)
			}
		})
	}
}

func TestEmulatorGetsThePublicHostName(t *testing.T) {
	var got *http.Request
	o := options(roundTripper(func(r *http.Request) (*http.Response, error) {
		got = r
		return nil, errors.New("connection refused")
	}))
	o.Emulator = &url.URL{Scheme: "http", Host: "localhost:8021"}
	_, _, err := newClient(t, o).CreateKey(t.Context(), "a")
	p := wantCode(t, err, problem.NetworkUnreachable)
	if got.URL.String() != "http://localhost:8021/v1/Keys" || got.Host != "iam.twilio.com" {
		t.Errorf("sent to %s with Host %s", got.URL, got.Host)
	}
	if !strings.Contains(p.Summary, "the emulator at localhost:8021") || !strings.Contains(p.Hint, "flexvc emulator") {
		t.Errorf("says %s; %s", p.Summary, p.Hint)
	}
}
