package problem

import "strings"

// Nearest returns the known name that name is a likely misspelling of, or "" when
// there is none: at most two edits away, as cobra has it for commands, and no
// more than one for every three letters, since any two short words are near each
// other. An edit is a letter too many, too few, or another, or two that have
// changed places. Upper and lower case are the same.
func Nearest(name string, known []string) string {
	word := []rune(strings.ToLower(name))
	best, least := "", min(max(len(word)/3, 1), 2)+1
	for _, k := range known {
		if d := edits(word, []rune(strings.ToLower(k)), least); d < least && d < len(word) {
			best, least = k, d
		}
	}
	return best
}

// edits is the Damerau-Levenshtein distance of a and b, in which no letter is
// edited twice, or limit when their lengths alone say that it is at least that.
func edits(a, b []rune, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		before, above, row = above, row, before
		row[0] = i + 1
		for j := range b {
			change := above[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
