package provision

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// BundleSum is what tells bundles apart: the first 16 hexadecimal digits of the
// SHA-256.
func BundleSum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])[:16]
}

// bundlePath is where a bundle is kept. Twilio gives no checksum of a file, so
// the path has it.
func bundlePath(version, sum string) string {
	return "/plugins/" + PluginName + "/" + version + "/" + sum + "/bundle.js"
}

// sumIn reads it back from a plugin version's address.
func sumIn(v twilio.PluginVersion) string {
	_, rest, ok := strings.Cut(v.URL, "/plugins/"+PluginName+"/"+v.Version+"/")
	sum, ok2 := strings.CutSuffix(rest, "/bundle.js")
	if !ok || !ok2 || strings.Trim(sum, "0123456789abcdef") != "" {
		return ""
	}
	return sum
}

func (d *Plugin) planHosting(p *PluginPlan) {
	service := Item{Kind: KindService, Action: Same, Name: p.is.service.UniqueName, ID: p.is.service.SID}
	switch {
	case service.ID == "":
		service.Action, service.Name, service.Detail = Add, serviceUniqueName, "Twilio Serverless; registered with Flex"
	case !slices.Contains(p.is.registered, service.ID):
		service.Action, service.Detail = Change, "registered with Flex"
	}
	p.add(service, bind(d.applyService, p))
	environment := Item{Kind: KindEnvironment, Action: Same, Name: PluginName, ID: p.is.environment.SID, Detail: p.is.environment.DomainName}
	if environment.ID == "" {
		environment.Action, environment.Detail = Add, "with its own domain"
	}
	p.add(environment, bind(d.applyEnvironment, p))

	path := bundlePath(p.Version, BundleSum(p.content))
	p.bundle = twilio.AssetVersion{Path: path}
	bundle := Item{Kind: KindBundle, Action: Add, Name: fmt.Sprintf("%.1f kB", float64(len(p.content))/1000), Detail: "sha256 " + BundleSum(p.content)}
	if i := slices.IndexFunc(p.is.files, func(v twilio.AssetVersion) bool { return v.Path == path }); i >= 0 {
		p.bundle = p.is.files[i]
		bundle.Action, bundle.ID = Same, p.bundle.SID
	}
	p.add(bundle, bind(d.applyBundle, p))
}

// planBuild adds the bundle to all that is deployed now: a build that left
// something out would take it away.
func (d *Plugin) planBuild(ctx context.Context, p *PluginPlan) error {
	now := p.is.build
	p.build = twilio.Build{Functions: now.Functions, Dependencies: now.Dependencies, Runtime: cmp.Or(now.Runtime, newestRuntime)}
	for _, v := range now.Assets {
		if v.Path != p.bundle.Path {
			p.build.Assets = append(p.build.Assets, v)
		}
	}
	kept := len(p.build.Assets) + len(p.build.Functions)
	p.build.Assets = append(p.build.Assets, p.bundle)
	item := Item{Kind: KindBuild, Action: Add, Name: "with the bundle", Detail: staying(kept, "deployed file")}
	if p.bundle.SID != "" {
		if contains(now, p.build) {
			p.build, item.Action = now, Same
		} else if err := d.adoptBuild(ctx, p, &item); err != nil {
			return err
		}
	}
	item.ID = p.build.SID
	p.add(item, func(ctx context.Context) (string, error) {
		err := d.applyBuild(ctx, p)
		return cmp.Or(p.build.SID, item.ID), err
	})
	return nil
}

// adoptBuild finds what an earlier run built and did not deploy.
func (d *Plugin) adoptBuild(ctx context.Context, p *PluginPlan, item *Item) error {
	builds, err := d.Client.Builds(ctx, p.is.service.SID)
	if err != nil {
		return err
	}
	for _, b := range builds {
		if b.Status != twilio.BuildFailed && contains(b, p.build) && contains(p.build, b) && b.Dependencies == p.build.Dependencies {
			p.build = b
			item.Action, item.Detail = Change, "built by an interrupted run, not yet deployed"
			return nil
		}
	}
	return nil
}

// contains reports whether all files of b are in a.
func contains(a, b twilio.Build) bool {
	for _, v := range b.Assets {
		if !slices.Contains(a.Assets, v) {
			return false
		}
	}
	for _, sid := range b.Functions {
		if !slices.Contains(a.Functions, sid) {
			return false
		}
	}
	return true
}

