package config

import (
	"errors"
	"os"
	"path/filepath"
)

// replace writes data beside path and renames it into place: renameio does not
// support Windows, where a rename replaces a file in one step on NTFS.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".flexvc-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
