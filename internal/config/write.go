package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flexvc/flexvc/internal/durable"
	"github.com/flexvc/flexvc/internal/problem"
)

// WriteFile puts data into the file at path, whole or not at all, readable by
// the owner only. It makes the folder when there is none, and writes through a
// symbolic link instead of replacing it. When it returns nil, the file survives
// a crash of the machine.
func WriteFile(path string, data []byte) error {
	path, err := target(path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, data, 0o600)
}

// RemoveFile deletes the file at path, if it is there, durably.
func RemoveFile(path string) error { return durable.Remove(path) }

// target follows symbolic links, so that a link into a dotfiles folder stays
// one. The last link may point to a file that does not exist yet.
func target(path string) (string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	switch {
	case err == nil:
		return resolved, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	if link, err := os.Readlink(path); err == nil {
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		return link, nil
	}
	return path, nil
}

// CheckWritable reports ConfigUnwritable when the settings file at path could
// not be written. It is asked before anything is made at Twilio. It leaves
// nothing behind: a folder that does not exist is not made.
func CheckWritable(path, shown string) error {
	path, err := target(path)
	if err != nil {
		return unwritable(shown, err)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return unwritable(shown, errors.New("it is not a regular file"))
	}
	dir := filepath.Dir(path)
	for {
		info, err := os.Stat(dir)
		if err == nil {
			if !info.IsDir() {
				return unwritable(shown, errors.New(dir+" is not a folder"))
			}
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return unwritable(shown, err)
		}
		dir = filepath.Dir(dir)
	}
	// Only an attempt tells: permissions, read-only mounts, quotas and full
	// disks all have a say.
	probe, err := os.CreateTemp(dir, ".flexvc-*")
	if err != nil {
		return unwritable(shown, err)
	}
	_, err = probe.Write(make([]byte, 4096))
	err = errors.Join(err, probe.Sync(), probe.Close(), os.Remove(probe.Name()))
	if err != nil {
		return unwritable(shown, err)
	}
	return nil
}

func unwritable(shown string, err error) error {
	return problem.New(problem.ConfigUnwritable, "cannot write %s: %w", shown, problem.Reason(err)).
		WithHint("make %s writable, or choose another file with --config", filepath.Dir(shown))
}
