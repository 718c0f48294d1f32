package flexui

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/emulator/flexui/livequery"
)

// Sync as a supervisor's Flex reads it: the conference of each call as a map,
// <task SID>.CS, and live queries of workers and of reservations. Nobody writes
// in it; it shows what the Server has.

// syncObject is a map or a live query that somebody has asked for.
type syncObject struct {
	sid   string
	query bool
	read  func() map[string]any // by key; Server.mu is held
	items map[string]syncItem
	log   []syncEvent // the latest
	last  int         // event's number
}

type syncItem struct {
	data []byte // JSON
	last int    // event about it
}

type syncEvent struct {
	number int
	key    string
	data   []byte // nil when the item has gone
	added  bool
}

// syncClient is the Twilsock of a page.
type syncClient struct {
	out        chan []byte
	cancel     func()
	subscribed map[string]int // protocol version by the object's SID
}

const (
	syncEventsKept = 500
	cds            = "cds.us1.twilio.com"
)

// show has what has changed told to those who look at it. It waits for nothing.
func (s *Server) show() {
	select {
	case s.shown <- struct{}{}:
	default:
	}
}

func (s *Server) tellSync() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.shown:
		}
		s.mu.Lock()
		for _, o := range s.syncs {
			s.refresh(o)
		}
		s.mu.Unlock()
	}
}

// refresh finds what has changed in an object. s.mu is held, as in all that
// follows.
func (s *Server) refresh(o *syncObject) {
	now := o.read()
	keys := slices.Sorted(maps.Keys(now))
	for _, key := range keys {
		data, err := json.Marshal(now[key])
		if err != nil {
			panic("flexui: an item of Sync that cannot be encoded: " + err.Error())
		}
		if before, there := o.items[key]; !there || !bytes.Equal(before.data, data) {
			s.happened(o, syncEvent{key: key, data: data, added: !there})
		}
	}
	for key := range o.items {
		if _, there := now[key]; !there {
			s.happened(o, syncEvent{key: key})
		}
	}
}

func (s *Server) happened(o *syncObject, e syncEvent) {
	o.last++
	e.number = o.last
	if e.data == nil {
		delete(o.items, e.key)
	} else {
		o.items[e.key] = syncItem{e.data, e.number}
	}
	if o.log = append(o.log, e); len(o.log) > syncEventsKept {
		o.log = slices.Delete(o.log, 0, 1)
	}
	for _, c := range s.pages {
		if version, listens := c.subscribed[o.sid]; listens {
			kind, event := o.wire(e)
			c.send(s.syncMessage(version, nil, kind, event))
		}
	}
}

// send queues a frame; a page that does not read is dropped.
func (c *syncClient) send(frame []byte) {
	select {
	case c.out <- frame:
	default:
		c.cancel()
	}
}

// wire is an event as Sync tells it.
func (o *syncObject) wire(e syncEvent) (kind string, payload object) {
	if o.query {
		payload = object{"query_id": o.sid, "item_key": e.key, "item_revision": e.number, "last_event_id": e.number}
		if e.data == nil {
			return "live_query_item_removed", payload
		}
		payload["item_data"] = json.RawMessage(e.data)
		return "live_query_item_updated", payload
	}
	payload = object{
		"map_sid": o.sid, "item_key": e.key, "item_url": o.url() + "/Items/" + e.key, "id": e.number, "item_revision": decimal(e.number),
		"map_revision": decimal(e.number), "date_created": syncDate,
	}
	if e.data == nil {
		return "map_item_removed", payload
	}
	payload["item_data"] = json.RawMessage(e.data)
	if e.added {
		return "map_item_added", payload
	}
	return "map_item_updated", payload
}

const syncDate = "2025-01-01T00:00:00.000Z"

func (o *syncObject) url() string { return "https://" + cds + "/v3/Maps/" + o.sid }

