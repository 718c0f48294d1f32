package emulator

import "testing"

func TestMembersAreSetInPlace(t *testing.T) {
	for _, test := range []struct{ object, want string }{
		{`{}`, `{"k":7}`},
		{` { } `, ` {"k":7 } `},
		{`{"a":1}`, `{"a":1,"k":7}`},
		{"{\n  \"a\": 1.0,\n  \"b\": 12345678901234567890\n}", "{\n  \"a\": 1.0,\n  \"b\": 12345678901234567890,\"k\":7\n}"},
		{`{"k":6}`, `{"k":7}`},
		{`{"k" : {"deep":[1,2]} , "z":"a&b<c>"}`, `{"k" : 7 , "z":"a&b<c>"}`},
		{`{"a":{"k":1},"k":null}`, `{"a":{"k":1},"k":7}`},
		{`[]`, ""}, {`"x"`, ""}, {``, ""}, {`{"a":`, ""}, {`{"a":1`, ""},
	} {
		got, err := setMember(test.object, "k", "7")
		if (err != nil) != (test.want == "") || got != test.want {
			t.Errorf("%q becomes %q (%v), want %q", test.object, got, err, test.want)
		}
	}
}
