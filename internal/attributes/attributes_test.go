package attributes

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

func TestApply(t *testing.T) {
	enable := Edit{Enable: true}
	disable := Edit{}
	reset := Edit{ResetContactURI: true, Prefix: "ext_"}
	for _, tc := range []struct {
		name     string
		edit     Edit
		in, want string // want empty: no change
	}{
		{"empty object", enable, `{}`, `{"extensionVoiceClientEnabled":true}`},
		{"empty object with space", enable, "{ \n}", "{\"extensionVoiceClientEnabled\":true \n}"},
		{"after the last value, before the space", enable, "{\n  \"a\": 1\n}\n", "{\n  \"a\": 1,\"extensionVoiceClientEnabled\":true\n}\n"},
		{"false", enable, `{"extensionVoiceClientEnabled": false ,"z":1}`, `{"extensionVoiceClientEnabled": true ,"z":1}`},
		{"null", enable, `{"extensionVoiceClientEnabled":null}`, `{"extensionVoiceClientEnabled":true}`},
		{"the string true is not true", enable, `{"extensionVoiceClientEnabled":"true"}`, `{"extensionVoiceClientEnabled":true}`},
		{"an object", enable, `{"extensionVoiceClientEnabled":{"a":[1,2]},"b":2}`, `{"extensionVoiceClientEnabled":true,"b":2}`},
		{"already", enable, `{ "extensionVoiceClientEnabled" : true }`, ""},
		{"escaped key", enable, `{"extensionVoice\u0043lientEnabled":false}`, `{"extensionVoice\u0043lientEnabled":true}`},
		{"another case is another key", enable, `{"ExtensionVoiceClientEnabled":false}`, `{"ExtensionVoiceClientEnabled":false,"extensionVoiceClientEnabled":true}`},
		{"the last of two keys counts", enable, `{"extensionVoiceClientEnabled":true,"extensionVoiceClientEnabled":false}`,
			`{"extensionVoiceClientEnabled":true,"extensionVoiceClientEnabled":true}`},
		{"the last of two keys is right already", enable, `{"extensionVoiceClientEnabled":false,"extensionVoiceClientEnabled":true}`, ""},
		{"not inside another object", enable, `{"a":{"extensionVoiceClientEnabled":true}}`, `{"a":{"extensionVoiceClientEnabled":true},"extensionVoiceClientEnabled":true}`},
		{"numbers keep their spelling", enable, `{"a":1.0,"b":12345678901234567890,"c":1E+2,"d":-0}`,
			`{"a":1.0,"b":12345678901234567890,"c":1E+2,"d":-0,"extensionVoiceClientEnabled":true}`},
		{"text keeps its spelling", enable, `{"a":"x&y<z>\/\u00e9é\ud83d😀  "}`, `{"a":"x&y<z>\/\u00e9é\ud83d😀  ","extensionVoiceClientEnabled":true}`},

		{"disable", disable, `{"a":1,"extensionVoiceClientEnabled":true}`, `{"a":1,"extensionVoiceClientEnabled":false}`},
		{"unset is disabled", disable, `{"a":1}`, ""},
		{"disabled already", disable, `{"extensionVoiceClientEnabled":false}`, ""},
		{"disable what is not a boolean", disable, `{"extensionVoiceClientEnabled":1}`, `{"extensionVoiceClientEnabled":false}`},

		{"reset", reset, `{"contact_uri":"client:ext_bob","extensionVoiceClientEnabled":true}`, `{"contact_uri":"client:bob","extensionVoiceClientEnabled":false}`},
		{"reset, the other way round", reset, `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_bob"}`, `{"extensionVoiceClientEnabled":false,"contact_uri":"client:bob"}`},
		{"reset keeps the query", reset, `{"contact_uri":"client:ext_b\u006fb?x=1&y=ext_"}`, `{"contact_uri":"client:b\u006fb?x=1&y=ext_"}`},
		{"reset takes one prefix off", reset, `{"contact_uri":"client:ext_ext_bob"}`, `{"contact_uri":"client:ext_bob"}`},
		{"reset of an escaped prefix", reset, `{"contact_uri":"client:\u0065xt_b&b"}`, `{"contact_uri":"client:b&b"}`},
		{"reset leaves the agent's own name", reset, `{"email":"ext_bob@x.co","contact_uri":"client:ext_5Fbob_40x_2Eco"}`, ""},
		{"reset of that name on the extension", reset, `{"email":"ext@x.co","contact_uri":"client:ext_ext_40x_2Eco"}`, `{"email":"ext@x.co","contact_uri":"client:ext_40x_2Eco"}`},
		{"no prefix to take off", reset, `{"contact_uri":"client:bob"}`, ""},
		{"nothing behind the prefix", reset, `{"contact_uri":"client:ext_?x"}`, ""},
		{"a phone number", reset, `{"contact_uri":"+15550100"}`, ""},
		{"not a string", reset, `{"contact_uri":["client:ext_bob"]}`, ""},
		{"without the flag contact_uri stays", disable, `{"contact_uri":"client:ext_bob"}`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, changes, err := tc.edit.Apply(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			if tc.want == "" {
				if len(changes) != 0 || got != tc.in {
					t.Errorf("changes %v, text %s, want none", changes, got)
				}
				return
			}
			if got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
			if len(changes) == 0 {
				t.Errorf("no changes are told of")
			}
			if again, changes, err := tc.edit.Apply(got); tc.name != "reset takes one prefix off" && (err != nil || again != got || len(changes) != 0) {
				t.Errorf("a second time: %s, %v, %v", again, changes, err)
			}
		})
	}
}

