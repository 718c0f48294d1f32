package voice

import (
	"math"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// sounds are the ones a voice client plays to its agent. It waits for the
// ringtone before it reports a call, so they are short and always there.
var sounds = sync.OnceValue(func() map[string][]byte {
	all := map[string][]byte{
		"incoming":   wav(chord(0.2, 440, 554)),
		"outgoing":   wav(chord(0.2, 440, 480)),
		"disconnect": wav(chord(0.2, 480, 620)),
	}
	for _, key := range []byte(keys) {
		name := "dtmf-" + string(key)
		switch key {
		case '*':
			name = "dtmf-star"
		case '#':
			name = "dtmf-hash"
		}
		low, high := tones(key)
		all[name] = wav(chord(0.2, low, high))
	}
	return all
})

// chord is some tones at once, faded in and out so that it does not click.
func chord(seconds float64, hz ...float64) []int16 {
	samples := make([]int16, int(seconds*sampleRate))
	for i := range samples {
		t, v := float64(i)/sampleRate, 0.0
		for _, f := range hz {
			v += math.Sin(2 * math.Pi * f * t)
		}
		fade := min(1, 100*t, 100*(seconds-t))
		samples[i] = int16(amplitude(-14) * fade * v)
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
