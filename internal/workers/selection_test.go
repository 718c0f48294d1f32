package workers

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

func TestReadRows(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     []string
	}{
		{"list", "alice\nbob\n", []string{"alice", "bob"}},
		{"comments and blank lines", "# pilot\nalice  # on leave\n\n   \nagent #5\n#bob\n", []string{"alice", "agent #5"}},
		{"from Windows", "\ufeffalice\r\nbob\r\n", []string{"alice", "bob"}},
		{"no line break at the end", "alice", []string{"alice"}},
		{"a name with a comma", "Smith, Alice\nbob\n", []string{"Smith, Alice", "bob"}},
		{"csv", "team,friendly_name\nsales,alice\nsales,\"bob, jr\"\n", []string{"alice", "bob, jr"}},
		{"csv from Windows", "\ufeffName;Email\r\nAlice A;alice@example.com\r\n;bob@example.com\r\n", []string{"alice@example.com", "bob@example.com"}},
		{"sid first", "friendly_name,sid\nalice," + workerstest.SID(1) + "\n", []string{workerstest.SID(1)}},
		{"an empty sid", "sid,friendly_name\n" + workerstest.SID(1) + ",alice\n,bob\n", []string{workerstest.SID(1), "bob"}},
		{"one column", "worker\nalice\n\nbob\n", []string{"alice", "bob"}},
		{"blank rows", "team,username\n,\nsales,alice\n\n", []string{"alice"}},
		{"flexvc workers list", "WORKER\tSID\tACTIVITY\nalice\t" + workerstest.SID(1) + "\tOffline\n", []string{workerstest.SID(1)}},
		{"flexvc workers list -o json", `{"v":1,"sid":"` + workerstest.SID(1) + `","name":"alice"}` + "\n" + `{"v":1,"name":"bob"}` + "\n", []string{workerstest.SID(1), "bob"}},
		{"tabs", "team\tWorker\nsales\talice\n", []string{"alice"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rows, err := ReadRows(strings.NewReader(tc.in))
			var got []string
			for _, r := range rows {
				got = append(got, cmp.Or(r.SID, r.Name, r.Email))
			}
			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
		})
	}
	for _, in := range []string{"", "# nobody\n", "friendly_name\n", "friendly_name,x\n\"alice\n", "al\xefce\n", "\xff\xfea\x00l\x00", "a\x00b\n", "team,username\nsales\n", "sid\nWK…0001\n", `{"v":1}`, "{\n}", strings.Repeat("a", listLimit+1)} {
		if got, err := ReadRows(strings.NewReader(in)); !problem.Is(err, problem.InputUnreadable) {
			t.Errorf("%.40q: %d names, %v, want input-unreadable", in, len(got), err)
		}
	}
}

// TestRowsThatWereDroppedOrBelievedHalf: a row with an empty sid was left out, a sid
// won over a name that contradicts it, and an e-mail was compared with the name.
func TestRowsThatWereDroppedOrBelievedHalf(t *testing.T) {
	var samples []string
	for _, email := range []string{"zero@example.com", "one@example.com", "two@example.com", "two@example.com"} {
		samples = append(samples, `{"email":"`+email+`"}`)
	}
	for _, nulls := range []bool{false, true} {
		api := workerstest.New(samples...)
		api.NullList = nulls
		for in, want := range map[string]string{
			"sid,friendly_name\n" + workerstest.SID(0) + ",AGENT0\n,agent1\n":     "agent0 agent1",
			"email\nONE@example.com\nzero@example.com\n":                          "agent0 agent1",
			"friendly_name,email\nagent0,zero@example.com\n":                      "agent0",
			"sid,email,name\n" + workerstest.SID(1) + ",one@example.com,Ada L.\n": "agent1",
			"agent2\n" + workerstest.SID(2) + "\n":                                "agent2",

			"sid,friendly_name\n" + workerstest.SID(0) + ",agent1\n": `line 2: ` + workerstest.SID(0) + ` is "agent0", not "agent1"`,
			"friendly_name,email\nagent0,one@example.com\n":          `line 2: "agent0" has the e-mail "zero@example.com", not "one@example.com"`,
			"email\ntwo@example.com\n":                               `line 2: more than one worker has the e-mail "two@example.com"`,
			"friendly_name\nagent0\n\nnobody\n":                      `line 4: no worker has the name "nobody"`,
			"# the pilot\n" + workerstest.SID(77) + "\nagent0\n":     `line 2: no worker has the SID ` + workerstest.SID(77),
			"email\nagent0\n":                                        `line 2: no worker has the e-mail "agent0"`,
		} {
			rows, err := ReadRows(strings.NewReader(in))
			if err != nil {
				t.Errorf("%q: %v", in, err)
				continue
			}
			var got []string
			err = Select(t.Context(), api, Selection{Rows: rows}, 2, func(w twilio.Worker) error {
				got = append(got, w.FriendlyName)
				return nil
			})
			said := strings.Join(got, " ")
			if err != nil {
				said = err.Error()
			}
			if said != want {
				t.Errorf("%q selects %s, want %s", in, said, want)
			}
		}
	}
}

