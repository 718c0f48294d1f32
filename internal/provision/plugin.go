package provision

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/twilioapi"
)

// Names at Twilio. PluginName is also the name the bundle registers under.
const (
	PluginName         = "flexvc-voice-client"
	pluginFriendlyName = "Voice client in the browser extension"
	pluginDescription  = "Moves Flex's voice client into the flexvc browser extension"
	serviceUniqueName  = "default" // what Twilio's own plugin tools use, and share
	// serviceFriendlyName marks a service that flexvc made and only flexvc uses:
	// Twilio's own plugin tools rename one that they use.
	serviceFriendlyName = "Flex plugins (created by flexvc)"
	newestRuntime       = "node22"
	// ownPhase is before that of other plugins, 3: Flex starts the plugins of one
	// phase one after another, so one that hangs keeps those behind it from
	// starting.
	ownPhase = 1
)

// Plugin puts the plugin into Flex: the file into Serverless, its version into
// the Plugins API, and that into the release in force. What an interrupted run
// has uploaded is found again by its content, of which its path has a checksum.
type Plugin struct {
	Client *twilioapi.Client
	Random io.Reader
	Now    func() time.Time
	Sleep  func(context.Context, time.Duration) error
}

// PluginWant is what is to be deployed.
type PluginWant struct {
	Bundle    func(version string) ([]byte, error) // equal versions give equal bytes
	Version   string                               // as given on the command line; empty chooses one
	Own       string                               // the program's version, which is chosen when it is newer; may be no version
	Changelog string
}

// The kinds of a plugin's plan, in the order in which they are applied.
const (
	KindService     Kind = "service"
	KindEnvironment Kind = "environment"
	KindBundle      Kind = "bundle"
	KindBuild       Kind = "build"
	KindPlugin      Kind = "plugin"
	KindVersion     Kind = "version"
	KindRelease     Kind = "release"
)

// PluginPlan is the way to another release of the plugin.
type PluginPlan struct {
	Plan
	Version string // the one that Flex loads afterwards; empty when the plugin goes
	From    string // the one it loads now; empty when none
	// Last is asked right before a release; its error prevents it. It may be nil.
	Last func(context.Context) error

	is      pluginState
	want    PluginWant
	build   twilio.Build        // to be deployed; without a SID it is to be made
	bundle  twilio.AssetVersion // without a SID it is to be uploaded
	content []byte              // of the bundle
	version twilio.PluginVersion
	rows    []twilio.ConfiguredPlugin // of the release to be made
	config  string                    // an existing configuration to release; empty makes one
}

// Removes reports whether Flex loads the plugin now, and no longer afterwards.
func (p *PluginPlan) Removes() bool { return p.From != "" && p.Version == "" }

// Others is how many plugins of other makers the release in force has; they stay.
func (p *PluginPlan) Others() int { return len(p.is.others()) }

// Plan compares what is wanted with what is there. A version that is not newer
// than every other is VersionNotNewer, unless it is there with the very same
// bundle.
func (d *Plugin) Plan(ctx context.Context, want PluginWant) (*PluginPlan, error) {
	is, err := d.look(ctx)
	if err != nil {
		return nil, err
	}
	p := &PluginPlan{is: is, want: want, From: is.released().Version}
	if p.Version, err = is.choose(want); err != nil {
		return nil, err
	}
	if p.content, err = want.Bundle(p.Version); err != nil {
		return nil, err
	}
	d.planHosting(p)
	if err := d.planBuild(ctx, p); err != nil {
		return nil, err
	}
	d.planVersion(p)
	d.planRelease(p)
	return p, nil
}