func TestApplyTellsTheChange(t *testing.T) {
	_, changes, err := Edit{ResetContactURI: true, Prefix: "ext_"}.Apply(`{"extensionVoiceClientEnabled": true,"contact_uri":"client:ext_bob"}`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Change{{EnabledKey, "true", "false"}, {contactURIKey, `"client:ext_bob"`, `"client:bob"`}}
	if len(changes) != 2 || changes[0] != want[0] || changes[1] != want[1] {
		t.Errorf("got %v, want %v", changes, want)
	}
}

func TestAttributesThatAreNoObjectAreLeftAlone(t *testing.T) {
	for _, text := range []string{
		"", " ", "null", "[]", `"{}"`, "true", "{", `{"a":1,}`, `{"a" 1}`, "{}{}", "{} x", "{'a':1}", `{"a":"` + "\xff" + `"}`, "\ufeff{}",
	} {
		if _, _, err := (Edit{Enable: true}).Apply(text); !problem.Is(err, problem.AttributesInvalid) {
			t.Errorf("%q: %v, want attributes-invalid", text, err)
		}
		if state, _ := Inspect(&text); state != Invalid {
			t.Errorf("%q is %s, want invalid", text, state)
		}
	}
	if state, _ := Inspect(nil); state != Invalid {
		t.Errorf("absent attributes are %s, want invalid", state)
	}
}

func TestTooLongAttributesAreLeftAlone(t *testing.T) {
	added := len(`,"extensionVoiceClientEnabled":true`)
	frame := len(`{"a":""}`)
	for _, tc := range []struct {
		fill string
		n    int
		ok   bool
	}{
		{"x", MaxLength - frame - added, true},
		{"x", MaxLength - frame - added + 1, false},
		{"é", MaxLength - frame - added, true}, // characters, not bytes
		{"😀", (MaxLength - frame - added) / 2, true},
		{"😀", (MaxLength-frame-added)/2 + 1, false},
	} {
		text := `{"a":"` + strings.Repeat(tc.fill, tc.n) + `"}`
		_, _, err := Edit{Enable: true}.Apply(text)
		if tc.ok && err != nil || !tc.ok && !problem.Is(err, problem.AttributesTooLong) {
			t.Errorf("%d times %s: %v", tc.n, tc.fill, err)
		}
	}
	whole := `{"extensionVoiceClientEnabled":true,"a":"` + strings.Repeat("x", 5000) + `"}`
	if _, changes, err := (Edit{Enable: true}).Apply(whole); err != nil || len(changes) != 0 {
		t.Errorf("a text that needs no change is never too long: %v", err)
	}
}

func TestInspect(t *testing.T) {
	for text, want := range map[string]struct {
		state Flag
		uri   string
	}{
		`{}`:                                   {Unset, ""},
		`{"extensionVoiceClientEnabled":true}`: {Enabled, ""},
		`{"extensionVoiceClientEnabled":"true","contact_uri":"client:a"}`: {Disabled, "client:a"},
		`{"contact_uri":7}`: {Unset, ""},
	} {
		if state, uri := Inspect(&text); state != want.state || uri != want.uri {
			t.Errorf("%s: %s %q, want %s %q", text, state, uri, want.state, want.uri)
		}
	}
}

// FuzzApply compares with an independent reading by encoding/json: the result
// parses, our key has the wanted value, and each other value's bytes are equal.
func FuzzApply(f *testing.F) {
	for _, text := range workerstest.Samples(12) {
		f.Add(text, true)
		f.Add(text, false)
	}
	f.Add(`{"contact_uri" : "client:ext_a" , "extensionVoiceClientEnabled":1 }`, false)
	f.Add(`{"a":1,"a":2,"extensionVoiceClientEnabled":[],"extensionVoiceClientEnabled":{}}`, true)
	f.Fuzz(func(t *testing.T, text string, enable bool) {
		edit := Edit{Enable: enable}
		after, changes, err := edit.Apply(text)
		before, ok := members(text)
		if err != nil {
			if problem.Is(err, problem.AttributesInvalid) == ok {
				t.Fatalf("%q: %v, but encoding/json says object: %t", text, err, ok)
			}
			return
		}
		if !ok {
			t.Fatalf("%q was accepted", text)
		}
		got, ok := members(after)
		if !ok {
			t.Fatalf("the result is not an object: %q", after)
		}
		want := before
		at := -1
		for i, m := range before {
			if m.key == EnabledKey {
				at = i
			}
		}
		switch {
		case at >= 0 && (enable || before[at].value != "false"):
			want[at].value = boolean(enable)
		case at < 0 && enable:
			want = append(want, member{EnabledKey, "true"})
		}
		if len(got) != len(want) {
			t.Fatalf("%q became %q", text, after)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("member %d of %q became %v, want %v", i, text, got[i], want[i])
			}
		}
		if again, more, err := edit.Apply(after); err != nil || again != after || len(more) != 0 {
			t.Fatalf("a second time: %q, %v, %v", again, more, err)
		}
		if len(changes) == 0 && after != text {
			t.Fatalf("an untold change of %q to %q", text, after)
		}
		if at < 0 && enable {
			insert := `"` + EnabledKey + `":true`
			cut := strings.LastIndex(after, insert)
			restored := after[:cut] + after[cut+len(insert):]
			if len(before) > 0 {
				restored = after[:cut-1] + after[cut+len(insert):]
			}
			if restored != text {
				t.Fatalf("without the edit %q is %q, want %q", after, restored, text)
			}
		}
	})
}

