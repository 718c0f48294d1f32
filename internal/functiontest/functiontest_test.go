// Package functiontest_test holds the token Function to the answers of flexvc serve: one table of requests, and three
// servers. What serve itself promises is tested in internal/tokensrv, and what the emulator's runtime does in
// internal/emulator/functions.
package functiontest_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/function"
)

// answered is what a server answered, without what differs from one request to
// the next.
type answered struct {
	status int
	code   string
	header map[string]string
	body   string // of a problem
	token  string // what is fixed of the claims of an issued token, and of its header
}

func (a answered) String() string {
	return fmt.Sprintf("%d %s %v %s %s", a.status, a.code, a.header, a.body, a.token)
}

// compared are the headers that matter.
var compared = []string{
	"Access-Control-Allow-Credentials", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Allow", "Cache-Control", "Location", "Vary", "X-Content-Type-Options",
}

// said is all that anybody wrote into a log or answered with, but for tokens
// issued, and the secrets that must not be in it.
type said struct {
	text    buffer
	secrets map[string]bool
}

func newSaid() *said {
	s := &said{secrets: map[string]bool{}}
	s.hide(secret)
	s.hide(key + ":" + secret)
	return s
}

func (s *said) hide(text string) { s.secrets[text] = true }

// leaks returns the lines with a secret, as it is or in an encoding it travels in.
func (s *said) leaks() (found []string) {
	var forms []string
	for text := range s.secrets {
		if len(text) < 12 {
			panic("too short to look for: " + text)
		}
		encoded := base64.StdEncoding.EncodeToString([]byte(text))
		forms = append(forms, text, url.QueryEscape(text), encoded[:min(len(encoded)-len(encoded)%4, 60)-4])
	}
	for line := range strings.Lines(s.text.String()) {
		for _, form := range forms {
			if strings.Contains(line, form) {
				found = append(found, line[:min(len(line), 300)])
				break
			}
		}
	}
	return found
}

func TestTheFunctionAnswersAsServeDoes(t *testing.T) {
	needs(t)
	f := newFakeTwilio(t)
	servers := []struct {
		name string
		server
	}{
		{"serve", newServe(t, f)},
		{"Twilio's runtime", newRuntimeHandler(t, f, function.Source, false)},
		{"the emulator", newEmulated(t, f, function.Source)},
	}
	all := newSaid()
	rows := 0
	for _, part := range [][]row{good(), refused(), malformed(), twilioAway(), platform()} {
		for _, r := range part {
			rows++
			t.Run(r.name, func(t *testing.T) {
				r = r.complete(rows)
				token := r.token(rows)
				all.hide(token)
				f.set(token, r.twilio)
				f.set(worker, r.worker)
				var expected answered
				asked := 0
				for i, s := range servers {
					got := ask(t, all, s.address(r.group), r, token)
					questions := f.questions(token)
					want := answerOf{r.status, r.code}
					differs := r.local
					if s.name == "the emulator" {
						differs = r.emulator
					}
					if i == 0 {
						expected, asked = got, questions
					} else if differs != nil {
						want = *differs
					}
					if got.status != want.status || got.code != want.code {
						t.Errorf("%s answered %d %q, want %d %q: %s", s.name, got.status, got.code, want.status, want.code, got)
					}
					if differs == nil && (got.String() != expected.String() || questions != asked) {
						t.Errorf("%s asked Twilio %d times and answered\n%s\nserve %d times and\n%s", s.name, questions, got, asked, expected)
					}
				}
			})
		}
	}
	if rows < 60 {
		t.Errorf("only %d rows", rows)
	}
	for _, s := range servers {
		log := s.logged()
		if strings.Count(log, "\n") < rows/2 {
			t.Errorf("%s hardly logged anything: %s", s.name, log)
		}
		fmt.Fprintln(&all.text, log)
	}
	if found := all.leaks(); len(found) > 0 {
		t.Errorf("logs or refusals hold secrets:\n%s", strings.Join(found, "\n"))
	}
}

// complete fills in what a row leaves out.
func (r row) complete(n int) row {
	set := func(field *string, usual string) {
		switch *field {
		case "":
			*field = usual
		case "-":
			*field = ""
		}
	}
	set(&r.group, "plain")
	set(&r.method, "POST")
	set(&r.kind, form)
	set(&r.body, "Token={T}")
	if r.status == 0 {
		r.status = 200
	}
	if r.twilio == (verdict{}) {
		r.twilio = vouches("")
	}
	if r.worker == (verdict{}) {
		r.worker = enabledWorker()
	}
	return r
}

// token is the Flex token of the n-th row.
func (r row) token(n int) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	token := strings.Join([]string{part(`{"alg":"dir"}`), part("row " + strconv.Itoa(n)), part("key of " + r.name)}, ".")
	if r.length > 0 {
		token += long(r.length - len(token))
	}
	return token
}

