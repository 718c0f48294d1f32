package store_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
	"github.com/flexvc/flexvc/internal/emulator/store"
	"github.com/flexvc/flexvc/internal/problem"
)

// TestStores runs the same story in memory and on disk. On disk the emulator is
// closed and opened again at every break.
func TestStores(t *testing.T) {
	reopen := map[string]func(*testing.T, *emulator.Emulator, emulator.Options) *emulator.Emulator{
		"memory": func(_ *testing.T, e *emulator.Emulator, _ emulator.Options) *emulator.Emulator { return e },
		"disk": func(t *testing.T, e *emulator.Emulator, opts emulator.Options) *emulator.Emulator {
			emulatortest.Must(t, e.Close())
			opts.Agents, opts.SeedValue = 99, 99 // a folder with a state ignores these
			e, err := emulatortest.New(opts)
			emulatortest.Must(t, err)
			return e
		},
	}
	for kind, again := range reopen {
		t.Run(kind, func(t *testing.T) {
			opts := emulator.Options{Agents: 20, SeedValue: 5}
			if kind == "disk" {
				opts.DataDir = filepath.Join(t.TempDir(), "data")
			}
			e, err := emulatortest.New(opts)
			emulatortest.Must(t, err)
			defer func() { emulatortest.Must(t, e.Close()) }()
			account, fresh := e.Account(), e.Export()
			turn := func() *emulatortest.Client {
				t.Helper()
				before := e.Export()
				e = again(t, e, opts)
				after := e.Export()
				after.Now = before.Now
				if !reflect.DeepEqual(before, after) {
					t.Fatalf("opened again the state is\n%+v\nwant\n%+v", after, before)
				}
				if e.Account() != account {
					t.Fatalf("opened again the account is %+v, want %+v", e.Account(), account)
				}
				return emulatortest.As(t, e)
			}
			c := turn()
			ws := c.Workspace()
			const attributes = "{\n \"big\": 12345678901234567890, \"h\": \"<&>\u2028\", \"e\":\"\\ud83d\\ude00\" }"
			wk := ws + "/Workers/" + fresh.Workers[3].SID
			c.Post(wk, []string{"Attributes", attributes, "FriendlyName", "Новий"}).Want(t, 200)
			c = turn()
			if w := e.ExportWorkers()[3]; w.Attributes != attributes || w.FriendlyName != "Новий" {
				t.Errorf("the worker is %+v", w)
			}
			c.Post(ws+"/Workers", []string{"FriendlyName", "новий"}).Want(t, 400)
			c.Post(ws+"/Workers", []string{"FriendlyName", fresh.Workers[3].FriendlyName}).Want(t, 201)
			c.Post(ws+"/Activities", []string{"FriendlyName", "Voice Client Offline"}).Want(t, 201)
			key := c.Post("https://iam.twilio.com/v1/Keys", []string{"AccountSid", account.SID}).Want(t, 201).JSON(t)
			c.Must("DELETE", ws+"/Workers/"+fresh.Workers[4].SID, "", "").Want(t, 204)
			c.Must("POST", "https://flex-api.twilio.com/v1/Configuration", "application/json", `{"account_sid":"`+account.SID+`","ui_version":"9.9.9"}`).Want(t, 200)
			token, err := e.MintFlexToken(fresh.Workers[5].SID, time.Hour)
			emulatortest.Must(t, err)
			c = turn()
			if n := len(e.ExportWorkers()); n != 20 {
				t.Errorf("there are %d workers, want 20", n)
			}
			if v := c.Get("https://flex-api.twilio.com/v1/Configuration").JSON(t)["ui_version"]; v != "9.9.9" {
				t.Errorf("ui_version is %v", v)
			}
			if v := c.Must("POST", "https://iam.twilio.com/v1/Accounts/"+account.SID+"/Tokens/validate", "application/json", `{"token":"`+token+`"}`).JSON(t); v["worker_sid"] != fresh.Workers[5].SID {
				t.Errorf("the token stands for %v", v)
			}
			c.User, c.Password = key["sid"].(string), key["secret"].(string)
			c.Get(wk).Want(t, 200)

			emulatortest.Must(t, e.Reset())
			turn()
			got := e.Export()
			got.Now = fresh.Now
			if !reflect.DeepEqual(got, fresh) {
				t.Errorf("after a reset the state is\n%+v\nwant\n%+v", got, fresh)
			}
		})
	}
}

func TestDataIsPrivateAndOneProcessAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	emulatortest.Start(t, emulator.Options{DataDir: dir})
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "emulator.db"): 0o600} {
		info, err := os.Stat(path)
		emulatortest.Must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
	}
	if _, err := emulatortest.New(emulator.Options{DataDir: dir}); !problem.Is(err, problem.Locked) {
		t.Errorf("a second emulator on the same folder: %v", err)
	}
}

