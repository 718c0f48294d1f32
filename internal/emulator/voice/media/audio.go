package media

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"os"

	"github.com/flexvc/flexvc/internal/problem"
)

const (
	SampleRate   = 8000
	FrameSamples = 160 // 20 ms
	SilenceDBov  = -127
)

// A Source is what one side of a call says. It is asked every 20 ms, from one
// goroutine, for the next 160 samples: 16-bit linear, mono, 8000 a second.
type Source interface {
	Frame(dst *[FrameSamples]int16)
}

// Silence says nothing.
func Silence() Source { return silence{} }

type silence struct{}

func (silence) Frame(dst *[FrameSamples]int16) { clear(dst[:]) }

// Tone is a sine of the given frequency in Hz; level is its peak in dBov, 0 at
// most.
func Tone(hz, level float64) Source {
	return &tone{step: 2 * math.Pi * hz / SampleRate, peak: Amplitude(level)}
}

type tone struct{ phase, step, peak float64 }

func (t *tone) Frame(dst *[FrameSamples]int16) {
	for i := range dst {
		dst[i] = int16(t.peak * math.Sin(t.phase))
		t.phase = math.Mod(t.phase+t.step, 2*math.Pi)
	}
}

// Speech sounds like somebody talking: a voice of changing pitch, vowels of
// 80 to 300 ms, and a breath after every few syllables. Equal seeds say the
// same. It needs no file and is loud enough, about -20 dBov while speaking, for
// a level meter to tell talk from silence.
func Speech(seed uint64) Source {
	return &speech{rng: seed*2862933555777941757 + 3037000493}
}

type speech struct {
	rng       uint64
	left, all int // samples of the present syllable
	breath    bool
	syllables int
	pitch     float64
	pulse     float64
	formants  [3]resonator
}

// The first three formants, in Hz, of a few vowels as an adult man says them.
var vowels = [...][3]float64{{730, 1090, 2440}, {270, 2290, 3010}, {300, 870, 2240}, {530, 1840, 2480}, {570, 840, 2410}}

func (s *speech) random(n int) int {
	s.rng ^= s.rng << 13
	s.rng ^= s.rng >> 7
	s.rng ^= s.rng << 17
	return int(s.rng % uint64(n))
}

func (s *speech) next() {
	s.breath = s.syllables > 3 && s.random(4) == 0
	if s.breath {
		s.syllables, s.all = 0, SampleRate*(200+s.random(300))/1000
	} else {
		s.syllables++
		s.all = SampleRate * (80 + s.random(220)) / 1000
		s.pitch = 95 + float64(s.random(60))
		for i, hz := range vowels[s.random(len(vowels))] {
			s.formants[i].tune(hz, 60+40*float64(i))
		}
	}
	s.left = s.all
}

func (s *speech) Frame(dst *[FrameSamples]int16) {
	for i := range dst {
		if s.left == 0 {
			s.next()
		}
		done := float64(s.all-s.left) / float64(s.all)
		s.left--
		glottis := 0.0
		if !s.breath {
			s.pulse += (s.pitch + 20*math.Sin(math.Pi*done)) / SampleRate
			if s.pulse >= 1 {
				s.pulse--
				glottis = math.Sin(math.Pi * done)
			}
		}
		v := 0.0
		for k := range s.formants {
			v += s.formants[k].filter(glottis) / float64(k+1)
		}
		dst[i] = clip(v * 9000)
	}
}

// resonator is a two-pole band filter.
type resonator struct{ a, b, y1, y2 float64 }

func (r *resonator) tune(hz, width float64) {
	radius := math.Exp(-math.Pi * width / SampleRate)
	r.a, r.b = 2*radius*math.Cos(2*math.Pi*hz/SampleRate), -radius*radius
}

func (r *resonator) filter(x float64) float64 {
	y := x + r.a*r.y1 + r.b*r.y2
	r.y2, r.y1 = r.y1, y
	return y
}

// WAV plays a RIFF WAVE file over and over: linear PCM of 8 or 16 bits or
// u-law, any number of channels, any rate; it is mixed to one channel and
// resampled to 8000 Hz. The file is read whole, at most 64 MiB.
func WAV(r io.Reader) (Source, error) {
	samples, err := ReadWAV(io.LimitReader(r, 64<<20))
	if err != nil {
		return nil, err
	}
	return &loop{samples: samples}, nil
}

// WAVFile plays the file of that name, see WAV.
func WAVFile(name string) (Source, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, problem.New(problem.InputUnreadable, "cannot play %s: %w", name, Cause(err))
	}
	defer f.Close()
	source, err := WAV(f)
	if err != nil {
		return nil, problem.New(problem.InputUnreadable, "cannot play %s: %w", name, err).
			WithHint("convert it with: sox %s -r 8000 -c 1 -b 16 out.wav", name)
	}
	return source, nil
}

type loop struct {
	samples []int16
	at      int
}

func (l *loop) Frame(dst *[FrameSamples]int16) {
	for i := range dst {
		dst[i] = l.samples[l.at]
		l.at = (l.at + 1) % len(l.samples)
	}
}

type wavError string

func (e wavError) Error() string { return string(e) }

const (
	wavePCM        = 1
	waveMulaw      = 7
	waveExtensible = 0xfffe
)

