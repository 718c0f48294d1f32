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
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
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

// updates is the extension that `flexvc serve` offers. Its file is never a reason
// not to serve tokens: without a good one browsers keep what they have, until
// there is one.
type updates struct {
	app            *cli.App
	file, base     string
	allowDowngrade bool
	options        rollout.ServerOptions
	origins        []string
	server         atomic.Pointer[rollout.Server] // nil without a package
	missing        atomic.Pointer[error]          // why
	offered        *rollout.Release               // of server, at first
	tried          [2]fileStamp
	log            *slog.Logger
}

// fileStamp tells one state of a file from the next.
type fileStamp struct {
	changed time.Time
	size    int64
}

// updates is nil without --extension.
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
	return &updates{app: app, file: o.Extension, base: o.stageBase, allowDowngrade: o.allowDowngrade, options: rollout.ServerOptions{
		Stage: stage, AllowDowngrade: o.allowDowngrade, BehindProxy: o.behindProxy,
		Compare: crx.CompareVersions, Valid: func(version string) bool { return crx.CheckVersion(version) == nil },
		Client: tokensrv.ClientOf, Now: app.Now,
	}}, nil
}

// serve hangs the updates into the token server, whose allowed origins are given.
func (u *updates) serve(deps *tokensrv.Deps, log *slog.Logger, origins []string) {
	u.log, u.options.Log, u.origins = log, log, origins
	u.open()
	deps.Extension = u.to(func(s *rollout.Server) http.Handler { return s })
	deps.Admin = append(deps.Admin, tokensrv.Route{Path: rollout.PathStatus, Handler: u.to((*rollout.Server).StatusHandler)})
	deps.Metrics = append(deps.Metrics, func(w io.Writer) {
		if server := u.server.Load(); server != nil {
			server.WriteMetrics(w)
		} else {
			fmt.Fprintln(w, "flexvc_extension_file_served 0")
		}
	})
	deps.Degraded = append(deps.Degraded, func() []tokensrv.Degraded {
		why := ""
		if server := u.server.Load(); server != nil {
			why = server.Status().NotServed
		} else {
			why = (*u.missing.Load()).Error()
		}
		if why == "" {
			return nil
		}
		return []tokensrv.Degraded{{What: "extension", Why: why}}
	})
	also := deps.OtherWork
	deps.OtherWork = func() bool { return u.server.Load() != nil || also != nil && also() }
}

// to is a handler of the server of updates, while there is one.
func (u *updates) to(handler func(*rollout.Server) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server := u.server.Load()
		if server == nil {
			w.Header().Set("Retry-After", "60")
			http.Error(w, "no package to serve", http.StatusServiceUnavailable)
			return
		}
		handler(server).ServeHTTP(w, r)
	})
}

// open reads and checks the packages, and serves them if they are good.
func (u *updates) open() {
	u.tried = u.stamps()
	release, server, err := u.read()
	if err != nil {
		u.missing.Store(&err)
		return
	}
	u.offered = release
	u.server.Store(server)
	if origin := "chrome-extension://" + release.ID; len(u.origins) > 0 && !slices.Contains(u.origins, origin) {
		u.app.UI.Warn("the extension served here may not request tokens here: %s is not an allowed origin", origin)
	}
}

func (u *updates) stamps() (at [2]fileStamp) {
	for i, path := range []string{u.file, u.base} {
		if info, err := os.Stat(path); path != "" && err == nil {
			at[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return at
}

func (u *updates) read() (*rollout.Release, *rollout.Server, error) {
	release, err := readRelease(u.file)
	if err != nil {
		return nil, nil, err
	}
	options := u.options
	if u.base != "" {
		if options.Base, err = readRelease(u.base); err != nil {
			return nil, nil, err
		}
	}
	mark := u.highest(release.ID)
	if before := mark.read(); before != "" && !u.allowDowngrade && crx.CompareVersions(release.Version, before) < 0 {
		return nil, nil, rollout.Downgrade(release.Version, before)
	}
	options.Offered = func(version string, _ bool) {
		if err := mark.write(version); err != nil {
			u.app.UI.Warn("cannot record that %s is served, so a downgrade would go unnoticed after a restart: %v", version, problem.Reason(err))
		}
	}
	server, err := rollout.NewServer(release, options)
	if err != nil {
		return nil, nil, err
	}
	u.options.Base = options.Base
	return release, server, nil
}

// tell says what browsers are offered at address, or why they are offered nothing.
func (u *updates) tell(address string) {
	if u.server.Load() == nil {
		err := *u.missing.Load()
		u.app.UI.Warn("serving no updates until the file is replaced: %v", err)
		if p := problem.As(err); p != nil && p.Hint != "" {
			u.app.UI.Hint("%s", p.Hint)
		}
		return
	}
	u.app.UI.Note("updates on %s  (%s, %s%s)", address, u.offered.ID[:8]+u.app.UI.Ellipsis(), u.offered.Version, u.staged())
}

// follow takes up new files until ctx is done, or the function it returns is
// called, which waits for its end.
func (u *updates) follow(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ticker := time.NewTicker(lookAgain)
	var following sync.WaitGroup
	following.Go(func() {
		for u.server.Load() == nil {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if u.stamps() == u.tried {
				continue
			}
			if u.open(); u.server.Load() == nil {
				u.log.Warn("the extension file is not served", "cause", *u.missing.Load())
			} else {
				u.log.Info("serving updates", "version", u.offered.Version)
			}
		}
		u.server.Load().Follow(ctx, u.file, ticker.C, func() (*rollout.Release, error) { return readRelease(u.file) })
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
func (u *updates) highest(id string) mark {
	dir, err := u.app.StateDir()
	if err != nil {
		return ""
	}
	return mark(filepath.Join(dir, "rollout", id+".json"))
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
