package bulk

import (
	"context"
	"fmt"
	"strings"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/workers"
)

// Resume shows what is left of a run, asks if other runs came after it, and
// continues it.
func (b *Job) Resume(ctx context.Context, id string, retryFailed bool) error {
	folder, err := b.Folder()
	if err != nil {
		return err
	}
	var lock *workers.Lock
	if !b.DryRun {
		if lock, err = folder.Lock("runs resume"); err != nil {
			return err
		}
		defer lock.Release()
	}
	run, err := folder.Resumable(id, retryFailed)
	if err != nil {
		return err
	}
	defer run.Close()
	plan, err := workers.PlanResume(ctx, b.Session.Workers, folder, run, b.Concurrency, lock)
	if err != nil {
		return err
	}
	defer plan.Close()
	if n := len(run.Damage); n > 0 {
		b.App.UI.Warn("%s of run %s's journal cannot be read (see flexvc runs show %s)", ui.Plural(n, "line"), run.ID, run.ID)
	}
	newer := folder.Since(run.ID)
	view := NewView(b.App, run.Header, b.Session.Retries)
	var situation Situation
	if len(plan.Change) > 0 {
		b.Enables, b.Force = run.Edit != nil && run.Edit.Enable, b.Force || run.Forced
		if situation, err = b.look(ctx, plan, view); err != nil {
			return err
		}
	}
	if err := view.resume(run, plan, newer, b.DryRun); err != nil {
		return err
	}
	switch {
	case b.DryRun && b.ExitCode && len(plan.Change) > 0:
		return cli.Silent(problem.ChangesPending)
	case b.DryRun:
		return nil
	case len(newer) > 0 && len(plan.Change) > 0 && !b.Yes:
		if yes, err := b.confirm(ctx, resumeQuestion(b.App.UI, newer, len(plan.Change), situation), len(plan.Change), situation); err != nil || !yes {
			return b.declined(err)
		}
	}
	if err := lock.Reopen(run, plan); err != nil {
		return err
	}
	return b.Apply(ctx, lock, run, view)
}

func resumeQuestion(u *ui.Streams, newer []workers.Summary, n int, s Situation) string {
	since := "Another run has changed this workspace"
	if len(newer) > 1 {
		since = fmt.Sprintf("%d other runs have changed this workspace", len(newer))
	}
	return fmt.Sprintf("%s since.\nChange %s in %s all the same?\n", since, ui.Plural(n, "worker"), s.place(u))
}

func (v *textView) resume(run *workers.Run, p *workers.Plan, newer []workers.Summary, dryRun bool) error {
	say := v.planned(dryRun)
	if len(p.Change) > 0 {
		say("%s\n", v.where.heading(v.ui))
	}
	t := run.Tally()
	failed := ""
	if t.Failed > 0 {
		failed = fmt.Sprintf(", %d failed", t.Failed)
	}
	say("Run %s: %d done%s, %d left\n", run.ID, t.Planned-t.Left-t.Failed, failed, t.Left)
	for i, s := range newer {
		const some = 3
		if i == some {
			say("   %s %d more (all of them: flexvc runs list)\n", v.ui.Ellipsis(), len(newer)-some)
			break
		}
		what := "its journal is damaged"
		if s.Command != "" {
			what = "flexvc " + s.Command + " " + ui.Clean(s.Selection)
		}
		say(" %s since then: run %s, %s\n", v.ui.Mark(v.ui.Out, ui.Alert), s.ID, strings.TrimSpace(what))
	}
	if len(p.Change)+len(p.Blocked) > 0 {
		say("\n")
		v.planLines(say, p)
		say("\n")
	}
	again, end := "", ""
	if p.Again > 0 {
		again = fmt.Sprintf(", %d of them again", p.Again)
	}
	if dryRun {
		end = " Nothing was changed (--dry-run)."
	}
	say("Plan: %d to change%s.%s\n", len(p.Change), again, end)
	return nil
}

func (v *jsonView) resume(run *workers.Run, p *workers.Plan, newer []workers.Summary, dryRun bool) error {
	v.again = p.Again
	for _, s := range newer {
		v.newer = append(v.newer, s.ID)
	}
	if !dryRun {
		return nil
	}
	t := run.Tally()
	done := t.Planned - t.Left
	v.emit(v.where.in(planEvent{
		V: 1, Event: "plan", Run: run.ID, Of: run.Of, Change: len(p.Change), Again: p.Again, Same: p.Same, Blocked: len(p.Blocked),
		Done: &done, Newer: v.newer,
	}))
	v.planLines(p)
	return v.err
}
