package voice

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"

	"github.com/flexvc/flexvc/internal/problem"
)

// recorder writes what is heard to a WAV file. A packet is put where its RTP
// timestamp says, so packets out of order are mended, doubled ones harmless, and
// what was lost is silence of the right length.
type recorder struct {
	file  *os.File
	base  uint32
	began bool
	end   int // samples
	err   error
}

// A jump of more than this, in samples, is a broken timestamp and not a pause.
const recordJump = 30 * 60 * sampleRate

func newRecorder(name string) (*recorder, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, problem.New(problem.OutputUnwritable, "cannot record to %s: %w", name, cause(err))
	}
	return &recorder{file: file}, nil
}

func (r *recorder) write(timestamp uint32, samples []int16) {
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

func (r *recorder) close() error {
	_, err := r.file.WriteAt(wavHeader(r.end), 0)
	return errors.Join(r.err, err, r.file.Close())
}

// cause drops the path that os errors repeat.
func cause(err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}
