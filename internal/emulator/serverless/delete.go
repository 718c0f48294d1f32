package serverless

import (
	"slices"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

func removals[P store.Row](t *store.Table[P], doomed func(P) bool) (changes []store.Change) {
	for _, row := range t.Rows() {
		if doomed(row) {
			changes = append(changes, t.Remove(row))
		}
	}
	return changes
}

func deleteAll(c *emulator.Call, changes ...store.Change) *emulator.Reply {
	if no := c.Write(changes...); no != nil {
		return no
	}
	return emulator.NoContent()
}

// deleteService takes along all that it holds.
func deleteService(c *emulator.Call) *emulator.Reply {
	s := serviceInPath(c)
	if s == nil {
		return c.NotFound()
	}
	return deleteAll(c, slices.Concat(
		removals(environments.In(c.Store), func(e *environment) bool { return e.Service == s.SID }),
		removals(variables.In(c.Store), func(v *variable) bool { return v.Service == s.SID }),
		removals(deployments.In(c.Store), func(d *deployment) bool { return d.Service == s.SID }),
		removals(builds.In(c.Store), func(b *build) bool { return b.Service == s.SID }),
		removals(versions.In(c.Store), func(v *fileVersion) bool { return v.Service == s.SID }),
		removals(files.In(c.Store), func(f *file) bool { return f.Service == s.SID }),
		[]store.Change{services.In(c.Store).Remove(s)})...)
}

func deleteEnvironment(c *emulator.Call) *emulator.Reply {
	e := environmentInPath(c)
	if e == nil {
		return c.NotFound()
	}
	return deleteAll(c, slices.Concat(
		removals(deployments.In(c.Store), func(d *deployment) bool { return d.of(e) }),
		removals(variables.In(c.Store), func(v *variable) bool { return v.of(e) }),
		[]store.Change{environments.In(c.Store).Remove(e)})...)
}

func deleteBuild(c *emulator.Call) *emulator.Reply {
	b := buildInPath(c)
	if b == nil {
		return c.NotFound()
	}
	for _, e := range environments.In(c.Store).Rows() {
		if e.Build == b.SID {
			return emulator.Invalid("Build %s is deployed to environment %s", b.SID, e.SID)
		}
	}
	return deleteAll(c, builds.In(c.Store).Remove(b))
}

func deleteFile(c *emulator.Call) *emulator.Reply {
	f := fileInPath(c)
	if f == nil {
		return c.NotFound()
	}
	for _, b := range builds.In(c.Store).Rows() {
		for _, sid := range slices.Concat(b.Assets, b.Functions) {
			if v := versions.In(c.Store).Find(sid); v != nil && v.of(f) {
				return emulator.Invalid("%s is part of build %s", f.SID, b.SID)
			}
		}
	}
	return deleteAll(c, append(removals(versions.In(c.Store), func(v *fileVersion) bool { return v.of(f) }), files.In(c.Store).Remove(f))...)
}
