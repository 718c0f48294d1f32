package provision

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// FunctionKeyName is what the Function's API key is called at Twilio.
const FunctionKeyName = "flexvc-token-function"

// maxTokenLife is the longest life that Twilio accepts of an access token.
const maxTokenLife = 24 * time.Hour

func isFunctionKey(k twilio.Key) bool {
	return k.FriendlyName == FunctionKeyName || strings.HasPrefix(k.FriendlyName, FunctionKeyName+" (setup ")
}

func unfinishedFunctionKey(nonce string) string {
	return fmt.Sprintf("%s (setup %s)", FunctionKeyName, nonce)
}

// planKey finds the key that signs, one that an interrupted run has made, or plans
// one. A key whose secret was lost on the way is deleted, if this machine made it.
func (d *Function) planKey(p *FunctionPlan) error {
	var err error
	if p.intent, err = d.Intents.Load(); err != nil {
		return err
	}
	item := Item{Kind: KindKey, Action: Same, Name: FunctionKeyName, Detail: "its secret is a variable of the Function and nowhere else"}
	inUse := p.is.inUse()
	if p.key = p.is.adoptable(inUse); p.key == "" {
		item.Action = Add
		if inUse != "" {
			item.Detail = "replaces " + inUse + ", which no longer exists, or whose secret does not"
		}
	} else if p.key != inUse || !p.is.named(p.key) {
		item.Action, item.Detail = Change, "created by an interrupted run"
	}
	item.ID = p.key
	d.dropLost(p)
	p.add(item, bind(d.applyKey, p))
	if item.Action == Same {
		p.finish = func(context.Context) error { return d.forget(p) }
	}
	return nil
}

// forget ends the intent, if there is one.
func (d *Function) forget(p *FunctionPlan) error {
	if p.intent == (Intent{}) {
		return nil
	}
	return d.Intents.Clear()
}

// dropLost plans the end of the keys that a run of this machine made and whose
// secrets it did not get to keep.
func (d *Function) dropLost(p *FunctionPlan) {
	for _, k := range p.is.keys {
		if !p.isUnfinished(k) || p.is.usable(k.SID) {
			continue
		}
		p.add(Item{KindKey, Remove, FunctionKeyName, k.SID, "left by an interrupted run, its secret is lost"}, func(ctx context.Context) (string, error) {
			return k.SID, gone(d.Keys.DeleteKey(ctx, k.SID))
		})
	}
}

// adoptable is the key in use if it works, or else the newest one that does.
func (s *functionState) adoptable(inUse string) (sid string) {
	if s.usable(inUse) {
		return inUse
	}
	var newest time.Time
	for _, k := range s.keys {
		if s.usable(k.SID) && (sid == "" || k.Created.After(newest)) {
			sid, newest = k.SID, k.Created
		}
	}
	return sid
}

func (s *functionState) named(sid string) bool {
	return slices.ContainsFunc(s.keys, func(k twilio.Key) bool { return k.SID == sid && k.FriendlyName == FunctionKeyName })
}

// applyKey makes the key in steps of which each leaves enough behind for the next
// run: intent, key, secret, name, use, end of the intent.
func (d *Function) applyKey(ctx context.Context, p *FunctionPlan) (string, error) {
	if p.key == "" {
		if err := d.makeKey(ctx, p); err != nil {
			return "", err
		}
	}
	if err := d.Keys.RenameKey(ctx, p.key, FunctionKeyName); err != nil {
		return p.key, err
	}
	if _, err := d.set(ctx, p, functionKeyVariable, p.key); err != nil {
		return p.key, err
	}
	return p.key, d.forget(p)
}

func (d *Function) makeKey(ctx context.Context, p *FunctionPlan) error {
	if p.intent.Nonce == "" {
		nonce := make([]byte, 8)
		if _, err := io.ReadFull(d.Random, nonce); err != nil {
			return problem.New(problem.Internal, "cannot read randomness: %w", err)
		}
		p.intent.Nonce = hex.EncodeToString(nonce)
	}
	if err := d.Intents.Save(p.intent); err != nil {
		return err
	}
	key, secret, err := d.Keys.CreateKey(ctx, unfinishedFunctionKey(p.intent.Nonce))
	if err != nil {
		return err
	}
	// From here to the variable the secret exists in this process only, so an
	// interrupt has to wait.
	ctx = context.WithoutCancel(ctx)
	if _, err := d.set(ctx, p, functionSecretPrefix+key.SID, secret); err != nil {
		if d.Keys.DeleteKey(ctx, key.SID) == nil {
			_ = d.Intents.Clear() // the next run finds nothing to tidy up
		}
		return err
	}
	p.key = key.SID
	p.is.keys = append(p.is.keys, key)
	return nil
}

// RotationPlan replaces the Function's key, or ends a replacement.
type RotationPlan struct {
	FunctionPlan
	Until time.Time // when a token that the former key signed may last be alive; zero without one
}

