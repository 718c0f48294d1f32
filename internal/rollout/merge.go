package rollout

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/problem"
)

// Merge adds the policy to a policy file of Linux. Of two files that set the same
// policy the later name wins the whole of it, so what an administrator has must
// be in the same file. Nothing of it is changed: an entry that says otherwise is
// a PolicyConflict. name is the file's, for messages.
func (s Settings) Merge(name string, existing []byte, b Browser) ([]byte, error) {
	var have map[string]any
	dec := json.NewDecoder(bytes.NewReader(existing))
	dec.UseNumber()
	if err := dec.Decode(&have); err != nil || have == nil {
		return nil, problem.New(problem.InputUnreadable, "cannot merge into %s: it is not a JSON object", name)
	}
	if dec.More() {
		return nil, problem.New(problem.InputUnreadable, "cannot merge into %s: extra data after its JSON object", name)
	}
	var want map[string]any // in the types that decoding gives
	ours := json.NewDecoder(bytes.NewReader(indent(s.policy(b))))
	ours.UseNumber()
	if err := ours.Decode(&want); err != nil {
		return nil, problem.New(problem.Internal, "cannot merge policies: %w", err)
	}
	var conflicts []string
	merge(have, want, nil, &conflicts)
	if len(conflicts) > 0 {
		slices.Sort(conflicts)
		return nil, problem.New(problem.PolicyConflict, "cannot merge into %s: %s has a conflicting value", name, conflicts[0]).
			WithDetail("%s", strings.Join(conflicts, "\n")).
			WithHint("the file was not changed; edit it by hand, or omit --merge")
	}
	return indent(have), nil
}

// merge adds want to have. Lists of addresses are united, except the extension's
// own, whose whole is the administrator's decision.
func merge(have, want map[string]any, at []string, conflicts *[]string) {
	for key, value := range want {
		path := append(slices.Clone(at), key)
		old, ok := have[key]
		if !ok {
			have[key] = value
			continue
		}
		switch value := value.(type) {
		case map[string]any:
			if inner, ok := old.(map[string]any); ok {
				merge(inner, value, path, conflicts)
				continue
			}
		case []any:
			if list, ok := old.([]any); ok && len(at) == 0 {
				for _, item := range value {
					if !slices.Contains(list, item) {
						list = append(list, item)
					}
				}
				have[key] = list
				continue
			}
		}
		if !reflect.DeepEqual(old, value) {
			*conflicts = append(*conflicts, fmt.Sprintf("%s (%s)", strings.Join(path, " > "), bytes.TrimSpace(line(old))))
		}
	}
}