func ask(t *testing.T, all *said, address string, r row, token string) answered {
	t.Helper()
	fill := func(s string) string { return strings.ReplaceAll(s, "{T}", token) }
	if r.query != "" {
		address += "?" + fill(r.query)
	}
	var body io.Reader = strings.NewReader(fill(r.body))
	if r.chunked {
		body = io.MultiReader(body)
	}
	request, err := http.NewRequestWithContext(t.Context(), r.method, address, body)
	must(t, err)
	if r.body == "" {
		request.Body = http.NoBody
	}
	if r.kind != "" {
		request.Header.Set("Content-Type", r.kind)
	}
	for i := 0; i+1 < len(r.header); i += 2 {
		request.Header.Add(r.header[i], fill(r.header[i+1]))
	}
	before := time.Now().Truncate(time.Second)
	resp, err := direct.RoundTrip(request)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return read(t, all, r, resp, text, before)
}

// direct follows no redirect and keeps nothing.
var direct = &http.Transport{DisableKeepAlives: true}

var requestID = regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{8}$`)

func read(t *testing.T, all *said, r row, resp *http.Response, text []byte, before time.Time) answered {
	t.Helper()
	a := answered{status: resp.StatusCode, header: map[string]string{}}
	for _, name := range compared {
		if values := resp.Header.Values(name); len(values) > 0 {
			a.header[name] = strings.Join(values, " | ")
		}
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	a.header["Content-Type"] = kind
	fmt.Fprintf(&all.text, "%v\n", resp.Header)
	id := resp.Header.Get("X-Request-Id")
	switch {
	case kind == "application/problem+json" && len(text) > 0:
		fmt.Fprintf(&all.text, "%s\n", text)
		var problem struct{ Code, RequestID string }
		if err := json.Unmarshal(text, &problem); err != nil || problem.RequestID != id || !requestID.MatchString(id) {
			t.Errorf("the problem has request id %q, its header %q (%v): %s", problem.RequestID, id, err, text)
		}
		a.code = problem.Code
		a.body = strings.ReplaceAll(string(text), id, "ID")
		a.header["Retry-After"] = waits(t, resp.Header.Get("Retry-After"), r.twilio.header[1])
	case kind == jsonType && resp.StatusCode == http.StatusOK && len(text) > 0:
		a.token = issued(t, all, text, before)
		if !requestID.MatchString(id) {
			t.Errorf("request id %q", id)
		}
	default:
		fmt.Fprintf(&all.text, "%s\n", text)
	}
	return a
}

// waits checks a Retry-After, which is spread at random, and returns its shape.
func waits(t *testing.T, header, twilios string) string {
	t.Helper()
	if header == "" {
		return "none"
	}
	base := 2
	if s, err := strconv.Atoi(twilios); err == nil {
		base = min(s, 60)
	}
	if s, err := strconv.Atoi(header); err != nil || s < base || s > 2*base {
		t.Errorf("Retry-After is %q, want %d to %d", header, base, 2*base)
	}
	return strconv.Itoa(base)
}

// issued checks the answer with a token, whose times differ from one server to
// the next, and returns the rest of it.
func issued(t *testing.T, all *said, text []byte, before time.Time) string {
	t.Helper()
	var answer struct {
		Identity, Token string
		TTL             int64
		ExpiresAt       time.Time
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&answer); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	all.hide(answer.Token)
	parts := strings.Split(answer.Token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts", len(parts))
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if parts[2] != base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
		t.Error("the token is not signed with the key")
	}
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	must(t, err)
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	var claims struct {
		JTI      string
		IAT, EXP int64
	}
	must(t, json.Unmarshal(payload, &claims))
	if claims.JTI != key+"-"+strconv.FormatInt(claims.IAT, 10) || claims.EXP-claims.IAT != answer.TTL || answer.ExpiresAt.Unix() != claims.EXP ||
		time.Unix(claims.IAT, 0).Before(before) || time.Unix(claims.IAT, 0).After(time.Now()) {
		t.Errorf("jti %q, iat %d, exp %d, ttl %d, expiresAt %s", claims.JTI, claims.IAT, claims.EXP, answer.TTL, answer.ExpiresAt)
	}
	fixed := strings.NewReplacer(strconv.FormatInt(claims.IAT, 10), "IAT").Replace(string(payload))
	life := strconv.FormatInt(answer.TTL, 10)
	if answer.TTL != 3600 && answer.TTL != 60 { // bounded by the Flex token, which ends when it ends
		life = "until " + answer.ExpiresAt.Format(time.RFC3339)
	} else {
		fixed = strings.ReplaceAll(fixed, strconv.FormatInt(claims.EXP, 10), "EXP")
	}
	return fmt.Sprintf("%s %s %s %s", answer.Identity, life, header, fixed)
}
