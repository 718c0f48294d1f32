package config

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"go.yaml.in/yaml/v3"

	"github.com/flexvc/flexvc/internal/problem"
)

// Editor changes a settings file. It works on the tree that was read, so that
// comments, order and formatting of what it does not touch stay. Others who
// edit the same file wait until Close.
type Editor struct {
	path, shown string
	lock        *flock.Flock
	doc         *yaml.Node
	saved       []byte // the tree as the file has it
}

// lockWait is how long Edit waits for another editor: a save takes
// milliseconds, so this long means that something hangs.
const lockWait = 5 * time.Second

// Edit opens the settings file at path, which need not exist. shown is how
// messages name it. The file must be valid: a fault is never written over.
func Edit(ctx context.Context, path, shown string) (*Editor, error) {
	if err := CheckWritable(path, shown); err != nil {
		return nil, err
	}
	e := &Editor{path: path, shown: shown}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, unwritable(e.shown, err)
	}
	e.lock = flock.New(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock"), flock.SetPermissions(0o600))
	wait, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	switch _, err := e.lock.TryLockContext(wait, 10*time.Millisecond); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, problem.New(problem.Locked, "cannot edit %s: another flexvc is editing it", shown)
	case err != nil:
		return nil, unwritable(e.shown, err)
	}
	if err := e.read(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Editor) read() error {
	data, err := ReadText(e.path, textLimit)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return problem.New(problem.ConfigUnreadable, "cannot read %s: %w", e.shown, problem.Reason(err))
	}
	if e.doc, _, err = parseFile(data, e.shown); err != nil {
		return err
	}
	if len(e.doc.Content) == 0 || e.doc.Content[0].Kind != yaml.MappingNode {
		e.doc.Content = []*yaml.Node{{Kind: yaml.MappingNode}}
	}
	e.saved, err = e.encode()
	return err
}

// Set gives a setting of a profile a value; an empty one takes it away. For
// ActiveProfile the profile does not matter.
func (e *Editor) Set(profile, name, text string) error {
	root := e.doc.Content[0]
	if name == ActiveProfile {
		if text != "" && (!profileName(text) || text == Emulator) {
			return problem.New(problem.ConfigInvalid, "cannot set %s: it is not a profile in this file", ActiveProfile)
		}
		if profiles := child(root, "profiles"); text != "" && text != "default" && (profiles == nil || child(profiles, text) == nil) {
			return problem.New(problem.ConfigInvalid, "cannot set %s: %s has no profile %q", ActiveProfile, e.shown, text).
				WithHint("create it: flexvc init -p %s", text)
		}
		put(root, ActiveProfile, text, rootOrder)
		return nil
	}
	s, err := known(name)
	if err != nil {
		return err
	}
	if text != "" && s.check != nil {
		if why := s.check(text); why != "" {
			return problem.New(problem.ConfigInvalid, "cannot set %s: %s", name, why)
		}
	}
	if !profileName(profile) {
		return problem.New(problem.Usage, "cannot use profile %q: a name is letters, digits, dots, hyphens and underscores", profile)
	}
	body := within(within(root, "profiles", nil), profile, nil)
	if key, ok := strings.CutPrefix(name, pluginPrefix); ok {
		if text == "" && child(body, "plugin") == nil {
			return nil
		}
		put(within(body, "plugin", profileOrder), key, text, pluginOrder)
		return nil
	}
	put(body, name, text, profileOrder)
	return nil
}

// Remove takes a profile away. It reports whether another one is left.
func (e *Editor) Remove(profile string) (more bool) {
	root := e.doc.Content[0]
	if active := child(root, ActiveProfile); active != nil && active.Value == profile {
		put(root, ActiveProfile, "", rootOrder)
	}
	profiles := child(root, "profiles")
	if profiles == nil {
		return false
	}
	put(profiles, profile, "", nil)
	return len(profiles.Content) > 0
}

// Activate makes profile the active one if it is the only one of the file and
// none is active, so that whoever has just one need not name it.
func (e *Editor) Activate(profile string) {
	root := e.doc.Content[0]
	profiles := child(root, "profiles")
	if profile == Emulator || profile == "default" || child(root, ActiveProfile) != nil ||
		profiles == nil || len(profiles.Content) != 2 || profiles.Content[0].Value != profile {
		return
	}
	put(root, ActiveProfile, profile, rootOrder)
}

