package workers

import (
	"bufio"
	"bytes"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Summary is a run in a list.
type Summary struct {
	Header
	Tally   Tally
	Ended   bool
	Damaged int // lines of the journal that cannot be read, as far as it was read
}

// Runs yields the folder's runs, the latest first. A journal that cannot be
// read is yielded with its error and its name alone.
func (f Folder) Runs() iter.Seq2[Summary, error] {
	return func(yield func(Summary, error) bool) {
		for _, id := range f.ids() {
			s, err := f.summary(f.journalPath(id))
			if !yield(s, err) {
				return
			}
		}
	}
}

// ids are the names of the folder's runs, the latest first.
func (f Folder) ids() []string {
	names, _ := filepath.Glob(filepath.Join(f.Path, strings.Repeat("?", idDigits)+journalSuffix))
	slices.Sort(names)
	slices.Reverse(names)
	for i, path := range names {
		names[i] = strings.TrimSuffix(filepath.Base(path), journalSuffix)
	}
	return names
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
	return Summary{Header: run.Header, Tally: run.Tally(), Ended: run.Ended, Damaged: len(run.Damage)}, nil
}

// enablingRuns is how many runs EnabledAt looks at.
const enablingRuns = 20

// EnabledAt returns when each worker was enabled, as far as the latest runs
// here know. Journals that cannot be read are passed over.
func (f Folder) EnabledAt() map[string]time.Time {
	at := map[string]time.Time{}
	looked := 0
	for _, id := range f.ids() {
		if looked == enablingRuns {
			break
		}
		file, err := os.Open(f.journalPath(id))
		if err != nil {
			continue
		}
		if enabledIn(file, at) {
			looked++
		}
		_ = file.Close()
	}
	return at
}

// enabledIn adds when the run of a journal enabled workers, and reports whether it
// was to enable any. It stops at the end of the plan if later runs tell of all its
// workers, and decodes no attributes: a journal may have 80 MB of them.
func enabledIn(file io.Reader, at map[string]time.Time) bool {
	lines := bufio.NewReaderSize(file, 64<<10)
	later := maps.Clone(at)
	enabling, news := false, false
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return enabling
		}
		planned := bytes.HasPrefix(line, []byte(`{"t":"plan"`))
		changed := bytes.HasPrefix(line, []byte(`{"t":"result"`)) && bytes.Contains(line, []byte(`"status":"changed"`))
		switch {
		case !enabling || planned || changed:
		case !news && !bytes.HasPrefix(line, []byte(`{"t":"blocked"`)):
			return true
		default:
			continue
		}
		rec, err := decode(line)
		switch {
		case err != nil: // damaged
		case !enabling && (rec.Run == nil || rec.Run.Edit == nil || !rec.Run.Edit.Enable):
			return false
		case !enabling:
			enabling = true
		case planned:
			_, known := later[rec.SID]
			news = news || !known
		case rec.Updated != nil:
			if _, known := later[rec.SID]; !known {
				at[rec.SID] = latest(at[rec.SID], *rec.Updated)
			}
		}
	}
}
