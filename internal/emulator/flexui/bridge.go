package flexui

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/coder/websocket"

	"github.com/flexvc/flexvc/internal/emulator"
)

// bridge is one agent desktop's event socket. It never says anything itself.
type bridge struct {
	worker string
	out    chan []byte
	cancel context.CancelFunc
}

const bridgeLimit = 256

// serveEventBridge serves TaskRouter's event bridge: GET opens the socket, POST
// is a request to TaskRouter or to interactions.
func (s *Server) serveEventBridge(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != "/v1/wschannels":
		missing(w)
	case r.Method == http.MethodPost:
		s.serveRequest(w, r)
	case r.Method == http.MethodGet:
		s.serveEvents(w, r)
	default:
		send(w, http.StatusMethodNotAllowed, object{"code": 20004, "message": "Method not allowed"})
	}
}

// upgrade accepts a WebSocket and has Close wait for the handler that asked; it
// reports whether there is one. After it the handler calls s.wg.Done.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) (*websocket.Conn, bool) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return nil, false
	}
	s.wg.Add(1) // under mu, so never after Close began to wait
	s.mu.Unlock()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the page's origin is another host's
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		s.wg.Done()
		return nil, false
	}
	conn.SetReadLimit(1 << 20)
	return conn, true
}

func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	login, code, why := s.e.Login(r.URL.Query().Get("token"))
	if code != 0 {
		send(w, http.StatusUnauthorized, object{"code": code, "message": why})
		return
	}
	conn, ok := s.upgrade(w, r)
	if !ok {
		return
	}
	defer s.wg.Done()
	defer conn.CloseNow()
	// CloseRead ends the context with the connection; nothing is expected of Flex.
	ctx, cancel := context.WithCancel(conn.CloseRead(s.ctx))
	defer cancel()

	b := &bridge{worker: login.SID, out: make(chan []byte, bridgeLimit), cancel: cancel}
	account := s.e.Account()
	life := max(login.Expires.Sub(s.e.Now()), 0)
	b.send(event("init", object{
		"channel_id": login.SID, "account_sid": account.SID, "workspace_sid": account.WorkspaceSID, "token_lifetime": life.Milliseconds(),
	}))
	s.mu.Lock()
	s.bridges = append(s.bridges, b)
	// From here on changes are told from what Flex is about to read.
	s.seen[login.SID] = login.Agent
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.bridges = slices.DeleteFunc(s.bridges, func(o *bridge) bool { return o == b })
		s.mu.Unlock()
	}()

	alive := time.NewTicker(s.options.KeepAlive)
	defer alive.Stop()
	for {
		frame := []byte(" ")
		select {
		case <-ctx.Done():
			_ = conn.Close(websocket.StatusGoingAway, "")
			return
		case <-alive.C:
		case frame = <-b.out:
		}
		if write(ctx, conn, websocket.MessageText, frame) != nil {
			return
		}
	}
}

func write(ctx context.Context, conn *websocket.Conn, kind websocket.MessageType, frame []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return conn.Write(ctx, kind, frame)
}

// send queues a frame; a page that does not read is dropped.
func (b *bridge) send(frame []byte) {
	select {
	case b.out <- frame:
	default:
		b.cancel()
	}
}

func event(kind string, payload any) []byte {
	frame, err := json.Marshal(object{"event_type": kind, "payload": payload})
	if err != nil {
		panic("flexui: an event that cannot be encoded: " + err.Error())
	}
	return frame
}

// tell sends an event to every desktop of a worker. s.mu is held, so that events
// leave in the order of what they tell.
func (s *Server) tell(worker, kind string, payload any) {
	s.show()
	frame := event(kind, payload)
	for _, b := range s.bridges {
		if b.worker == worker {
			b.send(frame)
		}
	}
}

// workerChanged is called with the emulator locked: it only remembers.
func (s *Server) workerChanged(sid string) {
	s.stale.Lock()
	s.stale.workers[sid] = true
	s.stale.Unlock()
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// tellOfWorkers tells the desktops what happened to their workers, whoever did
// it: the agent, flexvc, or somebody else.
func (s *Server) tellOfWorkers() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.dirty:
		}
		s.stale.Lock()
		stale := s.stale.workers
		s.stale.workers = map[string]bool{}
		s.stale.Unlock()

		s.show()
		s.mu.Lock()
		if stale[""] {
			s.forget()
		}
		for sid, before := range s.seen {
			if !stale[sid] && !stale[""] {
				continue
			}
			now, err := s.e.Agent(sid)
			if err != nil {
				delete(s.seen, sid) // deleted: its tokens are worth nothing any more
				continue
			}
			s.seen[sid] = now
			if now.ActivitySID != before.ActivitySID {
				s.tell(sid, "worker.activity.update", s.wireWorker(now))
			}
			if now.Attributes != before.Attributes {
				s.tell(sid, "worker.attributes.update", s.wireWorker(now))
			}
		}
		s.mu.Unlock()
	}
}

// forget drops every offer, as the account went back to where it started.
// s.mu is held.
func (s *Server) forget() {
	for _, o := range s.offers {
		if o.open() {
			s.finish(o, "canceled")
		}
		o.stop()
	}
	s.offers, s.syncs = nil, map[string]*syncObject{}
}

type wireWorker struct {
	AccountSID        string `json:"account_sid"`
	WorkspaceSID      string `json:"workspace_sid"`
	SID               string `json:"sid"`
	FriendlyName      string `json:"friendly_name"`
	Version           string `json:"version"`
	ActivitySID       string `json:"activity_sid"`
	ActivityName      string `json:"activity_name"`
	Available         bool   `json:"available"`
	Attributes        string `json:"attributes"`
	DateCreated       int64  `json:"date_created"` // all dates in seconds since 1970
	DateUpdated       int64  `json:"date_updated"`
	DateStatusChanged int64  `json:"date_status_changed"`
}

func (s *Server) wireWorker(a emulator.Agent) wireWorker {
	account := s.e.Account()
	return wireWorker{
		AccountSID: account.SID, WorkspaceSID: account.WorkspaceSID, SID: a.SID, FriendlyName: a.FriendlyName,
		Version: decimal(a.Version), ActivitySID: a.ActivitySID, ActivityName: a.ActivityName, Available: a.Available,
		Attributes:  a.Attributes,
		DateCreated: a.Created.Unix(), DateUpdated: a.Updated.Unix(), DateStatusChanged: a.StatusChanged.Unix(),
	}
}
