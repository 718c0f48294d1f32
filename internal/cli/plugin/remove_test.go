package plugin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/cli/accounttest"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
)

const (
	onExtension = `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_a"}`
	pending     = `{"extensionVoiceClientEnabled":true,"contact_uri":"client:b"}`
	stale       = `{"extensionVoiceClientEnabled":false,"contact_uri":"client:ext_c"}`
	onTab       = `{"extensionVoiceClientEnabled":false,"contact_uri":"client:d"}`
)

// agents is an account of workers with these attributes, where the plugin is
// released beside somebody else's.
func agents(t *testing.T, show emulator.ListAttributes, attributes ...string) *accounttest.Account {
	t.Helper()
	seed := &emulator.Seed{}
	for i, text := range attributes {
		seed.Workers = append(seed.Workers, emulator.SeedWorker{FriendlyName: string(rune('a' + i)), Attributes: emulator.Attributes(text)})
	}
	r := accounttest.New(t, emulator.Options{Seed: seed, ListAttributes: show})
	r.Theirs("theirs")
	r.Must("deploy", "--yes", "--version", "1.0.0")
	return r
}

// TestAgentsAreStrandedByARollback: only the plugin takes agents off the
// extension, so it stays while one depends on it.
func TestAgentsAreStrandedByARollback(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		workers []string
		says    string
	}{
		{"enabled and moved", []string{onExtension, onTab}, `1 worker is enabled$`},
		{"enabled, not moved", []string{pending, pending}, `2 workers are enabled$`},
		{"disabled, not moved back", []string{stale, onTab}, `1 disabled worker is still on the extension's address$`},
		{"both", []string{onExtension, pending, stale, stale, `[]`, ``}, `2 workers are enabled and 2 disabled workers are still on the extension's address$`},
	} {
		for _, show := range []emulator.ListAttributes{emulator.AttributesPresent, emulator.AttributesNull} {
			for _, command := range []string{"rollback", "remove"} {
				t.Run(strings.Join([]string{c.name, string(show), command}, ", "), func(t *testing.T) {
					t.Parallel()
					r := agents(t, show, c.workers...)
					exit, out := r.Run(command, "--yes")
					if exit != problem.ExitFailed {
						t.Errorf("exit %d", exit)
					}
					clitest.WantMatch(t, out, `error: cannot remove the plugin: `+c.says,
						`hint: flexvc -p emulator workers disable --all --reset-contact-uri, then run the command again$`)
					r.WantLoads("flexvc-voice-client 1.0.0", "theirs 0.0.1")

					clitest.WantMatch(t, r.Must(command, "--dry-run"), `warning: .*: this would be refused`, `^Plan: 0 to add, 0 to change, 1 to remove\.`)
					clitest.WantMatch(t, r.Must(command, "--dry-run", "-o", "json"), `"workers_(enabled|stale)":[12]`)
					r.WantLoads("flexvc-voice-client 1.0.0", "theirs 0.0.1")

					clitest.WantMatch(t, r.Must(command, "--yes", "--force"), `warning: .*: without the plugin their calls may go nowhere$`)
					r.WantLoads("theirs 0.0.1")
				})
			}
		}
	}
}

// TestPluginGoesWhenNobodyDependsOnIt, whatever the attributes of others say.
func TestPluginGoesWhenNobodyDependsOnIt(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"rollback", "remove"} {
		r := agents(t, emulator.AttributesNull, onTab, `{}`, `[]`, `{"contact_uri":"+15551230000"}`)
		r.Must(command, "--yes")
		r.WantLoads("theirs 0.0.1")
	}
}

// TestWorkerEnabledDuringTheQuestion: a plan may be read for an hour.
func TestWorkerEnabledDuringTheQuestion(t *testing.T) {
	t.Parallel()
	r := agents(t, emulator.AttributesPresent, onTab)
	sid := r.E.ExportWorkers()[0].SID
	lists := 0
	r.Around = func(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
		if strings.HasSuffix(req.URL.Path, "/Workers") {
			if lists++; lists == 2 {
				clitest.Check(t, r.E.Edit(sid, pending))
			}
		}
		return next()
	}
	exit, out := r.Run("remove", "--yes")
	if exit != problem.ExitFailed {
		t.Errorf("exit %d", exit)
	}
	clitest.WantMatch(t, out, `error: cannot remove the plugin: 1 worker is enabled$`)
	r.WantLoads("flexvc-voice-client 1.0.0", "theirs 0.0.1")
}

// TestRollbackToAnOlderVersionNeedsNoGuard, but removing takes out every version.
func TestRollbackToAnOlderVersionNeedsNoGuard(t *testing.T) {
	t.Parallel()
	r := agents(t, emulator.AttributesPresent, onExtension)
	r.Must("deploy", "--yes", "--version", "2.0.0")
	r.Must("rollback", "--yes")
	r.WantLoads("flexvc-voice-client 1.0.0", "theirs 0.0.1")
	r.Must("deploy", "--yes")
	r.Theirs("second")
	clitest.Check(t, r.E.Edit(r.E.ExportWorkers()[0].SID, onTab))

	r.Must("remove", "--yes")
	r.WantLoads("second 0.0.1", "theirs 0.0.1")
	clitest.WantMatch(t, r.Must("remove", "--yes"), `^No changes: Flex does not load the plugin\.$`)
	r.Must("deploy", "--yes")
	r.WantLoads("flexvc-voice-client 2.0.0", "second 0.0.1", "theirs 0.0.1")
}
