package tui

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
)

// Filter selects rows: every term has to match. The zero value selects all.
//
//	state:drift,stale           a field that is one of these, whatever the case
//	name~smith                  a field that contains this
//	activity:"Voice Client …"   quotes keep spaces together
//	-state:ok                   not
//	drift, smith                a state by its word, else a part of the name
type Filter struct {
	text  string
	terms []term
}

type term struct {
	field    string
	contains bool
	not      bool
	values   []string // lower case
}

var fields = map[string]func(fleet.Row) string{
	"name":     func(r fleet.Row) string { return r.Name },
	"state":    func(r fleet.Row) string { return string(r.State) },
	"activity": func(r fleet.Row) string { return r.ActivityName },
	"uri":      func(r fleet.Row) string { return r.Facts.ContactURI },
	"flag":     func(r fleet.Row) string { return string(r.Facts.Flag) },
	"sid":      func(r fleet.Row) string { return r.SID },
}

// ParseFilter reads a filter. What it does not understand is problem.Usage.
func ParseFilter(text string) (Filter, error) {
	f := Filter{text: strings.TrimSpace(text)}
	words, err := split(f.text)
	if err != nil {
		return Filter{}, err
	}
	for _, w := range words {
		t, err := parseTerm(w)
		if err != nil {
			return Filter{}, err
		}
		f.terms = append(f.terms, t)
	}
	return f, nil
}

func parseTerm(word string) (term, error) {
	whole := word
	var t term
	if rest, ok := strings.CutPrefix(word, "-"); ok && rest != "" {
		t.not, word = true, rest
	}
	at := strings.IndexAny(word, ":~")
	if at <= 0 {
		value := strings.ToLower(word)
		t.field, t.contains = "name", true
		if fleet.State(value).Meaning() != "" {
			t.field, t.contains = "state", false
		}
		t.values = []string{value}
		return t, nil
	}
	t.field, t.contains = strings.ToLower(word[:at]), word[at] == '~'
	if fields[t.field] == nil {
		return t, problem.New(problem.Usage, "invalid filter %q: unknown field %q", whole, t.field).
			WithHint("fields: name, state, activity, uri, flag, sid")
	}
	for value := range strings.SplitSeq(word[at+1:], ",") {
		if value != "" {
			t.values = append(t.values, strings.ToLower(value))
		}
	}
	if len(t.values) == 0 {
		return t, problem.New(problem.Usage, "invalid filter %q: the field has no value", whole).
			WithHint("such as state:drift or name~smith")
	}
	if t.field == "state" && !t.contains {
		for _, v := range t.values {
			if fleet.State(v).Meaning() == "" {
				return t, problem.New(problem.Usage, "invalid filter %q: unknown state %q", whole, v).
					WithHint("states: %s", stateWords())
			}
		}
	}
	return t, nil
}

func stateWords() string {
	var words []string
	for _, s := range fleet.States() {
		words = append(words, string(s))
	}
	return strings.Join(words, ", ")
}

// split cuts at spaces outside of double quotes, which it takes away.
func split(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	quoted, some := false, false
	for _, r := range text {
		switch {
		case r == '"':
			quoted, some = !quoted, true
		case unicode.IsSpace(r) && !quoted:
			if some {
				words = append(words, word.String())
			}
			word.Reset()
			some = false
		default:
			word.WriteRune(r)
			some = true
		}
	}
	if quoted {
		return nil, problem.New(problem.Usage, "invalid filter: unclosed quote").
			WithHint(`such as activity:"Voice Client Offline"`)
	}
	if some {
		words = append(words, word.String())
	}
	return words, nil
}

// Match reports whether the filter selects a row.
func (f Filter) Match(r fleet.Row) bool {
	for _, t := range f.terms {
		if t.match(r) == t.not {
			return false
		}
	}
	return true
}

func (t term) match(r fleet.Row) bool {
	text := strings.ToLower(fields[t.field](r))
	for _, v := range t.values {
		if text == v || t.contains && strings.Contains(text, v) {
			return true
		}
	}
	return false
}

// String is the filter as it was typed, "all" when it selects all.
func (f Filter) String() string {
	if len(f.terms) == 0 {
		return "all"
	}
	return f.text
}

var _ fmt.Stringer = Filter{}
