// Package pack is flexvc pack: its flags, what it runs, and what it prints.
// Signing and checking belong to internal/crx, policies to internal/rollout.
package pack

import (
	"cmp"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/extension"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/crx"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/rollout"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/webstore"
)

// The Voice SDK that a package must hold. A test compares it with
// extension/scripts/voice-sdk.json, which the build goes by.
const (
	voiceSDKVersion = "2.18.5"
	voiceSDKSum     = "35d3cb1b22e309f9884724a89250aecd2de4f1556ad7b67a7bc5e06c73dcb74a"
)

// What the extension may ask for; extension/store/permissions.json says what for.
var (
	knownPermissions = []string{"offscreen", "scripting", "storage"}
	knownHosts       = []string{"https://flex.twilio.com/*"}
)

// packOptions is one `flexvc pack`.
type Options struct {
	app      *cli.App
	builtIn  fs.FS
	store    fs.FS // what a listing says
	complete bool  // builtIn has the Voice SDK

	out, keyFile, version, name string
	listing                     string // folder
	hosts, tokenURLs            []string
	updateURL, from, format     string
	verify, policy, merge       string

	publishOptions
}

func New(app *cli.App, runF func(context.Context, *Options) error) *cobra.Command {
	o := &Options{app: app, builtIn: extension.App(), store: extension.Store(), complete: extension.HasVoiceSDK()}
	cmd := &cobra.Command{
		Use:   "pack",
		Short: "Pack and sign the extension, and write its roll-out policies",
		Long: `Pack the built-in extension into one signed file that browsers install by policy.

Everything is checked before the file appears: Chrome accepts the manifest, it requests
no new permissions, no code is loaded remotely, and the Voice SDK is the pinned one.
The same files and key always give the same bytes.

The signing key created by flexvc init determines the extension's ID. A lost key is
never replaced, and a package signed with another key is never overwritten.

  crx   signed, for roll-out by policy
  zip   for the Chrome Web Store, which signs with its own key; --publish uploads and
        submits it, and does nothing if that version is already there; --listing DIR
        writes what has to be entered in the store's dashboard by hand: descriptions,
        the reason for each permission, a privacy policy, pictures
  dir   for "Load unpacked", with the same ID as the crx

--policy DIR also writes update.xml and the Chrome, Chromium and Edge policies for
Linux, Windows, macOS and the Google Admin console, with a README that says where each
goes. Agents then have nothing to do and are never prompted for the microphone. The
settings leave_after_seconds (5 to 86400) and hold_seconds (0 to 30) go into it too.

--verify FILE explains any .crx: its key, signatures and files, and what is wrong with
a damaged one. With --key, --version or --policy it also compares against those.`,
		Example: `  $ flexvc pack
  $ flexvc pack --policy rollout/ --update-url https://ext.acme.example/flexvc/update.xml
  $ flexvc pack --policy rollout/ --merge /etc/opt/chrome/policies/managed/acme.json
  $ flexvc pack --listing store/
  $ flexvc pack --publish PUBLISHER/ITEM --service-account key.json --dry-run
  $ flexvc pack --verify flexvc-1.4.0.crx`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), o)
			}
			if o.verify != "" {
				return verifyRun(o)
			}
			return Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.out, "out", "", "file or folder to write (default flexvc-VERSION.crx)")
	f.StringVar(&o.format, "format", "crx", "crx, zip or dir")
	f.StringVar(&o.keyFile, "key", "", "signing key, PEM (default the profile's)")
	f.StringVar(&o.version, "version", "", "package version (default the manifest's)")
	f.StringVar(&o.name, "name", "", "name shown by browsers (default the manifest's)")
	f.StringArrayVar(&o.hosts, "host", nil, "additional place where agents open Flex, such as https://flex.acme.example/*")
	f.StringVar(&o.updateURL, "update-url", "", "address of update.xml (default below the profile's token URL)")
	f.StringArrayVar(&o.tokenURLs, "token-url", nil, "token endpoint allowed by the policy (default the profile's)")
	f.StringVar(&o.policy, "policy", "", "write update.xml and policies to this folder")
	f.StringVar(&o.merge, "merge", "", "existing Linux policy file to merge linux.json into")
	f.StringVar(&o.from, "from", "", "pack this folder instead of the built-in extension")
	f.StringVar(&o.verify, "verify", "", "explain a .crx instead of packing one")
	f.StringVar(&o.listing, "listing", "", "write the Chrome Web Store's descriptions, reasons and pictures to this folder")
	o.publishOptions.flags(f)
	cli.Complete(cmd, "format", "crx", "zip", "dir")
	for _, flag := range []string{"version", "name", "host", "update-url", "token-url"} {
		cli.NoCompletion(cmd, flag)
	}
	return cmd
}