// choose picks the version: what was asked for, the latest when it has the same
// bundle, the program's own when it is newer, or else the one after the latest.
func (s *pluginState) choose(want PluginWant) (string, error) {
	latest := s.latest()
	same := false
	if sum := sumIn(latest); sum != "" {
		content, err := want.Bundle(latest.Version)
		if err != nil {
			return "", err
		}
		// A version whose environment was deleted leads nowhere.
		same = BundleSum(content) == sum && s.environment.DomainName != "" && strings.HasPrefix(latest.URL, "https://"+s.environment.DomainName+"/")
	}
	switch {
	case want.Version == "" && same:
		return latest.Version, nil
	case want.Version == "" && isVersion(want.Own) && newer(want.Own, latest.Version):
		return want.Own, nil
	case want.Version == "":
		return next(latest.Version), nil
	case !isVersion(want.Version):
		return "", problem.New(problem.Usage, "cannot deploy version %q: it is not of the form 1.4.0", want.Version)
	case newer(want.Version, latest.Version) || want.Version == latest.Version && same:
		return want.Version, nil
	}
	why := fmt.Sprintf("it is not newer than %s", latest.Version)
	if want.Version == latest.Version {
		why = "it already exists with another bundle"
	}
	return "", problem.New(problem.VersionNotNewer, "cannot deploy version %s of the plugin: %s", want.Version, why).
		WithHint("use --version %s, or omit --version", next(latest.Version))
}

// next raises the last of the three numbers.
func next(version string) string {
	core, _, _ := strings.Cut(strings.TrimPrefix(semver.Canonical("v"+version), "v"), "-")
	var n [3]int
	if _, err := fmt.Sscanf(core, "%d.%d.%d", &n[0], &n[1], &n[2]); err != nil {
		return "0.1.0"
	}
	if semver.Prerelease("v"+version) != "" {
		return core
	}
	return fmt.Sprintf("%d.%d.%d", n[0], n[1], n[2]+1)
}

// newer compares two semantic versions without a leading v; what is none is the
// oldest.
func newer(a, b string) bool { return semver.Compare("v"+a, "v"+b) > 0 }

func isVersion(s string) bool {
	return semver.IsValid("v"+s) && semver.Canonical("v"+s) == "v"+s
}

// PlanRollback plans the release of the version that was in force before the
// present one: the latest release with an older one, or without the plugin. The
// plugins of others stay as they are now. With nothing to go back to it is
// NothingToRollBack.
func (d *Plugin) PlanRollback(ctx context.Context) (*PluginPlan, error) {
	var is pluginState
	if err := d.lookAtPlugin(ctx, &is); err != nil {
		return nil, err
	}
	if err := d.lookAtReleases(ctx, &is); err != nil {
		return nil, err
	}
	now := is.released()
	if now.Version == "" {
		return nil, problem.New(problem.NothingToRollBack, "cannot roll back the plugin: Flex does not load it").
			WithHint("flexvc plugin status")
	}
	config, rows, err := d.before(ctx, &is)
	if err != nil {
		return nil, err
	}
	then := ours(rows)
	p := &PluginPlan{is: is, From: now.Version, Version: then.Version}
	p.version = twilio.PluginVersion{SID: then.VersionSID, Version: then.Version}
	d.planRelease(p)
	if config != "" && sameVersions(rows, p.rows) {
		p.config = config
	}
	return p, nil
}

// PlanRemove plans a release of what is in force now without the plugin. Its files
// and versions stay. Nothing is planned when Flex does not load it.
func (d *Plugin) PlanRemove(ctx context.Context) (*PluginPlan, error) {
	var is pluginState
	if err := d.lookAtReleases(ctx, &is); err != nil {
		return nil, err
	}
	p := &PluginPlan{is: is, From: is.released().Version}
	if p.From != "" {
		d.planRelease(p)
	}
	return p, nil
}

func changedMeanwhile(what string) *problem.Problem {
	return problem.New(problem.EditedSince, "stopped: %s after the plan was made", what).
		WithHint("run the command again: it makes a new plan")
}

// staying says that what is there stays; nothing for nothing.
func staying(n int, what string) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "1 " + what + " stays"
	}
	return fmt.Sprintf("%d %ss stay", n, what)
}
