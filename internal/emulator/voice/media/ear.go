package media

import (
	"math"
	"slices"
	"sync"
)

// Ear remembers the last second of what was heard, to tell tones from one
// another. It is safe for use by many goroutines.
type Ear struct {
	mu   sync.Mutex
	kept []int16
}

// Hear adds samples.
func (e *Ear) Hear(samples []int16) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept = append(e.kept, samples...)
	if over := len(e.kept) - SampleRate; over > 0 {
		e.kept = slices.Delete(e.kept, 0, over)
	}
}

// toneWindow is what a tone is looked for in: a tenth of a second.
const toneWindow = SampleRate / 10

// Tone is the level of a tone of so many Hz, its peak in dBov, in the tenth of
// the last second where it was loudest; SilenceDBov before there is a tenth.
func (e *Ear) Tone(hz float64) int {
	e.mu.Lock()
	samples := slices.Clone(e.kept)
	e.mu.Unlock()
	loudest := 0.0
	for at := 0; at+toneWindow <= len(samples); at += toneWindow / 2 {
		loudest = max(loudest, peakOf(samples[at:at+toneWindow], hz))
	}
	if loudest < 1 {
		return SilenceDBov
	}
	return max(SilenceDBov, int(math.Round(20*math.Log10(loudest/32767))))
}

// peakOf is the amplitude of a frequency, by one term of a Fourier transform
// under a Hann window.
func peakOf(samples []int16, hz float64) float64 {
	var re, im float64
	for i, s := range samples {
		window := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(samples)))
		angle := 2 * math.Pi * hz * float64(i) / SampleRate
		re += window * float64(s) * math.Cos(angle)
		im += window * float64(s) * math.Sin(angle)
	}
	return 4 * math.Hypot(re, im) / float64(len(samples))
}