// ReadWAV returns the samples of a WAV file, mixed and resampled to what is said
// here.
func ReadWAV(r io.Reader) ([]int16, error) {
	var riff [12]byte
	if _, err := io.ReadFull(r, riff[:]); err != nil || string(riff[:4]) != "RIFF" || string(riff[8:]) != "WAVE" {
		return nil, wavError("it is no WAV file")
	}
	var format, channels, bits int
	var rate int
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, wavError("it has no sound in it")
		}
		size := int64(binary.LittleEndian.Uint32(head[4:]))
		// A stream's writer cannot know the size and leaves it at the highest
		// value; the data then ends where the file does.
		body, err := io.ReadAll(io.LimitReader(r, size+size%2))
		if err != nil {
			return nil, err
		}
		switch string(head[:4]) {
		case "fmt ":
			if len(body) < 16 {
				return nil, wavError("its format is cut short")
			}
			format = int(binary.LittleEndian.Uint16(body))
			channels = int(binary.LittleEndian.Uint16(body[2:]))
			rate = int(binary.LittleEndian.Uint32(body[4:]))
			bits = int(binary.LittleEndian.Uint16(body[14:]))
			if format == waveExtensible && len(body) >= 26 {
				format = int(binary.LittleEndian.Uint16(body[24:]))
			}
		case "data":
			if channels < 1 || channels > 64 || rate < 1000 || rate > 384000 {
				return nil, wavError("its format makes no sense")
			}
			mono, err := mix(body, format, channels, bits)
			if err != nil {
				return nil, err
			}
			if len(mono) == 0 {
				return nil, wavError("it has no sound in it")
			}
			return resample(mono, rate), nil
		}
	}
}

func mix(body []byte, format, channels, bits int) ([]float64, error) {
	var width int
	var sample func([]byte) float64
	switch {
	case format == wavePCM && bits == 16:
		width, sample = 2, func(b []byte) float64 { return float64(int16(binary.LittleEndian.Uint16(b))) }
	case format == wavePCM && bits == 8:
		width, sample = 1, func(b []byte) float64 { return (float64(b[0]) - 128) * 256 }
	case format == waveMulaw && bits == 8:
		width, sample = 1, func(b []byte) float64 { return float64(FromMulaw[b[0]]) }
	default:
		return nil, wavError("only linear PCM of 8 or 16 bits and u-law can be read")
	}
	mono := make([]float64, len(body)/(width*channels))
	for i := range mono {
		for c := range channels {
			mono[i] += sample(body[(i*channels+c)*width:]) / float64(channels)
		}
	}
	return mono, nil
}

// resample averages when the rate goes down, so that what lies above 4 kHz does
// not fold back as noise, and draws a line between neighbours when it goes up.
func resample(in []float64, rate int) []int16 {
	if rate == SampleRate {
		out := make([]int16, len(in))
		for i, v := range in {
			out[i] = clip(v)
		}
		return out
	}
	step := float64(rate) / SampleRate
	out := make([]int16, max(1, int(float64(len(in))/step)))
	for i := range out {
		at := float64(i) * step
		first := min(int(at), len(in)-1)
		if step > 1 {
			last := min(int(at+step), len(in))
			sum := 0.0
			for _, v := range in[first:max(last, first+1)] {
				sum += v
			}
			out[i] = clip(sum / float64(max(last-first, 1)))
			continue
		}
		part := at - float64(first)
		out[i] = clip(in[first]*(1-part) + in[min(first+1, len(in)-1)]*part)
	}
	return out
}

func clip(v float64) int16 { return int16(max(-32768, min(32767, v))) }

// Amplitude is the peak of a tone of that level.
func Amplitude(dBov float64) float64 { return 32767 * math.Pow(10, dBov/20) }

// Level is the root mean square of the samples in dBov: 0 for the loudest square
// wave, -3 for the loudest sine, -127 for silence.
func Level(samples []int16) int {
	sum := 0.0
	for _, s := range samples {
		sum += float64(s) * float64(s)
	}
	if sum == 0 {
		return SilenceDBov
	}
	db := 20 * math.Log10(math.Sqrt(sum/float64(len(samples)))/32768)
	return max(SilenceDBov, int(math.Round(db)))
}

// FromMulaw decodes G.711 u-law. The table follows the recommendation's
// segments; a sample is encoded by finding its segment.
var FromMulaw = func() (table [256]int16) {
	for i := range table {
		code := ^byte(i)
		magnitude := (int(code&0x0f)<<3+0x84)<<(code>>4&7) - 0x84
		if code&0x80 != 0 {
			magnitude = -magnitude
		}
		table[i] = int16(magnitude)
	}
	return table
}()

// ToMulaw encodes a sample as G.711 u-law.
func ToMulaw(sample int16) byte {
	v, sign := int(sample), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, 32635) + 0x84
	segment := byte(0)
	for s := v >> 8; s > 0; s >>= 1 {
		segment++
	}
	return ^(sign | segment<<4 | byte(v>>(segment+3))&0x0f)
}

// EncodeWAV returns the samples as a WAV file.
func EncodeWAV(samples []int16) []byte {
	var b bytes.Buffer
	b.Write(wavHeader(len(samples)))
	binary.Write(&b, binary.LittleEndian, samples)
	return b.Bytes()
}

func wavHeader(samples int) []byte {
	var h [44]byte
	copy(h[0:], "RIFF")
	binary.LittleEndian.PutUint32(h[4:], uint32(36+2*samples))
	copy(h[8:], "WAVEfmt ")
	binary.LittleEndian.PutUint32(h[16:], 16)
	binary.LittleEndian.PutUint16(h[20:], wavePCM)
	binary.LittleEndian.PutUint16(h[22:], 1)
	binary.LittleEndian.PutUint32(h[24:], SampleRate)
	binary.LittleEndian.PutUint32(h[28:], SampleRate*2)
	binary.LittleEndian.PutUint16(h[32:], 2)
	binary.LittleEndian.PutUint16(h[34:], 16)
	copy(h[36:], "data")
	binary.LittleEndian.PutUint32(h[40:], uint32(2*samples))
	return h[:]
}