// PlanRotation plans the next part of a rotation. The first makes a key, has the
// Function use it, and asks the Function. The second deletes the former key; until
// its last token has expired, nothing is planned, unless now is set. With now both
// are one.
func (d *Function) PlanRotation(ctx context.Context, now bool) (*RotationPlan, error) {
	is, err := d.look(ctx)
	if err != nil {
		return nil, err
	}
	if is.build.SID == "" {
		return nil, problem.New(problem.NotFound, "cannot rotate the Function's key: the Function is not deployed").WithHint("flexvc function deploy")
	}
	r := &RotationPlan{FunctionPlan: FunctionPlan{is: is, settings: FunctionSettings{FunctionOrigins: is.variables[FunctionOrigins].Value}}}
	p := &r.FunctionPlan
	if p.intent, err = d.Intents.Load(); err != nil {
		return nil, err
	}
	// The first part did not get to its end, on this machine.
	unfinished := slices.ContainsFunc(is.keys, p.isUnfinished)
	begin := unfinished || len(is.former()) == 0
	if begin {
		d.dropLost(p)
		d.planNewKey(p)
	}
	for _, k := range is.keys {
		since := k.Created
		switch {
		case p.isUnfinished(k) || k.SID == is.inUse() && !begin:
			continue
		case begin:
			since = d.Now() // until it is replaced it signs
		case is.variables[functionKeyVariable].Updated.After(since):
			since = is.variables[functionKeyVariable].Updated
		}
		d.retire(r, k.SID, now, since.Add(d.longest(is)))
	}
	return r, nil
}

// isUnfinished reports whether a run of this machine made the key and did not get
// to its end.
func (p *FunctionPlan) isUnfinished(k twilio.Key) bool {
	return p.intent.Nonce != "" && k.FriendlyName == unfinishedFunctionKey(p.intent.Nonce)
}

// retire plans the end of a key once none of its tokens is alive.
func (d *Function) retire(r *RotationPlan, sid string, now bool, until time.Time) {
	p := &r.FunctionPlan
	if !now && d.Now().Before(until) {
		if until.After(r.Until) {
			r.Until = until
		}
		p.Kept = append(p.Kept, fmt.Sprintf("api key %s: tokens that it signed may be alive until %s; run flexvc keys rotate again after that", sid, until.UTC().Format("2006-01-02 15:04 UTC")))
		return
	}
	detail := "no token that it signed is alive"
	if now {
		detail = "tokens that it signed are refused at once"
	}
	p.add(Item{KindKey, Remove, FunctionKeyName, sid, detail}, func(ctx context.Context) (string, error) {
		// The key last: while it is there, the next run goes on from here.
		if v, ok := p.is.variables[functionSecretPrefix+sid]; ok {
			if err := gone(d.Client.DeleteVariable(ctx, p.is.service.SID, p.is.environment.SID, v.SID)); err != nil {
				return sid, err
			}
		}
		return sid, gone(d.Keys.DeleteKey(ctx, sid))
	})
}

// former are the keys that do not sign.
func (s *functionState) former() (keys []twilio.Key) {
	for _, k := range s.keys {
		if k.SID != s.inUse() {
			keys = append(keys, k)
		}
	}
	return keys
}

// longest is how long a token may live that the Function signed: by the present
// settings, or the longest there is if nobody knows.
func (d *Function) longest(is functionState) time.Duration {
	return FunctionSettings{FunctionTTL: is.variables[FunctionTTL].Value}.ttl()
}

// planNewKey plans a key beside the one in use. One that an interrupted rotation
// has made is used.
func (d *Function) planNewKey(p *FunctionPlan) {
	item := Item{KindKey, Add, FunctionKeyName, "", "signs from now on; its secret is a variable of the Function and nowhere else"}
	for _, k := range p.is.keys {
		if p.isUnfinished(k) && p.is.usable(k.SID) {
			p.key, item.Action, item.ID, item.Detail = k.SID, Change, k.SID, "created by an interrupted run; signs from now on"
		}
	}
	p.add(item, bind(d.replaceKey, p))
}

// replaceKey has the Function use a new key. If that does not work, the Function
// uses the former one again.
func (d *Function) replaceKey(ctx context.Context, p *FunctionPlan) (string, error) {
	if p.key == "" {
		if err := d.makeKey(ctx, p); err != nil {
			return "", err
		}
	}
	before := p.is.inUse()
	if _, err := d.set(ctx, p, functionKeyVariable, p.key); err != nil {
		return p.key, err
	}
	if err := d.verify(ctx, p); err != nil {
		if p.is.usable(before) && before != p.key {
			if _, back := d.set(context.WithoutCancel(ctx), p, functionKeyVariable, before); back == nil {
				return p.key, problem.New(problem.FunctionNotAnswering, "the Function does not work with the new key %s and uses %s again: %s", p.key, before, summary(err)).
					WithHint("try again: flexvc keys rotate")
			}
		}
		return p.key, err
	}
	if err := d.Keys.RenameKey(ctx, p.key, FunctionKeyName); err != nil {
		return p.key, err
	}
	return p.key, d.forget(p)
}

func summary(err error) string {
	if p := problem.As(err); p != nil {
		return p.Summary
	}
	return err.Error()
}
