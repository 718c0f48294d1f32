package pack

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/crx"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/webstore"
)

// publishOptions are the flags of `flexvc pack` about the Chrome Web Store.
type publishOptions struct {
	publish, serviceAccount, share string
	dryRun                         bool

	Store webstore.Options // whom to ask; a test has another store
}

func (o *publishOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.publish, "publish", "", "publish in the Chrome Web Store as PUBLISHER/ITEM")
	f.StringVar(&o.serviceAccount, "service-account", "", "JSON key of the Google service account used to publish")
	f.StringVar(&o.share, "publish-share", "", "percentage of users who get it at first, such as 10% (default all)")
	f.BoolVar(&o.dryRun, "dry-run", false, "with --publish: check and query the store without changing anything")
}

// publishing is a publication whose flags and key file are good.
type publishing struct {
	client  *webstore.Client
	item    webstore.Item
	percent int
	dryRun  bool
}

func (o *publishOptions) open() (*publishing, error) {
	if o.publish == "" {
		for flag, given := range map[string]bool{"--service-account": o.serviceAccount != "", "--publish-share": o.share != "", "--dry-run": o.dryRun} {
			if given {
				return nil, cli.Usagef("%s requires --publish", flag)
			}
		}
		return nil, nil
	}
	p := &publishing{dryRun: o.dryRun}
	var err error
	if p.item, err = webstore.ParseItem(o.publish); err != nil {
		return nil, cli.Usagef("--publish %w", err)
	}
	if o.share != "" {
		hundredths, err := cli.ParseStage(o.share)
		if err != nil || hundredths%100 != 0 {
			return nil, cli.Usagef("--publish-share %q is not a whole percentage, such as 10%%", o.share)
		}
		p.percent = hundredths / 100
	}
	if o.serviceAccount == "" {
		return nil, cli.Usagef("--publish requires --service-account FILE, the JSON key of a Google service account")
	}
	account, err := webstore.ReadAccount(o.serviceAccount)
	if err != nil {
		return nil, err
	}
	p.client = webstore.New(p.item, account, o.Store)
	return p, nil
}

// published is what became of a version in the store.
type published struct {
	Item      string   `json:"item"`                // PUBLISHER/ITEM in the store
	Version   string   `json:"version"`             // of the package
	Before    string   `json:"published,omitempty"` // the version that users had
	State     string   `json:"state"`               // of Version, as the store calls it; empty: not submitted
	Uploaded  bool     `json:"uploaded"`            // by this command
	Submitted bool     `json:"submitted"`           // by this command
	DryRun    bool     `json:"dry_run"`             // nothing was changed
	Listing   *listing `json:"listing,omitempty"`   // with --listing
}

type publishedEvent struct {
	cli.EventJSON
	*published
}

// plan asks how the item is. A version that the store has already is a state in
// which nothing is left to do.
func (p *publishing) plan(ctx context.Context, version string) (*published, error) {
	status, err := p.client.Status(ctx)
	if err != nil {
		return nil, err
	}
	out := &published{Item: p.item.String(), Version: version, DryRun: p.dryRun}
	if status.TakenDown {
		return nil, problem.New(problem.StoreRefused, "cannot publish %s: the store has taken %s down for a violation of its policies", version, p.item).
			WithHint("see the developer dashboard: https://chrome.google.com/webstore/devconsole")
	}
	if status.Published != nil {
		out.Before = status.Published.Version
		if crx.CheckVersion(out.Before) == nil && crx.CompareVersions(out.Before, version) > 0 {
			return nil, problem.New(problem.DowngradeRefused, "cannot publish %s: the store already has %s and accepts only higher versions", version, out.Before).
				WithHint("raise the version: flexvc pack --version N --publish %s/%s", p.item.Publisher, p.item.ID)
		}
	}
	if r := status.Has(version); r != nil {
		out.State = r.State
	}
	return out, nil
}

// run uploads the archive and submits it, unless that was done before.
func (p *publishing) run(ctx context.Context, out *published, archive string) error {
	if out.State != "" || p.dryRun {
		return nil
	}
	data, err := os.ReadFile(archive)
	if err != nil {
		return problem.New(problem.InputUnreadable, "cannot read %s: %w", archive, problem.Reason(err))
	}
	if err := p.client.Upload(ctx, data, out.Version); err != nil {
		return err
	}
	out.Uploaded = true
	if out.State, err = p.client.Publish(ctx, out.Version, p.percent); err != nil {
		return err
	}
	out.Submitted = true
	return nil
}

// stateWords is a state of the store in words.
func stateWords(state string) string {
	if state == "" {
		return "not submitted"
	}
	return strings.ReplaceAll(strings.ToLower(state), "_", " ")
}

func (v *packText) published(p *published) error {
	before := "nothing published yet"
	if p.Before != "" {
		before = "published " + p.Before
	}
	v.row("store", "%s   %s", p.Item, before)
	switch {
	case p.DryRun && p.State == "":
		v.line(ui.Skipped, "publish", "would upload and submit %s (--dry-run)", p.Version)
	case p.Submitted:
		v.line(ui.Done, "publish", "%s uploaded and submitted: %s", p.Version, stateWords(p.State))
	default:
		v.line(ui.Done, "publish", "%s is already there: %s", p.Version, stateWords(p.State))
	}
	if !p.Uploaded { // otherwise it has been said with the package
		v.listing(p.Listing)
	}
	if p.Before == "" && p.Listing == nil {
		v.ui.Chat("\nThe store's API takes the package alone; flexvc pack --listing DIR writes what the dashboard asks for besides\n")
	}
	if p.State != "PUBLISHED" && !p.DryRun {
		v.ui.Chat("\nNext: wait for the store's review; run the same command to see its state\n")
	}
	return nil
}

func (v *packJSON) published(p *published) error {
	return cli.PrintJSON(v.app.UI.Out, publishedEvent{cli.Event("published"), p})
}
