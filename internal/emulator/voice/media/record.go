package media

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"

	"github.com/flexvc/flexvc/internal/problem"
)

// Recorder writes what is heard to a WAV file. A packet is put where its RTP
// timestamp says, so packets out of order are mended, doubled ones harmless, and
// what was lost is silence of the right length.
type Recorder struct {
	file  *os.File
	base  uint32
	began bool
	end   int // samples
	err   error
}

// A jump of more than this, in samples, is a broken timestamp and not a pause.
const recordJump = 30 * 60 * SampleRate

// NewRecorder begins a file; one that cannot be made is problem.OutputUnwritable.
func NewRecorder(name string) (*Recorder, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, problem.New(problem.OutputUnwritable, "cannot record to %s: %w", name, Cause(err))
	}
	return &Recorder{file: file}, nil
}

// Write adds samples where an RTP timestamp says.
func (r *Recorder) Write(timestamp uint32, samples []int16) {
	if r.err != nil {
		return
	}
	if !r.began {
		r.began, r.base = true, timestamp
	}
	at := int(int32(timestamp - r.base))
	if at < 0 || at > r.end+recordJump {
		return
	}
	b := make([]byte, 0, 2*len(samples))
	for _, s := range samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	if _, r.err = r.file.WriteAt(b, int64(44+2*at)); r.err == nil {
		r.end = max(r.end, at+len(samples))
	}
}

// Close completes the file, and tells what went wrong with it.
func (r *Recorder) Close() error {
	_, err := r.file.WriteAt(wavHeader(r.end), 0)
	return errors.Join(r.err, err, r.file.Close())
}

// Cause drops the path that os errors repeat.
func Cause(err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}