func (d *Plugin) applyService(ctx context.Context, p *PluginPlan) (string, error) {
	if p.is.service.SID == "" {
		var err error
		p.is.service, err = ensure(ctx,
			func() (twilio.Service, error) {
				return d.Client.CreateService(ctx, serviceUniqueName, serviceFriendlyName)
			},
			func() ([]twilio.Service, error) { return d.Client.Services(ctx) },
			func(s twilio.Service) bool { return s.UniqueName == serviceUniqueName })
		if err != nil {
			return "", err
		}
	}
	// Read anew: the list is written whole, and others add to it as well.
	registered, err := d.Client.RegisteredServices(ctx)
	if err != nil || slices.Contains(registered, p.is.service.SID) {
		return p.is.service.SID, err
	}
	return p.is.service.SID, d.Client.RegisterServices(ctx, append(registered, p.is.service.SID))
}

func (d *Plugin) applyEnvironment(ctx context.Context, p *PluginPlan) (string, error) {
	suffix := make([]byte, 3)
	if _, err := io.ReadFull(d.Random, suffix); err != nil {
		return "", problem.New(problem.Internal, "cannot read randomness: %w", err)
	}
	var err error
	p.is.environment, err = ensure(ctx,
		func() (twilio.Environment, error) {
			return d.Client.CreateEnvironment(ctx, p.is.service.SID, PluginName, hex.EncodeToString(suffix))
		},
		func() ([]twilio.Environment, error) { return d.Client.Environments(ctx, p.is.service.SID) },
		func(e twilio.Environment) bool { return e.UniqueName == PluginName })
	return p.is.environment.SID, err
}

func (d *Plugin) applyBundle(ctx context.Context, p *PluginPlan) (string, error) {
	service := p.is.service.SID
	if p.is.asset.SID == "" {
		var err error
		p.is.asset, err = ensure(ctx,
			func() (twilio.Asset, error) { return d.Client.CreateAsset(ctx, service, PluginName) },
			func() ([]twilio.Asset, error) { return d.Client.Assets(ctx, service) },
			func(a twilio.Asset) bool { return a.FriendlyName == PluginName })
		if err != nil {
			return "", err
		}
	}
	path := p.bundle.Path
	bundle, err := ensure(ctx,
		func() (twilio.AssetVersion, error) {
			return d.Client.UploadScript(ctx, service, p.is.asset.SID, path, p.content)
		},
		func() ([]twilio.AssetVersion, error) { return d.Client.AssetVersions(ctx, service, p.is.asset.SID) },
		func(v twilio.AssetVersion) bool { return v.Path == path })
	if err != nil {
		return "", err
	}
	p.bundle = bundle
	p.build.Assets[len(p.build.Assets)-1] = bundle
	return bundle.SID, nil
}

// How long to wait for a build, and between two looks. They take some seconds.
const (
	buildPatience = 3 * time.Minute
	buildPause    = time.Second
)

func (d *Plugin) applyBuild(ctx context.Context, p *PluginPlan) error {
	service := p.is.service.SID
	if err := d.sameDeployment(ctx, p); err != nil {
		return err
	}
	if p.build.SID == "" {
		made, err := d.Client.CreateBuild(ctx, service, p.build)
		if err != nil {
			return err
		}
		p.build = made
	}
	until := d.Now().Add(buildPatience)
	for p.build.Status != twilio.BuildCompleted {
		switch {
		case p.build.Status == twilio.BuildFailed:
			return problem.New(problem.PluginNotBuilt, "cannot deploy the plugin: Twilio's build %s failed", p.build.SID).
				WithHint("try again: flexvc plugin deploy")
		case !d.Now().Before(until):
			return problem.New(problem.PluginNotBuilt, "cannot deploy the plugin: Twilio's build %s did not finish within %v", p.build.SID, buildPatience).
				WithHint("continue later: flexvc plugin deploy")
		}
		if err := d.Sleep(ctx, buildPause); err != nil {
			return err
		}
		var err error
		if p.build, err = d.Client.Build(ctx, service, p.build.SID); err != nil {
			return err
		}
	}
	return d.Client.Deploy(ctx, service, p.is.environment.SID, p.build.SID)
}

// sameDeployment makes sure that nobody deployed to the environment since the
// plan: their files would go.
func (d *Plugin) sameDeployment(ctx context.Context, p *PluginPlan) error {
	environments, err := d.Client.Environments(ctx, p.is.service.SID)
	if err != nil {
		return err
	}
	for _, e := range environments {
		if e.SID == p.is.environment.SID && e.BuildSID != p.is.environment.BuildSID {
			return changedMeanwhile("something else was deployed to " + e.DomainName)
		}
	}
	return nil
}
