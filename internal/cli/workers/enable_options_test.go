package workers

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/workers"
)

func newEnableCmd(app *cli.App, runF func(context.Context, *setOptions) error) *cobra.Command {
	return newSet(app, true, runF)
}

func newDisableCmd(app *cli.App, runF func(context.Context, *setOptions) error) *cobra.Command {
	return newSet(app, false, runF)
}

func TestSetOptions(t *testing.T) {
	base := func(change func(*setOptions)) setOptions {
		o := setOptions{Enable: true, Concurrency: workers.DefaultConcurrency, selectOptions: selectOptions{Workers: []string{}}}
		change(&o)
		return o
	}
	for line, want := range map[string]setOptions{
		"--all":                       base(func(o *setOptions) { o.All = true }),
		"alice bob --yes":             base(func(o *setOptions) { o.Workers, o.Yes = []string{"alice", "bob"}, true }),
		"--filter a==1 --dry-run":     base(func(o *setOptions) { o.Filter, o.DryRun = "a==1", true }),
		"--from - --concurrency 7":    base(func(o *setOptions) { o.From, o.Concurrency = "-", 7 }),
		"--all --dry-run --exit-code": base(func(o *setOptions) { o.All, o.DryRun, o.ExitCode = true, true, true }),
		"--all --workspace WS1":       base(func(o *setOptions) { o.All, o.Workspace = true, "WS1" }),
	} {
		got, err := clitest.Parsed(t, newEnableCmd, line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got.App = nil
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%q: %+v, want %+v", line, *got, want)
		}
	}
	got, err := clitest.Parsed(t, newDisableCmd, "alice --reset-contact-uri")
	if err != nil || got.Enable || !got.ResetContactURI {
		t.Errorf("disable: %+v, %v", got, err)
	}
}

func TestSetOptionsThatAreRefused(t *testing.T) {
	for line, want := range map[string]string{
		"":                          "no workers selected",
		"--dry-run":                 "no workers selected",
		"alice --all":               "names and --all cannot be combined",
		"--all --filter x --from -": "--all and --filter and --from cannot be combined",
		"--all --exit-code":         "--exit-code requires --dry-run",
		"--all --concurrency 0":     "--concurrency 0 is not between 1 and 1000",
		"--all --reset-contact-uri": "unknown flag: --reset-contact-uri",
	} {
		_, err := clitest.Parsed(t, newEnableCmd, line)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
		if !strings.Contains(want, "unknown flag") && !errors.As(err, new(cli.UsageError)) {
			t.Errorf("%q: %v is no usage error", line, err)
		}
	}
}

func TestListAndShowOptions(t *testing.T) {
	list, err := clitest.Parsed(t, newList, "--filter x --workspace WS1 --concurrency 3")
	if err != nil || list.Filter != "x" || list.Workspace != "WS1" || list.Concurrency != 3 {
		t.Errorf("%+v, %v", list, err)
	}
	if all, err := clitest.Parsed(t, newList, ""); err != nil {
		t.Error(err)
	} else if s, err := all.selection(nil); err != nil || !s.All {
		t.Errorf("without a selection it lists %+v, %v", s, err)
	}
	if show, err := clitest.Parsed(t, newShow, "alice"); err != nil || show.Worker != "alice" {
		t.Errorf("%+v, %v", show, err)
	}
	if _, err := clitest.Parsed(t, newShow, "alice bob"); err == nil {
		t.Error("two workers are shown")
	}
}

func TestSelectionIsRemembered(t *testing.T) {
	for want, o := range map[string]selectOptions{
		"--all":             {All: true},
		"--filter a == 'b'": {Filter: "a == 'b'"},
		"--from pilot.csv":  {From: "pilot.csv"},
		"a b":               {Workers: []string{"a", "b"}},
		"a b c and 2 more":  {Workers: []string{"a", "b", "c", "d", "e"}},
	} {
		if got := o.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
