package durable_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/flexvc/flexvc/internal/durable"
)

// holds fails unless the folder of path has path with text in it and nothing else.
func holds(t *testing.T, path, text string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != text {
		t.Errorf("%s: %q, %v; want %q", path, got, err, text)
	}
	alone(t, path, 1)
}

// alone fails unless the folder of path has that many entries.
func alone(t *testing.T, path string, entries int) {
	t.Helper()
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != entries {
		t.Errorf("in the folder: %v, %v; want %d", all, err, entries)
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, test := range []struct {
		text string
		perm fs.FileMode
	}{{"first", 0o600}, {"", 0o600}, {"and longer", 0o644}} {
		if err := durable.WriteFile(path, []byte(test.text), test.perm); err != nil {
			t.Fatal(err)
		}
		holds(t, path, test.text)
		if info, _ := os.Stat(path); runtime.GOOS != "windows" && info.Mode() != test.perm {
			t.Errorf("mode %v, want %v", info.Mode(), test.perm)
		}
	}
}

func TestWhatCannotBeWrittenLeavesTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := durable.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := durable.Fill(path, 0o600, func(f *os.File) error {
		if _, err := f.Write([]byte("half of")); err != nil {
			t.Fatal(err)
		}
		return broken
	})
	if err != broken {
		t.Errorf("%v, want fill's own error", err)
	}
	holds(t, path, "old")

	err = durable.Fill(path, 0o600, func(f *os.File) error { return f.Close() })
	if !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a file that cannot be synced: %v", err)
	}
	holds(t, path, "old")
}

func TestNoFileCanTakeTheNameOfAFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, []byte("text"), 0o600); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if err := durable.Create(path, []byte("text"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create: %v", err)
	}
	alone(t, path, 1)
}

func TestOneOfManyCreates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() { errs[i] = durable.Create(path, bytes.Repeat([]byte{'a' + byte(i)}, 1000), 0o600) })
	}
	wg.Wait()
	made := -1
	for i, err := range errs {
		switch {
		case err == nil && made < 0:
			made = i
		case !errors.Is(err, fs.ErrExist):
			t.Errorf("%d: %v", i, err)
		}
	}
	if made < 0 {
		t.Fatal("nobody made the file")
	}
	holds(t, path, string(bytes.Repeat([]byte{'a' + byte(made)}, 1000)))
}

func TestRename(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for path, text := range map[string]string{from: "new", to: "old"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	holds(t, to, "new")
	if err := durable.Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	holds(t, to, "new")
}

func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := durable.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // what is gone needs no removal
		if err := durable.Remove(path); err != nil {
			t.Error(err)
		}
		alone(t, path, 0)
	}
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.Remove(path); err == nil {
		t.Error("a folder with something in it was removed")
	}
}

func TestNoFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "file")
	if err := durable.WriteFile(path, nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("WriteFile: %v", err)
	}
	if err := durable.Create(path, nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Create: %v", err)
	}
}
