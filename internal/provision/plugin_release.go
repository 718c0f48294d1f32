package provision

import (
	"context"
	"fmt"
	"slices"

	"github.com/flexvc/flexvc/internal/twilio"
)

func (d *Plugin) planVersion(p *PluginPlan) {
	plugin := Item{Kind: KindPlugin, Action: Same, Name: PluginName, ID: p.is.plugin.SID}
	if plugin.ID == "" {
		plugin.Action, plugin.Detail = Add, pluginFriendlyName
	}
	p.add(plugin, bind(d.applyPlugin, p))

	version := Item{Kind: KindVersion, Action: Add, Name: p.Version}
	p.version = twilio.PluginVersion{Version: p.Version, Changelog: p.want.Changelog}
	if latest := p.is.latest(); latest.Version == p.Version {
		p.version = latest
		version.Action, version.ID = Same, latest.SID
	} else if latest.Version != "" {
		version.Detail = "after " + latest.Version
	}
	p.add(version, bind(d.applyVersion, p))
}

// planRelease leaves the plugins of others as they are.
func (d *Plugin) planRelease(p *PluginPlan) {
	item := Item{Kind: KindRelease, Action: Add, Name: p.Version}
	now := p.is.released()
	p.rows = p.is.others()
	item.Detail = staying(len(p.rows), "other plugin")
	switch {
	case p.Version == "":
		item.Action, item.Name = Remove, now.Version
	case p.version.SID != "" && now.VersionSID == p.version.SID && now.Phase == ownPhase:
		item.Action, item.ID = Same, p.is.releases[0].SID
	case now.Version == p.Version && p.Version != "":
		item.Action, item.Detail = Change, fmt.Sprintf("phase %d → %d, %s", now.Phase, ownPhase, item.Detail)
	case now.Version != "":
		item.Action, item.Name = Change, now.Version+" → "+p.Version
	}
	if p.Version != "" {
		row := twilio.ConfiguredPlugin{PluginSID: p.is.plugin.SID, VersionSID: p.version.SID, UniqueName: PluginName, Version: p.Version, Phase: ownPhase}
		p.rows = slices.Insert(p.rows, 0, row)
	}
	p.add(item, bind(d.applyRelease, p))
}

func (d *Plugin) applyPlugin(ctx context.Context, p *PluginPlan) (string, error) {
	var err error
	p.is.plugin, err = ensure(ctx,
		func() (twilio.Plugin, error) {
			return d.Client.CreatePlugin(ctx, PluginName, pluginFriendlyName, pluginDescription)
		},
		func() ([]twilio.Plugin, error) {
			found, err := d.Client.Plugin(ctx, PluginName)
			return []twilio.Plugin{found}, err
		},
		func(x twilio.Plugin) bool { return x.UniqueName == PluginName })
	return p.is.plugin.SID, err
}

func (d *Plugin) applyVersion(ctx context.Context, p *PluginPlan) (string, error) {
	p.version.URL = "https://" + p.is.environment.DomainName + p.bundle.Path
	var err error
	p.version, err = ensure(ctx,
		func() (twilio.PluginVersion, error) {
			return d.Client.CreatePluginVersion(ctx, p.is.plugin.SID, p.version)
		},
		func() ([]twilio.PluginVersion, error) { return d.Client.PluginVersions(ctx, p.is.plugin.SID) },
		func(v twilio.PluginVersion) bool { return v.Version == p.Version && v.URL == p.version.URL })
	return p.version.SID, err
}

// applyRelease makes the configuration, unless a rollback goes back to one, and
// releases it. A configuration that a lost connection leaves behind is not in
// force and does no harm.
func (d *Plugin) applyRelease(ctx context.Context, p *PluginPlan) (string, error) {
	releases, err := d.Client.Releases(ctx)
	if err != nil {
		return "", err
	}
	before := pluginState{releases: releases}
	if before.inForce() != p.is.inForce() || len(releases) != len(p.is.releases) {
		return "", changedMeanwhile("other plugins were released")
	}
	if p.Last != nil {
		if err := p.Last(ctx); err != nil {
			return "", err
		}
	}
	config := p.config
	if config == "" {
		for i := range p.rows {
			if p.rows[i].UniqueName == PluginName {
				p.rows[i].VersionSID, p.rows[i].PluginSID = p.version.SID, p.is.plugin.SID
			}
		}
		name := PluginName + " " + p.Version
		if p.Version == "" {
			name = "without " + PluginName
		}
		if config, err = d.Client.CreateConfiguration(ctx, name, "Made by flexvc", p.rows); err != nil {
			return "", err
		}
	}
	made, err := ensure(ctx,
		func() (twilio.Release, error) { return d.Client.CreateRelease(ctx, config) },
		func() ([]twilio.Release, error) {
			now, err := d.Client.Releases(ctx)
			return now[:min(1, len(now))], err
		},
		func(r twilio.Release) bool { return r.ConfigurationSID == config })
	return made.SID, err
}
