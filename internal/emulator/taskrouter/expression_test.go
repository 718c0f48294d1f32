package taskrouter

import (
	"encoding/json"
	"strings"
	"testing"
)

const expressionDocument = `{
  "yes": true, "no": false, "null": null, "n": 5, "f": 5.10, "big": 12345678901234567890, "s": "support", "empty": "",
  "list": ["a", "b", 3, true], "none": [], "object": {"array": ["a", "b", "c"], "attr": "bar", "list": [{"x": 1}]}, "in_use": 1, "ключ": "v"
}`

func parsedDocument(t testing.TB, text string) document {
	t.Helper()
	var doc map[string]any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return func(key string) any { return doc[key] }
}

func TestExpressionsMatchAsDocumented(t *testing.T) {
	doc := parsedDocument(t, expressionDocument)
	for text, want := range map[string]bool{
		`1 == 1`: true, `0 != 1`: true, `"apple" != "orange"`: true, `n > 1`: true, `object.attr != "apple"`: true,
		`s IN ["en", "support"]`: true, `(yes == true) OR (no == true)`: true, `(s == "en" OR s == 'support') AND f >= 5.1`: true,

		`yes == true`: true, `yes = true`: true, `yes == false`: false, `no == false`: true, `YES == true`: false,
		`n == 5`: true, `n == 5.0`: true, `n == "5"`: false, `n != "5"`: true, `f == 5.1`: true, `5 = n`: true, `.5 < 1`: true,
		`big == 12345678901234567890`: true, `big == 12345678901234567891`: false, `big < 12345678901234567891`: true,
		`n >= 5`: true, `n > 5`: false, `n <= 5`: true, `n < 5`: false, `s > "sales"`: true, `s < 5`: false, `yes > false`: false,
		`s CONTAINS "port"`: true, `s contains 'PORT'`: false, `s CONTAINS ""`: true, `n CONTAINS "5"`: false, `empty == ""`: true,

		`list HAS "a"`: true, `list HAS 3`: true, `list HAS 3.0`: true, `list HAS true`: true, `list HAS "z"`: false, `none HAS "a"`: false,
		`s HAS "support"`: false, `"a" IN list`: true, `s IN "support"`: false, `s NOT IN ["x"]`: true, `s not in ["support"]`: false, `s IN []`: false, `s NOT IN []`: true,
		`s IN [empty, s]`: true, `s NOT IN "support"`: false, `list IN ["a"]`: false, `list == "a"`: false, `list != "a"`: false, `list CONTAINS "a"`: false, `list == list`: false,
		`["a", "b"] HAS "b"`: true, `object == "x"`: false, `object != "x"`: false,

		`object.array[2] == "c"`: true, `object.array[3] == "c"`: false, `object.array.x == "c"`: false, `object.list[0].x == 1`: true, `s.x == 1`: false, `s[0] == "s"`: false,
		`object.array HAS "b"`: true, `in_use == 1`: true, `ключ == "v"`: true,

		`missing == "x"`: false, `missing != "x"`: false, `missing == missing`: false, `null == null`: false, `missing NOT IN ["x"]`: false, `missing HAS "x"`: false, `null != 1`: false,

		`1 == 2 OR 1 == 1 AND 2 == 2`: true, `(1 == 2 OR 1 == 1) AND 2 == 3`: false, `1 == 1 OR 2 == 2 AND 2 == 3`: true, `1==2 or 2==2 and 3==3`: true,
		`s=='support'`: true, "\tn\n==\r5 ": true, `"it's" == "it's"`: true, `'say "hi"' == 'say "hi"'`: true, `"a-b" == "a-b"`: true,
	} {
		ex, err := parseExpression(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := ex.match(doc); got != want {
			t.Errorf("%s is %t, want %t", text, got, want)
		}
	}
}

func TestExpressionsAreRefused(t *testing.T) {
	for text, why := range map[string]string{
		``: "ends", `n`: "ends", `n ==`: "ends", `== 1`: "stands where a value", `n == 1 AND`: "ends", `AND n == 1`: "stands", `n == 1 n == 2`: "stands where the end",
		`(n == 1`: "ends", `n == 1)`: "where the end", `()`: "stands", `n === 1`: "stands", `n <> 1`: "stands", `n ! 1`: "not part", `n & 1`: "not part",
		`team-lead == 1`: "hyphens", `n > -1`: "hyphens", `s == "open`: "not closed", `s == 'open"`: "not closed", `1.2.3 == 1`: "no number",
		`a. == 1`: "where a name", `a[ == 1`: "an index", `a[x] == 1`: "an index", `a[1 == 1`: `where "]"`, `a[1.5] == 1`: "an index", `a..b == 1`: "where a name",
		`s IN [`: "ends", `s IN ["a" "b"]`: `"," or "]"`, `s IN ["a",]`: "a value", `s NOT HAS "a"`: "an operator", `NOT s == 1`: "a value", `s IS NULL`: "an operator", `true`: "ends",
		strings.Repeat("(", 200) + "1==1" + strings.Repeat(")", 200): "deeply", "s IN " + strings.Repeat("[", 200): "deeply",
	} {
		if _, err := parseExpression(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: the error is %v, want one with %q", text, err, why)
		}
	}
}

func FuzzExpression(f *testing.F) {
	for _, seed := range []string{`a == 1`, `(a.b[2] HAS "x") OR c NOT IN ['1', 2.5, true]`, `a CONTAINS "\"`, `((`, `a = .1e5`, "\xff == 1", `a == 99999999999999999999999`} {
		f.Add(seed)
	}
	doc := parsedDocument(f, expressionDocument)
	f.Fuzz(func(t *testing.T, text string) {
		ex, err := parseExpression(text)
		if err != nil {
			if ex != nil || err.Error() == "" {
				t.Errorf("%q: %v with the error %q", text, ex, err)
			}
			return
		}
		// What matches once matches in parentheses, alone, and with itself.
		want := ex.match(doc)
		for _, same := range []string{"(" + text + ")", text + " OR 1 == 2", "(" + text + ") AND 1 == 1"} {
			again, err := parseExpression(same)
			if err != nil {
				if !strings.Contains(err.Error(), "deeply") { // the parentheses may have been one level too many
					t.Errorf("%q is refused: %v", same, err)
				}
				continue
			}
			if got := again.match(doc); got != want {
				t.Errorf("%q is %t, %q is %t", text, want, same, got)
			}
		}
	})
}
