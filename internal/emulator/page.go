package emulator

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Position is where a row stands in its list. A page token holds the position
// of the row it continues after (or before), so rows that come or go between
// two pages neither repeat nor skip another.
type Position struct {
	Key string `json:"k,omitempty"` // what the list is ordered by, if not by age
	Seq uint64 `json:"s"`
}

func byPosition(a, b Position) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Seq, b.Seq))
}

// Tokens say which way they lead.
const (
	tokenAfter  = "PA"
	tokenBefore = "PB"
)

func (p Position) token(direction string) string {
	text, _ := json.Marshal(p) // a string and a number always encode
	return direction + base64.RawURLEncoding.EncodeToString(text)
}

func parseToken(s string) (direction string, at Position, ok bool) {
	if len(s) < 2 || s[:2] != tokenAfter && s[:2] != tokenBefore {
		return "", at, false
	}
	text, err := base64.RawURLEncoding.DecodeString(s[2:])
	if err != nil || json.Unmarshal(text, &at) != nil {
		return "", at, false
	}
	return s[:2], at, true
}

// Page sizes, from the parameter's description in Twilio's OpenAPI files.
const (
	defaultPageSize = 50
	maxPageSize     = 1000
)

// window is the part of a list that a request asks for.
type window struct {
	size, page int
	direction  string // "" is from the first row on
	at         Position
}

func (c *Call) window() (window, *Reply) {
	w := window{size: defaultPageSize}
	if s, given := c.Queried("PageSize"); given {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPageSize {
			return w, Invalid("Invalid PageSize %q: it must be a number from 1 to %d", s, maxPageSize)
		}
		w.size = n
	}
	if s, given := c.Queried("Page"); given {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return w, Invalid("Invalid Page %q", s)
		}
		w.page = n
	}
	s, given := c.Queried("PageToken")
	if !given {
		if w.page > 0 {
			return w, Invalid("Page %d cannot be read without its PageToken: follow next_page_url", w.page)
		}
		return w, nil
	}
	var ok bool
	if w.direction, w.at, ok = parseToken(s); !ok {
		return w, Invalid("Invalid PageToken")
	}
	return w, nil
}

// Listing is a list in its order, before it is filtered and cut.
type Listing[T any] struct {
	Rows       []T
	Position   func(T) Position
	Descending bool         // Rows are in descending order of Position
	Keep       func(T) bool // nil keeps all
}

// Sort puts the rows into the order of their positions.
func (l *Listing[T]) Sort() {
	slices.SortFunc(l.Rows, func(a, b T) int {
		if l.Descending {
			a, b = b, a
		}
		return byPosition(l.Position(a), l.Position(b))
	})
}

// cut returns the rows of the window and whether there are others on either
// side. It looks at no more rows than it needs to, as filters can be costly.
func (l Listing[T]) cut(w window) (rows []T, before, after bool) {
	order := func(row T, at Position) int {
		n := byPosition(l.Position(row), at)
		if l.Descending {
			return -n
		}
		return n
	}
	start, _ := slices.BinarySearchFunc(l.Rows, w.at, order)
	switch w.direction {
	case "":
		start = 0
	case tokenAfter:
		if start < len(l.Rows) && order(l.Rows[start], w.at) == 0 {
			start++
		}
	case tokenBefore:
		for i := start - 1; i >= 0; i-- {
			if !l.kept(i) {
				continue
			}
			if len(rows) == w.size {
				before = true
				break
			}
			rows = append(rows, l.Rows[i])
		}
		slices.Reverse(rows)
		return rows, before, true
	}
	for i := start; i < len(l.Rows); i++ {
		if !l.kept(i) {
			continue
		}
		if len(rows) == w.size {
			return rows, w.direction != "", true
		}
		rows = append(rows, l.Rows[i])
	}
	return rows, w.direction != "", false
}

func (l Listing[T]) kept(i int) bool { return l.Keep == nil || l.Keep(l.Rows[i]) }

// pageMeta is the meta object of the newer APIs.
type pageMeta struct {
	Page            int     `json:"page"`
	PageSize        int     `json:"page_size"`
	FirstPageURL    string  `json:"first_page_url"`
	PreviousPageURL *string `json:"previous_page_url"`
	URL             string  `json:"url"`
	NextPageURL     *string `json:"next_page_url"`
	Key             string  `json:"key,omitempty"`
}

// page answers with the rows the request asks for, rendered under key.
func page[T any](c *Call, key string, l Listing[T], view View[T]) *Reply {
	w, no := c.window()
	if no != nil {
		return no
	}
	rendered, meta := turn(c, w, l, view, c.Base())
	meta.Key = key
	return OK(map[string]any{key: rendered, "meta": meta})
}

// List2010 serves a page of rows under key as the 2010 API does: its links are
// relative.
func List2010[R any](key string, list Lister[R], view View[R]) func(*Call) *Reply {
	return func(c *Call) *Reply {
		w, no := c.window()
		if no != nil {
			return no
		}
		l, no := list(c)
		if no != nil {
			return no
		}
		rows, meta := turn(c, w, l, view, "")
		first := w.page * w.size
		return OK(map[string]any{
			key: rows, "page": w.page, "page_size": w.size, "start": first, "end": max(first, first+len(rows)-1),
			"uri": meta.URL, "first_page_uri": meta.FirstPageURL, "next_page_uri": meta.NextPageURL, "previous_page_uri": meta.PreviousPageURL,
		})
	}
}

// turn cuts the window out of the list and links it to its neighbours. Links
// begin with base.
func turn[T any](c *Call, w window, l Listing[T], view View[T], base string) ([]any, pageMeta) {
	rows, before, after := l.cut(w)
	link := func(page int, token string) string {
		q := make(url.Values)
		for name, values := range c.query {
			if !slices.Contains(paging, name) {
				q[name] = values
			}
		}
		s := []string{"PageSize=" + strconv.Itoa(w.size), "Page=" + strconv.Itoa(page)}
		if token != "" {
			s = append(s, "PageToken="+token)
		}
		if filters := q.Encode(); filters != "" {
			s = append([]string{filters}, s...)
		}
		return base + c.Path + "?" + strings.Join(s, "&")
	}
	own, _ := c.Queried("PageToken")
	meta := pageMeta{Page: w.page, PageSize: w.size, FirstPageURL: link(0, ""), URL: link(w.page, own)}
	if after {
		at := w.at
		if len(rows) > 0 {
			at = l.Position(rows[len(rows)-1])
		}
		s := link(w.page+1, at.token(tokenAfter))
		meta.NextPageURL = &s
	}
	if before && w.page > 0 {
		at := w.at
		if len(rows) > 0 {
			at = l.Position(rows[0])
		}
		s := link(w.page-1, at.token(tokenBefore))
		meta.PreviousPageURL = &s
	}
	rendered := make([]any, len(rows))
	for i, row := range rows {
		rendered[i] = view(c, row)
	}
	return rendered, meta
}
