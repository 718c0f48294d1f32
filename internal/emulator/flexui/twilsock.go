package flexui

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/coder/websocket"

	"github.com/flexvc/flexvc/internal/emulator"
)

// twilsockHeader is the header of a client's frame, as far as it is looked at.
type twilsockHeader struct {
	Method      string `json:"method"`
	ID          string `json:"id"`
	PayloadSize int    `json:"payload_size"`
	Token       string `json:"token"` // of init and update

	Request twilsockRequest `json:"http_request"` // of message
}

// twilsockRequest is an HTTP request that a message carries.
type twilsockRequest struct {
	Host   string `json:"host"`
	Path   string `json:"path"`
	Method string `json:"method"`
}

// serveTwilsock lets the clients of telemetry, Sync and Conversations connect,
// and answers what they ask as carried does.
func (s *Server) serveTwilsock(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v3/wsconnect" {
		missing(w)
		return
	}
	conn, ok := s.upgrade(w, r)
	if !ok {
		return
	}
	defer s.wg.Done()
	defer conn.CloseNow()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	page := &syncClient{out: make(chan []byte, bridgeLimit), cancel: cancel, subscribed: map[string]int{}}
	s.mu.Lock()
	s.pages = append(s.pages, page)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.pages = slices.DeleteFunc(s.pages, func(p *syncClient) bool { return p == page })
		s.mu.Unlock()
	}()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case frame := <-page.out:
				_ = write(ctx, conn, websocket.MessageBinary, frame) // the reader finds out
			}
		}
	}()
	var login emulator.Login
	for {
		kind, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		header, payload, err := readTwilsock(data)
		if kind != websocket.MessageBinary || err != nil {
			s.log.Debug("flex ui: a Twilsock frame that is none", "error", err)
			_ = conn.Close(websocket.StatusUnsupportedData, "")
			return
		}
		if header.Method == "init" || header.Method == "update" {
			if known, code, _ := s.e.Login(header.Token); code == 0 {
				login = known
			}
		}
		for _, answer := range s.answerTwilsock(page, login, header, payload) {
			if write(ctx, conn, websocket.MessageBinary, answer) != nil {
				return
			}
		}
	}
}

// readTwilsock takes "TWILSOCK V3.0 n\r\n", n bytes of header, "\r\n" and the
// payload apart.
func readTwilsock(frame []byte) (h twilsockHeader, payload []byte, err error) {
	line, rest, found := bytes.Cut(frame, []byte("\r\n"))
	size, isTwilsock := bytes.CutPrefix(line, []byte("TWILSOCK V3.0 "))
	n, err := strconv.Atoi(string(size))
	if !found || !isTwilsock || err != nil || n < 0 || n > len(rest) {
		return h, nil, fmt.Errorf("not a Twilsock frame of %d bytes", len(frame))
	}
	return h, bytes.TrimPrefix(rest[n:], []byte("\r\n")), json.Unmarshal(rest[:n], &h)
}

// writeTwilsock puts a frame together; a payload is JSON.
func writeTwilsock(header object, payload []byte) []byte {
	header["payload_size"] = len(payload)
	if len(payload) > 0 {
		header["payload_type"] = "application/json"
	}
	head := encode(header)
	return append(fmt.Appendf(nil, "TWILSOCK V3.0 %d\r\n%s\r\n", len(head), head), payload...)
}

func encode(body object) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		panic("flexui: a frame that cannot be encoded: " + err.Error())
	}
	return text
}

// answerTwilsock returns the frames that answer one, in their order.
func (s *Server) answerTwilsock(page *syncClient, login emulator.Login, h twilsockHeader, payload []byte) [][]byte {
	if h.ID == "" || h.Method == "reply" || h.Method == "close" {
		return nil
	}
	answer := object{"method": "reply", "id": h.ID, "status": object{"code": http.StatusOK, "status": "OK"}}
	switch h.Method {
	case "init", "update":
		// Without telemetry.v1 among them, fewer frames come.
		answer["capabilities"] = []string{"client_update", "offline_storage"}
		answer["continuation_token"] = "ct"
		answer["continuation_token_status"] = object{"reissued": true, "reissue_reason": "MISSING", "reissue_message": ""}
		answer["offline_storage"], answer["init_registrations"], answer["debug_info"] = object{}, []any{}, object{}
	case "message":
		// The message was carried, whatever the service behind makes of it.
		status, body, ok := s.sync(h.Request, payload)
		if !ok {
			status, body = carried(login, h.Request)
		}
		s.log.Debug("flex ui: over Twilsock", "method", h.Request.Method, "host", h.Request.Host, "path", h.Request.Path, "status", status)
		answer["http_status"] = object{"code": status, "status": http.StatusText(status)}
		answer["http_headers"] = object{"Content-Type": "application/json"}
		frames := [][]byte{writeTwilsock(answer, encode(body))}
		if h.Request.Host == cds && h.Request.Path == "/v4/Subscriptions" {
			frames = append(frames, s.subscribe(page, payload)...)
		}
		return frames
	}
	return [][]byte{writeTwilsock(answer, nil)}
}
