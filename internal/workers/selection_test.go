package workers

import (
	"slices"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

func TestReadNames(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     []string
	}{
		{"list", "alice\nbob\n", []string{"alice", "bob"}},
		{"comments and blank lines", "# pilot\nalice  # on leave\n\n   \nagent #5\n#bob\n", []string{"alice", "agent #5"}},
		{"from Windows", "\ufeffalice\r\nbob\r\n", []string{"alice", "bob"}},
		{"no line break at the end", "alice", []string{"alice"}},
		{"twice", "alice\nALICE\nbob\nalice\n", []string{"alice", "bob"}},
		{"a name with a comma", "Smith, Alice\nbob\n", []string{"Smith, Alice", "bob"}},
		{"csv", "team,friendly_name\nsales,alice\nsales,\"bob, jr\"\n", []string{"alice", "bob, jr"}},
		{"csv from Windows", "\ufeffName;Email\r\nAlice A;alice@example.com\r\n;bob@example.com\r\n", []string{"alice@example.com", "bob@example.com"}},
		{"sid wins", "friendly_name,sid\nalice,WK1\n", []string{"WK1"}},
		{"one column", "worker\nalice\n\nbob\n", []string{"alice", "bob"}},
		{"short rows", "team,username\nsales\nsales,alice\n", []string{"alice"}},
		{"tabs", "team\tWorker\nsales\talice\n", []string{"alice"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ReadNames(strings.NewReader(tc.in))
			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
		})
	}
	for _, in := range []string{"", "# nobody\n", "friendly_name\n", "friendly_name,x\n\"alice\n", "al\xefce\n", "\xff\xfea\x00l\x00", "a\x00b\n", strings.Repeat("a", listLimit+1)} {
		if got, err := ReadNames(strings.NewReader(in)); !problem.Is(err, problem.InputUnreadable) {
			t.Errorf("%.40q: %d names, %v, want input-unreadable", in, len(got), err)
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
