package rows

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

func TestRead(t *testing.T) {
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
			rows, err := Read(strings.NewReader(tc.in))
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
		if got, err := Read(strings.NewReader(in)); !problem.Is(err, problem.InputUnreadable) {
			t.Errorf("%.40q: %d names, %v, want input-unreadable", in, len(got), err)
		}
	}
}
