package flexui

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/coder/websocket"
)

// twilsockHeader is the header of a client's frame, as far as it is looked at.
type twilsockHeader struct {
	Method      string `json:"method"`
	ID          string `json:"id"`
	PayloadSize int    `json:"payload_size"`
}

// serveTwilsock lets the clients of telemetry, Sync and Conversations connect
// and finds nothing for them, which leaves Flex content.
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
	for {
		kind, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		header, err := readTwilsock(data)
		if kind != websocket.MessageBinary || err != nil {
			s.log.Debug("flex ui: a Twilsock frame that is none", "error", err)
			_ = conn.Close(websocket.StatusUnsupportedData, "")
			return
		}
		if answer := answerTwilsock(header); answer != nil && write(ctx, conn, websocket.MessageBinary, answer) != nil {
			return
		}
	}
}

// readTwilsock takes "TWILSOCK V3.0 n\r\n", n bytes of header, "\r\n" and the
// payload apart.
func readTwilsock(frame []byte) (twilsockHeader, error) {
	var h twilsockHeader
	line, rest, found := bytes.Cut(frame, []byte("\r\n"))
	size, isTwilsock := bytes.CutPrefix(line, []byte("TWILSOCK V3.0 "))
	n, err := strconv.Atoi(string(size))
	if !found || !isTwilsock || err != nil || n < 0 || n > len(rest) {
		return h, fmt.Errorf("not a Twilsock frame of %d bytes", len(frame))
	}
	return h, json.Unmarshal(rest[:n], &h)
}

// writeTwilsock puts a frame together; a payload is JSON.
func writeTwilsock(header object, payload []byte) []byte {
	header["payload_size"] = len(payload)
	if len(payload) > 0 {
		header["payload_type"] = "application/json"
	}
	head, err := json.Marshal(header)
	if err != nil {
		panic("flexui: a header that cannot be encoded: " + err.Error())
	}
	return append(fmt.Appendf(nil, "TWILSOCK V3.0 %d\r\n%s\r\n", len(head), head), payload...)
}

func answerTwilsock(h twilsockHeader) []byte {
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
		// The message was carried; it is the service behind that has nothing.
		answer["http_status"] = object{"code": http.StatusNotFound, "status": "Not Found"}
		answer["http_headers"] = object{"Content-Type": "application/json"}
		return writeTwilsock(answer, []byte(`{"code":20404,"message":"not found","status":404}`))
	}
	return writeTwilsock(answer, nil)
}