// check judges the flags that need nothing else.
func (o *Options) check(cmd *cobra.Command) error {
	if o.verify != "" {
		for _, flag := range []string{"out", "format", "name", "host", "update-url", "token-url", "merge", "from", "publish", "listing"} {
			if cmd.Flags().Changed(flag) {
				return cli.Usagef("--verify and --%s cannot be combined", flag)
			}
		}
	}
	if (o.publish != "" || o.listing != "") && !cmd.Flags().Changed("format") {
		o.format = "zip"
	}
	if o.listing != "" && o.format != "zip" {
		return cli.Usagef("--listing requires --format zip, not %s", o.format)
	}
	if o.publish != "" && o.format != "zip" {
		return cli.Usagef("--publish requires --format zip, not %s", o.format)
	}
	switch o.format {
	case "crx", "zip", "dir":
	default:
		return cli.Usagef("--format %q is not crx, zip or dir", o.format)
	}
	if o.policy != "" && o.format != "crx" {
		return cli.Usagef("--policy requires --format crx, not %s", o.format)
	}
	if o.policy == "" && o.merge != "" {
		return cli.Usagef("--merge requires --policy")
	}
	if o.policy == "" && len(o.tokenURLs) > 0 {
		return cli.Usagef("--token-url requires --policy")
	}
	if o.version != "" {
		if err := crx.CheckVersion(o.version); err != nil {
			return cli.Usagef("--%w", err)
		}
	}
	for _, host := range o.hosts {
		if err := crx.CheckHost(host); err != nil {
			return cli.Usagef("--host %w", err)
		}
	}
	for flag, addresses := range map[string][]string{"--update-url": {o.updateURL}, "--token-url": o.tokenURLs} {
		for _, address := range addresses {
			if address == "" && flag == "--update-url" {
				continue
			}
			if err := rollout.CheckURL(address); err != nil {
				return cli.Usagef("%s %w", flag, err)
			}
		}
	}
	return nil
}