func TestSelect(t *testing.T) {
	for _, nulls := range []bool{false, true} {
		api := workerstest.New(workerstest.Samples(20)...)
		api.NullList = nulls
		for _, tc := range []struct {
			name string
			s    Selection
			want []string
		}{
			{"all", Selection{All: true}, nil},
			{"names in Twilio's order, whatever their case", Selection{Names: []string{"AGENT7", "agent3", "agent3"}}, []string{"agent3", "agent7"}},
			{"sids", Selection{Names: []string{workerstest.SID(4), strings.Replace(workerstest.SID(2), "WK0", "WK0", 1), workerstest.SID(4)}}, []string{"agent4", "agent2"}},
			{"names and sids", Selection{Names: []string{"agent9", workerstest.SID(1), "agent1"}}, []string{"agent1", "agent9"}},
			{"filter", Selection{Filter: `"id":11`}, []string{"agent11"}},
		} {
			var got []string
			err := Select(t.Context(), api, tc.s, 4, func(w twilio.Worker) error {
				if w.Attributes == nil {
					t.Errorf("%s: %s has no attributes", tc.name, w.FriendlyName)
				}
				got = append(got, w.FriendlyName)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if tc.want == nil && len(got) != 20 || tc.want != nil && !slices.Equal(got, tc.want) {
				t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
			}
		}
	}
}

func TestUnknownWorkers(t *testing.T) {
	api := workerstest.New(workerstest.Samples(9)...)
	for _, tc := range []struct {
		names         []string
		summary, hint string
	}{
		{[]string{"agent1", "agnet2"}, `no worker has the name or SID "agnet2`, `did you mean "agent2"?`},
		{[]string{"zzz"}, `"zzz"`, "list all workers: flexvc workers list"},
		{[]string{"a1", "a2", "a3", "a4", "a5", "a6", "a7"}, `"a1", "a2", "a3", "a4", "a5" and 2 more`, ""},
		{[]string{workerstest.SID(99)}, workerstest.SID(99), "flexvc workers list"},
	} {
		err := Select(t.Context(), api, Selection{Names: tc.names}, 2, func(twilio.Worker) error { return nil })
		if !problem.Is(err, problem.WorkerNotFound) || !strings.Contains(err.Error(), tc.summary) || !strings.Contains(problem.As(err).Hint, tc.hint) {
			t.Errorf("%q: %v (%v)", tc.names, err, problem.As(err))
		}
	}
	// Nothing is planned, and nothing is left in the folder.
	if p, err := PlanEdit(t.Context(), api, Selection{Names: []string{"agent1", "nobody"}}, attributes.Edit{Enable: true}, 2, nil); err == nil {
		t.Errorf("a plan of %d changes was made", len(p.Change))
	}
	if api.Written > 0 {
		t.Error("something was written")
	}
}

// TestNullAttributesAreFetched: what a list leaves out is never taken for empty.
func TestNullAttributesAreFetched(t *testing.T) {
	api := workerstest.New(`{"a":1}`, `{"extensionVoiceClientEnabled":true}`, `[]`)
	api.NullList = true
	p, err := PlanEdit(t.Context(), api, Selection{All: true}, attributes.Edit{Enable: true}, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Change) != 1 || p.Same != 1 || len(p.Blocked) != 1 || api.Fetched != 3 {
		t.Errorf("plan %+v after %d fetches", p, api.Fetched)
	}
}
