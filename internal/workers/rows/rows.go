// Package rows reads lists of workers that people write and programs print: names,
// SIDs, CSV tables, JSON lines. Which workers a row is about is decided in
// internal/workers.
package rows

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// Row is one worker of a file. What it says of the worker must all be true; what
// it does not say is empty.
type Row struct {
	Line  int
	SID   string
	Name  string // friendly name, whatever its case
	Email string // the attribute email, or the friendly name of a worker without it
}

// The columns of a table that say who is meant. A column "name" is a person's name
// in many exports, so it counts only where no other column says it.
var (
	sidColumns    = []string{"sid"}
	nameColumns   = []string{"friendly_name", "worker", "username"}
	emailColumns  = []string{"email"}
	personColumns = []string{"name"}
)

// listLimit is far above the names of all workers that a workspace may have.
const listLimit = 16 << 20 // bytes

// Read reads a list of workers: one name or SID per line, a CSV table with a
// column sid, friendly_name, worker, username, email or name, or the JSON lines of
// flexvc workers list. In a list of lines a "#" at the start or between spaces
// starts a comment, and a line may be one of flexvc workers list. A byte order mark
// and CRLF do no harm. Every row is a worker: one that says of none is
// InputUnreadable and names its line.
func Read(r io.Reader) ([]Row, error) {
	text, err := io.ReadAll(io.LimitReader(r, listLimit+1))
	switch {
	case err != nil:
		return nil, unreadableList("%w", problem.Reason(err))
	case len(text) > listLimit:
		return nil, unreadableList("it is longer than %d MiB", listLimit>>20)
	case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
		return nil, unreadableList("it is not text in UTF-8").WithHint("export it from the spreadsheet as \"CSV UTF-8\"")
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	rows, err := readTable(text)
	if errors.Is(err, errNoTable) {
		if first := bytes.TrimSpace(text); len(first) > 0 && first[0] == '{' {
			rows, err = readJSON(text)
		} else {
			rows, err = readLines(text)
		}
	}
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, problem.New(problem.InputUnreadable, "the list of workers is empty").
			WithHint("write one name or SID per line, or a CSV table with a column friendly_name or sid")
	}
	for _, row := range rows {
		if row.SID != "" && !twilio.IsWorkerSID(row.SID) {
			return nil, unreadableList("line %d: %q is not a whole SID", row.Line, row.SID).WithHint("whole SIDs: flexvc workers list -o json")
		}
	}
	return rows, nil
}

func unreadableList(format string, args ...any) *problem.Problem {
	return problem.New(problem.InputUnreadable, "cannot read the list of workers: "+format, args...)
}

func readLines(text []byte) (rows []Row, err error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := " " + strings.TrimSpace(lines.Text()) + " "
		line, _, _ = strings.Cut(line, " # ")
		line = strings.TrimSpace(line)
		listed := strings.Split(line, "\t") // by flexvc workers list, off a terminal
		switch {
		case line == "" || line[0] == '#':
		case len(listed) > 1 && twilio.IsWorkerSID(listed[1]):
			rows = append(rows, Row{Line: n, SID: listed[1], Name: listed[0]})
		case twilio.IsWorkerSID(line):
			rows = append(rows, Row{Line: n, SID: line})
		default:
			rows = append(rows, Row{Line: n, Name: line})
		}
	}
	if err := lines.Err(); err != nil {
		return nil, unreadableList("%w", err)
	}
	return rows, nil
}

// readJSON reads what flexvc workers list -o json prints, an object per line.
func readJSON(text []byte) (rows []Row, err error) {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var w struct{ SID, Name string }
		if err := json.Unmarshal(line, &w); err != nil {
			return nil, unreadableList("line %d is not a JSON object", n)
		}
		if w.SID == "" && w.Name == "" {
			return nil, unreadableList("line %d names no worker", n)
		}
		rows = append(rows, Row{Line: n, SID: w.SID, Name: w.Name})
	}
	return rows, nil
}

var errNoTable = errors.New("not a table")

// readTable reads text as CSV if its first line is a header with one of the
// columns above; errNoTable otherwise.
func readTable(text []byte) ([]Row, error) {
	header, _, _ := strings.Cut(strings.TrimLeft(string(text), "\r\n"), "\n")
	for _, comma := range ",;\t" {
		head := csv.NewReader(strings.NewReader(header))
		head.Comma = comma
		titles, err := head.Read()
		if err != nil {
			continue
		}
		sid, name, email := columns(titles, sidColumns), columns(titles, nameColumns), columns(titles, emailColumns)
		if len(sid)+len(name)+len(email) == 0 {
			name = columns(titles, personColumns)
		}
		if len(sid)+len(name)+len(email) == 0 {
			continue
		}
		return readRecords(text, comma, sid, name, email)
	}
	return nil, errNoTable
}

func readRecords(text []byte, comma rune, sid, name, email []int) (rows []Row, err error) {
	table := csv.NewReader(bytes.NewReader(text))
	table.Comma = comma
	table.FieldsPerRecord = -1
	for first := true; ; first = false {
		record, err := table.Read()
		switch {
		case err == io.EOF:
			return rows, nil
		case err != nil:
			return nil, unreadableList("%w", err)
		case first || strings.TrimSpace(strings.Join(record, "")) == "":
			continue
		}
		row := Row{SID: cell(record, sid), Name: cell(record, name), Email: cell(record, email)}
		row.Line, _ = table.FieldPos(0)
		if row.SID == "" && row.Name == "" && row.Email == "" {
			return nil, unreadableList("line %d names no worker", row.Line).WithHint("remove the line, or fill in its sid or friendly_name")
		}
		rows = append(rows, row)
	}
}

// columns returns where the wanted titles are, in the order wanted.
func columns(titles, wanted []string) (all []int) {
	for _, want := range wanted {
		for i, title := range titles {
			if strings.ToLower(strings.TrimSpace(title)) == want {
				all = append(all, i)
			}
		}
	}
	return all
}

// cell is the first of the columns that has a text.
func cell(record []string, columns []int) string {
	for _, i := range columns {
		if i < len(record) {
			if text := strings.TrimSpace(record[i]); text != "" {
				return text
			}
		}
	}
	return ""
}