// syncMessage is a notification of Sync. Version 4 of its protocol has several
// events in one.
func (s *Server) syncMessage(version int, correlation json.RawMessage, kind string, event object) []byte {
	message := object{"event_type": kind, "strictly_ordered": true}
	if correlation != nil {
		message["correlation_id"] = correlation
	}
	if version < 4 {
		message["event"] = event
	} else {
		message["events"] = []object{event}
	}
	return writeTwilsock(object{"method": "notification", "id": s.sid("TM"), "message_type": "twilio.sync.event"}, encode(message))
}

// syncObject returns the object of that key, made when it is asked for first.
func (s *Server) syncObject(key string, kind string, read func() map[string]any) *syncObject {
	o := s.syncs[key]
	if o == nil {
		o = &syncObject{sid: s.sid(kind), query: kind == "QR", read: read, items: map[string]syncItem{}}
		s.syncs[key] = o
	}
	s.refresh(o)
	return o
}

// sync answers a request to Sync; ok is false where it is about nothing of ours.
func (s *Server) sync(r twilsockRequest, payload []byte) (status int, body object, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.Split(strings.TrimPrefix(r.Path, "/v3/"), "/")
	switch {
	case r.Host != cds:
	case r.Method == http.MethodPost && len(path) == 3 && path[0] == "Insights" && path[2] == "Items":
		status, body = s.liveQuery(path[1], payload)
		return status, body, true
	case r.Method == http.MethodGet && len(path) == 2 && path[0] == "Maps" && strings.HasSuffix(path[1], ".CS"):
		task := strings.TrimSuffix(path[1], ".CS")
		if i := slices.IndexFunc(s.offers, func(o *offer) bool { return o.task.sid == task && o.conf != nil }); i >= 0 {
			conf := s.offers[i].conf
			o := s.syncObject(path[1], "MP", conf.items)
			return http.StatusOK, object{
				"sid": o.sid, "unique_name": path[1], "url": o.url(), "links": object{"items": o.url() + "/Items"},
				"revision": decimal(o.last), "last_event_id": o.last, "date_updated": syncDate,
			}, true
		}
	case r.Method == http.MethodGet && len(path) == 3 && path[0] == "Maps" && path[2] == "Items":
		for _, o := range s.syncs {
			if o.sid == path[1] {
				return http.StatusOK, object{"items": o.wireItems(), "meta": object{"key": "items"}}, true
			}
		}
	}
	return 0, nil, false
}

func (o *syncObject) wireItems() []object {
	items := []object{}
	for _, key := range slices.Sorted(maps.Keys(o.items)) {
		item := o.items[key]
		w := object{"key": key, "data": json.RawMessage(item.data), "revision": item.last}
		if !o.query {
			w["url"], w["revision"], w["last_event_id"] = o.url()+"/Items/"+key, decimal(item.last), item.last
			w["date_created"], w["date_updated"] = syncDate, syncDate
		}
		items = append(items, w)
	}
	return items
}

// items are a conference as the map has it: its state, and who is or was in it.
func (c *conference) items() map[string]any {
	status := "started"
	if c.over {
		status = "completed"
	}
	items := map[string]any{"conf_status": object{"status": status, "conference_sid": c.sid}}
	for _, p := range c.parties {
		kind, worker, reservation := p.kind, p.worker, ""
		if kind == "agent" {
			kind, worker, reservation = "worker", p.offer.worker, p.offer.reservation
		}
		status := "joined"
		if p.gone {
			status = "left"
		}
		items[p.call] = object{
			"participant_type": kind, "worker_sid": worker, "reservation_sid": reservation, "conference_sid": c.sid, "call_sid": p.call,
			"status": status, "hold": p.hold, "muted": p.muted, "coaching": p.coaches != "", "end_conference_on_exit": p.endOnExit,
		}
	}
	return items
}

