package provision

import (
	"context"
	"slices"
	"time"

	"golang.org/x/mod/semver"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// PluginStatus is what Flex loads, and from where.
type PluginStatus struct {
	Version     string // released; empty when the plugin is not
	Phase       int    // in which Flex starts it
	Latest      string // the greatest version there is; empty without any
	Previous    string // what a rollback would release; empty when it would take the plugin out, or there is no release
	Released    time.Time
	URL         string
	Sum         string // of the released bundle, see BundleSum; empty when another tool deployed it
	ServiceSID  string
	Environment string // its domain
	Others      []twilio.ConfiguredPlugin
}

// pluginState is what is there.
type pluginState struct {
	registered  []string
	service     twilio.Service
	environment twilio.Environment
	build       twilio.Build // deployed in the environment
	asset       twilio.Asset
	files       []twilio.AssetVersion // of the asset
	plugin      twilio.Plugin
	versions    []twilio.PluginVersion // greatest first
	releases    []twilio.Release       // the one in force first
	rows        []twilio.ConfiguredPlugin
}

// others are the configured plugins that are not ours.
func (s *pluginState) others() []twilio.ConfiguredPlugin {
	return slices.DeleteFunc(slices.Clone(s.rows), func(r twilio.ConfiguredPlugin) bool { return r.UniqueName == PluginName })
}

// released is our row of the release in force; zero without one.
func (s *pluginState) released() twilio.ConfiguredPlugin { return ours(s.rows) }

func ours(rows []twilio.ConfiguredPlugin) twilio.ConfiguredPlugin {
	for _, r := range rows {
		if r.UniqueName == PluginName {
			return r
		}
	}
	return twilio.ConfiguredPlugin{}
}

func (s *pluginState) latest() (v twilio.PluginVersion) {
	if len(s.versions) > 0 {
		v = s.versions[0]
	}
	return v
}

func (s *pluginState) inForce() string {
	if len(s.releases) == 0 {
		return ""
	}
	return s.releases[0].ConfigurationSID
}

// look reads what is there.
func (d *Plugin) look(ctx context.Context) (pluginState, error) {
	var s pluginState
	for _, part := range []func(context.Context, *pluginState) error{d.lookAtHosting, d.lookAtPlugin, d.lookAtReleases} {
		if err := part(ctx, &s); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (d *Plugin) lookAtHosting(ctx context.Context, s *pluginState) (err error) {
	if s.registered, err = d.Client.RegisteredServices(ctx); err != nil {
		return err
	}
	services, err := d.Client.Services(ctx)
	if err != nil {
		return err
	}
	for _, candidate := range services {
		registered := slices.Contains(s.registered, candidate.SID)
		if !registered && candidate.UniqueName != serviceUniqueName {
			continue
		}
		environments, err := d.Client.Environments(ctx, candidate.SID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(environments, func(e twilio.Environment) bool { return e.UniqueName == PluginName })
		switch {
		case i >= 0:
			s.service, s.environment = candidate, environments[i]
		case s.service.SID == "" || registered && !slices.Contains(s.registered, s.service.SID):
			s.service = candidate
		}
		if i >= 0 {
			break
		}
	}
	if s.environment.BuildSID != "" {
		if s.build, err = d.Client.Build(ctx, s.service.SID, s.environment.BuildSID); err != nil {
			return err
		}
	}
	return d.lookAtFiles(ctx, s)
}

func (d *Plugin) lookAtFiles(ctx context.Context, s *pluginState) error {
	if s.service.SID == "" {
		return nil
	}
	assets, err := d.Client.Assets(ctx, s.service.SID)
	if err != nil {
		return err
	}
	for _, a := range assets {
		if a.FriendlyName != PluginName {
			continue
		}
		files, err := d.Client.AssetVersions(ctx, s.service.SID, a.SID)
		if err != nil {
			return err
		}
		s.asset, s.files = a, append(s.files, files...)
	}
	return nil
}

func (d *Plugin) lookAtPlugin(ctx context.Context, s *pluginState) (err error) {
	s.plugin, err = d.Client.Plugin(ctx, PluginName)
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if s.versions, err = d.Client.PluginVersions(ctx, s.plugin.SID); err != nil {
		return err
	}
	slices.SortStableFunc(s.versions, func(a, b twilio.PluginVersion) int { return semver.Compare("v"+b.Version, "v"+a.Version) })
	return nil
}

func (d *Plugin) lookAtReleases(ctx context.Context, s *pluginState) (err error) {
	if s.releases, err = d.Client.Releases(ctx); err != nil || len(s.releases) == 0 {
		return err
	}
	s.rows, err = d.Client.ConfiguredPlugins(ctx, s.inForce())
	return err
}

// Status reads what Flex loads.
func (d *Plugin) Status(ctx context.Context) (PluginStatus, error) {
	is, err := d.look(ctx)
	if err != nil {
		return PluginStatus{}, err
	}
	row := is.released()
	s := PluginStatus{
		Version: row.Version, Phase: row.Phase, Latest: is.latest().Version, Others: is.others(),
		ServiceSID: is.service.SID, Environment: is.environment.DomainName,
	}
	if row.Version == "" {
		return s, nil
	}
	s.Released = is.releases[0].Created
	for _, v := range is.versions {
		if v.SID == row.VersionSID {
			s.URL, s.Sum = v.URL, sumIn(v)
		}
	}
	_, rows, err := d.before(ctx, &is)
	s.Previous = ours(rows).Version
	return s, err
}

// Late reports whether Flex starts the plugin beside or after those of other
// makers, so that one of them can keep it from starting.
func (s PluginStatus) Late() bool { return s.Version != "" && s.Phase > ownPhase }

// Loaded reports whether Flex loads the plugin, in any version.
func (d *Plugin) Loaded(ctx context.Context) (bool, error) {
	var s pluginState
	if err := d.lookAtReleases(ctx, &s); err != nil {
		return false, err
	}
	return s.released().Version != "", nil
}

// before finds the configuration that a rollback leads to. There is none when
// every earlier release has the plugin in the present version or a newer one: it
// was never absent since, and goes.
func (d *Plugin) before(ctx context.Context, is *pluginState) (config string, rows []twilio.ConfiguredPlugin, err error) {
	for _, r := range is.releases[1:] {
		if rows, err = d.Client.ConfiguredPlugins(ctx, r.ConfigurationSID); err != nil {
			return "", nil, err
		}
		if then := ours(rows); then.Version == "" || newer(is.released().Version, then.Version) {
			return r.ConfigurationSID, rows, nil
		}
	}
	return "", nil, nil
}

func sameVersions(a, b []twilio.ConfiguredPlugin) bool {
	in := func(rows []twilio.ConfiguredPlugin) func(twilio.ConfiguredPlugin) bool {
		return func(r twilio.ConfiguredPlugin) bool {
			return slices.ContainsFunc(rows, func(x twilio.ConfiguredPlugin) bool { return x.VersionSID == r.VersionSID && x.Phase == r.Phase })
		}
	}
	return len(a) == len(b) && !slices.ContainsFunc(a, func(r twilio.ConfiguredPlugin) bool { return !in(b)(r) })
}