// packRun reads and checks everything, then writes the package, then the
// policies that name it.
func Run(ctx context.Context, o *Options) error {
	cfg, err := o.app.Config()
	if err != nil {
		return err
	}
	store, err := o.publishOptions.open()
	if err != nil {
		return err
	}
	result := &packResult{Format: o.format, Publishing: store != nil}
	var key *rsa.PrivateKey
	edits := crx.Edits{Version: o.version, Name: o.name, Hosts: o.hosts, Bare: o.format == "zip"}
	if o.format != "zip" {
		if key, err = o.key(cfg, result); err != nil {
			return err
		}
		if o.format == "dir" {
			if edits.Key, err = crx.PublicKey(key); err != nil {
				return err
			}
		} else {
			edits.UpdateURL = o.update(cfg)
		}
	}
	source, rules, err := o.source()
	if err != nil {
		return err
	}
	if result.Folder, err = crx.ReadFolder(ctx, source, edits, rules); err != nil {
		return err
	}
	result.SDK = rules.Pinned != nil
	result.File = o.out
	if result.File == "" {
		result.File = "flexvc-" + result.Folder.Manifest.Version + strings.TrimSuffix("."+o.format, ".dir")
	}
	if info, err := os.Stat(result.File); err == nil && !info.Mode().IsRegular() && o.format != "dir" {
		return problem.New(problem.OutputUnwritable, "cannot write %s: it is not a regular file", result.File).
			WithHint("choose another file with --out")
	}
	view := newPackView(o.app, cfg)
	if o.format == "crx" && result.ID != "" {
		if other := crx.FileID(result.File); other != "" && other != result.ID {
			return problem.New(problem.SigningKeyInvalid, "cannot replace %s: it is signed with another key (its ID is %s, this key's is %s)", result.File, other, result.ID).
				WithHint("pass that key with --key, or write to another file with --out: a new key means a new extension")
		}
	}
	settings, merged, err := o.settings(cfg, result)
	if err != nil {
		return err
	}
	var entries []webstore.File
	if o.listing != "" {
		if entries, err = webstore.Listing(o.store, result.Folder.ManifestText); err != nil {
			return err
		}
	}
	var inStore *published
	if store != nil {
		if inStore, err = store.plan(ctx, result.Folder.Manifest.Version); err != nil {
			return err
		}
	}
	view.checked(result)
	if entries != nil && !o.dryRun {
		if result.Listing, err = writeListing(o.listing, entries); err != nil {
			return err
		}
	}
	if inStore != nil {
		inStore.Listing = result.Listing
	}
	if inStore != nil && (inStore.DryRun || inStore.State != "") {
		return view.published(inStore)
	}

	switch o.format {
	case "crx":
		result.Package, err = crx.Pack(ctx, result.File, result.Folder, key)
	case "zip":
		result.Package, err = crx.Zip(ctx, result.File, result.Folder)
	case "dir":
		err = crx.Unpacked(ctx, result.File, result.Folder)
	}
	if err != nil {
		return err
	}
	if o.policy != "" {
		settings.SHA256, settings.Size = result.Package.SHA256, result.Package.Size
		result.PolicyDir, result.PackageURL = o.policy, settings.PackageURL
		if result.PolicyFiles, err = rollout.Write(o.policy, settings, merged); err != nil {
			return err
		}
	}
	if err := view.packed(result); err != nil || store == nil {
		return err
	}
	if err := store.run(ctx, inStore, result.File); err != nil {
		return err
	}
	return view.published(inStore)
}

// key reads the signing key, and never makes one.
func (o *Options) key(cfg *config.Config, result *packResult) (*rsa.PrivateKey, error) {
	result.KeyFile = cfg.SigningKey
	if o.keyFile != "" {
		result.KeyFile = o.keyFile
	}
	key, open, err := crx.ReadKey(result.KeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		p := problem.New(problem.SigningKeyInvalid, "cannot sign the extension: no key at %s", cfg.Short(result.KeyFile)).Because(err).
			WithHint("check the path")
		if o.keyFile == "" {
			p.Hint = "restore it from a backup if you had one (a new key means a new extension); otherwise flexvc init creates it"
		}
		return nil, p
	}
	if err != nil {
		return nil, err
	}
	result.KeyOpen = open
	result.ID, err = crx.ExtensionID(key.Public())
	return key, err
}

// source is what is packed, and what it may hold. A folder that was named
// may do without the Voice SDK, but not with another one.
func (o *Options) source() (fs.FS, crx.Rules, error) {
	rules := crx.Rules{
		Permissions: knownPermissions,
		Hosts:       append(o.hosts[:len(o.hosts):len(o.hosts)], knownHosts...),
		Pinned:      map[string]string{extension.VoiceSDK: voiceSDKSum},
	}
	if o.from == "" {
		if !o.complete {
			return nil, rules, problem.New(problem.ExtensionIncomplete, "cannot pack the built-in extension: this flexvc was built without the Voice SDK").
				WithHint("run make build, which needs npm; or npm ci and npm run build in extension/, then flexvc pack --from extension/app")
		}
		return o.builtIn, rules, nil
	}
	if info, err := os.Stat(o.from); err != nil || !info.IsDir() {
		if err == nil {
			err = errors.New("it is not a folder")
		}
		return nil, rules, problem.New(problem.InputUnreadable, "cannot pack %s: %w", o.from, problem.Reason(err))
	}
	source := os.DirFS(o.from)
	if _, err := fs.Stat(source, extension.VoiceSDK); errors.Is(err, fs.ErrNotExist) {
		rules.Pinned = nil
	}
	return source, rules, nil
}

// update is where browsers look for later versions.
func (o *Options) update(cfg *config.Config) string {
	return cmp.Or(o.updateURL, cli.UpdateURL(cfg))
}

