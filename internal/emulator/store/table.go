package store

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// Object is what everything stored by SID has. A row embeds it.
type Object struct {
	SID     string    `json:"sid"`
	Seq     uint64    `json:"seq"` // rises with age, over all kinds
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

// Head returns the object itself, for code that knows a row by nothing else.
func (o *Object) Head() *Object { return o }

// Row is a pointer to a struct that embeds Object. What it points to is never
// changed once it is in a table.
type Row interface{ Head() *Object }

// RowOf is a Row of one type, for code that copies rows.
type RowOf[T any] interface {
	*T
	Row
}

// Table holds the rows of one kind, oldest first.
type Table[P Row] struct {
	kind string
	make func() P
	rows []P
}

func newTable[T any, P RowOf[T]](kind string) *Table[P] {
	return &Table[P]{kind: kind, make: func() P { return new(T) }}
}

// Rows returns the rows, oldest first. The caller changes none of them.
func (t *Table[P]) Rows() []P { return t.rows }

// Find returns the row of that SID, or nil.
func (t *Table[P]) Find(sid string) (row P) {
	for _, row := range t.rows {
		if row.Head().SID == sid {
			return row
		}
	}
	return row
}

// Add puts a new row behind the others.
func (t *Table[P]) Add(row P) Change {
	return Change{id: t.id(row), value: row, apply: func() { t.rows = append(t.rows, row) }}
}

// Set replaces the row of the same SID.
func (t *Table[P]) Set(row P) Change {
	return Change{id: t.id(row), value: row, apply: func() {
		t.rows = slices.Clone(t.rows) // readers may still walk the old list
		t.rows[t.index(row)] = row
	}}
}

// Remove takes the row out.
func (t *Table[P]) Remove(row P) Change {
	return Change{id: t.id(row), apply: func() {
		at := t.index(row)
		t.rows = slices.Delete(slices.Clone(t.rows), at, at+1)
	}}
}

func (t *Table[P]) id(row P) string { return t.kind + "/" + row.Head().SID }

func (t *Table[P]) index(row P) int {
	at, _ := slices.BinarySearchFunc(t.rows, row.Head().Seq, func(x P, seq uint64) int { return cmp.Compare(x.Head().Seq, seq) })
	return at
}

func (t *Table[P]) read(data []byte) error {
	row := t.make()
	if err := json.Unmarshal(data, row); err != nil {
		return err
	}
	t.rows = append(t.rows, row)
	return nil
}

// sort puts what was read back into the order in which it was made.
func (t *Table[P]) sort() {
	slices.SortFunc(t.rows, func(a, b P) int { return cmp.Compare(a.Head().Seq, b.Head().Seq) })
}

func (t *Table[P]) records() (all []record) {
	for _, row := range t.rows {
		all = append(all, record{t.id(row), row})
	}
	return all
}

// A Kind names the records of a product. A product declares its kinds once, and
// finds the table of one in each store.
type Kind[P Row] struct {
	name string
	make func() *Table[P]
}

// NewKind declares the kind of T, which embeds Object. The name is that of its
// records in the data file.
func NewKind[T any, P RowOf[T]](name string) Kind[P] {
	return Kind[P]{name, func() *Table[P] { return newTable[T, P](name) }}
}

// In returns the table of the kind. The caller holds the store's lock.
func (k Kind[P]) In(s *Store) *Table[P] { return s.tables[k.name].(*Table[P]) }

func (k Kind[P]) table() (string, anyTable) { return k.name, k.make() }

// AnyKind is a Kind, whatever its rows are.
type AnyKind interface{ table() (string, anyTable) }

type anyTable interface {
	read(data []byte) error
	sort()
}
