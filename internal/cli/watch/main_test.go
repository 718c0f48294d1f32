package watch_test

import (
	"testing"

	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/cli/tree"
)

func TestMain(m *testing.M) { clitest.Main(m, tree.Main) }
