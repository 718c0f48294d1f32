package emulator

import (
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/flexvc/flexvc/internal/emulator/store"
)

// What most operations do is the same: find a row by the path and show it, list
// rows, store one, store a changed copy of one, forget one. A product says which
// row, and how it looks.

// Finder finds the row that a request is about; nil is none.
type Finder[T any] func(*Call) *T

// Lister makes the list that a request is about, or says why there is none.
type Lister[R any] func(*Call) (Listing[R], *Reply)

// View is how a row looks to who asks.
type View[R any] func(*Call, R) any

// Fetch serves the row that find finds.
func Fetch[T any](find Finder[T], view View[*T]) func(*Call) *Reply {
	return func(c *Call) *Reply {
		row := find(c)
		if row == nil {
			return c.NotFound()
		}
		return OK(view(c, row))
	}
}

// List serves a page of rows under key.
func List[R any](key string, list Lister[R], view View[R]) func(*Call) *Reply {
	return func(c *Call) *Reply {
		l, no := list(c)
		if no != nil {
			return no
		}
		return page(c, key, l, view)
	}
}

// Order puts the rows that keep keeps, nil all of them, into their order.
type Order[P store.Row] func(rows []P, keep func(P) bool) Listing[P]

// All lists the rows of a kind.
func All[P store.Row](kind store.Kind[P], order Order[P]) Lister[P] {
	return func(c *Call) (Listing[P], *Reply) { return order(kind.In(c.Store).Rows(), nil), nil }
}

// Within lists those rows of a kind that are in the row that around finds.
func Within[T any, P store.Row](around Finder[T], kind store.Kind[P], in func(P, *T) bool, order Order[P]) Lister[P] {
	return func(c *Call) (l Listing[P], no *Reply) {
		parent := around(c)
		if parent == nil {
			return l, c.NotFound()
		}
		return order(kind.In(c.Store).Rows(), func(row P) bool { return in(row, parent) }), nil
	}
}

// Oldest lists the rows that keep keeps, nil all of them, oldest first.
func Oldest[P store.Row](rows []P, keep func(P) bool) Listing[P] {
	return Listing[P]{Rows: rows, Position: positionOf[P], Keep: keep}
}

// Newest lists the same the other way round.
func Newest[P store.Row](rows []P, keep func(P) bool) Listing[P] {
	rows = slices.Clone(rows)
	slices.Reverse(rows)
	return Listing[P]{Rows: rows, Position: positionOf[P], Descending: true, Keep: keep}
}

func positionOf[P store.Row](row P) Position { return Position{Seq: row.Head().Seq} }

// Create stores a new row and shows it.
func Create[P store.Row](c *Call, t *store.Table[P], row P, view View[P]) *Reply {
	if no := c.Write(t.Add(row)); no != nil {
		return no
	}
	return Created(view(c, row))
}

// Change stores a copy of the row that how has changed, unless that refuses, and
// answers with it.
func Change[T any, P store.RowOf[T]](c *Call, t *store.Table[P], row P, how func(P) *Reply, answer func(P) *Reply) *Reply {
	copied := *row
	changed := P(&copied)
	changed.Head().Updated = c.Now.Truncate(time.Second)
	if no := how(changed); no != nil {
		return no
	}
	if no := c.Write(t.Set(changed)); no != nil {
		return no
	}
	return answer(changed)
}

// Update serves a change of the row that find finds.
func Update[T any, P store.RowOf[T]](kind func(*Call) *store.Table[P], find Finder[T], how func(*Call, P) *Reply, view View[P]) func(*Call) *Reply {
	return func(c *Call) *Reply {
		row := find(c)
		if row == nil {
			return c.NotFound()
		}
		return Change(c, kind(c), P(row), func(p P) *Reply { return how(c, p) }, func(p P) *Reply { return OK(view(c, p)) })
	}
}

// Delete forgets a row.
func Delete[P store.Row](c *Call, t *store.Table[P], row P) *Reply {
	if no := c.Write(t.Remove(row)); no != nil {
		return no
	}
	return NoContent()
}

// Write makes changes to the store, all or none. An answer says that it could
// not.
func (c *Call) Write(changes ...store.Change) *Reply {
	if err := c.Store.Write(changes...); err != nil {
		c.e.log.Error("cannot write the data file", "error", err)
		return Refuse(http.StatusInternalServerError, codeInternal, "An internal server error has occurred")
	}
	return nil
}

// New begins a new thing, whose SID starts with kind.
func (c *Call) New(kind string) store.Object { return c.Store.Next(kind, c.Now) }

// View is the part that all rows have. links are below the row's own URL.
func (c *Call) View(o store.Object, at string, more map[string]any, links map[string]string) map[string]any {
	v := map[string]any{
		"sid": o.SID, "account_sid": c.Account.SID, "url": at,
		"date_created": Stamp(o.Created), "date_updated": Stamp(o.Updated),
	}
	for name, value := range more {
		v[name] = value
	}
	if links != nil {
		full := map[string]string{}
		for name, below := range links {
			full[name] = at + below
		}
		v["links"] = full
	}
	return v
}

// Unchanging is the View of what never changes, and has no date of it.
func (c *Call) Unchanging(o store.Object, at string, more map[string]any, links map[string]string) map[string]any {
	v := c.View(o, at, more, links)
	delete(v, "date_updated")
	return v
}

// Required returns a form field that has to be there.
func (c *Call) Required(name string) (string, *Reply) {
	value, _ := c.Filled(name)
	if value == "" {
		return "", Invalid("Missing required parameter %s", name)
	}
	return value, nil
}

// FriendlyName returns the field of that name, of at most max characters.
func (c *Call) FriendlyName(max int) (string, *Reply) {
	name, _ := c.Filled("FriendlyName")
	if name == "" || utf8.RuneCountInString(name) > max {
		return "", Invalid("FriendlyName is missing or longer than %d characters", max)
	}
	return name, nil
}

// UniqueName returns the field of that name, of at most max letters, digits,
// hyphens and underscores.
func (c *Call) UniqueName(max int) (string, *Reply) {
	name, _ := c.Filled("UniqueName")
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if name == "" || len(name) > max || !strings.Contains(letters, name[:1]) || strings.Trim(name, letters+"_-") != "" {
		return "", Invalid("Invalid UniqueName %q", name)
	}
	return name, nil
}

// Flag returns a boolean field, otherwise when it is absent.
func (c *Call) Flag(name string, otherwise bool) (bool, *Reply) {
	text, given := c.Filled(name)
	if !given {
		return otherwise, nil
	}
	on, ok := ParseBool(text)
	if !ok {
		return false, Invalid("Invalid %s %q", name, text)
	}
	return on, nil
}

// ParseBool reads true and false in any case.
func ParseBool(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}