// liveQuery is POST Insights/INDEX/Items.
func (s *Server) liveQuery(index string, payload []byte) (status int, body object) {
	var asked struct {
		Query string `json:"query_string"`
	}
	if json.Unmarshal(payload, &asked) != nil {
		return http.StatusBadRequest, object{"code": 54507, "message": "the query is not understood", "status": http.StatusBadRequest}
	}
	wanted, err := livequery.Parse(asked.Query)
	if err != nil {
		s.log.Debug("flex ui: a live query", "index", index, "query", asked.Query, "error", err)
		return http.StatusBadRequest, object{"code": 54507, "message": err.Error(), "status": http.StatusBadRequest}
	}
	o := s.syncObject(index+" "+asked.Query, "QR", func() map[string]any {
		rows := map[string]any{}
		for key, row := range s.indexed(index) {
			if wanted(row) {
				rows[key] = row
			}
		}
		return rows
	})
	return http.StatusOK, object{"query_id": o.sid, "last_event_id": o.last, "items": o.wireItems()}
}

// indexed are the rows of an index by their key; of one that is not emulated
// there are none.
func (s *Server) indexed(index string) map[string]object {
	rows := map[string]object{}
	switch index {
	case "tr-worker":
		for _, a := range s.e.Agents() {
			rows[a.SID] = object{
				"worker_sid": a.SID, "friendly_name": a.FriendlyName, "activity_name": a.ActivityName, "worker_activity_sid": a.ActivitySID,
				"attributes": parsed(a.Attributes), "workspace_sid": s.e.Account().WorkspaceSID,
				"date_activity_changed": isoTime(a.StatusChanged), "date_updated": isoTime(a.Updated),
			}
		}
	case "tr-queue":
		rows[s.queue()] = object{"queue_sid": s.queue(), "queue_name": "Everyone", "workspace_sid": s.e.Account().WorkspaceSID}
	case "tr-reservation":
		for _, o := range s.offers {
			if !o.open() {
				continue
			}
			t := s.wireTask(o)
			rows[o.reservation] = object{
				"reservation_sid": o.reservation, "worker_sid": o.worker, "task_sid": t.SID, "status": o.status, "task_status": t.AssignmentStatus,
				"attributes": o.attributes, "queue_name": t.QueueName, "task_channel_unique_name": t.ChannelUniqueName,
				"task_priority": t.Priority, "date_created": isoTime(o.created), "date_updated": isoTime(o.updated),
			}
		}
	}
	return rows
}

// parsed is a text as JSON; what is none stays a text.
func parsed(text string) any {
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		return text
	}
	return value
}

// subscribe adds and takes away what a page listens to, and returns what it is
// to be told: that it was done, and what happened since.
func (s *Server) subscribe(c *syncClient, payload []byte) (frames [][]byte) {
	var asked struct {
		Version       int             `json:"event_protocol_version"`
		Action        string          `json:"action"`
		CorrelationID json.RawMessage `json:"correlation_id"`
		Requests      []struct {
			SID  string `json:"object_sid"`
			Type string `json:"object_type"`
			Last int    `json:"last_event_id"`
		} `json:"requests"`
	}
	if json.Unmarshal(payload, &asked) != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range asked.Requests {
		kind, last := "subscription_established", 0
		var missed []syncEvent
		var found *syncObject
		for _, o := range s.syncs {
			if o.sid == r.SID {
				found, last = o, o.last
				missed = slices.DeleteFunc(slices.Clone(o.log), func(e syncEvent) bool { return e.number <= r.Last })
			}
		}
		if asked.Action == "cancel" {
			kind, missed = "subscription_canceled", nil
			delete(c.subscribed, r.SID)
		} else if found != nil {
			c.subscribed[r.SID] = asked.Version
		}
		for _, e := range missed {
			kind, event := found.wire(e)
			frames = append(frames, s.syncMessage(asked.Version, nil, kind, event))
		}
		frames = append(frames, s.syncMessage(asked.Version, asked.CorrelationID, kind, object{
			"object_sid": r.SID, "object_type": r.Type, "replay_status": "completed", "last_event_id": last,
		}))
	}
	return frames
}
