package taskrouter

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// expression is a parsed TargetWorkersExpression.
// https://www.twilio.com/docs/taskrouter/expression-syntax
//
//	expression = term { OR term }
//	term       = factor { AND factor }
//	factor     = "(" expression ")" | operand operator operand
//	operator   = "==" | "=" | "!=" | ">" | ">=" | "<" | "<=" | CONTAINS | HAS | IN | NOT IN
//	operand    = string | number | true | false | key | "[" [ operand { "," operand } ] "]"
//	key        = name { "." name | "[" digits "]" }
//
// Words are upper or lower case. Strings know no escapes, numbers and names no
// hyphens: Twilio documents none.
type expression interface {
	match(doc document) bool
}

// document returns the value of a top-level key: nil, bool, string,
// json.Number, []any or map[string]any.
type document func(key string) any

type (
	anyOf      []expression
	allOf      []expression
	comparison struct {
		operator    string
		left, right operand
	}
)

func (x anyOf) match(doc document) bool {
	for _, term := range x {
		if term.match(doc) {
			return true
		}
	}
	return false
}

func (x allOf) match(doc document) bool {
	for _, factor := range x {
		if !factor.match(doc) {
			return false
		}
	}
	return true
}

// match compares two values. NULL, which a missing key is, compares false with
// everything and under every operator; so do an array under a scalar operator
// and two scalars under an array operator.
func (x comparison) match(doc document) bool {
	left, right := x.left.value(doc), x.right.value(doc)
	if left == nil || right == nil {
		return false
	}
	leftList, leftIsList := left.([]any)
	rightList, rightIsList := right.([]any)
	switch x.operator {
	case "HAS":
		return leftIsList && !rightIsList && has(leftList, right)
	case "IN":
		return rightIsList && !leftIsList && has(rightList, left)
	case "NOT IN":
		return rightIsList && !leftIsList && !has(rightList, left)
	}
	if !scalar(left) || !scalar(right) {
		return false
	}
	switch x.operator {
	case "==":
		return equal(left, right)
	case "!=":
		return !equal(left, right)
	case "CONTAINS":
		whole, ok1 := left.(string)
		part, ok2 := right.(string)
		return ok1 && ok2 && strings.Contains(whole, part)
	}
	n, ok := compare(left, right)
	if !ok {
		return false
	}
	switch x.operator {
	case "<":
		return n < 0
	case "<=":
		return n <= 0
	case ">":
		return n > 0
	default: // >=, as the parser lets nothing else through
		return n >= 0
	}
}

func scalar(v any) bool {
	switch v.(type) {
	case string, bool, json.Number:
		return true
	}
	return false
}

func has(list []any, v any) bool {
	for _, element := range list {
		if scalar(element) && scalar(v) && equal(element, v) {
			return true
		}
	}
	return false
}

func equal(a, b any) bool {
	if x, ok := a.(bool); ok {
		y, ok := b.(bool)
		return ok && x == y
	}
	n, ok := compare(a, b)
	return ok && n == 0
}

// compare orders two numbers or two strings; other pairs have no order.
func compare(a, b any) (int, bool) {
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		return strings.Compare(x, y), ok
	case json.Number:
		y, ok := b.(json.Number)
		if !ok {
			return 0, false
		}
		p, ok1 := number(x)
		q, ok2 := number(y)
		if !ok1 || !ok2 {
			return 0, false
		}
		return p.Cmp(q), true
	}
	return 0, false
}

// number keeps 200 bits, enough for every integer people put in attributes, and
// unlike a fraction it stays small for 1e999999999.
func number(n json.Number) (*big.Float, bool) {
	f, _, err := big.ParseFloat(n.String(), 10, 200, big.ToNearestEven)
	return f, err == nil
}

// operand is a constant, a list of operands, or a key and the path below it.
type operand struct {
	constant any
	list     []operand
	key      string
	path     []any // string or int
}

