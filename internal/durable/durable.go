// Package durable puts files on disk so that a crash of the machine leaves the
// old file or the new one, never half of one. What is in a file, who may have
// which folder and how a failure is told to a person is not its business: its
// errors are the system's.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// WriteFile puts data into the file at path, which has the mode perm then,
// whatever the umask says. The folder must exist.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	return Fill(path, perm, just(data))
}

// Fill is WriteFile for what fill writes. When fill fails, its error is returned
// as it is and the file at path stays as it was.
func Fill(path string, perm fs.FileMode, fill func(*os.File) error) error {
	temp, err := written(path, perm, fill)
	if err != nil {
		return err
	}
	if err := Rename(temp, path); err != nil {
		_ = os.Remove(temp)
		return err
	}
	return nil
}

// Create is WriteFile for a name that nobody has yet: otherwise the error is
// fs.ErrExist, even if the file came into being just now.
func Create(path string, data []byte, perm fs.FileMode) error {
	temp, err := written(path, perm, just(data))
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	// A link, unlike a rename, fails when the name is taken.
	if err := os.Link(temp, path); err != nil {
		return err
	}
	return syncFolder(path)
}

// Rename gives a file, which is on disk already, the name to in place of any
// file that had it.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncFolder(to)
}

// Remove deletes the file at path, if it is there.
func Remove(path string) error {
	switch err := os.Remove(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return syncFolder(path)
}

// written is the name of a new file beside path, which fill has filled. It is
// never in a shared folder, since what is written may be a secret.
func written(path string, perm fs.FileMode, fill func(*os.File) error) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // O_EXCL, 0600
	if err != nil {
		return "", err
	}
	if err = fill(f); err != nil {
		_ = f.Close()
	} else {
		err = errors.Join(f.Chmod(perm), f.Sync(), f.Close())
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

func just(data []byte) func(*os.File) error {
	return func(f *os.File) error {
		_, err := f.Write(data)
		return err
	}
}

// syncFolder makes the name of the file at path durable. Windows cannot and need
// not. Neither can some file systems, nor who may write to a folder and not read
// it: that is no reason to call a file unwritten that is there.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(filepath.Dir(path))
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}
