package workers

import (
	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// operation decides what a worker's attributes become.
type operation interface {
	// next returns the text the worker is to have. No changes means it has it.
	// An error whose code refuses is about this worker alone.
	next(sid, text string) (string, []attributes.Change, error)
	// remedy is the command that can still change a worker which next refuses, as
	// Blocked has it.
	remedy(sid string, code problem.Code) string
}

var (
	_ operation = editing{}
	_ operation = restoring{}
)

// refuses reports whether a problem means that one worker is to be left alone.
func refuses(code problem.Code) bool {
	switch code {
	case problem.AttributesInvalid, problem.AttributesTooLong, problem.AddressForeign, problem.EditedSince:
		return true
	}
	return false
}

type editing struct{ edit attributes.Edit }

func (e editing) next(_, text string) (string, []attributes.Change, error) {
	return e.edit.Apply(text)
}

func (e editing) remedy(_ string, code problem.Code) string {
	switch {
	case code != problem.EditedSince || e.edit.URIOnly:
		return ""
	case e.edit.Enable:
		return enableCommand
	case e.edit.ResetContactURI:
		return disableCommand
	}
	return "workers disable"
}

// restoring takes back what a run changed in workers.
type restoring struct {
	source *Run
	prefix string // see Header
}

func (r restoring) next(sid, text string) (string, []attributes.Change, error) {
	pairs, err := r.source.written(sid)
	if err != nil || len(pairs) == 0 {
		return text, nil, err
	}
	for _, p := range pairs {
		if text == p.ours {
			return r.undo(sid, p, text)
		}
	}
	for _, p := range pairs {
		if text == p.before {
			return text, nil, nil
		}
	}
	return r.undo(sid, pairs[0], text)
}

func (r restoring) undo(sid string, p pair, text string) (string, []attributes.Change, error) {
	edited := attributes.Edited{Before: p.before, After: p.ours, Prefix: r.prefix, Name: r.source.bySID[sid].name}
	return edited.Undo(text)
}

// arrived reports whether w holds a change of which the run does not know whether
// it was carried out.
func (r restoring) arrived(w twilio.Worker) (bool, error) {
	if w.Attributes == nil {
		return false, nil
	}
	_, changes, err := r.next(w.SID, *w.Attributes)
	if p := problem.As(err); p != nil && refuses(p.Code) {
		return false, nil
	}
	return len(changes) > 0, err
}

func (r restoring) remedy(sid string, code problem.Code) string {
	pairs, err := r.source.written(sid)
	if err != nil || len(pairs) == 0 || code != problem.EditedSince {
		return ""
	}
	if flag, _ := attributes.Inspect(&pairs[0].before); flag == attributes.Enabled {
		return enableCommand
	}
	return disableCommand
}

// The commands that take back what a run did, where it cannot be rolled back.
const (
	enableCommand  = "workers enable"
	disableCommand = "workers disable --reset-contact-uri"
)

// Lost are the workers that the run changed, or may have changed, and that a
// rollback cannot restore: what they had before was in a damaged line of the journal.
func (r *Run) Lost() (lost []Blocked) {
	for _, it := range r.items {
		if it.last.size == 0 && (it.damaged || it.status == Changed) {
			lost = append(lost, Blocked{it.sid, it.name, problem.JournalDamaged, "what it had before is lost: its record in the journal is damaged", r.opposite()})
		}
	}
	return lost
}

// opposite is the command that undoes what the run was to do, without bringing
// back the bytes; empty where that is not known.
func (r *Run) opposite() string {
	switch {
	case r.Edit == nil || r.Edit.URIOnly:
		return ""
	case r.Edit.Enable:
		return disableCommand
	}
	return enableCommand
}