func TestDataThatCannotBeUsedIsSaidSo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	emulatortest.Must(t, os.WriteFile(file, nil, 0o600))
	if _, err := emulatortest.New(emulator.Options{DataDir: file}); !problem.Is(err, problem.StateUnwritable) {
		t.Errorf("a file as the folder: %v", err)
	}
	garbage := filepath.Join(t.TempDir(), "emulator.db")
	emulatortest.Must(t, os.WriteFile(garbage, []byte(strings.Repeat("garbage ", 4096)), 0o600))
	if _, err := emulatortest.New(emulator.Options{DataDir: filepath.Dir(garbage)}); !problem.Is(err, problem.StateUnreadable) {
		t.Errorf("garbage as the data: %v", err)
	}
}

// TestWritesSurviveTheDeathOfTheProcess kills a process that keeps writing and
// looks for the last write it reported.
func TestWritesSurviveTheDeathOfTheProcess(t *testing.T) {
	if dir := os.Getenv("FLEXVC_TEST_WRITER"); dir != "" {
		writeForEver(t, dir)
		return
	}
	dir := t.TempDir()
	exe, err := os.Executable()
	emulatortest.Must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "-test.run=^TestWritesSurviveTheDeathOfTheProcess$")
	cmd.Env = append(os.Environ(), "FLEXVC_TEST_WRITER="+dir)
	out, err := cmd.StdoutPipe()
	emulatortest.Must(t, err)
	emulatortest.Must(t, cmd.Start())
	var last int
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "wrote %d", &last); err == nil && last == 300 {
			emulatortest.Must(t, cmd.Process.Kill())
		}
	}
	_ = cmd.Wait() // it was killed: the error says so
	if last < 300 {
		t.Fatalf("the writer ended after %d writes", last)
	}
	e := emulatortest.Start(t, emulator.Options{DataDir: dir})
	var doc struct{ N int }
	emulatortest.Must(t, json.Unmarshal([]byte(e.ExportWorkers()[0].Attributes), &doc))
	if doc.N < last {
		t.Errorf("write %d was reported, after the kill the worker holds %d", last, doc.N)
	}
}

func writeForEver(t *testing.T, dir string) {
	e := emulatortest.Start(t, emulator.Options{DataDir: dir, Agents: 50})
	sid := e.ExportWorkers()[0].SID
	for n := 1; n < 1_000_000; n++ {
		emulatortest.Must(t, e.Edit(sid, fmt.Sprintf(`{"N":%d}`, n)))
		fmt.Println("wrote", n)
	}
}

func TestTheSameSeedMakesTheSameAccount(t *testing.T) {
	one := emulatortest.Start(t, emulator.Options{Agents: 300, SeedValue: 7})
	two := emulatortest.Start(t, emulator.Options{Agents: 300, SeedValue: 7})
	more := emulatortest.Start(t, emulator.Options{Agents: 301, SeedValue: 7})
	other := emulatortest.Start(t, emulator.Options{Agents: 300, SeedValue: 8})
	if one.Account() != two.Account() || !slices.Equal(one.ExportWorkers(), two.ExportWorkers()) {
		t.Error("the same seed value made two accounts")
	}
	if !slices.Equal(one.ExportWorkers(), more.ExportWorkers()[:300]) {
		t.Error("one agent more changed the others")
	}
	if one.Account() == other.Account() || one.ExportWorkers()[0] == other.ExportWorkers()[0] {
		t.Error("another seed value made the same account")
	}
}

func TestMadeUpWorkersAreRealistic(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 250, SeedValue: 1})
	if !emulatortest.IsMadeUp(e.Account().SID) || emulatortest.IsMadeUp("AC"+strings.Repeat("0", 32)) {
		t.Error("SIDs cannot be told apart")
	}
	var text strings.Builder
	on, off := 0, 0
	seen := map[string]bool{}
	for _, w := range e.ExportWorkers() {
		if !emulatortest.IsMadeUp(w.SID) || seen[w.SID] {
			t.Errorf("the SID %s is not marked or not unique", w.SID)
		}
		seen[w.SID] = true
		var doc struct {
			ContactURI string `json:"contact_uri"`
			Email      string
			Flag       *bool `json:"extensionVoiceClientEnabled"`
		}
		if err := json.Unmarshal([]byte(w.Attributes), &doc); err != nil {
			t.Fatalf("%s: %v", w.Attributes, err)
		}
		identity := strings.TrimPrefix(strings.TrimPrefix(doc.ContactURI, "client:"), "ext_")
		if identity != store.EncodeIdentity(doc.Email) {
			t.Errorf("%s has the contact_uri %s", doc.Email, doc.ContactURI)
		}
		if doc.Flag != nil && *doc.Flag {
			on++
		} else if doc.Flag != nil {
			off++
		}
		text.WriteString(w.Attributes + "\n" + w.FriendlyName + "\n")
	}
	if on != 15 || off != 16 {
		t.Errorf("%d workers are enabled and %d disabled, want 15 and 16", on, off)
	}
	for _, want := range []string{"12345678901234567890", `:1.0`, "a&b<c>", "😀", `\ud83d\ude00`, "\n  \"", `", "`, `":null`, ".2@"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no worker has %q", want)
		}
	}
}

