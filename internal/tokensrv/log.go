package tokensrv

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/flexvc/flexvc/internal/problem"
)

// NewLog returns a logger for Deps.Log that writes one line per record: format
// "text" is for eyes, as in
//
//	14:02:40  warn  token refused   reason=flex-token-expired  21 ms  req=7Q2P
//
// and "json" for machines. Groups are left out of text unless level is debug.
func NewLog(w io.Writer, format string, level slog.Level) (*slog.Logger, error) {
	switch format {
	case "text":
		return slog.New(&lineHandler{w: w, mu: new(sync.Mutex), level: level}), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), nil
	}
	return nil, problem.New(problem.Usage, "cannot log as %q: the formats are text and json", format)
}

// lineHandler is the slog.Handler behind "text".
type lineHandler struct {
	w     io.Writer
	mu    *sync.Mutex
	level slog.Level
	fixed []slog.Attr
	group string
}

var _ slog.Handler = (*lineHandler)(nil)

func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

const messageWidth = 14

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	b := make([]byte, 0, 256)
	b = r.Time.AppendFormat(b, time.TimeOnly)
	b = append(b, "  "...)
	name := levelName(r.Level)
	b = append(b, name...)
	for n := len(name); n < 6; n++ {
		b = append(b, ' ')
	}
	start := len(b)
	b = appendText(b, r.Message, false)
	for len(b)-start < messageWidth {
		b = append(b, ' ')
	}
	for _, a := range h.fixed {
		b = h.attr(b, "", a)
	}
	r.Attrs(func(a slog.Attr) bool {
		b = h.attr(b, h.group, a)
		return true
	})
	b = append(b, '\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(b)
	return err
}

func (h *lineHandler) attr(b []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	switch {
	case a.Equal(slog.Attr{}):
		return b
	case v.Kind() == slog.KindGroup:
		if h.level > slog.LevelDebug {
			return b
		}
		for _, inner := range v.Group() {
			b = h.attr(b, group+a.Key+".", inner)
		}
		return b
	case a.Key == "ms" && v.Kind() == slog.KindFloat64:
		b = append(b, "  "...)
		b = strconv.AppendFloat(b, v.Float64(), 'f', 0, 64)
		return append(b, " ms"...)
	}
	b = append(b, "  "...)
	b = appendText(b, group+a.Key, true)
	b = append(b, '=')
	return appendText(b, v.String(), true)
}

// appendText quotes what could break out of its line or its column.
func appendText(b []byte, s string, quoteSpaces bool) []byte {
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError || r == '"' || quoteSpaces && r == ' ' {
			return strconv.AppendQuote(b, s)
		}
	}
	return append(b, s...)
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *h
	out.fixed = append([]slog.Attr(nil), h.fixed...)
	for _, a := range attrs {
		a.Key = h.group + a.Key
		out.fixed = append(out.fixed, a)
	}
	return &out
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	out := *h
	out.group = h.group + name + "."
	return &out
}
