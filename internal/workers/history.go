package workers

import (
	"iter"
	"path/filepath"
	"slices"
	"strings"
)

// Summary is a run in a list.
type Summary struct {
	Header
	Tally Tally
	Ended bool
}

// Runs yields the folder's runs, the latest first. A journal that cannot be
// read is yielded with its error and its name alone.
func (f Folder) Runs() iter.Seq2[Summary, error] {
	return func(yield func(Summary, error) bool) {
		names, _ := filepath.Glob(filepath.Join(f.Path, strings.Repeat("?", idDigits)+journalSuffix))
		slices.Sort(names)
		for _, path := range slices.Backward(names) {
			s, err := f.summary(path)
			if !yield(s, err) {
				return
			}
		}
	}
}

// summary reads a journal's first and last line only, if the run has ended.
func (f Folder) summary(path string) (Summary, error) {
	id := strings.TrimSuffix(filepath.Base(path), journalSuffix)
	unknown := Summary{Header: Header{ID: id}}
	first, last, err := ends(path)
	if err != nil {
		return unknown, err
	}
	if first.Run != nil && last.Kind == kindEnd && last.Tally != nil {
		return Summary{Header: *first.Run, Tally: *last.Tally, Ended: true}, nil
	}
	run, err := f.Load(id)
	if err != nil {
		return unknown, err
	}
	defer run.Close()
	return Summary{Header: run.Header, Tally: run.Tally(), Ended: run.Ended}, nil
}
