package attributes

import (
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
)

// TestAddressesOfPhones: an address that is no voice client is somebody's desk
// phone. It is left alone, or kept and put back.
func TestAddressesOfPhones(t *testing.T) {
	for _, uri := range []string{`"sip:bob@pbx.example.com"`, `"+1555\u00301"`, `"Client:bob"`, `["client:bob"]`, `7`} {
		before := `{"n":1.0, "contact_uri": ` + uri + ` ,"z":"x"}`
		_, _, err := Edit{Enable: true, At: 9}.Apply(before)
		if !problem.Is(err, problem.AddressForeign) || !strings.Contains(err.Error(), uri) {
			t.Errorf("enabling %s: %v", uri, err)
		}
		include := Edit{Enable: true, At: 9, IncludeForeign: true}
		enabled, _, err := include.Apply(before)
		if err != nil || !strings.Contains(enabled, `"`+FormerURIKey+`":`+uri) || !strings.Contains(enabled, `"contact_uri": `+uri) {
			t.Fatalf("enabling %s with the others: %s, %v", uri, enabled, err)
		}
		if again, changes, err := include.Apply(enabled); err != nil || len(changes) > 0 {
			t.Errorf("enabling it again: %s, %v", again, err)
		}
		if _, changes, err := (Edit{Enable: true}).Apply(enabled); err != nil || len(changes) > 0 {
			t.Errorf("enabling it again without the others: %v, %v", changes, err)
		}
		// Ten starts of Flex write the same once.
		started := strings.Replace(enabled, `"contact_uri": `+uri, `"contact_uri": "client:ext_bob"`, 1)
		for name, at := range map[string]string{"before Flex has started": enabled, "after Flex has started": started} {
			for _, disable := range []Edit{{Unset: true}, {Unset: true, ResetContactURI: true, Prefix: "ext_"}} {
				if got, _, err := disable.Apply(at); err != nil || got != before {
					t.Errorf("disabling %s: %s, %v", name, got, err)
				}
			}
			undone, _, err := Edited{Before: before, After: enabled, Prefix: "ext_", Name: "bob"}.Undo(at)
			if err != nil || undone != before {
				t.Errorf("rolling back %s: %s, %v", name, undone, err)
			}
		}
	}
	for _, uri := range []string{`"client:bob"`, `""`, `null`} {
		if _, _, err := (Edit{Enable: true}).Apply(`{"contact_uri":` + uri + `}`); err != nil {
			t.Errorf("enabling %s: %v", uri, err)
		}
	}
}