func TestIdentitiesAreEncoded(t *testing.T) {
	for name, want := range map[string]string{
		"user@example.com": "user_40example_2Ecom", "a-b+c_d": "a_2Db_2Bc_5Fd", "Zoë": "Zo_C3_AB", "": "", "09azAZ": "09azAZ",
	} {
		if got := store.EncodeIdentity(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

func TestSeedFilesAreRead(t *testing.T) {
	seed, err := store.ReadSeed(strings.NewReader(`{
		"activities": [{"friendly_name":"Home","available":false},{"friendly_name":"Work","available":true}],
		"workers": [
			{"friendly_name":"object","attributes":{ "a" : 1.0 }},
			{"friendly_name":"text","attributes":"{ \"a\" : 1.0 }","activity":"Work","version":12},
			{"friendly_name":"none"},
			{"friendly_name":"broken","attributes":"not json","no_flex_user":true}
		],
		"keys": [{"friendly_name":"main","type":"main"},{"friendly_name":"standard"}]
	}`))
	emulatortest.Must(t, err)
	e := emulatortest.Start(t, emulator.Options{Seed: seed})
	var got []string
	for _, w := range e.ExportWorkers() {
		got = append(got, w.Activity+" "+w.Attributes+" "+w.ETag)
	}
	want := []string{`Home { "a" : 1.0 } "0"`, `Work { "a" : 1.0 } "12"`, `Home {} "0"`, `Home not json "0"`}
	if !slices.Equal(got, want) {
		t.Errorf("the workers are %q, want %q", got, want)
	}
	if keys := e.Export().Keys; len(keys) != 3 || keys[1].Type != store.KeyMain || keys[2].Type != store.KeyStandard {
		t.Errorf("the keys are %+v", keys)
	}
}

func TestSeedsThatMakeNoSenseAreRefused(t *testing.T) {
	for text, code := range map[string]problem.Code{
		`{`: problem.InputUnreadable, `{"shoes":1}`: problem.InputUnreadable, `{} {}`: problem.InputUnreadable, `[]`: problem.InputUnreadable,
		`{"workers":[{"friendly_name":"a"},{"friendly_name":"A"}]}`:                     problem.Usage,
		`{"workers":[{"friendly_name":"a","activity":"Nowhere"}]}`:                      problem.Usage,
		`{"activities":[{"friendly_name":"a"},{"friendly_name":"a","available":true}]}`: problem.Usage,
	} {
		seed, err := store.ReadSeed(strings.NewReader(text))
		if err == nil {
			_, err = emulatortest.New(emulator.Options{Seed: seed})
		}
		if !problem.Is(err, code) {
			t.Errorf("%s: %v, want %s", text, err, code)
		}
	}
	for _, opts := range []emulator.Options{
		{Agents: -1}, {Agents: store.MaxWorkers + 1}, {ListAttributes: "some"}, {ValidateFailure: "shrug"},
		{Limits: emulator.Limits{RequestsPerSecond: -1}}, {Limits: emulator.Limits{Latency: -1}}, {Faults: []string{"?"}},
	} {
		if _, err := emulatortest.New(opts); !problem.Is(err, problem.Usage) {
			t.Errorf("%+v: %v, want a usage problem", opts, err)
		}
	}
}

// TestConcurrentUseIsSafe is for the race detector, and counts what got in.
func TestConcurrentUseIsSafe(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		e := emulatortest.Start(t, emulator.Options{Agents: 50, DataDir: dir, Limits: emulator.Limits{ExpressionPerSecond: -1}})
		c := emulatortest.As(t, e)
		c.Transport = e.Transport()
		ws := c.Workspace()
		var all sync.WaitGroup
		for n, w := range e.ExportWorkers() {
			all.Go(func() {
				c.Post(ws+"/Workers/"+w.SID, []string{"Attributes", fmt.Sprintf(`{"n":%d}`, n)}).Want(t, 200)
				c.Get(ws+"/Workers?TargetWorkersExpression=n+%3E+10").Want(t, 200)
				c.Post(ws+"/Workers", []string{"FriendlyName", fmt.Sprint("new ", n)}).Want(t, 201)
				emulatortest.Must(t, e.Bump(w.SID))
				_, _ = e.Stats(), e.Log()
				if n%10 == 0 {
					c.Must("DELETE", ws+"/Workers/"+w.SID, "", "").Want(t, 204)
				}
			})
		}
		all.Wait()
		if n := len(e.ExportWorkers()); n != 95 {
			t.Errorf("there are %d workers, want 95", n)
		}
		if s := e.Stats(); s.Requests != 155 || s.OpenBodies != 0 || s.PeakInFlight < 1 {
			t.Errorf("the statistics are %+v", s)
		}
	}
}