func (o operand) value(doc document) any {
	switch {
	case o.list != nil:
		values := make([]any, len(o.list))
		for i, element := range o.list {
			values[i] = element.value(doc)
		}
		return values
	case o.constant != nil:
		return o.constant
	}
	v := doc(o.key)
	for _, step := range o.path {
		switch step := step.(type) {
		case string:
			object, ok := v.(map[string]any)
			if !ok {
				return nil
			}
			v = object[step]
		case int:
			list, ok := v.([]any)
			if !ok || step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}

// maxDepth bounds the parser's recursion.
const maxDepth = 100

func parseExpression(text string) (expression, error) {
	p := &parser{rest: text}
	p.advance()
	x, err := p.expression(0)
	switch {
	case p.err != nil:
		return nil, p.err
	case err != nil:
		return nil, err
	case p.kind != lexEnd:
		return nil, p.unexpected("the end")
	}
	return x, nil
}

type lexeme int

const (
	lexEnd    lexeme = iota
	lexWord          // a name, a keyword, true or false
	lexText          // a quoted string
	lexDigits        // a number
	lexSymbol
)

// parser is a recursive descent over one token of lookahead.
type parser struct {
	rest string
	kind lexeme
	tok  string // the token's text; of a string without its quotes
	err  error  // of the lexer
}

func (p *parser) unexpected(want string) error {
	if p.err != nil {
		return p.err
	}
	if p.kind == lexEnd {
		return fmt.Errorf("it ends where %s should be", want)
	}
	return fmt.Errorf("%q stands where %s should be", p.tok, want)
}

func startsName(r rune) bool { return r == '_' || unicode.IsLetter(r) }
func inName(r rune) bool     { return startsName(r) || unicode.IsDigit(r) }

func (p *parser) advance() {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	take := func(kind lexeme, n int) {
		p.kind, p.tok, p.rest = kind, p.rest[:n], p.rest[n:]
	}
	if p.rest == "" {
		take(lexEnd, 0)
		return
	}
	r, _ := utf8.DecodeRuneInString(p.rest)
	switch {
	case startsName(r):
		take(lexWord, prefix(p.rest, inName))
	case r == '\'' || r == '"':
		n := strings.IndexRune(p.rest[1:], r)
		if n < 0 {
			p.fail(errors.New("a string is not closed"))
			return
		}
		p.kind, p.tok, p.rest = lexText, p.rest[1:1+n], p.rest[n+2:]
	case r >= '0' && r <= '9' || r == '.' && len(p.rest) > 1 && p.rest[1] >= '0' && p.rest[1] <= '9':
		n := prefix(p.rest, func(r rune) bool { return r == '.' || r >= '0' && r <= '9' })
		if strings.Count(p.rest[:n], ".") > 1 {
			p.fail(fmt.Errorf("%q is no number", p.rest[:n]))
			return
		}
		take(lexDigits, n)
	default:
		for _, s := range []string{"==", "!=", ">=", "<=", "=", ">", "<", "(", ")", "[", "]", ",", "."} {
			if strings.HasPrefix(p.rest, s) {
				take(lexSymbol, len(s))
				return
			}
		}
		if r == '-' {
			p.fail(errors.New("hyphens are not supported"))
			return
		}
		p.fail(fmt.Errorf("%q is not part of the syntax", r))
	}
}

// fail makes every later look at the token an error.
func (p *parser) fail(err error) {
	p.kind, p.tok, p.rest, p.err = lexEnd, "", "", err
}

func prefix(s string, in func(rune) bool) int {
	if n := strings.IndexFunc(s, func(r rune) bool { return !in(r) }); n >= 0 {
		return n
	}
	return len(s)
}

func (p *parser) at(s string) bool { return p.kind == lexSymbol && p.tok == s }

func (p *parser) atWord(s string) bool { return p.kind == lexWord && strings.EqualFold(p.tok, s) }

func (p *parser) expression(depth int) (expression, error) {
	var terms anyOf
	for {
		term, err := p.term(depth)
		if err != nil {
			return nil, err
		}
		terms = append(terms, term)
		if !p.atWord("OR") {
			return terms, nil
		}
		p.advance()
	}
}

func (p *parser) term(depth int) (expression, error) {
	var factors allOf
	for {
		factor, err := p.factor(depth)
		if err != nil {
			return nil, err
		}
		factors = append(factors, factor)
		if !p.atWord("AND") {
			return factors, nil
		}
		p.advance()
	}
}

func (p *parser) factor(depth int) (expression, error) {
	if depth > maxDepth {
		return nil, errors.New("it is nested too deeply")
	}
	if p.at("(") {
		p.advance()
		x, err := p.expression(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.at(")") {
			return nil, p.unexpected(`")"`)
		}
		p.advance()
		return x, nil
	}
	left, err := p.operand(depth)
	if err != nil {
		return nil, err
	}
	operator, err := p.operator()
	if err != nil {
		return nil, err
	}
	right, err := p.operand(depth)
	if err != nil {
		return nil, err
	}
	return comparison{operator, left, right}, nil
}

func (p *parser) operator() (string, error) {
	if p.kind == lexSymbol {
		switch s := p.tok; s {
		case "=", "==":
			p.advance()
			return "==", nil
		case "!=", "<", "<=", ">", ">=":
			p.advance()
			return s, nil
		}
	}
	for _, s := range []string{"CONTAINS", "HAS", "IN"} {
		if p.atWord(s) {
			p.advance()
			return s, nil
		}
	}
	if p.atWord("NOT") {
		p.advance()
		if p.atWord("IN") {
			p.advance()
			return "NOT IN", nil
		}
	}
	return "", p.unexpected("an operator")
}

func (p *parser) operand(depth int) (operand, error) {
	if depth > maxDepth {
		return operand{}, errors.New("it is nested too deeply")
	}
	switch {
	case p.kind == lexText:
		o := operand{constant: p.tok}
		p.advance()
		return o, nil
	case p.kind == lexDigits:
		o := operand{constant: json.Number(p.tok)}
		p.advance()
		return o, nil
	case p.atWord("true"), p.atWord("false"):
		o := operand{constant: strings.EqualFold(p.tok, "true")}
		p.advance()
		return o, nil
	case p.at("["):
		return p.list(depth)
	case p.kind == lexWord:
		return p.key()
	}
	return operand{}, p.unexpected("a value or a key")
}

func (p *parser) list(depth int) (operand, error) {
	o := operand{list: []operand{}}
	p.advance()
	for !p.at("]") {
		if len(o.list) > 0 {
			if !p.at(",") {
				return o, p.unexpected(`"," or "]"`)
			}
			p.advance()
		}
		element, err := p.operand(depth + 1)
		if err != nil {
			return o, err
		}
		o.list = append(o.list, element)
	}
	p.advance()
	return o, nil
}

func (p *parser) key() (operand, error) {
	for _, s := range []string{"AND", "OR", "NOT", "IN", "HAS", "CONTAINS"} {
		if p.atWord(s) {
			return operand{}, p.unexpected("a value or a key")
		}
	}
	o := operand{key: p.tok}
	p.advance()
	for {
		switch {
		case p.at("."):
			p.advance()
			if p.kind != lexWord {
				return o, p.unexpected("a name")
			}
			o.path = append(o.path, p.tok)
			p.advance()
		case p.at("["):
			p.advance()
			n, err := strconv.Atoi(p.tok)
			if p.kind != lexDigits || err != nil {
				return o, p.unexpected("an index")
			}
			p.advance()
			if !p.at("]") {
				return o, p.unexpected(`"]"`)
			}
			o.path = append(o.path, n)
			p.advance()
		default:
			return o, nil
		}
	}
}
