package attributes

import (
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

func TestUndo(t *testing.T) {
	enable, disable, reset := Edit{Enable: true}, Edit{}, Edit{ResetContactURI: true, Prefix: "ext_"}
	repair := Edit{ResetContactURI: true, Prefix: "ext_", URIOnly: true}
	timed := Edit{Enable: true, At: 1700000000}
	const flag = `"extensionVoiceClientEnabled"`
	const at = `"extensionVoiceClientEnabledAt"`
	for _, c := range []struct {
		name   string
		edit   Edit
		before string
		now    string // empty: as the edit left it
		want   string // empty: nothing left to take back
		err    problem.Code
	}{
		{"nobody changed it", enable, `{"a": 1}`, "", `{"a": 1}`, ""},
		{"taken back already", enable, `{"a":1}`, `{"a":1}`, ``, ""},
		{"the agent moved", enable, `{"a":1,"contact_uri":"client:bob"}`, `{"a":1,"contact_uri":"client:ext_bob",` + flag + `:true}`, `{"a":1,"contact_uri":"client:bob"}`, ""},
		{"the agent moved, and a browser spelled it anew", enable,
			`{ "a" : 1.0, "big":12345678901234567890, "t":"\u00e9\/", "z":-0, "contact_uri":"client:bob" }`,
			`{"a":1,"big":12345678901234567000,"t":"é/","z":0,"contact_uri":"client:ext_bob",` + flag + `:true}`,
			`{ "a" : 1.0, "big":12345678901234567890, "t":"\u00e9\/", "z":-0, "contact_uri":"client:bob" }`, ""},
		{"a person gave a long number another end", enable, `{"id":12345678901234567890}`, `{"id":12345678901234567891,` + flag + `:true}`, `{"id":12345678901234567891}`, ""},
		{"other keys changed", enable, `{"a":1,` + flag + `:false,"b":2}`, `{"a":9,` + flag + `:true,"b":2, "c" : 3}`, `{"a":9,` + flag + `:false,"b":2, "c" : 3}`, ""},
		{"other keys changed and the agent moved", enable, `{"contact_uri":"client:bob"}`, `{"skills":["x"],"contact_uri":"client:ext_bob",` + flag + `:true}`, `{"skills":["x"],"contact_uri":"client:bob"}`, ""},
		{"our key came to be the first", enable, `{"a":1}`, `{` + flag + ` : true , "a":2}`, `{ "a":2}`, ""},
		{"our key is the only one", enable, `{}`, `{ ` + flag + `:true }`, `{}`, ""},
		{"our key twice", enable, `{"a":1}`, `{` + flag + `:true,"a":2,` + flag + `:true}`, `{"a":2}`, ""},
		{"never had an address before", enable, `{}`, `{` + flag + `:true,"contact_uri":"client:ext_bob"}`, `{"contact_uri":"client:bob"}`, ""},
		{"the address is the agent's own name", enable, `{}`, `{` + flag + `:true,"contact_uri":"client:ext_5Fbob"}`, `{"contact_uri":"client:ext_5Fbob"}`, ""},
		{"the address is the agent's own e-mail", enable, `{}`, `{"email":"ext@x.co",` + flag + `:true,"contact_uri":"client:ext_40x_2Eco"}`, `{"email":"ext@x.co","contact_uri":"client:ext_40x_2Eco"}`, ""},
		{"that name on the extension", enable, `{"contact_uri":"client:ext_5Fbob"}`, `{"contact_uri":"client:ext_ext_5Fbob",` + flag + `:true}`, `{"contact_uri":"client:ext_5Fbob"}`, ""},
		{"on the extension under a new identity", enable, `{"contact_uri":"client:bob"}`, `{"contact_uri":"client:ext_rob",` + flag + `:true}`, `{"contact_uri":"client:rob"}`, ""},
		{"stale before the run", enable, `{"a":1,"contact_uri":"client:ext_bob"}`, `{"a":2,"contact_uri":"client:ext_bob",` + flag + `:true}`, `{"a":2,"contact_uri":"client:ext_bob"}`, ""},
		{"moved to a telephone", enable, `{"contact_uri":"client:bob"}`, `{"contact_uri":"+15550100",` + flag + `:true}`, `{"contact_uri":"+15550100"}`, ""},
		{"disabled by a person meanwhile", enable, `{"contact_uri":"client:bob"}`, `{"contact_uri":"client:ext_bob",` + flag + `:false}`, `{"contact_uri":"client:bob",` + flag + `:false}`, ""},
		{"disabled by a person, moved back by the plugin", enable, `{"contact_uri":"client:bob"}`, `{"contact_uri":"client:bob",` + flag + `:false}`, ``, ""},
		{"with its time, and the agent moved", timed, `{"a":1,"contact_uri":"client:bob"}`, `{"a":2,"contact_uri":"client:ext_bob",` + flag + `:true,` + at + `:1700000000}`, `{"a":2,"contact_uri":"client:bob"}`, ""},
		{"enabled again since, by a later run", timed, `{"a":1}`, `{"a":2,` + flag + `:true,` + at + `:1700009999}`, `{"a":2}`, ""},
		{"by an older flexvc, then again by one that keeps a time", enable, `{"a":1}`, `{"a":2,` + flag + `:true,` + at + `:1700009999}`, `{"a":2}`, ""},
		{"the time was removed", timed, `{"a":1}`, `{"a":2,` + flag + `:true}`, `{"a":2}`, ""},
		{"a person removed the flag alone", timed, `{"a":1}`, `{"a":2,` + at + `:1700000000}`, `{"a":2}`, ""},
		{"disabled with its time", disable, `{` + flag + `:true,` + at + `:1700000000}`, `{"a":1,` + flag + `:false}`, `{"a":1,` + flag + `:true,` + at + `:1700000000}`, ""},
		{"disabled, and enabled anew", disable, `{` + flag + `:true,` + at + `:1700000000}`, `{` + flag + `:true,` + at + `:1700009999}`, ``, ""},
		{"no object any more", enable, `{"a":1}`, `walt`, ``, problem.AttributesInvalid},

		{"disabled, and the agent moved back", disable, `{"contact_uri":"client:ext_bob",` + flag + `:true}`, `{"contact_uri":"client:bob",` + flag + `:false}`, `{"contact_uri":"client:bob",` + flag + `:true}`, ""},
		{"disabled, and other keys changed", disable, `{"a":1,` + flag + `:true}`, `{"a":2,` + flag + `:false}`, `{"a":2,` + flag + `:true}`, ""},
		{"disabled, and a person set something else", disable, `{` + flag + `:true}`, `{` + flag + `:"later"}`, ``, problem.EditedSince},
		{"disabled, and a person removed the key", disable, `{` + flag + `:true}`, `{}`, ``, problem.EditedSince},
		{"address reset, other keys changed", reset, `{"contact_uri":"client:ext_bob",` + flag + `:true}`, `{"a":1,"contact_uri":"client:bob",` + flag + `:false}`, `{"a":1,"contact_uri":"client:ext_bob",` + flag + `:true}`, ""},
		{"address reset, then moved to a telephone", reset, `{"contact_uri":"client:ext_bob",` + flag + `:true}`, `{"contact_uri":"+15550100",` + flag + `:false}`, ``, problem.EditedSince},
		{"repaired, and other keys changed", repair, `{"contact_uri":"client:ext_bob"}`, `{"contact_uri":"client:bob","a":1}`, `{"contact_uri":"client:ext_bob","a":1}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			after, _, err := c.edit.Apply(c.before)
			if err != nil {
				t.Fatal(err)
			}
			now := c.now
			if now == "" {
				now = after
			}
			edited := Edited{Before: c.before, After: after, Prefix: "ext_", Name: "ext_bob"}
			got, changes, err := edited.Undo(now)
			if c.err != "" {
				if !problem.Is(err, c.err) {
					t.Errorf("%s, %v, want %s", got, err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				if got != now || len(changes) != 0 {
					t.Errorf("got %s, changes %v, want nothing changed", got, changes)
				}
				return
			}
			if got != c.want || len(changes) == 0 {
				t.Errorf("got\n%s\nwant\n%s\nchanges %v", got, c.want, changes)
			}
			if again, changes, err := edited.Undo(got); err != nil || again != got || len(changes) != 0 {
				t.Errorf("a second time: %s, %v, %v", again, changes, err)
			}
		})
	}
}

// TestUndoOfAnUndo: the key that was taken out comes back.
func TestUndoOfAnUndo(t *testing.T) {
	edited := Edited{Before: `{"a":1,"extensionVoiceClientEnabled":true}`, After: `{"a":1}`, Prefix: "ext_"}
	for now, want := range map[string]string{
		edited.After: edited.Before,
		`{"a":2}`:    `{"a":2,"extensionVoiceClientEnabled":true}`,
		`{}`:         `{"extensionVoiceClientEnabled":true}`,
	} {
		if got, _, err := edited.Undo(now); err != nil || got != want {
			t.Errorf("%s becomes %s, %v, want %s", now, got, err, want)
		}
	}
}

// TestUndoOfWhatNobodyChangedIsExact: with nothing but the edit to take back, every
// byte is as before.
func TestUndoOfWhatNobodyChangedIsExact(t *testing.T) {
	for _, before := range workerstest.Samples(60) {
		for _, edit := range []Edit{{Enable: true}, {}, {ResetContactURI: true, Prefix: "ext_"}} {
			after, changes, err := edit.Apply(before)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := Edited{Before: before, After: after, Prefix: "ext_"}.Undo(after)
			if err != nil || got != before {
				t.Errorf("%s became %s (%d changes), and then %s, %v", before, after, len(changes), got, err)
			}
		}
	}
}

func TestUndoThatWouldBeTooLong(t *testing.T) {
	const before, after = `{"extensionVoiceClientEnabled":false}`, `{"extensionVoiceClientEnabled":true}`
	now := `{"extensionVoiceClientEnabled":true,"a":"` + strings.Repeat("x", MaxLength-len(after)-len(`,"a":""`)) + `"}`
	if got, _, err := (Edited{Before: before, After: after}).Undo(now); !problem.Is(err, problem.AttributesTooLong) {
		t.Errorf("%d characters, %v", length(got), err)
	}
}
