package flexui

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// serveVoice serves what a voice client talks to: the emulated voice edge where
// there is one, else just enough signalling for Flex's own client to register.
func (s *Server) serveVoice(w http.ResponseWriter, r *http.Request, product string) {
	switch {
	case s.options.Voice != nil:
		s.options.Voice.ServeHTTP(w, r)
	case product != "eventgw" && r.URL.Path == "/signal":
		s.serveSignal(w, r)
	case product == "eventgw":
		w.WriteHeader(http.StatusOK)
	case strings.HasPrefix(r.URL.Path, "/js/client/sounds/"):
		sound(w)
	default:
		missing(w)
	}
}

func (s *Server) serveSignal(w http.ResponseWriter, r *http.Request) {
	conn, ok := s.upgrade(w, r)
	if !ok {
		return
	}
	defer s.wg.Done()
	defer conn.CloseNow()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	go func() {
		beat := time.NewTicker(s.options.KeepAlive)
		defer beat.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-beat.C:
				_ = write(ctx, conn, websocket.MessageText, []byte("\n")) // the reader finds out
			}
		}
	}()
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if answer := s.answerSignal(data); answer != nil && write(ctx, conn, websocket.MessageText, answer) != nil {
			return
		}
	}
}

// answerSignal answers one frame; a heartbeat, and whatever it does not know,
// with nothing.
func (s *Server) answerSignal(data []byte) []byte {
	var frame struct {
		Type    string `json:"type"`
		Payload struct {
			Token string `json:"token"`
			Media struct {
				Audio bool `json:"audio"`
			} `json:"media"`
		} `json:"payload"`
	}
	if json.Unmarshal(data, &frame) != nil {
		return nil
	}
	kind, payload := "", object{}
	switch frame.Type {
	case "listen":
		login, code, _ := s.e.Login(frame.Payload.Token)
		if code != 0 {
			kind, payload = "error", object{"error": object{"code": 31204, "message": "invalid JWT token"}}
			break
		}
		kind, payload = "connected", object{
			"region": "us1", "edge": "ashburn", "home": "us1",
			"token": object{"account_sid": s.e.Account().SID, "identity": login.Identity, "ttl": int(login.Expires.Sub(s.e.Now()).Seconds())},
		}
	case "register":
		if kind = "offline"; frame.Payload.Media.Audio {
			kind, payload = "ready", object{"media": object{"audio": true}}
		}
	default:
		return nil
	}
	answer, err := json.Marshal(object{"type": kind, "version": "1.6", "payload": payload})
	if err != nil {
		panic("flexui: a frame that cannot be encoded: " + err.Error())
	}
	return answer
}
