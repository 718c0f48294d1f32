package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/flexvc/flexvc/internal/problem"
)

// fileVersion is the layout of flexvc.yaml that this release understands.
const fileVersion = "1"

// settingsFile is flexvc.yaml:
//
//	version: 1
//	active_profile: acme
//	profiles:
//	  acme:
//	    account_sid: AC…
//	    plugin:
//	      FLEX_APP_…: …
type settingsFile struct {
	missing  bool
	active   string
	profiles map[string]map[string]string // profile, setting; nesting is a dot
}

func (f *settingsFile) names() []string { return slices.Sorted(maps.Keys(f.profiles)) }

// readFile reads and checks a settings file; shown is how messages name it. A
// file that is not there has no profiles.
func readFile(path, shown string) (*settingsFile, error) {
	data, err := ReadText(path, textLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return &settingsFile{missing: true}, nil
	}
	if err != nil {
		return nil, problem.New(problem.ConfigUnreadable, "cannot read %s: %w", shown, problem.Reason(err)).
			WithHint("check its permissions, or choose another file with --config")
	}
	_, file, err := parseFile(data, shown)
	return file, err
}

// textLimit is far above any file that is read here.
const textLimit = 1 << 20 // bytes

// ReadText reads a file that somebody named, of at most limit bytes. What is
// longer is an error, as it is something else: a device has no end.
func ReadText(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it is longer than %d MiB", limit>>20)
	}
	return text, err
}

// parseFile checks data and returns its tree and its settings. All faults are
// reported at once, each with its line.
func parseFile(data []byte, shown string) (*yaml.Node, *settingsFile, error) {
	doc, err := decode(data)
	if err != nil {
		return nil, nil, problem.New(problem.ConfigInvalid, "cannot read %s: %w", shown, err)
	}
	file := &settingsFile{profiles: map[string]map[string]string{}}
	r := reader{}
	if len(doc.Content) > 0 {
		r.root(doc.Content[0], file)
	}
	if len(r.faults) > 0 {
		return nil, nil, r.problem(shown)
	}
	return doc, file, nil
}

func decode(data []byte) (*yaml.Node, error) {
	doc := &yaml.Node{Kind: yaml.DocumentNode}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(doc); err != nil && err != io.EOF {
		return nil, errors.New(strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "yaml: "))
	}
	if err := decoder.Decode(new(yaml.Node)); err != io.EOF {
		return nil, errors.New("it holds more than one YAML document")
	}
	return doc, nil
}

// reader collects what is wrong with a file.
type reader struct {
	faults []fault
	secret bool
}

type fault struct {
	line int
	text string
}

func (r *reader) fault(n *yaml.Node, format string, args ...any) {
	r.faults = append(r.faults, fault{n.Line, fmt.Sprintf(format, args...)})
}

func (r *reader) problem(shown string) error {
	var p *problem.Problem
	if len(r.faults) == 1 {
		f := r.faults[0]
		p = problem.New(problem.ConfigInvalid, "cannot use %s: line %d: %s", shown, f.line, f.text)
	} else {
		lines := make([]string, len(r.faults))
		for i, f := range r.faults {
			lines[i] = fmt.Sprintf("line %d: %s", f.line, f.text)
		}
		p = problem.New(problem.ConfigInvalid, "cannot use %s: %d errors", shown, len(r.faults)).
			WithDetail("%s", strings.Join(lines, "\n"))
	}
	if r.secret {
		p.Hint = "delete the secret there and treat it as leaked; pass secrets in the environment: flexvc help environment"
	}
	return p
}

// pairs walks a mapping. Keys are unique strings.
func (r *reader) pairs(n *yaml.Node, what string, each func(key, value *yaml.Node)) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.fault(n, "%s is not a mapping of names to values", what)
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			r.fault(key, "%s has a key that is not a plain name", what)
			continue
		}
		if line, ok := seen[key.Value]; ok {
			r.fault(key, "%q is already set on line %d", key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		each(key, value)
	}
}

// scalar returns the text of a value; null is "".
func (r *reader) scalar(name string, n *yaml.Node) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		r.fault(n, "%s is not a single value", name)
		return "", false
	case n.Tag == "!!null":
		return "", true
	}
	return n.Value, true
}

func (r *reader) root(n *yaml.Node, file *settingsFile) {
	r.pairs(n, "the file", func(key, value *yaml.Node) {
		switch key.Value {
		case "version":
			if text, ok := r.scalar("version", value); ok && text != fileVersion {
				r.fault(value, "version is not %s; a newer flexvc may have written it", fileVersion)
			}
		case ActiveProfile:
			text, ok := r.scalar(ActiveProfile, value)
			if ok && text != "" && !profileName(text) {
				r.fault(value, "%s is not a profile name", ActiveProfile)
			}
			file.active = text
		case "profiles":
			r.pairs(value, "profiles", func(name, body *yaml.Node) {
				if !profileName(name.Value) {
					r.fault(name, "a profile name is letters, digits, dots, hyphens and underscores")
					return
				}
				file.profiles[name.Value] = r.profile(name.Value, body)
			})
		default:
			r.unknown(key, "", []string{"version", ActiveProfile, "profiles"})
		}
	})
}

func (r *reader) profile(name string, n *yaml.Node) map[string]string {
	settings := map[string]string{}
	take := func(setting setting, value *yaml.Node) {
		text, ok := r.scalar(setting.name, value)
		if !ok || text == "" {
			return
		}
		if setting.check != nil {
			if why := setting.check(text); why != "" {
				r.fault(value, "cannot use %s: %s", setting.name, why)
				return
			}
		}
		settings[setting.name] = text
	}
	r.pairs(n, fmt.Sprintf("profile %q", name), func(key, value *yaml.Node) {
		if key.Value+"." == pluginPrefix {
			r.pairs(value, "plugin", func(key, value *yaml.Node) {
				if s, ok := lookup(pluginPrefix + key.Value); ok {
					take(s, value)
				} else {
					r.unknown(key, pluginPrefix, Names())
				}
			})
			return
		}
		if s, ok := lookup(key.Value); ok && !strings.HasPrefix(s.name, pluginPrefix) {
			take(s, value)
		} else {
			r.unknown(key, "", append(Names(), "plugin"))
		}
	})
	return settings
}

// unknown reports a name that is no setting, and says so loudly if it is one of
// a secret.
func (r *reader) unknown(key *yaml.Node, prefix string, known []string) {
	near := problem.Nearest(prefix+key.Value, known)
	switch {
	case near != "":
		r.fault(key, "%q is not a setting: did you mean %s?", key.Value, strings.TrimPrefix(near, prefix))
	case looksSecret(key.Value):
		r.secret = true
		r.fault(key, "%q is a secret, and secrets do not belong in this file", key.Value)
	default:
		r.fault(key, "%q is not a setting", key.Value)
	}
}
