package workers

import (
	"slices"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers/rows"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

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
			list, err := rows.Read(strings.NewReader(in))
			if err != nil {
				t.Errorf("%q: %v", in, err)
				continue
			}
			var got []string
			err = Select(t.Context(), api, Selection{Rows: list}, 2, func(w twilio.Worker) error {
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
