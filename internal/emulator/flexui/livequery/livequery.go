// Package livequery reads the queries that Flex UI has Sync answer about workers
// and reservations. What there is to ask for belongs to package flexui, and
// TaskRouter's expressions to package taskrouter.
package livequery

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// tokens are the tokens of a live query: data.worker_sid == "WK" AND (...).
var tokens = regexp.MustCompile(`\s*(?:(==|!=|&&|\|\||[()\[\],])|("(?:[^"\\]|\\.)*")|([\w.-]+))`)

// object is a JSON object: a row.
type object = map[string]any

// query is a live query on its way through the parser.
type query struct{ tokens []string }

// Parse reads a live query as Flex writes them: ==, !=, IN, NOT_IN and
// CONTAINS, joined with AND and OR. An empty one is true of every row.
func Parse(text string) (func(row object) bool, error) {
	q := &query{}
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		at := tokens.FindStringIndex(rest)
		if at == nil || at[0] != 0 {
			return nil, fmt.Errorf("the query is not understood at %q", rest)
		}
		q.tokens = append(q.tokens, strings.TrimSpace(rest[:at[1]]))
		rest = rest[at[1]:]
	}
	if len(q.tokens) == 0 {
		return func(object) bool { return true }, nil
	}
	is, err := q.either()
	if err == nil && len(q.tokens) > 0 {
		err = fmt.Errorf("the query is not understood at %q", q.tokens[0])
	}
	return is, err
}

func (q *query) next(any ...string) (string, bool) {
	if len(q.tokens) == 0 || len(any) > 0 && !slices.ContainsFunc(any, func(s string) bool { return strings.EqualFold(s, q.tokens[0]) }) {
		return "", false
	}
	token := q.tokens[0]
	q.tokens = q.tokens[1:]
	return token, true
}

func (q *query) either() (func(object) bool, error) {
	left, err := q.both()
	for err == nil {
		if _, or := q.next("OR", "||"); !or {
			break
		}
		a := left
		var b func(object) bool
		b, err = q.both()
		left = func(row object) bool { return a(row) || b(row) }
	}
	return left, err
}

func (q *query) both() (func(object) bool, error) {
	left, err := q.term()
	for err == nil {
		if _, and := q.next("AND", "&&"); !and {
			break
		}
		a := left
		var b func(object) bool
		b, err = q.term()
		left = func(row object) bool { return a(row) && b(row) }
	}
	return left, err
}

func (q *query) term() (func(object) bool, error) {
	if _, open := q.next("("); open {
		inner, err := q.either()
		if _, closed := q.next(")"); err == nil && !closed {
			err = fmt.Errorf("the query lacks a bracket")
		}
		return inner, err
	}
	name, _ := q.next()
	path, ok := strings.CutPrefix(name, "data.")
	if !ok {
		return nil, fmt.Errorf("the query is not understood at %q", name)
	}
	operator, ok := q.next("==", "!=", "IN", "NOT_IN", "CONTAINS")
	if !ok {
		return nil, fmt.Errorf("the query has no operator behind %q", name)
	}
	values, err := q.values()
	return func(row object) bool {
		has := slices.ContainsFunc(values, func(v string) bool { return matches(operator, field(row, path), v) })
		return has != (operator == "!=" || strings.EqualFold(operator, "NOT_IN"))
	}, err
}

// values are one literal, or several in brackets.
func (q *query) values() ([]string, error) {
	if _, list := q.next("["); !list {
		literal, _ := q.next()
		v, err := value(literal)
		return []string{v}, err
	}
	var all []string
	for {
		literal, there := q.next()
		if !there {
			return nil, fmt.Errorf("the query lacks a bracket")
		}
		switch literal {
		case "]":
			return all, nil
		case ",":
			continue
		}
		v, err := value(literal)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
}

func value(literal string) (string, error) {
	if literal == "" {
		return "", fmt.Errorf("the query ends before it is complete")
	}
	if !strings.HasPrefix(literal, `"`) {
		return literal, nil
	}
	var text string
	err := json.Unmarshal([]byte(literal), &text)
	return text, err
}

func matches(operator string, field any, wanted string) bool {
	if strings.EqualFold(operator, "CONTAINS") {
		return strings.Contains(strings.ToLower(fmt.Sprint(field)), strings.ToLower(wanted))
	}
	return field != nil && fmt.Sprint(field) == wanted
}

// field is what a row has under a path such as attributes.full_name.
func field(row object, path string) any {
	var at any = row
	for name := range strings.SplitSeq(path, ".") {
		inner, ok := at.(object)
		if !ok {
			return nil
		}
		at = inner[name]
	}
	return at
}
