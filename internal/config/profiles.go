package config

import (
	"cmp"
	"path/filepath"
	"slices"
)

// Profile is one that -p may name.
type Profile struct {
	Name       string
	Source     string // "flexvc.yaml", "twilio CLI" or "built in"
	AccountSID string // empty when the profile does not say
	Active     bool   // used when -p names none
}

// Profiles lists those of the settings file, of the twilio CLI, and the emulator's.
// Settings win where both have a name. A file that cannot be read is an error.
func Profiles(in Input) ([]Profile, error) {
	path, err := filepath.Abs(cmp.Or(in.File, filepath.Join(in.ConfigDir, FileName)))
	if err != nil {
		return nil, err
	}
	file, err := readFile(path, filepath.Base(path))
	if err != nil {
		return nil, err
	}
	var all []Profile
	for _, name := range file.names() {
		all = append(all, Profile{name, FileName, file.profiles[name][AccountSID], name == cmp.Or(file.active, "default")})
	}
	cli, err := readTwilioCLI(in.Getenv)
	if err != nil {
		return nil, err
	}
	for _, name := range cli.names() {
		if !slices.ContainsFunc(all, func(p Profile) bool { return p.Name == name }) {
			all = append(all, Profile{name, "twilio CLI", cli.Profiles[name].AccountSID, false})
		}
	}
	return append(all, Profile{Emulator, "built in", "", false}), nil
}
