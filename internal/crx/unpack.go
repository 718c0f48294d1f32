package crx

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// sink takes a file's bytes; only the manifest's are kept.
type sink struct {
	io.Writer
	sum  hash.Hash
	crc  hash.Hash32
	text bytes.Buffer
}

func newSink(name string) *sink {
	k := &sink{sum: sha256.New(), crc: crc32.NewIEEE()}
	k.Writer = io.MultiWriter(k.sum, k.crc)
	if name == ManifestName {
		k.Writer = io.MultiWriter(k.sum, k.crc, &upTo{&k.text, manifestLimit + 1})
	}
	return k
}

// upTo keeps the first bytes only.
type upTo struct {
	w    io.Writer
	left int
}

func (u *upTo) Write(p []byte) (int, error) {
	keep := min(len(p), u.left)
	u.left -= keep
	if _, err := u.w.Write(p[:keep]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// counter counts the bytes that were taken. flate takes no more than it needs
// from a reader that gives single bytes.
type counter struct {
	r *bufio.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

func unpack(out io.Writer, in *counter, method uint16, most int64) (int64, error) {
	switch method {
	case stored:
		return io.Copy(out, io.LimitReader(in, most))
	case deflated:
		inflater := flate.NewReader(in)
		defer inflater.Close()
		return io.Copy(out, io.LimitReader(inflater, most))
	}
	return 0, fmt.Errorf("compression method %d", method)
}

func damagedAt(e entry, in *counter, err error) int64 {
	var corrupt flate.CorruptInputError
	if errors.As(err, &corrupt) {
		return e.data + max(0, int64(corrupt)-1)
	}
	return e.data + in.n
}

// plain is an error without the package's name.
func plain(err error) string {
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, &corrupt):
		return "the compressed data is invalid"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	}
	return err.Error()
}

// show makes a name from a file harmless.
func show(name string) string {
	if badName(name) != "" {
		return fmt.Sprintf("%q", name)
	}
	return name
}