// settings are the roll-out's, all but what only the package can tell. Whatever
// stands in its way is found out here, before anything is written.
func (o *Options) settings(cfg *config.Config, result *packResult) (s rollout.Settings, merged []byte, err error) {
	if o.policy == "" {
		return s, nil, nil
	}
	m := result.Folder.Manifest
	if m.UpdateURL == "" && o.format == "crx" {
		return s, nil, cli.Usagef("--policy requires --update-url: token_url is not the address of flexvc serve, which would serve the package")
	}
	s = rollout.Settings{
		ID: result.ID, Version: m.Version, MinChrome: m.MinimumChromeVersion,
		UpdateURL: m.UpdateURL, PackageURL: rollout.PackageURL(m.UpdateURL, filepath.Base(result.File)),
		Account: cfg.AccountSID, TokenURLs: o.tokenURLs,
		LeaveAfter: seconds(cfg, config.LeaveAfter), Hold: seconds(cfg, config.Hold),
	}
	if len(s.TokenURLs) == 0 && cfg.TokenURL != "" {
		s.TokenURLs = []string{cfg.TokenURL}
	}
	if _, err := s.Files(); err != nil {
		return s, nil, err
	}
	if err := rollout.Free(o.policy, s.ID); err != nil {
		return s, nil, err
	}
	if o.merge == "" {
		return s, nil, nil
	}
	existing, err := config.ReadText(o.merge, textLimit)
	if err != nil {
		return s, nil, problem.New(problem.InputUnreadable, "cannot read %s: %w", o.merge, problem.Reason(err))
	}
	merged, err = s.Merge(o.merge, existing, rollout.Chrome)
	return s, merged, err
}

// seconds is a setting, nil where it is not set. Reading the settings has checked it.
func seconds(cfg *config.Config, name string) *int {
	n, err := strconv.Atoi(cfg.Value(name))
	if err != nil {
		return nil
	}
	return &n
}

// verifyRun explains a package.
func verifyRun(o *Options) error {
	cfg, err := o.app.Config()
	if err != nil {
		return err
	}
	f, err := os.Open(o.verify)
	if err != nil {
		return problem.New(problem.InputUnreadable, "cannot read %s: %w", o.verify, problem.Reason(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return problem.New(problem.InputUnreadable, "cannot read %s: %w", o.verify, problem.Reason(err))
	}
	report, err := crx.Verify(f, info.Size())
	if err != nil {
		return problem.New(problem.InputUnreadable, "cannot read %s: %w", o.verify, problem.Reason(err))
	}
	result := &verifyResult{File: o.verify, Report: report}
	wanted := &packResult{}
	if _, err := o.key(cfg, wanted); err == nil {
		result.OurID = wanted.ID
	} else if o.keyFile != "" {
		return err
	}
	id := ""
	if o.keyFile != "" {
		id = result.OurID
	}
	report.Expect(id, o.version)
	if err := o.checkPolicy(result); err != nil {
		return err
	}
	if err := newPackView(o.app, cfg).verified(result); err != nil {
		return err
	}
	if n := len(report.Faults) + len(result.UpdateFaults); n > 0 {
		return problem.New(problem.PackageInvalid, "cannot verify %s: it has %s", o.verify, ui.Plural(n, "fault")).
			WithHint("pack it again: flexvc pack")
	}
	return nil
}

const textLimit = 16 << 20 // bytes, of a policy or an update.xml

// checkPolicy compares with the update.xml of --policy.
func (o *Options) checkPolicy(result *verifyResult) error {
	if o.policy == "" || result.Report.Manifest == nil {
		return nil
	}
	path := filepath.Join(o.policy, rollout.UpdateFile)
	text, err := config.ReadText(path, textLimit)
	if err != nil {
		return problem.New(problem.InputUnreadable, "cannot read %s: %w", path, problem.Reason(err))
	}
	r := result.Report
	result.UpdateFaults = rollout.Settings{ID: r.ID, Version: r.Manifest.Version, SHA256: r.SHA256, Size: r.Size}.CheckUpdate(text)
	for i, fault := range result.UpdateFaults {
		result.UpdateFaults[i].What = fmt.Sprintf("%s: %s", path, fault.What)
	}
	return nil
}

// onlyHere reports whether an address is of this machine alone.
func onlyHere(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
