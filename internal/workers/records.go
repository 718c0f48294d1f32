package workers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
)

// record is one line. Only the fields of its kind are set.
type record struct {
	Kind   kind    `json:"t"`
	Run    *Header `json:"run,omitempty"`
	SID    string  `json:"sid,omitempty"`
	Name   string  `json:"name,omitempty"`
	Before *string `json:"before,omitempty"`
	After  *string `json:"after,omitempty"`

	Changes []attributes.Change `json:"changes,omitempty"` // what an edit is to change, as planned

	Status   Status       `json:"status,omitempty"`
	Held     *string      `json:"held,omitempty"` // what Twilio answered, when it is not After
	Code     problem.Code `json:"code,omitempty"`
	Reason   string       `json:"reason,omitempty"`
	Remedy   string       `json:"remedy,omitempty"` // see Blocked
	Attempts int          `json:"attempts,omitempty"`
	Reset    bool         `json:"reset,omitempty"`   // set again: another program had undone it
	Updated  *time.Time   `json:"updated,omitempty"` // Twilio's date of the write

	At    *time.Time `json:"at,omitempty"`
	Tally *Tally     `json:"tally,omitempty"`

	Untold string `json:"untold,omitempty"` // see Run
}

type kind string

const (
	kindRun     kind = "run"
	kindPlan    kind = "plan"    // a worker to change
	kindBlocked kind = "blocked" // a worker left alone, and why
	kindIntent  kind = "intent"
	kindResult  kind = "result"
	kindResume  kind = "resume"
	kindEnd     kind = "end"
)

// journalVersion is the v of the header. It changes when an older flexvc would
// misread a journal.
const journalVersion = 1

// place is where in a journal a record is.
type place struct {
	offset int64
	size   int
}

// A record's line ends in its checksum, as the last member of the object: an
// administrator can still read the file, and an older flexvc ignores it. Lines
// without one were written by an older flexvc, and count.
const sealed = len(`,"crc":"00000000"}`)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode is a record's line, its line break included.
func encode(r record) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	sum := crc32.Checksum(text, castagnoli)
	return fmt.Appendf(text[:len(text)-1], ",\"crc\":\"%08x\"}\n", sum), nil
}

var errChecksum = errors.New("the checksum does not match")

// decode reads a line, with its line break or without.
func decode(line []byte) (r record, err error) {
	text := bytes.TrimSuffix(line, []byte("\n"))
	if at := len(text) - sealed; at > 0 && bytes.HasPrefix(text[at:], []byte(`,"crc":"`)) {
		sum, err := strconv.ParseUint(string(text[at+8:at+16]), 16, 32)
		text = append(bytes.Clone(text[:at]), '}')
		if err != nil || uint32(sum) != crc32.Checksum(text, castagnoli) {
			return r, errChecksum
		}
	}
	err = json.Unmarshal(text, &r)
	return r, err
}

// readAt reads one record back.
func readAt(file io.ReaderAt, path string, at place) (record, error) {
	line := make([]byte, at.size)
	if _, err := file.ReadAt(line, at.offset); err != nil {
		return record{}, unreadable(path, err)
	}
	r, err := decode(line)
	if err != nil {
		return r, problem.New(problem.JournalDamaged, "cannot read %s: the record at byte %d is damaged", path, at.offset).Because(err)
	}
	return r, nil
}

// Damage is a line of a journal that cannot be read, and what can still be told of
// it.
type Damage struct {
	Line      int    // from 1
	Record    string // "run", "plan", "intent", "result" …; empty: not known
	SID, Name string // of the worker it is about, if it tells
}

// damaged reads what it can from a line that is no record.
func damaged(number int, line []byte) Damage {
	d := Damage{Line: number}
	for _, part := range []struct {
		re   *regexp.Regexp
		into *string
	}{{readable().record, &d.Record}, {readable().sid, &d.SID}, {readable().name, &d.Name}} {
		if m := part.re.FindSubmatch(line); m != nil {
			*part.into = string(m[1])
		}
	}
	return d
}

// readable finds the parts of a damaged line.
var readable = sync.OnceValue(func() (p struct{ record, sid, name *regexp.Regexp }) {
	p.record = regexp.MustCompile(`^.{0,2}"t":"([a-z]+)"`)
	p.sid = regexp.MustCompile(`"sid":"(WK[0-9a-f]{32})"`)
	p.name = regexp.MustCompile(`"name":"([^"\\]*)"`)
	return p
})

// scan calls visit for every whole record, and lost for every line that is none or
// that visit refuses. It returns the length of the file up to the end of the last
// whole line. A last line without its line break was torn by a crash: no intent in
// it was acted upon, so it counts as not written. A problem that visit returns ends
// the scan.
func scan(path string, file io.Reader, visit func(record, place) error, lost func(Damage)) (int64, error) {
	lines := bufio.NewReaderSize(file, 64<<10)
	size := int64(0)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return size, nil
		}
		if err != nil {
			return size, unreadable(path, err)
		}
		// A machine that lost power may leave zeros where a line was to be.
		text := bytes.TrimLeft(line, "\x00")
		zeros := len(line) - len(text)
		r, err := decode(text)
		if err == nil {
			err = visit(r, place{size + int64(zeros), len(text)})
		}
		if p := problem.As(err); p != nil {
			return size, p
		}
		if err == nil {
			text = nil // only the zeros are lost
		}
		if err != nil || zeros > 0 {
			lost(damaged(number, text))
		}
		size += int64(len(line))
	}
}

// ends returns the first record and, when it is a whole and short one, the last.
func ends(path string) (first, last record, err error) {
	const tail = 1 << 10 // an end record is shorter
	file, err := os.Open(path)
	if err != nil {
		return first, last, unreadable(path, err)
	}
	defer file.Close()
	line, err := bufio.NewReader(file).ReadBytes('\n')
	if err == nil {
		first, err = decode(line)
	}
	if err != nil {
		return first, last, problem.New(problem.JournalDamaged, "cannot read %s: line 1 is damaged", path)
	}
	info, err := file.Stat()
	if err != nil {
		return first, last, unreadable(path, err)
	}
	text := make([]byte, min(info.Size(), tail))
	if _, err := file.ReadAt(text, info.Size()-int64(len(text))); err != nil {
		return first, last, unreadable(path, err)
	}
	whole, ok := bytes.CutSuffix(text, []byte("\n"))
	if !ok {
		return first, last, nil
	}
	last, _ = decode(whole[bytes.LastIndexByte(whole, '\n')+1:]) // a longer one is no end record
	return first, last, nil
}
