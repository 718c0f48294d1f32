package workers

import (
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// A run's name is the second it started in, as six digits of Crockford's base
// 32: short enough to type, without letters that look like digits, and sorted
// by time until 2058. https://www.crockford.com/base32.html
const (
	idDigits   = 6
	idAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

var idEpoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func idNumber(t time.Time) uint64 { return uint64(max(t.Sub(idEpoch)/time.Second, 0)) }

func formatID(n uint64) string {
	id := make([]byte, idDigits)
	for i := idDigits - 1; i >= 0; i-- {
		id[i] = idAlphabet[n%32]
		n /= 32
	}
	return string(id)
}

// ParseRunID returns the run's name as flexvc writes it: lower case is fine, and
// O, I and L are read as the digits they look like.
func ParseRunID(text string) (string, error) {
	id := strings.NewReplacer("O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(strings.TrimSpace(text)))
	if len(id) != idDigits || strings.Trim(id, idAlphabet) != "" {
		return "", problem.New(problem.RunNotFound, "%q is not a run name", text).
			WithHint("list runs: flexvc runs list")
	}
	return id, nil
}
