package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/twilioapi"
)

// Teardown takes away what flexvc's commands have made in an account. What others
// made stays, and whatever cannot be told from theirs.
type Teardown struct {
	Plugin    *Plugin
	Function  *Function
	Events    *Events
	Keys      KeyAPI
	Workspace *twilioapi.Workspace
	Settings  Settings // of the profile; what it names is flexvc's
}

// TeardownPlan is the way to an account without flexvc.
type TeardownPlan struct {
	Plan
	Kept []string // what stays, and why; for people, may hold whole SIDs
}

// KindWorkers is the item of the workers, which comes first: their calls depend on
// all others.
const KindWorkers Kind = "workers"

// Plan finds out what there is. before is done first, after last. ready is asked
// right before the plugin goes; its error keeps it.
func (t *Teardown) Plan(ctx context.Context, before Work, after []Work, ready func(context.Context) error) (*TeardownPlan, error) {
	p := &TeardownPlan{}
	if before.Item.Action != Same {
		p.work(before)
	}
	release, err := t.Plugin.PlanRemove(ctx)
	if err != nil {
		return nil, err
	}
	release.Last = ready
	p.join(&release.Plan)
	for _, part := range []func(context.Context, *TeardownPlan) error{t.planHosting, t.planFunction, t.planEvents, t.planKey, t.planActivity} {
		if err := part(ctx, p); err != nil {
			return nil, err
		}
	}
	for _, one := range after {
		p.work(one)
	}
	return p, nil
}

func (p *TeardownPlan) keep(format string, args ...any) {
	p.Kept = append(p.Kept, fmt.Sprintf(format, args...))
}

// planFunction takes the token Function away. No agent needs it any more: without
// the plugin the extensions request no tokens.
func (t *Teardown) planFunction(ctx context.Context, p *TeardownPlan) error {
	plan, err := t.Function.PlanRemove(ctx)
	if err != nil {
		return err
	}
	p.join(&plan.Plan)
	p.Kept = append(p.Kept, plan.Kept...)
	return nil
}

func (t *Teardown) planEvents(ctx context.Context, p *TeardownPlan) error {
	callback, err := t.Events.Callbacks.Callback(ctx)
	if err != nil {
		return err
	}
	// The filter is one that only events enable --callback sets.
	ours := ""
	if callback.URL != "" && callback.Filter == joinKinds() {
		ours = callback.URL
	}
	plan, err := t.Events.PlanDisable(ctx, ours)
	if err != nil {
		return err
	}
	p.join(&plan.Plan)
	for _, sink := range plan.Left {
		p.keep("event sink %s: somebody else's subscription uses it", sink.SID)
	}
	return nil
}

func (t *Teardown) planKey(ctx context.Context, p *TeardownPlan) error {
	keys, err := t.Keys.Keys(ctx)
	if problem.Is(err, problem.PermissionDenied) {
		return problem.New(problem.PermissionDenied, "cannot plan the removal of the token server's API key: these credentials may not manage the account's keys").
			WithHint("run teardown with the account's auth token or a Main API key").
			Because(err)
	}
	if err != nil {
		return err
	}
	for _, k := range keys {
		switch {
		case k.FriendlyName != TokenKeyName && !strings.HasPrefix(k.FriendlyName, TokenKeyName+" (setup "):
			if k.SID == t.Settings.APIKeySID {
				p.keep("api key %s: it is called %q, so flexvc did not create it", k.SID, k.FriendlyName)
			}
		case k.SID == t.Settings.APIKeySID:
			p.add(Item{KindKey, Remove, k.FriendlyName, k.SID, "tokens signed with it are refused at once"}, func(ctx context.Context) (string, error) {
				return k.SID, gone(t.Keys.DeleteKey(ctx, k.SID))
			})
		default:
			p.keep("api key %s: another profile or machine may sign with it; delete it in the Console if none does", k.SID)
		}
	}
	return nil
}

func (t *Teardown) planActivity(ctx context.Context, p *TeardownPlan) error {
	activities, err := t.Workspace.Activities(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(activities, func(a twilio.Activity) bool { return t.Settings.ActivitySID != "" && a.SID == t.Settings.ActivitySID })
	if i < 0 {
		return nil
	}
	found := activities[i]
	if found.SID != t.Settings.CreatedActivitySID {
		p.keep("activity %q (%s): it was there before flexvc init", found.FriendlyName, found.SID)
		return nil
	}
	in, err := t.in(ctx, found.SID)
	if err != nil {
		return err
	}
	if in > 0 {
		who := "1 worker is"
		if in > 1 {
			who = fmt.Sprintf("%d workers are", in)
		}
		p.keep("activity %q (%s): %s in it; run flexvc teardown again when nobody is", found.FriendlyName, found.SID, who)
		return nil
	}
	p.add(Item{KindActivity, Remove, found.FriendlyName, found.SID, "nobody is in it"}, func(ctx context.Context) (string, error) {
		return found.SID, gone(t.Workspace.DeleteActivity(ctx, found.SID))
	})
	return nil
}

// in counts the workers in an activity.
func (t *Teardown) in(ctx context.Context, activity string) (n int, err error) {
	found := map[string]bool{} // pages that shift give a worker twice
	for w, err := range t.Workspace.Workers(ctx, "") {
		if err != nil {
			return 0, err
		}
		if w.ActivitySID == activity {
			found[w.SID] = true
		}
	}
	return len(found), nil
}