// Save writes the file, unless nothing changed: then not even its formatting
// does.
func (e *Editor) Save() error {
	text, err := e.encode()
	if err != nil || bytes.Equal(text, e.saved) {
		return err
	}
	root := e.doc.Content[0]
	if child(root, "version") == nil {
		key, version := scalar("version"), &yaml.Node{Kind: yaml.ScalarNode, Value: fileVersion}
		if len(root.Content) > 0 { // the comment at the top stays at the top
			first := root.Content[0]
			key.HeadComment, first.HeadComment = first.HeadComment, ""
		}
		root.Content = slices.Insert(root.Content, 0, key, version)
		if text, err = e.encode(); err != nil {
			return err
		}
	}
	// What this release writes, it must be able to read.
	if _, _, err := parseFile(text, e.shown); err != nil {
		return err
	}
	if err := WriteFile(e.path, text); err != nil {
		return unwritable(e.shown, err)
	}
	e.saved = text
	return nil
}

func (e *Editor) encode() ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(e.doc), encoder.Close()); err != nil {
		return nil, problem.New(problem.Internal, "cannot write %s: %w", e.shown, err)
	}
	return out.Bytes(), nil
}

// Close lets the next editor in. What was not saved is dropped.
func (e *Editor) Close() error { return e.lock.Close() }

// known returns the setting of that name, or the problem to show.
func known(name string) (setting, error) {
	if s, ok := lookup(name); ok {
		return s, nil
	}
	near := problem.Nearest(name, append(Names(), ActiveProfile))
	switch {
	case near != "":
		return setting{}, problem.New(problem.Usage, "%q is not a setting: did you mean %s?", name, near).
			WithHint("list all settings: flexvc config list")
	case looksSecret(name):
		return setting{}, problem.New(problem.Usage, "%q is a secret, and secrets are not settings", name).
			WithHint("pass credentials in the environment: flexvc help environment")
	}
	return setting{}, problem.New(problem.Usage, "%q is not a setting", name).
		WithHint("list all settings: flexvc config list")
}

// Check returns nil if name is a setting of a profile, or the problem to show.
func Check(name string) error {
	_, err := known(name)
	return err
}

// Validate returns the problem of a value given on the command line by flag for
// a setting.
func Validate(name, flag, text string) error {
	s, err := known(name)
	if err != nil || s.check == nil {
		return err
	}
	if why := s.check(text); why != "" {
		return problem.New(problem.Usage, "cannot use %s: %s", flag, why)
	}
	return nil
}

// The order in which new keys are put into a mapping. It depends on nothing but
// the keys, so that two ways to the same settings give the same bytes.
var (
	rootOrder    = []string{"version", ActiveProfile, "profiles"}
	profileOrder = append(slices.DeleteFunc(Names(), func(name string) bool { return strings.HasPrefix(name, pluginPrefix) }), "plugin")
	pluginOrder  = []string{strings.TrimPrefix(PluginActivityName, pluginPrefix), strings.TrimPrefix(PluginTokenURL, pluginPrefix)}
)

// child returns the value of key in a mapping, or nil.
func child(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// within returns the mapping under key, made if need be.
func within(mapping *yaml.Node, key string, order []string) *yaml.Node {
	node := child(mapping, key)
	if node == nil {
		node = &yaml.Node{}
		insert(mapping, key, node, order)
	}
	if node.Kind != yaml.MappingNode { // "profiles:" with nothing below is null
		*node = yaml.Node{Kind: yaml.MappingNode, HeadComment: node.HeadComment, LineComment: node.LineComment, FootComment: node.FootComment}
	}
	return node
}

// put sets key to text, or takes it away with the comment above it.
func put(mapping *yaml.Node, key, text string, order []string) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value != key {
			continue
		}
		node := mapping.Content[i+1]
		switch {
		case text == "":
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
		case node.Value != text || node.Kind != yaml.ScalarNode:
			replaced := scalar(text)
			replaced.LineComment, replaced.HeadComment, replaced.FootComment = node.LineComment, node.HeadComment, node.FootComment
			mapping.Content[i+1] = replaced
		}
		return
	}
	if text != "" {
		insert(mapping, key, scalar(text), order)
	}
}

// insert adds a key before the first one that comes later in order.
func insert(mapping *yaml.Node, key string, value *yaml.Node, order []string) {
	rank := slices.Index(order, key)
	at := len(mapping.Content)
	for i := 0; i+1 < len(mapping.Content) && rank >= 0; i += 2 {
		if slices.Index(order, mapping.Content[i].Value) > rank {
			at = i
			break
		}
	}
	mapping.Style &^= yaml.FlowStyle
	mapping.Content = slices.Insert(mapping.Content, at, scalar(key), value)
}

// scalar is a string that the encoder quotes when it would read as another type.
func scalar(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}
