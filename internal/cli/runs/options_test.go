package runs

import (
	"errors"
	"testing"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
)

func TestRunsOptions(t *testing.T) {
	resume, err := clitest.Parsed(t, newResume, "01J8X4 --retry-failed --concurrency 2")
	if err != nil || resume.Run != "01J8X4" || !resume.RetryFailed || resume.Concurrency != 2 {
		t.Errorf("%+v, %v", resume, err)
	}
	resume, err = clitest.Parsed(t, newResume, "01J8X4 --dry-run --exit-code")
	if err != nil || !resume.DryRun || !resume.ExitCode || resume.Yes {
		t.Errorf("%+v, %v", resume, err)
	}
	if _, err := clitest.Parsed(t, newResume, "01J8X4 --exit-code"); err == nil {
		t.Error("resume --exit-code alone is accepted")
	}
	rollback, err := clitest.Parsed(t, newRollback, "01J8X4 --dry-run --exit-code --workspace WS1")
	if err != nil || rollback.Run != "01J8X4" || !rollback.DryRun || !rollback.ExitCode || rollback.Yes || rollback.Workspace != "WS1" {
		t.Errorf("%+v, %v", rollback, err)
	}
	if _, err := clitest.Parsed(t, newRollback, "01J8X4 --exit-code"); err == nil {
		t.Error("--exit-code alone is accepted")
	}
	if show, err := clitest.Parsed(t, newShow, "01J8X4"); err != nil || show.Run != "01J8X4" {
		t.Errorf("%+v, %v", show, err)
	}
	for _, line := range []string{"", "a b"} {
		if _, err := clitest.Parsed(t, newResume, line); !errors.As(err, new(cli.UsageError)) {
			t.Errorf("resume %q: %v, want a usage error", line, err)
		}
	}
}