type member struct{ key, value string }

// members reads an object with encoding/json, in order, duplicates included.
func members(text string) ([]member, bool) {
	var whole map[string]json.RawMessage
	if !utf8.ValidString(text) || json.Unmarshal([]byte(text), &whole) != nil || whole == nil {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	_, _ = dec.Token()
	var all []member
	for dec.More() {
		key, _ := dec.Token()
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return nil, false
		}
		all = append(all, member{key.(string), string(value)})
	}
	_, _ = dec.Token()
	_, err := dec.Token()
	return all, err == io.EOF
}

// TestUnsetUndoesEnable: whatever the text, enabling and removing the flag gives
// every byte back; and a flag that was there goes with its comma.
func TestUnsetUndoesEnable(t *testing.T) {
	unset := Edit{Unset: true}
	for _, text := range []string{`{}`, `{ }`, ` {"a":1} `, "{\n  \"a\" : 1.0\n}", `{"a":{"extensionVoiceClientEnabled":true}}`, `{"a":1,"b":[2]}`} {
		enabled, _, err := Edit{Enable: true}.Apply(text)
		if err != nil {
			t.Fatal(err)
		}
		got, changes, err := unset.Apply(enabled)
		if err != nil || got != text || len(changes) != 1 || changes[0] != (Change{EnabledKey, "true", ""}) {
			t.Errorf("%s became %s and then %s, %v %v", text, enabled, got, changes, err)
		}
		if again, changes, err := unset.Apply(got); again != text || changes != nil || err != nil {
			t.Errorf("%s became %s: %v %v", text, again, changes, err)
		}
	}
	const k = `"extensionVoiceClientEnabled"`
	for text, want := range map[string]string{
		`{` + k + `:false}`:                                   `{}`,
		`{` + k + `:true,"b":1}`:                              `{"b":1}`,
		`{` + k + ` : true , "b":1}`:                          `{ "b":1}`,
		`{"a":1,` + k + `:"true","b":1}`:                      `{"a":1,"b":1}`,
		`{` + k + `:true,` + k + `:false}`:                    `{}`,
		`{` + k + `:true,"b":1,` + k + `:true}`:               `{"b":1}`,
		`{` + k + `:1,` + k + `:2,"b":1}`:                     `{"b":1}`,
		`{"a":1,` + k + `:1,"b":2,` + k + `:2,"c":3}`:         `{"a":1,"b":2,"c":3}`,
		`{"contact_uri":"client:ext_a",` + k + `:true}`:       `{"contact_uri":"client:a"}`,
		`{` + k + `:true,"contact_uri":"client:ext_a","b":1}`: `{"contact_uri":"client:a","b":1}`,
	} {
		got, _, err := Edit{Unset: true, ResetContactURI: true, Prefix: "ext_"}.Apply(text)
		if err != nil || got != want {
			t.Errorf("%s became %s, want %s: %v", text, got, want, err)
		}
	}
}

