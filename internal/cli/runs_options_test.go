package cli

import (
	"errors"
	"testing"
)

func TestRunsOptions(t *testing.T) {
	resume, err := parsed(t, newRunsResumeCmd, "01J8X4 --retry-failed --concurrency 2")
	if err != nil || resume.Run != "01J8X4" || !resume.RetryFailed || resume.Concurrency != 2 {
		t.Errorf("%+v, %v", resume, err)
	}
	rollback, err := parsed(t, newRunsRollbackCmd, "01J8X4 --dry-run --exit-code --workspace WS1")
	if err != nil || rollback.Run != "01J8X4" || !rollback.DryRun || !rollback.ExitCode || rollback.Yes || rollback.Workspace != "WS1" {
		t.Errorf("%+v, %v", rollback, err)
	}
	if _, err := parsed(t, newRunsRollbackCmd, "01J8X4 --exit-code"); err == nil {
		t.Error("--exit-code alone is accepted")
	}
	if show, err := parsed(t, newRunsShowCmd, "01J8X4"); err != nil || show.Run != "01J8X4" {
		t.Errorf("%+v, %v", show, err)
	}
	for _, line := range []string{"", "a b"} {
		if _, err := parsed(t, newRunsResumeCmd, line); !errors.As(err, new(usageError)) {
			t.Errorf("resume %q: %v, want a usage error", line, err)
		}
	}
}
