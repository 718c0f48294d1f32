//go:build !windows

package config

import (
	"path/filepath"

	"github.com/google/renameio/v2"
)

// replace writes data beside path and renames it into place. The temporary file
// is never in a shared folder: data may be a secret.
func replace(path string, data []byte) error {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}
