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

// position is where a row stands in its list. A page token holds the position
// of the row it continues after (or before), so rows that come or go between
// two pages neither repeat nor skip another.
type position struct {
	Key string `json:"k,omitempty"` // what the list is ordered by, if not by age
	Seq uint64 `json:"s"`
}

func byPosition(a, b position) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Seq, b.Seq))
}

// Tokens say which way they lead.
const (
	tokenAfter  = "PA"
	tokenBefore = "PB"
)

func (p position) token(direction string) string {
	text, _ := json.Marshal(p) // a string and a number always encode
	return direction + base64.RawURLEncoding.EncodeToString(text)
}

func parseToken(s string) (direction string, at position, ok bool) {
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
	at         position
}

func (c *call) window() (window, reply, bool) {
	w := window{size: defaultPageSize}
	if s, given := c.queried("PageSize"); given {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPageSize {
			return w, invalid("Invalid PageSize %q: it must be a number from 1 to %d", s, maxPageSize), false
		}
		w.size = n
	}
	if s, given := c.queried("Page"); given {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return w, invalid("Invalid Page %q", s), false
		}
		w.page = n
	}
	s, given := c.queried("PageToken")
	if !given {
		if w.page > 0 {
			return w, invalid("Page %d cannot be read without its PageToken: follow next_page_url", w.page), false
		}
		return w, reply{}, true
	}
	var ok bool
	if w.direction, w.at, ok = parseToken(s); !ok {
		return w, invalid("Invalid PageToken"), false
	}
	return w, reply{}, true
}

// listing is a list in its order, before it is filtered and cut.
type listing[T any] struct {
	rows []T
	pos  func(T) position
	desc bool         // rows are in descending order of pos
	keep func(T) bool // nil keeps all
}

// cut returns the rows of the window and whether there are others on either
// side. It looks at no more rows than it needs to, as filters can be costly.
func (l listing[T]) cut(w window) (rows []T, before, after bool) {
	order := func(row T, at position) int {
		n := byPosition(l.pos(row), at)
		if l.desc {
			return -n
		}
		return n
	}
	start, _ := slices.BinarySearchFunc(l.rows, w.at, order)
	switch w.direction {
	case "":
		start = 0
	case tokenAfter:
		if start < len(l.rows) && order(l.rows[start], w.at) == 0 {
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
			rows = append(rows, l.rows[i])
		}
		slices.Reverse(rows)
		return rows, before, true
	}
	for i := start; i < len(l.rows); i++ {
		if !l.kept(i) {
			continue
		}
		if len(rows) == w.size {
			return rows, w.direction != "", true
		}
		rows = append(rows, l.rows[i])
	}
	return rows, w.direction != "", false
}

func (l listing[T]) kept(i int) bool { return l.keep == nil || l.keep(l.rows[i]) }

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

// paged answers with the rows the request asks for, rendered under key.
func paged[T any](c *call, key string, l listing[T], render func(T) any) reply {
	w, rep, ok := c.window()
	if !ok {
		return rep
	}
	rendered, meta := turn(c, w, l, render, c.base())
	meta.Key = key
	return reply{status: 200, body: map[string]any{key: rendered, "meta": meta}}
}

// turn cuts the window out of the list and links it to its neighbours. Links
// begin with base.
func turn[T any](c *call, w window, l listing[T], render func(T) any, base string) ([]any, pageMeta) {
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
		return base + c.path + "?" + strings.Join(s, "&")
	}
	own, _ := c.queried("PageToken")
	meta := pageMeta{Page: w.page, PageSize: w.size, FirstPageURL: link(0, ""), URL: link(w.page, own)}
	if after {
		at := w.at
		if len(rows) > 0 {
			at = l.pos(rows[len(rows)-1])
		}
		s := link(w.page+1, at.token(tokenAfter))
		meta.NextPageURL = &s
	}
	if before && w.page > 0 {
		at := w.at
		if len(rows) > 0 {
			at = l.pos(rows[0])
		}
		s := link(w.page-1, at.token(tokenBefore))
		meta.PreviousPageURL = &s
	}
	rendered := make([]any, len(rows))
	for i, row := range rows {
		rendered[i] = render(row)
	}
	return rendered, meta
}

// queried returns a query parameter and whether it is there at all.
func (c *call) queried(name string) (string, bool) {
	values, ok := c.query[name]
	if !ok {
		return "", false
	}
	return values[0], true
}

// filled returns a form field and whether it is there at all.
func (c *call) filled(name string) (string, bool) {
	values, ok := c.form[name]
	if !ok {
		return "", false
	}
	return values[0], true
}
