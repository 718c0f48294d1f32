package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/twilioapi"
)

// hosting is what a Serverless service holds, and what of it is flexvc's.
type hosting struct {
	service      twilio.Service
	environments []twilio.Environment
	assets       []twilio.Asset
	functions    []twilio.Function
	builds       []twilio.Build

	files map[string]bool // SIDs of the versions of flexvc's assets
}

// planHosting takes the plugin's files out of every service that Flex loads
// plugins from: the environment, its builds, the asset, and the service itself
// when flexvc made it and nobody else has used it since.
func (t *Teardown) planHosting(ctx context.Context, p *TeardownPlan) error {
	c := t.Plugin.Client
	registered, err := c.RegisteredServices(ctx)
	if err != nil {
		return err
	}
	services, err := c.Services(ctx)
	if err != nil {
		return err
	}
	for _, s := range services {
		if s.UniqueName != serviceUniqueName && !slices.Contains(registered, s.SID) {
			continue
		}
		h, err := lookAtHosting(ctx, c, s)
		if err != nil {
			return err
		}
		if h.whole() {
			t.removeService(p, h)
		} else {
			t.removeParts(p, h)
		}
	}
	return nil
}

func lookAtHosting(ctx context.Context, c *twilioapi.Client, s twilio.Service) (h hosting, err error) {
	h = hosting{service: s, files: map[string]bool{}}
	if h.environments, err = c.Environments(ctx, s.SID); err != nil {
		return h, err
	}
	if h.assets, err = c.Assets(ctx, s.SID); err != nil {
		return h, err
	}
	if h.functions, err = c.Functions(ctx, s.SID); err != nil {
		return h, err
	}
	if h.builds, err = c.Builds(ctx, s.SID); err != nil {
		return h, err
	}
	for _, a := range h.assets {
		if a.FriendlyName != PluginName {
			continue
		}
		versions, err := c.AssetVersions(ctx, s.SID, a.SID)
		if err != nil {
			return h, err
		}
		for _, v := range versions {
			h.files[v.SID] = true
		}
	}
	return h, nil
}

// ours reports whether a build holds nothing but flexvc's files.
func (h *hosting) ours(b twilio.Build) bool {
	return len(b.Functions) == 0 && !slices.ContainsFunc(b.Assets, func(v twilio.AssetVersion) bool { return !h.files[v.SID] })
}

func (h *hosting) build(sid string) twilio.Build {
	for _, b := range h.builds {
		if b.SID == sid {
			return b
		}
	}
	return twilio.Build{}
}

// whole reports whether the service can go with all that it holds: flexvc made it,
// and everything in it is flexvc's. Twilio's own plugin tools rename a service that
// they use.
func (h *hosting) whole() bool {
	return h.service.UniqueName == serviceUniqueName && h.service.FriendlyName == serviceFriendlyName && len(h.functions) == 0 &&
		!slices.ContainsFunc(h.environments, func(e twilio.Environment) bool { return e.UniqueName != PluginName }) &&
		!slices.ContainsFunc(h.assets, func(a twilio.Asset) bool { return a.FriendlyName != PluginName }) &&
		!slices.ContainsFunc(h.builds, func(b twilio.Build) bool { return !h.ours(b) })
}

func (t *Teardown) removeService(p *TeardownPlan, h hosting) {
	c, s := t.Plugin.Client, h.service
	p.add(Item{KindService, Remove, s.UniqueName, s.SID, "with the plugin's environment, builds and files; no longer registered with Flex"}, func(ctx context.Context) (string, error) {
		// Once more: a service is deleted with all that it holds, whose ever it is.
		now, err := lookAtHosting(ctx, c, s)
		switch {
		case gone(err) == nil && err != nil:
			return s.SID, t.unregister(ctx, s.SID)
		case err != nil:
			return s.SID, err
		case !now.whole():
			return s.SID, changedMeanwhile("somebody else has put something into " + s.UniqueName).
				WithHint("make a new plan: flexvc teardown")
		}
		if err := t.unregister(ctx, s.SID); err != nil {
			return s.SID, err
		}
		return s.SID, gone(c.DeleteService(ctx, s.SID))
	})
}

// unregister takes a service off the list of those that Flex loads plugins from.
// The list is read anew: it is written whole, and others add to it as well.
func (t *Teardown) unregister(ctx context.Context, sid string) error {
	registered, err := t.Plugin.Client.RegisteredServices(ctx)
	if err != nil || !slices.Contains(registered, sid) {
		return err
	}
	return t.Plugin.Client.RegisterServices(ctx, slices.DeleteFunc(registered, func(s string) bool { return s == sid }))
}

// removeParts takes flexvc's things out of a service that others use as well.
func (t *Teardown) removeParts(p *TeardownPlan, h hosting) {
	c, service := t.Plugin.Client, h.service.SID
	deployed := map[string]bool{} // builds in environments that stay
	for _, e := range h.environments {
		switch {
		case e.UniqueName != PluginName:
			deployed[e.BuildSID] = true
		case e.BuildSID != "" && !h.ours(h.build(e.BuildSID)):
			deployed[e.BuildSID] = true
			p.keep("environment %s (%s): files of others are deployed to it", e.SID, e.DomainName)
		default:
			p.add(Item{KindEnvironment, Remove, e.UniqueName, e.SID, e.DomainName}, func(ctx context.Context) (string, error) {
				return e.SID, gone(c.DeleteEnvironment(ctx, service, e.SID))
			})
		}
	}
	used := map[string]bool{} // files in builds that stay
	for _, b := range h.builds {
		if h.ours(b) && !deployed[b.SID] {
			p.add(Item{KindBuild, Remove, "with the bundle", b.SID, ""}, func(ctx context.Context) (string, error) {
				return b.SID, gone(c.DeleteBuild(ctx, service, b.SID))
			})
			continue
		}
		for _, v := range b.Assets {
			used[v.SID] = true
		}
	}
	stays := len(used) > 0 && slices.ContainsFunc(h.builds, func(b twilio.Build) bool {
		return slices.ContainsFunc(b.Assets, func(v twilio.AssetVersion) bool { return used[v.SID] && h.files[v.SID] })
	})
	for _, a := range h.assets {
		switch {
		case a.FriendlyName != PluginName:
		case stays:
			p.keep("asset %s: a build with files of others has it", a.SID)
		default:
			p.add(Item{KindBundle, Remove, fmt.Sprintf("%d %s", len(h.files), strings.TrimSuffix("files", map[bool]string{true: "s"}[len(h.files) == 1])), a.SID, ""}, func(ctx context.Context) (string, error) {
				return a.SID, gone(c.DeleteAsset(ctx, service, a.SID))
			})
		}
	}
}