// TestTheTimeOfTheFlag: it is kept beside the flag, and never keeps a worker from
// being enabled.
func TestTheTimeOfTheFlag(t *testing.T) {
	edit := Edit{Enable: true, At: 1772632680}
	for _, c := range []struct{ from, to string }{
		{`{}`, `{"extensionVoiceClientEnabled":true,"extensionVoiceClientEnabledAt":1772632680}`},
		{`{ "a" : 1 }`, `{ "a" : 1,"extensionVoiceClientEnabled":true,"extensionVoiceClientEnabledAt":1772632680 }`},
		{`{"extensionVoiceClientEnabled": false, "b":2}`, `{"extensionVoiceClientEnabled": true, "b":2,"extensionVoiceClientEnabledAt":1772632680}`},
		{`{"extensionVoiceClientEnabledAt":7 ,"extensionVoiceClientEnabled":false}`, `{"extensionVoiceClientEnabledAt":1772632680 ,"extensionVoiceClientEnabled":true}`},
		{`{"extensionVoiceClientEnabledAt":"x"}`, `{"extensionVoiceClientEnabledAt":1772632680,"extensionVoiceClientEnabled":true}`},
		{`{"extensionVoiceClientEnabled":true}`, `{"extensionVoiceClientEnabled":true}`},
	} {
		got, _, err := edit.Apply(c.from)
		if err != nil || got != c.to {
			t.Errorf("%s becomes %s (%v), want %s", c.from, got, err, c.to)
		}
		if again, changes, err := edit.Apply(got); err != nil || again != got || len(changes) > 0 {
			t.Errorf("%s again becomes %s (%v)", got, again, err)
		}
	}
	full := `{"x":"` + strings.Repeat("x", MaxLength-len(`{"x":"","extensionVoiceClientEnabled":true}`)) + `"}`
	got, changes, err := edit.Apply(full)
	if err != nil || len(got) != MaxLength || len(changes) != 1 {
		t.Errorf("full attributes become %d characters with %v (%v)", len(got), changes, err)
	}

	for text, want := range map[string]int64{
		`{"extensionVoiceClientEnabled":true,"extensionVoiceClientEnabledAt":1772632680}`:  1772632680,
		`{"extensionVoiceClientEnabled":false,"extensionVoiceClientEnabledAt":1772632680}`: 0,
		`{"extensionVoiceClientEnabledAt":1772632680}`:                                     0,
		`{"extensionVoiceClientEnabled":true,"extensionVoiceClientEnabledAt":-1}`:          0,
		`{"extensionVoiceClientEnabled":true,"extensionVoiceClientEnabledAt":1e9}`:         0,
		`{"extensionVoiceClientEnabled":true}`:                                             0,
		`walt`:                                                                             0,
	} {
		at := EnabledAt(&text)
		if want == 0 && !at.IsZero() || want != 0 && at.Unix() != want {
			t.Errorf("the time in %s is %s", text, at)
		}
	}
}
