package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/crx"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/rollout"
	"github.com/flexvc/flexvc/internal/tokensrv"
	"github.com/flexvc/flexvc/internal/ui"
)

// packageLimit is the size of the largest package that is served: it is kept in
// memory. Ours has a quarter of a megabyte.
const packageLimit = 64 << 20

// lookAgain is how often the file of --extension is looked at.
const lookAgain = time.Second

// updatesOptions are the flags of `flexvc serve` about the extension.
type updatesOptions struct {
	Extension        string
	stage, stageBase string
	allowDowngrade   bool
}

func (o *updatesOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.Extension, "extension", "", "serve this package to browsers, and any file that replaces it")
	f.StringVar(&o.stage, "stage", "100%", "percentage of browsers offered the new version")
	f.StringVar(&o.stageBase, "stage-base", "", "package for the other browsers (default: they keep theirs)")
	f.BoolVar(&o.allowDowngrade, "allow-downgrade", false, "allow serving a lower version than before")
}

// updates is the extension that `flexvc serve` offers.
type updates struct {
	app     *cli.App
	file    string
	release *rollout.Release
	options rollout.ServerOptions
	server  *rollout.Server // after open
}

// updates reads and checks the packages; it is nil without --extension.
func (o *Options) updates(app *cli.App) (*updates, error) {
	if o.Extension == "" {
		if o.stage != "" && o.stage != "100%" || o.stageBase != "" || o.allowDowngrade {
			return nil, cli.Usagef("--stage, --stage-base and --allow-downgrade require --extension")
		}
		return nil, nil
	}
	stage, err := cli.ParseStage(o.stage)
	if err != nil {
		return nil, err
	}
	u := &updates{app: app, file: o.Extension, options: rollout.ServerOptions{
		Stage: stage, AllowDowngrade: o.allowDowngrade, BehindProxy: o.behindProxy,
		Compare: crx.CompareVersions, Valid: func(version string) bool { return crx.CheckVersion(version) == nil },
		Client: tokensrv.ClientOf, Now: app.Now,
	}}
	if u.release, err = readRelease(o.Extension); err != nil {
		return nil, err
	}
	if o.stageBase != "" {
		if u.options.Base, err = readRelease(o.stageBase); err != nil {
			return nil, err
		}
	}
	mark := u.highest()
	if before := mark.read(); before != "" && !o.allowDowngrade && crx.CompareVersions(u.release.Version, before) < 0 {
		return nil, rollout.Downgrade(u.release.Version, before)
	}
	u.options.Offered = func(version string, _ bool) {
		if err := mark.write(version); err != nil {
			app.UI.Warn("cannot record that %s is served, so a downgrade would go unnoticed after a restart: %v", version, problem.Reason(err))
		}
	}
	return u, nil
}

func (u *updates) open(log *slog.Logger) (err error) {
	u.options.Log = log
	u.server, err = rollout.NewServer(u.release, u.options)
	return err
}

// follow takes up new files until ctx is done, or the function it returns is
// called, which waits for its end.
func (u *updates) follow(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ticker := time.NewTicker(lookAgain)
	var following sync.WaitGroup
	following.Go(func() {
		u.server.Follow(ctx, u.file, ticker.C, func() (*rollout.Release, error) { return readRelease(u.file) })
	})
	return func() {
		ticker.Stop()
		cancel()
		following.Wait()
	}
}

// staged says what share of browsers is offered the release, when it is not all.
func (u *updates) staged() string {
	if u.options.Stage == 10_000 {
		return ""
	}
	text := fmt.Sprintf(", for %s of browsers", cli.Percent(float64(u.options.Stage)/100))
	if u.options.Base != nil {
		text += "; the others get " + u.options.Base.Version
	}
	return text
}

// readRelease reads a package and checks it whole, as a browser will.
func readRelease(path string) (*rollout.Release, error) {
	unreadable := func(err error) error {
		return problem.New(problem.InputUnreadable, "cannot serve %s: %w", path, problem.Reason(err)).
			WithHint("create one: flexvc pack")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err == nil && info.Size() > packageLimit {
		err = fmt.Errorf("it is larger than %d MiB", packageLimit>>20)
	}
	if err != nil {
		return nil, unreadable(err)
	}
	data, err := io.ReadAll(io.LimitReader(f, packageLimit))
	if err != nil {
		return nil, unreadable(err)
	}
	report, err := crx.Verify(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, unreadable(err)
	}
	if !report.OK() {
		return nil, problem.New(problem.PackageInvalid, "cannot serve %s: it has %s, the first at byte %d: %s",
			path, ui.Plural(len(report.Faults), "fault"), report.Faults[0].At, report.Faults[0].What).
			WithHint("see why with flexvc pack --verify %s, then pack it again", path)
	}
	m := report.Manifest
	return &rollout.Release{
		ID: report.ID, Version: m.Version, MinChrome: m.MinimumChromeVersion, UpdateURL: m.UpdateURL,
		SHA256: report.SHA256, Data: data, Modified: info.ModTime(),
	}, nil
}

// highest is where the version last served is noted, by extension: it outlives
// the server, and so does the refusal to go below it.
func (u *updates) highest() mark {
	dir, err := u.app.StateDir()
	if err != nil {
		return ""
	}
	return mark(filepath.Join(dir, "rollout", u.release.ID+".json"))
}

type mark string

type markText struct {
	Version string `json:"version"`
}

// read returns "" when nothing was noted, or nothing that can be read: the
// note is a help, and a damaged one must not keep agents from their tokens.
func (m mark) read() string {
	text, err := os.ReadFile(string(m))
	var noted markText
	if err != nil || json.Unmarshal(text, &noted) != nil || crx.CheckVersion(noted.Version) != nil {
		return ""
	}
	return noted.Version
}

func (m mark) write(version string) error {
	if m == "" {
		return fs.ErrNotExist
	}
	if err := os.MkdirAll(filepath.Dir(string(m)), 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(markText{version})
	if err != nil {
		return err
	}
	temp := string(m) + ".new"
	if err := os.WriteFile(temp, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, string(m))
}
