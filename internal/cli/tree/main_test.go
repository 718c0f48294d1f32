package tree

import (
	"testing"

	"github.com/flexvc/flexvc/internal/cli/clitest"
)

func TestMain(m *testing.M) { clitest.Main(m, Main) }
