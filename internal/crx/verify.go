package crx

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Limits of what Verify looks at, so that a hostile file costs little.
const (
	nameLimit     = 512
	filesLimit    = 10_000
	proofsLimit   = 32
	messagesLimit = 1 << 20 // bytes
	unpackedLimit = 1 << 30 // bytes
)

// Report is all that Verify found out about a file.
type Report struct {
	Size       int64     `json:"size"`
	SHA256     string    `json:"sha256"`
	ID         string    `json:"id,omitempty"` // as the file declares it
	HeaderSize int64     `json:"header_size"`
	ArchiveAt  int64     `json:"archive_at"` // where the ZIP archive starts
	Proofs     []Proof   `json:"proofs"`
	Manifest   *Manifest `json:"-"`              // nil when it cannot be read
	Name       string    `json:"name,omitempty"` // as people see it, in the default locale
	Files      []File    `json:"files"`
	Faults     []Fault   `json:"faults"`

	fileSums map[string]int64
	manifest []byte
}

// Proof is one signature with its key.
type Proof struct {
	Kind  string `json:"kind"`       // rsa or ecdsa
	Bits  int    `json:"bits"`       // of the key
	ID    string `json:"id"`         // of the extension that the key belongs to
	At    int64  `json:"at"`         // byte of the file
	Valid bool   `json:"valid"`      // it is the key's signature of this file
	Key   string `json:"key_sha256"` // of the public key, hexadecimal
}

// Fault is one thing that is wrong with a file.
type Fault struct {
	At   int64  `json:"at"` // byte of the file
	What string `json:"what"`
	// Chromium is what Chromium logs of it, "" when it says nothing.
	Chromium string `json:"chromium,omitempty"`
}

// What Chromium says. Source: extensions/browser/sandboxed_unpacker.cc and
// crx_installer.cc.
const (
	saysHeader    = "Package is invalid: 'CRX_HEADER_INVALID'."
	saysSignature = "Package is invalid: 'CRX_SIGNATURE_VERIFICATION_FAILED'."
	saysInit      = "Package is invalid: 'CRX_SIGNATURE_VERIFICATION_INITIALIZATION_FAILED'."
	saysProof     = "Package is invalid: 'CRX_REQUIRED_PROOF_MISSING'."
)

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Faults) == 0 }

func (r *Report) fault(at int64, chromium, format string, args ...any) {
	r.Faults = append(r.Faults, Fault{at, fmt.Sprintf(format, args...), chromium})
}

// Expect adds the faults of a file that is whole, but not the one that is
// wanted: another extension's ID or another version. Empty wants nothing.
func (r *Report) Expect(id, version string) {
	if id != "" && r.ID != "" && id != r.ID {
		r.fault(r.idAt(), fmt.Sprintf("Expected ID %q, but ID was %q", id, r.ID), "it is signed with another key: the ID is %s, expected %s", r.ID, id)
	}
	if version != "" && r.Manifest != nil && version != r.Manifest.Version {
		r.fault(r.fileSums[ManifestName], fmt.Sprintf("Expected version %q, but version was %q", version, r.Manifest.Version),
			"the version is %s, expected %s", r.Manifest.Version, version)
	}
}

func (r *Report) idAt() int64 { return r.ArchiveAt - idLength }

// Verify examines a .crx of size bytes in r. It reads it twice, a piece at a
// time, and never beyond size. What is wrong with the file is in the report;
// the error is r's.
func Verify(r io.ReaderAt, size int64) (*Report, error) {
	source := &source{r: r, size: size}
	report := &Report{Size: size, Proofs: []Proof{}, Files: []File{}, Faults: []Fault{}, fileSums: map[string]int64{}}
	sum := sha256.New()
	if _, err := io.Copy(sum, source.section(0, size)); err != nil {
		return nil, err
	}
	report.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if report.readHeader(source) {
		report.readArchive(source)
	}
	slices.SortStableFunc(report.Faults, func(a, b Fault) int { return int(min(max(a.At-b.At, -1), 1)) })
	return report, source.err
}

// source is the file; the first error of the reader stays.
type source struct {
	r    io.ReaderAt
	size int64
	err  error
}

func (s *source) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at > s.size {
		return 0, io.EOF
	}
	short := false
	if most := s.size - at; int64(len(p)) > most {
		p, short = p[:most], true
	}
	n, err := s.r.ReadAt(p, at)
	if n == len(p) {
		err = nil
	} else if err != nil && s.err == nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

func (s *source) section(at, length int64) *io.SectionReader {
	return io.NewSectionReader(s, at, length)
}

// bytes reads exactly n bytes, or reports false.
func (s *source) bytes(at int64, n int) ([]byte, bool) {
	if at < 0 || int64(n) > s.size-at {
		return nil, false
	}
	p := make([]byte, n)
	_, err := s.ReadAt(p, at)
	return p, err == nil
}

// FileID returns the ID that the .crx at path declares, and "" when the file is
// none or is not there. Nothing is verified.
func FileID(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	r := &Report{}
	head := r.readStart(&source{r: f, size: info.Size()})
	for _, h := range head {
		if h.number == fieldSignedData {
			return declaredID(h.value)
		}
	}
	return ""
}
