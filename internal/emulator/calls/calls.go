// Package calls is what the emulator has of Programmable Voice: the participants
// of the conferences that Flex's agents are in, as a function changes them to let
// a supervisor coach or barge in.
package calls

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
)

// Product registers the conferences of the 2010 API with an emulator.
func Product() emulator.Product {
	return emulator.Product{Host: "api", Operations: operations, Unknowns: unknowns}
}

func operations() []emulator.Operation {
	const path = "/2010-04-01/Accounts/{AccountSid}/Conferences/{ConferenceSid}/Participants"
	const note = "of the calls of Flex UI's tasks, while they last"
	return []emulator.Operation{
		{Method: "GET", Path: path + ".json", ID: "ListParticipant", Paged: true, Note: note, Itself: true, Serve: emulator.List2010("participants", list, view)},
		{Method: "GET", Path: path + "/{CallSid}.json", ID: "FetchParticipant", Note: note, Itself: true, Serve: emulator.Fetch(find, viewOne)},
		{
			Method: "POST", Path: path + "/{CallSid}.json", ID: "UpdateParticipant", Itself: true,
			Form: []string{"Muted", "Hold", "EndConferenceOnExit", "Coaching", "CallSidToCoach"},
			Note: "who is muted, on hold or coaching is not heard, or by one call alone; nothing is played to anybody", Serve: update,
		},
		{Method: "DELETE", Path: path + "/{CallSid}.json", ID: "DeleteParticipant", Note: "ends the call", Itself: true, Serve: remove},
	}
}

var unknowns = []emulator.Unknown{
	{"Who hears a participant that is muted and coaching", "Nobody"},
	{"`Coaching` without `CallSidToCoach`, of one who coaches nobody yet", "400, code 20001"},
}

// row is a participant with its place in the list.
type row struct {
	emulator.Participant
	at int
}

func list(c *emulator.Call) (l emulator.Listing[row], no *emulator.Reply) {
	l.Position = func(r row) emulator.Position { return emulator.Position{Seq: uint64(r.at)} }
	rooms := c.Conferences()
	if rooms == nil || c.Vars["AccountSid"] != c.Account.SID {
		return l, c.NotFound()
	}
	all, ok := rooms.Participants(c.Vars["ConferenceSid"])
	if !ok {
		return l, c.NotFound()
	}
	for i, p := range all {
		l.Rows = append(l.Rows, row{p, i + 1})
	}
	return l, nil
}

func find(c *emulator.Call) *row {
	l, no := list(c)
	if no != nil {
		return nil
	}
	for i, r := range l.Rows {
		if r.CallSID == c.Vars["CallSid"] {
			return &l.Rows[i]
		}
	}
	return nil
}

func viewOne(c *emulator.Call, r *row) any { return view(c, *r) }

func view(c *emulator.Call, r row) any {
	conference := c.Vars["ConferenceSid"]
	shown := map[string]any{
		"account_sid": c.Account.SID, "call_sid": r.CallSID, "conference_sid": conference, "label": nil,
		"call_sid_to_coach": nil, "coaching": r.Coaches != "", "muted": r.Muted, "hold": r.Hold,
		"end_conference_on_exit": r.EndOnExit, "start_conference_on_enter": true, "status": "connected",
		"queue_time": nil, "date_created": emulator.Stamp2822(c.Now.Truncate(time.Second)), "date_updated": emulator.Stamp2822(c.Now.Truncate(time.Second)),
		"uri": "/2010-04-01/Accounts/" + c.Account.SID + "/Conferences/" + conference + "/Participants/" + r.CallSID + ".json",
	}
	if r.Coaches != "" {
		shown["call_sid_to_coach"] = r.Coaches
	}
	return shown
}

func update(c *emulator.Call) *emulator.Reply {
	var change emulator.ParticipantChange
	for name, to := range map[string]**bool{
		"Muted": &change.Muted, "Hold": &change.Hold, "EndConferenceOnExit": &change.EndOnExit, "Coaching": &change.Coaching,
	} {
		if text, there := c.Filled(name); there {
			on, err := strconv.ParseBool(strings.ToLower(text))
			if err != nil {
				return emulator.Invalid("%s is not a boolean", name)
			}
			*to = &on
		}
	}
	if call, there := c.Filled("CallSidToCoach"); there {
		change.Coaches = &call
	}
	p, no := changed(c, change)
	if no != nil {
		return no
	}
	return emulator.OK(view(c, row{Participant: p}))
}

func remove(c *emulator.Call) *emulator.Reply {
	if _, no := changed(c, emulator.ParticipantChange{Leave: true}); no != nil {
		return no
	}
	return emulator.NoContent()
}

func changed(c *emulator.Call, change emulator.ParticipantChange) (p emulator.Participant, no *emulator.Reply) {
	rooms := c.Conferences()
	if rooms == nil || c.Vars["AccountSid"] != c.Account.SID {
		return p, c.NotFound()
	}
	p, err := rooms.ChangeParticipant(c.Vars["ConferenceSid"], c.Vars["CallSid"], change)
	switch {
	case problem.Is(err, problem.NotFound):
		return p, c.NotFound()
	case err != nil:
		return p, emulator.Refuse(http.StatusBadRequest, 20001, "%s", err.Error())
	}
	return p, nil
}
