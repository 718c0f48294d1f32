package main

// mutant is a change of one place that the tests of some packages must notice.
type mutant struct {
	name, file string
	old, new   string   // text; old occurs once in the file
	why        string   // what goes wrong with it, for people at Twilio's other end
	tests      []string // packages whose tests must fail
}

var (
	workersTests   = []string{"./internal/workers"}
	provisionTests = []string{"./internal/provision"}
	configTests    = []string{"./internal/config"}
	pluginTests    = []string{"./internal/cli/plugin"}
	bulkTests      = []string{"./internal/cli/workers", "./internal/cli/runs"}
)

var mutants = []mutant{
	// Runs.
	{
		"a success does not reset the outage", "internal/workers/apply.go",
		"	if result.Status != Failed {\n		a.outage = 0\n	}\n", "",
		"64 failures among thousands of successes end a run as if Twilio were away", workersTests,
	},
	{
		"only writes reset the outage", "internal/workers/apply.go",
		"if result.Status != Failed {\n		a.outage = 0", "if result.Status == Changed {\n		a.outage = 0",
		"a run in which most workers need nothing ends after a few failures", workersTests,
	},
	{
		"a worker without an ETag is written", "internal/workers/apply.go",
		`if w.ETag == "" {`, `if false {`,
		"a write without If-Match overwrites what somebody else has just written", workersTests,
	},
	{
		"what Twilio holds is noted, not committed", "internal/workers/apply.go",
		"write = a.run.journal.commit", "write = a.run.journal.note",
		"after a crash a rollback takes Twilio's own spelling for somebody's edit", workersTests,
	},
	{
		"an intent is noted, not committed", "internal/workers/apply.go",
		"at, err := a.run.journal.commit(record{Kind: kindIntent", "at, err := a.run.journal.note(record{Kind: kindIntent",
		"a crash loses the bytes that a worker had before a write", workersTests,
	},
	{
		"re-verified workers are counted as reset", "internal/workers/apply.go",
		"result.Reset = result.Status == Changed && it.lost", "result.Reset = result.Status == Changed",
		"the summary tells of browsers that undid changes where none did", workersTests,
	},
	{
		"workers that were looked at are looked at again", "internal/workers/resume.go",
		"it.settled = run.Ended && it.status == Changed", "it.settled = false",
		"a resumed run takes back what people changed after it had ended", workersTests,
	},
	{
		"a worker that the list gives twice is lost twice", "internal/workers/apply.go",
		"if w.Attributes == nil || looked[w.SID] {", "if w.Attributes == nil {",
		"two goroutines write one worker", workersTests,
	},
	{
		"a person's edit during a run is overwritten", "internal/workers/apply.go",
		"if now.Key == then.Key && now.From", "if false && now.From",
		"an agent that somebody took off the extension is put back on it", workersTests,
	},
	{
		"an unreadable answer ends the worker", "internal/workers/apply.go",
		"if problem.Is(err, problem.TwilioAnswer) && !asked {", "if false && !asked {",
		"a write that arrived is called failed", workersTests,
	},
	{
		"a rolled back run is resumed", "internal/workers/resume.go",
		`if by := f.rolledBackBy(run.ID); by != "" {`, `if by := f.rolledBackBy(run.ID); by == "never" {`,
		"runs resume enables agents whom runs rollback has just disabled", workersTests,
	},
	{
		"a torn last line stays", "internal/workers/begin.go",
		"	err = file.Truncate(r.size)\n	if err == nil {\n		_, err = file.Seek(r.size, io.SeekStart)\n	}\n", "	_, err = file.Seek(0, io.SeekEnd)\n",
		"the first record of a resumed run joins half a line and both are lost", workersTests,
	},
	{
		"a damaged intent counts as done", "internal/workers/load.go",
		`it.uncertain, it.status = true, ""`, `it.uncertain = true`,
		"a resumed run passes over a worker whose write may not have arrived", workersTests,
	},
	{
		"a rollback believes writes that did not arrive", "internal/workers/plan.go",
		"if err != nil || !arrived {", "if err != nil || !arrived && false {",
		"workers that a run never changed are in the rollback's plan", workersTests,
	},
	{
		"what was sent stands for what Twilio holds", "internal/workers/load.go",
		"p.ours = *result.Held", "_ = result.Held",
		"a rollback leaves the worker alone as edited since", workersTests,
	},
	{
		"a plan appears half written", "internal/workers/begin.go",
		"tmp := run.path + tmpSuffix", "tmp := run.path",
		"a crash leaves a run that lacks workers of its plan", workersTests,
	},

	// What exists in the account.
	{
		"an interrupted run's key is not found again", "internal/provision/account_key.go",
		`if p.intent.Nonce != "" && k.FriendlyName == unfinished(p.intent.Nonce) {`, `if false {`,
		"each interrupted init leaves an API key behind", provisionTests,
	},
	{
		"the key is made before the intent is kept", "internal/provision/account_key.go",
		"	if err := a.Intents.Save(p.intent); err != nil {\n		return err\n	}\n	key, secret, err", "	key, secret, err",
		"a crash leaves an API key of which nobody knows whose it is", provisionTests,
	},
	{
		"a key whose secret is not kept stays", "internal/provision/account_key.go",
		"if a.Keys.DeleteKey(context.WithoutCancel(ctx), key.SID) == nil {", "if err == nil {",
		"an API key stays whose secret nobody has", provisionTests,
	},
	{
		"a second administrator is let through", "internal/provision/account_key.go",
		"if k.FriendlyName != TokenKeyName || slices.Contains(a.Profiles, k.SID) {", "if true {",
		"init makes a second extension, which no policy installs", provisionTests,
	},
	{
		"a lost signing key is replaced", "internal/provision/account.go",
		"	case a.NewExtension:\n", "	case a.NewExtension, !exists:\n",
		"init makes a second extension, which no policy installs", provisionTests,
	},
	{
		"another extension's signing key is taken", "internal/provision/account.go",
		`case exists && stored.ExtensionID != "" && stored.ExtensionID != id:`, `case false:`,
		"the policy's extension and the package are two", provisionTests,
	},
	{
		"an activity that is available is taken", "internal/provision/account.go",
		"case a.FriendlyName == name && a.Available:", "case false:",
		"agents without a voice client are offered calls", provisionTests,
	},
	{
		"a lost answer makes a second activity", "internal/provision/account.go",
		`listErr != nil || made.SID == "" {`, `listErr != nil || true {`,
		"init fails although the activity is there", provisionTests,
	},
	{
		"a borrowed sink is removed", "internal/provision/events.go",
		"case s.borrowed[one.SID]:", "case false:",
		"somebody else's subscription loses its sink", provisionTests,
	},
	{
		"another's callback is replaced", "internal/provision/events.go",
		`if now.URL != "" && now.URL != address {`, `if false {`,
		"somebody else's server no longer hears of its workspace", provisionTests,
	},
	{
		"a callback that was taken meanwhile is replaced", "internal/provision/events.go",
		"err != nil || again.URL != now.URL {", "err != nil || again.URL != now.URL && false {",
		"somebody else's server no longer hears of its workspace", provisionTests,
	},
	{
		"what others deployed is left out of the build", "internal/provision/plugin_hosting.go",
		"			p.build.Assets = append(p.build.Assets, v)\n", "",
		"other plugins' files are gone from their addresses", pluginTests,
	},
	{
		"a release made meanwhile is overwritten", "internal/provision/plugin_release.go",
		"if before.inForce() != p.is.inForce() || len(releases) != len(p.is.releases) {", `if before.inForce() == "never" {`,
		"the plugin that somebody released a second ago is gone", pluginTests,
	},

	// Settings and secrets.
	{
		"a secret file that was exchanged is read", "internal/config/secrets.go",
		"!os.SameFile(looked, opened) {", "!os.SameFile(opened, opened) {",
		"between the look and the opening another file takes its name", configTests,
	},
	{
		"a secret file that others can read is used", "internal/config/secrets.go",
		"case tooOpen(info):", "case false:",
		"everybody on the machine has the token server's secret", configTests,
	},
	{
		"a secret file may be a link", "internal/config/secrets.go",
		"case info.Mode()&fs.ModeSymlink != 0:", "case false:",
		"whoever can write the folder chooses the file", configTests,
	},
	{
		"other keys' secrets are dropped", "internal/config/secrets.go",
		"			kept = append(kept, l)\n", "",
		"a second profile's token server loses its secret", configTests,
	},
	{
		"settings are written over a file that is not understood", "internal/config/edit.go",
		"	if e.doc, _, err = parseFile(data, e.shown); err != nil {\n		return err\n	}\n",
		"	if e.doc, _, err = parseFile(data, e.shown); err != nil {\n		e.doc = &yaml.Node{Kind: yaml.DocumentNode}\n	}\n",
		"an administrator's settings are gone because of a typing mistake", configTests,
	},
	{
		"two editors do not wait for each other", "internal/config/edit.go",
		"switch _, err := e.lock.TryLockContext(wait, 10*time.Millisecond); {", "switch err := wait.Err(); {",
		"one of two settings that were made at once is lost", configTests,
	},
	{
		"a link into a dotfiles folder is replaced", "internal/config/write.go",
		"	case err == nil:\n		return resolved, nil\n", "	case err == nil && resolved != \"\":\n		return path, nil\n",
		"the settings leave the folder they are kept in", configTests,
	},
	{
		"an export takes this machine's places along", "internal/config/bundle.go",
		`if text := c.stored[name]; text != "" && !slices.Contains(here, name) {`, `if text := c.stored[name]; text != "" {`,
		"the other machine looks for its secret at a path of this one", configTests,
	},
	{
		"a bundle's settings are not validated", "internal/config/bundle.go",
		`if s.check != nil && s.check(value) != "" {`, `if false && s.check(value) != "" {`,
		"an import writes settings that flexvc then cannot read", configTests,
	},

	// The flow around a bulk change.
	{
		"a missing plugin is no reason to refuse", "internal/cli/bulk/situation.go",
		"if l.Plugin && !force {", "if false {",
		"agents are enabled whose calls then go nowhere", bulkTests,
	},
	{
		"a yes is enough for many workers", "internal/cli/bulk/situation.go",
		"if n > manyWorkers && !b.Session.Emulated {", "if false {",
		"the right command in the wrong account changes everybody", bulkTests,
	},
	{
		"a worker that was set again is told twice", "internal/cli/bulk/view.go",
		"return !again || before != o.Status", "return !again || before != o.Status || true",
		"programs count more workers than there are", bulkTests,
	},
	{
		"a resumed run does not ask about newer ones", "internal/cli/bulk/resume.go",
		"case len(newer) > 0 && len(plan.Change) > 0 && !b.Yes:", "case false:",
		"an old run undoes a newer one without a question", bulkTests,
	},
}
