package voice

import (
	"math"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/flexvc/flexvc/internal/emulator/voice/media"
)

// sounds are the ones a voice client plays to its agent. It waits for the
// ringtone before it reports a call, so they are short and always there.
var sounds = sync.OnceValue(func() map[string][]byte {
	all := map[string][]byte{
		"incoming":   media.EncodeWAV(chord(0.2, 440, 554)),
		"outgoing":   media.EncodeWAV(chord(0.2, 440, 480)),
		"disconnect": media.EncodeWAV(chord(0.2, 480, 620)),
	}
	for _, key := range []byte(media.Keys) {
		name := "dtmf-" + string(key)
		switch key {
		case '*':
			name = "dtmf-star"
		case '#':
			name = "dtmf-hash"
		}
		low, high := media.Tones(key)
		all[name] = media.EncodeWAV(chord(0.2, low, high))
	}
	return all
})

// chord is some tones at once, faded in and out so that it does not click.
func chord(seconds float64, hz ...float64) []int16 {
	samples := make([]int16, int(seconds*media.SampleRate))
	for i := range samples {
		t, v := float64(i)/media.SampleRate, 0.0
		for _, f := range hz {
			v += math.Sin(2 * math.Pi * f * t)
		}
		fade := min(1, 100*t, 100*(seconds-t))
		samples[i] = int16(media.Amplitude(-14) * fade * v)
	}
	return samples
}

// serveSound answers the names of Twilio's sounds. They end in .mp3 and are WAV
// files: browsers look at the type, not at the name.
func (e *Edge) serveSound(w http.ResponseWriter, r *http.Request) {
	sound, ok := sounds()[strings.TrimSuffix(path.Base(r.URL.Path), ".mp3")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Content-Type", "audio/wav")
	h.Set("Content-Length", strconv.Itoa(len(sound)))
	h.Set("Cache-Control", "max-age=3600")
	_, _ = w.Write(sound)
}
