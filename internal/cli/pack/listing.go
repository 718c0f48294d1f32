package pack

import (
	"os"
	"path/filepath"

	"github.com/flexvc/flexvc/internal/durable"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/webstore"
)

// listing is what the store's dashboard asks for, as it was written.
type listing struct {
	Dir   string   `json:"dir"`   // folder
	Files []string `json:"files"` // names in it
}

// writeListing puts the files into dir, which it makes if need be.
func writeListing(dir string, files []webstore.File) (*listing, error) {
	l := &listing{Dir: dir}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = durable.WriteFile(path, f.Content, 0o644)
		}
		if err != nil {
			return nil, problem.New(problem.OutputUnwritable, "cannot write %s: %w", path, problem.Reason(err)).
				WithHint("check free space and permissions of %s", dir)
		}
		l.Files = append(l.Files, f.Name)
	}
	return l, nil
}
