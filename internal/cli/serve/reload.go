package serve

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/tokensrv"
)

// reload takes up what has changed in files since the start.
func (o *Options) reload(ctx context.Context, server *tokensrv.Server) {
	if o.logged != nil {
		if err := o.logged.reopen(); err != nil {
			o.App.UI.Warn("cannot reopen %s, still writing to the old one: %v", o.logFile, problem.Reason(err))
		}
	}
	if err := o.reloadPolicy(ctx, server); err != nil {
		o.logger.Error("reload failed: continuing as before", "cause", err)
		return
	}
	o.logger.Info("reloaded")
}

func (o *Options) reloadPolicy(ctx context.Context, server *tokensrv.Server) error {
	// Another app: this one has read its settings.
	app := o.App.Child(o.App.Getenv)
	app.Global = o.App.Global
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	c, err := o.config(cfg)
	if err != nil {
		return err
	}
	if o.envFile != "" {
		if err := o.readEnvFile(&c); err != nil {
			return err
		}
		return server.Reload(ctx, c, o.checkEnvKey(cfg, c))
	}
	session, err := app.OpenSession(ctx, cli.SessionOptions{})
	if err != nil {
		return err
	}
	defer session.Release()
	var deps tokensrv.Deps
	if err := o.identify(&c, &deps, cfg, session); err != nil {
		return err
	}
	return server.Reload(ctx, c, deps.CheckSigningKey)
}

// allowed are the workers of --allow-worker and of --allow-worker-file.
func (o *Options) allowed() ([]string, error) {
	if o.allowWorkerFile == "" {
		return o.allowWorkers, nil
	}
	file, err := os.Open(o.allowWorkerFile)
	if err != nil {
		return nil, problem.New(problem.InputUnreadable, "cannot read %s: %w", o.allowWorkerFile, problem.Reason(err)).
			WithHint("pass a file with one worker SID or identity per line")
	}
	defer file.Close()
	all := slices.Clone(o.allowWorkers)
	lines := bufio.NewScanner(io.LimitReader(file, 16<<20))
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, problem.New(problem.InputUnreadable, "cannot read %s: %w", o.allowWorkerFile, problem.Reason(err)).
			WithHint("pass a file with one worker SID or identity per line")
	}
	if len(all) == 0 { // no list at all lets everyone in
		return nil, problem.New(problem.InputUnreadable, "cannot use %s: it names no worker, so nobody could get a token", o.allowWorkerFile).
			WithHint("name one worker SID or identity per line")
	}
	return all, nil
}

// log is the server's own log, on standard error or in --log-file: text for eyes,
// JSON with -o json.
func (o *Options) log() (*slog.Logger, error) {
	if o.logger != nil {
		return o.logger, nil
	}
	level := slog.LevelInfo
	switch {
	case o.App.Global.Verbose:
		level = slog.LevelDebug
	case o.App.Global.Quiet:
		level = slog.LevelWarn
	}
	to := o.App.UI.Err
	if o.logFile != "" {
		o.logged = &reopened{path: o.logFile}
		if err := o.logged.reopen(); err != nil {
			return nil, problem.New(problem.OutputUnwritable, "cannot log to %s: %w", o.logFile, problem.Reason(err)).
				WithHint("pass a file that can be written with --log-file")
		}
		to = o.logged
	}
	var err error
	o.logger, err = tokensrv.NewLog(to, o.App.Global.Output, level)
	return o.logger, err
}

// reopened is a file that is appended to and can be opened anew under its name,
// after another program has renamed it.
type reopened struct {
	path string

	mu   sync.Mutex
	file *os.File
}

func (r *reopened) reopen() error {
	file, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		_ = r.file.Close()
	}
	r.file = file
	return nil
}

func (r *reopened) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file.Write(p)
}

func (r *reopened) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file.Close()
}
