// Package ui is everything flexvc does with a terminal: streams, colour, signs,
// tables, progress and questions. It knows no domain type: what a row or an error
// says is decided by its callers.
//
// The rules of what is printed:
//   - results go to standard output; questions, progress, hints and errors to
//     standard error, as "flexvc: …", "flexvc: error: …", "flexvc: hint: …";
//   - sentences start in lower case and end without a period;
//   - a state is a word first, a sign second, a colour last, so nothing is lost
//     in a log file, under NO_COLOR, or to a reader who cannot see colour;
//   - off a terminal nothing is redrawn.
package ui

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"
)

// Streams are the three standard streams and what is known of them.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer

	InTTY, OutTTY, ErrTTY bool

	Quiet   bool // results and errors only
	Verbose bool
	NoInput bool // never prompt

	// Retype adds to each command in a hint what the person typed to get here,
	// such as -p, so that the hint can be pasted as it stands. Nil adds nothing.
	Retype func(text string) string

	// Divert, when set, gets the lines of Note, Warn, Hint and Debug in place of
	// standard error, without colour and without "flexvc:": a log of one format has
	// no other lines in it.
	Divert func(level slog.Level, line string)

	color bool // colour on a terminal stream
	force bool // colour on every stream (--color always)
	ascii bool // TERM=dumb

	width  func() int
	kept   *keeper
	mu     sync.Mutex // guards Err: notes and the status line take turns
	status string     // the line drawn last by a progress display, "" if none
}

// New wraps the three streams. Files that are terminals are treated as such;
// anything else, a pipe or a test's buffer, is not. getenv reads TERM, NO_COLOR
// and COLUMNS.
func New(in io.Reader, out, err io.Writer, getenv func(string) string) *Streams {
	s := &Streams{In: in, Out: out, Err: err}
	s.InTTY, s.OutTTY, s.ErrTTY = isTerminal(in), isTerminal(out), isTerminal(err)
	if !s.OutTTY {
		s.kept = &keeper{w: out}
		s.Out = s.kept
	}
	s.ascii = getenv("TERM") == "dumb"
	s.color = getenv("NO_COLOR") == "" && !s.ascii
	s.width = func() int {
		if n, e := strconv.Atoi(getenv("COLUMNS")); e == nil && n > 0 {
			return n
		}
		for _, w := range []any{out, err} {
			if f, ok := w.(*os.File); ok {
				if n, _, e := term.GetSize(int(f.Fd())); e == nil && n > 0 {
					return n
				}
			}
		}
		return 80
	}
	return s
}

// keeper remembers that a result could not be written, to a full disk above
// all, so that no command has to ask after each line.
type keeper struct {
	w io.Writer

	mu  sync.Mutex
	err error
}

func (k *keeper) Write(p []byte) (int, error) {
	n, err := k.w.Write(p)
	if err != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.err == nil {
			k.err = err
		}
	}
	return n, err
}

// Lost is the first error of writing results, nil as long as all are written.
func (s *Streams) Lost() error {
	if s.kept == nil {
		return nil
	}
	s.kept.mu.Lock()
	defer s.kept.mu.Unlock()
	return s.kept.err
}

// Fake returns streams over the given buffers that behave as terminals of the
// given width when tty is set. It is for tests of what a person sees.
func Fake(in io.Reader, out, err io.Writer, tty bool, width int) *Streams {
	return &Streams{In: in, Out: out, Err: err, InTTY: tty, OutTTY: tty, ErrTTY: tty, width: func() int { return width }}
}

// SetColor applies --color: "auto", "always" or "never".
func (s *Streams) SetColor(mode string) error {
	switch mode {
	case "", "auto":
	case "always":
		s.color, s.force = true, true
	case "never":
		s.color, s.force = false, false
	default:
		return fmt.Errorf("%q is not auto, always or never", mode)
	}
	return nil
}

// Width is the number of columns to lay text out for: the terminal's, but
// between 60 and 100.
func (s *Streams) Width() int { return min(max(s.width(), 60), 100) }

// Note prints one line for the person on standard error: "flexvc: …". It is
// silent under --quiet.
func (s *Streams) Note(format string, args ...any) {
	if !s.Quiet && !s.diverted(slog.LevelInfo, format, args) {
		s.errLine("flexvc: " + fmt.Sprintf(format, args...))
	}
}

// Warn prints a line that --quiet does not silence.
func (s *Streams) Warn(format string, args ...any) {
	if !s.diverted(slog.LevelWarn, format, args) {
		s.errLine("flexvc: " + s.Paint(s.Err, Warning, "warning:") + " " + fmt.Sprintf(format, args...))
	}
}

func (s *Streams) diverted(level slog.Level, format string, args []any) bool {
	if s.Divert != nil {
		s.Divert(level, strings.TrimRight(fmt.Sprintf(format, args...), "\n"))
	}
	return s.Divert != nil
}

// Hint prints the next thing to do. It is silent under --quiet.
func (s *Streams) Hint(format string, args ...any) {
	if !s.Quiet && !s.diverted(slog.LevelInfo, "hint: "+format, args) {
		s.errLine("flexvc: " + s.Paint(s.Err, Faint, "hint:") + " " + s.Suggest(fmt.Sprintf(format, args...)))
	}
}

// Debug prints a line under --verbose.
func (s *Streams) Debug(format string, args ...any) {
	if s.Verbose && !s.diverted(slog.LevelDebug, format, args) {
		s.errLine("flexvc: " + s.Paint(s.Err, Faint, "debug:") + " " + fmt.Sprintf(format, args...))
	}
}

// Printf prints a result on standard output.
func (s *Streams) Printf(format string, args ...any) {
	fmt.Fprintf(s.Out, format, args...)
}

// Chat prints text that accompanies a result on standard output; it is silent
// under --quiet. The next thing to do is named here.
func (s *Streams) Chat(format string, args ...any) {
	if !s.Quiet {
		io.WriteString(s.Out, s.Suggest(fmt.Sprintf(format, args...)))
	}
}

// Suggest is text with what Retype adds to the commands in it.
func (s *Streams) Suggest(text string) string {
	if s.Retype == nil {
		return text
	}
	return s.Retype(text)
}

// errLine writes whole lines to standard error above the status line.
func (s *Streams) errLine(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != "" {
		io.WriteString(s.Err, s.eraseStatus())
	}
	io.WriteString(s.Err, strings.TrimRight(line, "\n")+"\n")
	if s.status != "" {
		io.WriteString(s.Err, s.status)
	}
}

// setStatus redraws the status line at the bottom of a terminal.
func (s *Streams) setStatus(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	io.WriteString(s.Err, s.eraseStatus()+line)
	s.status = line
}

// eraseStatus is what clears the status line and goes to its start. TERM=dumb
// knows no sequence for it, so there spaces go over the text.
func (s *Streams) eraseStatus() string {
	if s.ascii {
		return "\r" + strings.Repeat(" ", ansi.StringWidth(s.status)) + "\r"
	}
	return "\r\x1b[K"
}

// endStatus leaves the last status line on the screen and moves below it.
func (s *Streams) endStatus() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != "" {
		io.WriteString(s.Err, "\n")
	}
	s.status = ""
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
