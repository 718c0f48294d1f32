package store

import (
	"cmp"
	"encoding/json"
	"io"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// Seed is a state to start from, as code or as a JSON file.
type Seed struct {
	AccountName   string         `json:"account_name,omitempty"`
	WorkspaceName string         `json:"workspace_name,omitempty"` // "" is "Flex Task Assignment"
	Activities    []SeedActivity `json:"activities,omitempty"`     // none: Flex's own four; the first is the default and Flex's Offline
	Workers       []SeedWorker   `json:"workers,omitempty"`
	Keys          []SeedKey      `json:"keys,omitempty"`
	OtherSpaces   []string       `json:"other_workspaces,omitempty"` // names of workspaces that Flex does not use
}

// SeedActivity is an activity to start with.
type SeedActivity struct {
	FriendlyName string `json:"friendly_name"`
	Available    bool   `json:"available"`
}

// SeedWorker is a worker to start with.
type SeedWorker struct {
	FriendlyName string     `json:"friendly_name"`
	Attributes   Attributes `json:"attributes,omitempty"` // "" is {}
	Activity     string     `json:"activity,omitempty"`   // by name; "" is the workspace's default
	NoFlexUser   bool       `json:"no_flex_user,omitempty"`
	Version      int64      `json:"version,omitempty"` // what the first ETag says
}

// SeedKey is an API key to start with.
type SeedKey struct {
	FriendlyName string  `json:"friendly_name"`
	Type         KeyType `json:"type,omitempty"` // "" is KeyStandard
}

// Attributes is the exact attributes text of a worker. In a JSON seed it is a
// string holding the text, or a JSON value whose text is taken as it stands. A
// seed may hold text that is no JSON at all, which the REST API refuses.
type Attributes string

// UnmarshalJSON accepts both spellings.
func (a *Attributes) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		*a = Attributes(text)
		return nil
	}
	*a = Attributes(data)
	return nil
}

// ReadSeed reads a seed from JSON. What it does not understand is
// problem.InputUnreadable.
func ReadSeed(r io.Reader) (*Seed, error) {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	var s Seed
	if err := dec.Decode(&s); err != nil {
		return nil, problem.New(problem.InputUnreadable, "cannot read the seed: it is not JSON of a seed: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, problem.New(problem.InputUnreadable, "cannot read the seed: more follows the JSON object")
	}
	return &s, nil
}

// Origin is what a state was made from, kept so that a reset can go back to it.
type Origin struct {
	Seed      *Seed  `json:"seed,omitempty"`
	Agents    int    `json:"agents,omitempty"`
	SeedValue uint64 `json:"seed_value"`
}

// seed returns the explicit seed or generates one.
func (o Origin) seed() (*Seed, error) {
	if o.Seed != nil {
		return o.Seed, nil
	}
	if o.Agents < 0 || o.Agents > MaxWorkers {
		return nil, problem.New(problem.Usage, "cannot generate %d agents: a workspace holds 0 to %d workers", o.Agents, MaxWorkers)
	}
	return generate(o.Agents, o.SeedValue), nil
}

// build makes a state in memory.
func build(account Account, o Origin, seed *Seed, now time.Time) (content, error) {
	c := newContent()
	c.Meta = Meta{Account: account, AccountName: cmp.Or(seed.AccountName, "flexvc emulator"), Created: now, Origin: o, FlexUpdated: now}

	main := c.NewKey("emulator main key", KeyMain, nil, now)
	main.SID, main.Secret = account.KeySID, account.KeySecret
	c.Keys.rows = append(c.Keys.rows, main)
	for _, k := range seed.Keys {
		c.Keys.rows = append(c.Keys.rows, c.NewKey(k.FriendlyName, cmp.Or(k.Type, KeyStandard), nil, now))
	}

	names := seed.Activities
	if len(names) == 0 {
		names = activities
	}
	for i, name := range append([]string{cmp.Or(seed.WorkspaceName, "Flex Task Assignment")}, seed.OtherSpaces...) {
		sp := newSpace(Workspace{Object: c.Next("WS", now), FriendlyName: name, MultiTask: true, QueueOrder: "FIFO"})
		if i == 0 {
			sp.SID = account.WorkspaceSID
		}
		for _, a := range names {
			if sp.ActivityNamed(a.FriendlyName) != nil {
				return c, problem.New(problem.Usage, "cannot seed two activities named %q", a.FriendlyName)
			}
			sp.Activities.rows = append(sp.Activities.rows, c.newActivity(sp.SID, a, now))
		}
		sp.DefaultActivity, sp.TimeoutActivity = sp.Activities.rows[0].SID, sp.Activities.rows[0].SID
		c.Workspaces = append(c.Workspaces, sp)
	}

	sp := c.Workspaces[0]
	if len(seed.Workers) > MaxWorkers {
		return c, problem.New(problem.Usage, "cannot seed %d workers: a workspace holds at most %d", len(seed.Workers), MaxWorkers)
	}
	for _, sw := range seed.Workers {
		at := sp.Activities.rows[0]
		if sw.Activity != "" {
			if at = sp.ActivityNamed(sw.Activity); at == nil {
				return c, problem.New(problem.Usage, "cannot seed worker %q: no activity is named %q", sw.FriendlyName, sw.Activity)
			}
		}
		if sp.WorkerNamed(sw.FriendlyName) != nil {
			return c, problem.New(problem.Usage, "cannot seed two workers named %q", sw.FriendlyName)
		}
		w := c.NewWorker(sp.SID, sw.FriendlyName, at.SID, string(cmp.Or(sw.Attributes, "{}")), now)
		w.FlexUser, w.Version = !sw.NoFlexUser, sw.Version
		sp.add(w)
	}
	return c, nil
}
