package function_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

func (r *rig) keySIDs() (all []string) {
	r.T.Helper()
	for _, k := range r.look().keys {
		all = append(all, k.SID)
	}
	return all
}

func (r *rig) inUse() string {
	r.T.Helper()
	return r.look().variables["FLEXVC_API_KEY"]
}

// wantSigning checks that the key in use exists with its secret.
func (r *rig) wantSigning() {
	r.T.Helper()
	a := r.look()
	key := a.variables["FLEXVC_API_KEY"]
	if a.variables["FLEXVC_"+key] == "" || !slices.ContainsFunc(a.keys, func(k twilio.Key) bool { return k.SID == key }) {
		r.T.Errorf("the Function signs with %s, which is not whole", key)
	}
}

// TestRotation replaces the key in two runs: between them both exist, since tokens
// of the former are in use.
func TestRotation(t *testing.T) {
	t.Parallel()
	r := newRig(t, emulator.Options{})
	exit, out := r.run("keys", "rotate", "--yes")
	if exit != problem.ExitFailed || !strings.Contains(out, "the Function is not deployed") {
		t.Errorf("without a Function: exit %d, %s", exit, out)
	}
	r.deploy("--token-ttl", "30m")
	first := r.inUse()

	clitest.WantMatch(t, r.must("keys", "rotate", "--dry-run"), `api key`, `Plan: 1 to add, 0 to change, 0 to remove\.`)
	if r.inUse() != first {
		t.Fatal("a dry run changed the key")
	}
	asked := r.asked
	clitest.WantMatch(t, r.must("keys", "rotate", "--yes"), `kept: api key SK`, `Next: flexvc -p emulator keys rotate after 2026-03-04 14:28 UTC`)
	second := r.inUse()
	if second == first || !slices.Contains(r.keySIDs(), first) || r.asked == asked {
		t.Errorf("in use is %s after %s; there are %q; asked %d times", second, first, r.keySIDs(), r.asked-asked)
	}
	r.wantSigning()
	clitest.WantMatch(t, r.must("function", "status"), `^former +SK`)
	clitest.WantMatch(t, r.deploy("--token-ttl", "30m"), `^No changes`)

	// Nothing happens while a token of the first may be alive.
	r.E.Advance(29 * time.Minute)
	clitest.WantMatch(t, r.must("keys", "rotate", "--yes"), `^No changes: the former key may still have signed a token that is alive`)
	r.E.Advance(2 * time.Minute)
	clitest.WantMatch(t, r.must("keys", "rotate", "--yes"), `Done: the rotation is complete`)
	if got := r.keySIDs(); !slices.Equal(got, []string{second}) {
		t.Errorf("the keys are %q, want %s", got, second)
	}
	r.wantOne()

	// A leaked key goes at once.
	clitest.WantMatch(t, r.must("keys", "rotate", "--yes", "--now"), `refused at once`)
	if got := r.keySIDs(); len(got) != 1 || got[0] == second {
		t.Errorf("the keys are %q", got)
	}
	r.wantOne()
	r.wantNoSecret()

	// --now also ends a rotation that waits.
	r.must("keys", "rotate", "--yes")
	third := r.inUse()
	r.must("keys", "rotate", "--yes", "--now")
	if got := r.keySIDs(); !slices.Equal(got, []string{third}) {
		t.Errorf("the keys are %q, want %s", got, third)
	}
}

// TestRotationThatDoesNotWork has the Function sign with the former key again.
func TestRotationThatDoesNotWork(t *testing.T) {
	t.Parallel()
	r := newRig(t, emulator.Options{})
	r.deploy()
	first := r.inUse()
	r.answer = "validator-credentials-refused"
	exit, out := r.run("keys", "rotate", "--yes", "--now")
	if exit != problem.ExitFailed || !strings.Contains(out, "and uses "+first[:2]) {
		t.Errorf("exit %d, %s", exit, out)
	}
	if got := r.inUse(); got != first {
		t.Errorf("in use is %s, want %s", got, first)
	}
	r.wantSigning()
	r.answer = "flex-token-refused"
	r.must("keys", "rotate", "--yes", "--now")
	if got := r.keySIDs(); len(got) != 1 || got[0] == first {
		t.Errorf("the keys are %q", got)
	}
	r.wantOne()
}

// TestRotationGoesOnAfterAnyStep breaks it at every request that changes something.
// The Function has a whole key at every moment, and the next run ends as one that
// was never broken.
func TestRotationGoesOnAfterAnyStep(t *testing.T) {
	t.Parallel()
	for _, now := range []bool{false, true} {
		args := []string{"keys", "rotate", "--yes"}
		if now {
			args = append(args, "--now")
		}
		var writes []string
		whole := newRig(t, emulator.Options{})
		whole.deploy()
		whole.around = func(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
			if req.Method != http.MethodGet {
				writes = append(writes, req.Method+" "+filepath.Base(req.URL.Path))
			}
			return next()
		}
		whole.must(args...)
		if want := map[bool]int{false: 4, true: 6}[now]; len(writes) != want {
			t.Fatalf("the writes are %q, want %d", writes, want)
		}
		for at := range writes {
			for _, lost := range []bool{false, true} {
				t.Run(fmt.Sprintf("now %t, %d %s, done %t", now, at, strings.Fields(writes[at])[0], lost), func(t *testing.T) {
					t.Parallel()
					r := newRig(t, emulator.Options{})
					r.deploy()
					first := r.inUse()
					n := -1
					r.around = func(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
						if req.Method != http.MethodGet {
							n++
						}
						if n < at {
							return next()
						}
						if lost && n == at && req.Method != http.MethodGet {
							if res, err := next(); err == nil {
								res.Body.Close()
							}
						}
						return nil, errors.New("the line is dead")
					}
					if exit, out := r.run(args...); exit == 0 {
						t.Fatalf("nothing was broken:\n%s", out)
					}
					r.around = nil
					r.wantSigning()
					for range 3 {
						r.must(args...)
						r.wantSigning()
						r.E.Advance(2 * time.Hour)
						if got := r.keySIDs(); len(got) == 1 && got[0] != first {
							break
						}
					}
					if got := r.keySIDs(); len(got) != 1 || got[0] == first {
						t.Errorf("the keys are %q; the first was %s", got, first)
					}
					clitest.WantMatch(t, r.deploy(), `^No changes`)
					r.wantOne()
					r.wantNoSecret()
				})
			}
		}
	}
}
