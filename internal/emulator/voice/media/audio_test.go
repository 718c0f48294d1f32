package media

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
)

func take(s Source, frames int) []int16 {
	var all []int16
	var frame [FrameSamples]int16
	for range frames {
		s.Frame(&frame)
		all = append(all, frame[:]...)
	}
	return all
}

// Known answers of G.711, and that a code survives the way there and back.
func TestMulaw(t *testing.T) {
	for sample, code := range map[int16]byte{0: 0xff, 32635: 0x80, -32635: 0x00, 1000: 0xce, -1000: 0x4e} {
		if got := ToMulaw(sample); got != code {
			t.Errorf("ToMulaw(%d) = %#x, want %#x", sample, got, code)
		}
	}
	for i := range 256 {
		back := ToMulaw(FromMulaw[i])
		if int(back) != i && FromMulaw[i] != 0 { // there are two zeros
			t.Errorf("code %#x decodes to %d, which encodes to %#x", i, FromMulaw[i], back)
		}
	}
}

func TestLevels(t *testing.T) {
	if got := Level(take(Silence(), 3)); got != SilenceDBov {
		t.Errorf("silence is %d dBov", got)
	}
	if got := Level(take(Tone(440, -10), 50)); got != -13 {
		t.Errorf("a sine with its peak at -10 dBov has a level of %d, want -13", got)
	}
	talk := take(Speech(1), 500)
	if got := Level(talk); got < -30 || got > -12 {
		t.Errorf("speech has a level of %d dBov", got)
	}
	quiet, loud := 0, 0
	for i := 0; i+FrameSamples <= len(talk); i += FrameSamples {
		switch l := Level(talk[i : i+FrameSamples]); {
		case l < -50:
			quiet++
		case l > -25:
			loud++
		}
	}
	if quiet < 10 || loud < 150 {
		t.Errorf("of 500 frames of speech %d are quiet and %d loud: no pauses or no talk", quiet, loud)
	}
	if !bytes.Equal(EncodeWAV(take(Speech(7), 50)), EncodeWAV(take(Speech(7), 50))) {
		t.Error("the same seed speaks differently")
	}
}

// crossings counts how often the signal changes its sign, twice per period.
func crossings(samples []int16) int {
	n := 0
	for i := 1; i < len(samples); i++ {
		if samples[i-1] < 0 != (samples[i] < 0) {
			n++
		}
	}
	return n
}

func TestWAVOfOtherRates(t *testing.T) {
	for _, rate := range []int{8000, 11025, 16000, 44100, 48000} {
		samples := make([]int16, rate) // one second of 400 Hz
		for i := range samples {
			samples[i] = int16(20000 * math.Sin(2*math.Pi*400*float64(i)/float64(rate)))
		}
		file := EncodeWAV(samples)
		file[24], file[25], file[26] = byte(rate), byte(rate>>8), byte(rate>>16)
		source, err := WAV(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		got := take(source, 50)
		if n := crossings(got); n < 796 || n > 804 {
			t.Errorf("%d Hz: the tone crosses zero %d times in a second, want 800", rate, n)
		}
		if l := Level(got); l < -9 || l > -6 {
			t.Errorf("%d Hz: level %d dBov, want about -7", rate, l)
		}
	}
}

func TestWAVFileFaults(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	float := EncodeWAV(make([]int16, 10))
	float[20] = 3
	noChannels := EncodeWAV(make([]int16, 10))
	noChannels[22] = 0
	for name, path := range map[string]string{
		"missing":     filepath.Join(folder, "missing.wav"),
		"text":        write("text", []byte("hello")),
		"empty":       write("empty", EncodeWAV(nil)),
		"cut":         write("cut", EncodeWAV(make([]int16, 10))[:30]),
		"float":       write("float", float),
		"no channels": write("no channels", noChannels),
	} {
		if _, err := WAVFile(path); !problem.Is(err, problem.InputUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A recording keeps its length: what is lost is silent, what is late is put in
// its place.
func TestRecordingMendsTheOrder(t *testing.T) {
	name := filepath.Join(t.TempDir(), "heard.wav")
	r, err := NewRecorder(name)
	if err != nil {
		t.Fatal(err)
	}
	frame := func(v int16) []int16 {
		f := make([]int16, FrameSamples)
		for i := range f {
			f[i] = v
		}
		return f
	}
	var base uint32 = math.MaxUint32 - 100 // the timestamp wraps on the way
	at := func(frame uint32) uint32 { return base + frame*FrameSamples }
	r.Write(at(0), frame(1))
	r.Write(at(2), frame(3))
	r.Write(at(1), frame(2))
	r.Write(at(1), frame(2))
	r.Write(at(4), frame(5)) // the fourth is lost
	r.Write(at(4)+2*recordJump, frame(9))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	got, err := ReadWAV(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 5*FrameSamples {
		t.Fatalf("%d samples, want %d", len(got), 5*FrameSamples)
	}
	for i, want := range []int16{1, 2, 3, 0, 5} {
		if got[i*FrameSamples] != want {
			t.Errorf("frame %d holds %d, want %d", i, got[i*FrameSamples], want)
		}
	}
}
