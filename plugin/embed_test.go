package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

var settings = Settings{
	Version:            "1.4.0",
	TokenURL:           "https://tokens.example.com/generateToken?a=1&b=2",
	IdentityPrefix:     "ext_",
	OfflineActivitySID: "WA" + strings.Repeat("0", 32),
}

// most is what Flex's boot may be asked to fetch and parse for this plugin.
const most = 60_000

func TestTheSettingsTakeTheirPlace(t *testing.T) {
	script, err := fill([]byte("(function(s){use(s)})("+slot+");"), settings)
	if err != nil {
		t.Fatal(err)
	}
	text, ok := strings.CutPrefix(string(script), "(function(s){use(s)})(")
	text, end := strings.CutSuffix(text, ");")
	var got Settings
	if err := json.Unmarshal([]byte(text), &got); err != nil || !ok || !end || got != settings {
		t.Errorf("script is %s (%v)", script, err)
	}
}

func TestSettingsCannotBreakOutOfTheScript(t *testing.T) {
	evil := Settings{HelpURL: "</script><script>alert(1)</script>\u2028" + slot}
	script, err := fill([]byte("use("+slot+")"), evil)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"</script>", "\u2028"} {
		if bytes.Contains(script, []byte(bad)) {
			t.Errorf("script holds %q: %s", bad, script)
		}
	}
}

func TestABundleWithoutAPlaceIsRefused(t *testing.T) {
	for _, script := range []string{"", "use(null)", slot + slot} {
		if _, err := fill([]byte(script), settings); err == nil {
			t.Errorf("%q was filled", script)
		}
	}
}

func TestBundle(t *testing.T) {
	script, err := Bundle(settings)
	if !HasBundle() {
		if !errors.Is(err, ErrNotBuilt) {
			t.Errorf("error is %v, wanted ErrNotBuilt", err)
		}
		t.Skip("no bundle: npm run build makes one")
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(script) > most {
		t.Errorf("the bundle has %d bytes, at most %d are wanted", len(script), most)
	}
	if !bytes.Contains(script, []byte(`"identityPrefix":"ext_"`)) || bytes.Contains(script, []byte(slot)) {
		t.Error("the settings are not in the bundle")
	}
	again, _ := Bundle(settings)
	if !bytes.Equal(script, again) {
		t.Error("the same settings give other bytes")
	}
}
