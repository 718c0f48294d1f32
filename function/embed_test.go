package function

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// most is what a Function may have: it is read anew at every cold start.
const most = 10_000

func TestTheFunctionIsSmallAndNeedsNothing(t *testing.T) {
	if len(Source) >= most || len(Source) < most/2 {
		t.Errorf("generateToken.js has %d bytes, below %d are wanted", len(Source), most)
	}
	for _, part := range bytes.Split(Source, []byte("require("))[1:] {
		if !bytes.HasPrefix(part, []byte("'node:")) {
			t.Errorf("generateToken.js requires more than Node: %.40s", part)
		}
	}
}

// TestDependenciesAreThoseOfTheTests: what is deployed is what the table of
// requests ran under.
func TestDependenciesAreThoseOfTheTests(t *testing.T) {
	text, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		DevDependencies map[string]string `json:"devDependencies"`
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	for _, d := range Dependencies() {
		if p.DevDependencies[d.Name] != d.Version {
			t.Errorf("%s is deployed as %s and tested as %q", d.Name, d.Version, p.DevDependencies[d.Name])
		}
	}
}
