package media_test

import (
	"testing"

	"github.com/flexvc/flexvc/internal/emulator/voice/media"
)

func TestEarTellsTonesApart(t *testing.T) {
	var ear media.Ear
	if got := ear.Tone(500); got != media.SilenceDBov {
		t.Fatalf("an ear that heard nothing hears %d dBov", got)
	}
	low, high := media.Tone(500, -10), media.Tone(1900, -20)
	var a, b [media.FrameSamples]int16
	for range 50 {
		low.Frame(&a)
		high.Frame(&b)
		for i := range a {
			a[i] += b[i]
		}
		ear.Hear(a[:])
	}
	for hz, want := range map[float64]int{500: -10, 1900: -20} {
		if got := ear.Tone(hz); got < want-1 || got > want+1 {
			t.Errorf("%v Hz: %d dBov, want %d", hz, got, want)
		}
	}
	if got := ear.Tone(1100); got > -60 {
		t.Errorf("1100 Hz, which nobody said: %d dBov", got)
	}
	// A second later nothing of it is left.
	var silence [media.FrameSamples]int16
	for range 50 {
		ear.Hear(silence[:])
	}
	if got := ear.Tone(500); got != media.SilenceDBov {
		t.Errorf("after a second of silence: %d dBov", got)
	}
}
