package crx

import (
	"archive/zip"
	"compress/flate"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/flexvc/flexvc/internal/durable"
	"github.com/flexvc/flexvc/internal/problem"
)

// Archives are compressed at level 6: 9 takes two and a half times as long and
// saves half a percent.
const deflateLevel = 6

// 1980-01-01, the first day that ZIP knows. No time of the source is kept: the
// same files are to give the same bytes.
const dosDate = 1<<5 | 1

// copyBuffer is how much of a file is in memory at a time.
const copyBuffer = 32 << 10

// Package is a file that was written.
type Package struct {
	ID     string // "" in a ZIP archive, which has no key
	Size   int64  // bytes
	SHA256 string // of the whole file
}

// PublicKey is what a manifest's "key" is for an extension signed with key: its
// ID is then the same when it is loaded unpacked.
func PublicKey(key *rsa.PrivateKey) (string, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", problem.New(problem.SigningKeyInvalid, "cannot use the signing key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(spki), nil
}

// Pack writes folder to path as CRX3, signed with key. The file gets its name
// when it is whole and on disk, and replaces one that is there. The same folder
// and key give the same bytes. The error is OutputUnwritable, ExtensionInvalid
// when a source has changed, or ctx's.
func Pack(ctx context.Context, path string, folder *Folder, key *rsa.PrivateKey) (*Package, error) {
	return pack(ctx, path, folder, key, nil)
}

// Zip writes folder to path as a plain ZIP archive, as Pack does.
func Zip(ctx context.Context, path string, folder *Folder) (*Package, error) {
	return pack(ctx, path, folder, nil, nil)
}

// output is where a package goes: the file, or what a test puts in front of it.
type output interface {
	io.Writer
	io.WriterAt
}

func pack(ctx context.Context, path string, folder *Folder, key *rsa.PrivateKey, through func(output) output) (p *Package, err error) {
	var packing error
	err = durable.Fill(path, 0o644, func(f *os.File) error { // readers may be anybody
		p, packing = packInto(ctx, f, folder, key, through)
		return packing
	})
	if err == nil {
		return p, nil
	}
	unwritten := writeError{err}
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil, err
	case problem.As(err) != nil:
		return nil, err
	case packing == nil || errors.As(err, &unwritten):
		return nil, problem.New(problem.OutputUnwritable, "cannot write %s: %w", path, problem.Reason(unwritten.error)).
			WithHint("nothing was written; check free space and permissions of %s", filepath.Dir(path))
	}
	return nil, problem.New(problem.ExtensionInvalid, "cannot pack the extension: %w", err)
}

func packInto(ctx context.Context, f *os.File, folder *Folder, key *rsa.PrivateKey, through func(output) output) (p *Package, err error) {
	var out output = f
	if through != nil {
		out = through(f)
	}
	if key == nil {
		p, err = writeZip(ctx, out, folder)
	} else {
		p, err = writeCRX(ctx, out, folder, key)
	}
	if err != nil {
		return nil, err
	}
	p.SHA256, p.Size, err = digestOf(f)
	return p, err
}

// writeCRX leaves room for the header, streams the archive through the hash,
// and comes back with the signature: an RSA signature's length is known before.
func writeCRX(ctx context.Context, out output, folder *Folder, key *rsa.PrivateKey) (*Package, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, problem.New(problem.SigningKeyInvalid, "cannot use the signing key: %w", err)
	}
	signed := signedData(spki)
	if _, err := out.Write(header(spki, make([]byte, key.Size()), signed)); err != nil {
		return nil, writeError{err}
	}
	digest := newDigest(signed)
	if err := archive(ctx, tee{out, digest}, folder); err != nil {
		return nil, err
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest.Sum(nil))
	if err != nil {
		return nil, problem.New(problem.SigningKeyInvalid, "cannot sign: %w", err)
	}
	if _, err := out.WriteAt(header(spki, signature, signed), 0); err != nil {
		return nil, writeError{err}
	}
	return &Package{ID: idOf(spki)}, nil
}

func writeZip(ctx context.Context, out output, folder *Folder) (*Package, error) {
	return &Package{}, archive(ctx, out, folder)
}

// tee hashes what was written.
type tee struct {
	io.Writer
	digest hash.Hash
}

func (t tee) Write(p []byte) (int, error) {
	n, err := t.Writer.Write(p)
	t.digest.Write(p[:n])
	return n, err
}

// archive writes the ZIP archive: files only, in the order of their names,
// without times and modes.
func archive(ctx context.Context, out io.Writer, folder *Folder) error {
	z := zip.NewWriter(out)
	var deflater *flate.Writer // one at a time, and each takes some 800 kB
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		if deflater == nil {
			var err error
			deflater, err = flate.NewWriter(w, deflateLevel)
			return deflater, err
		}
		deflater.Reset(w)
		return deflater, nil
	})
	buf := make([]byte, copyBuffer)
	for _, file := range folder.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		//lint:ignore SA1019 Modified would add a field of nine bytes to each file
		h := &zip.FileHeader{Name: file.Name, Method: zip.Deflate, ModifiedDate: dosDate}
		switch strings.ToLower(path.Ext(file.Name)) {
		case ".png", ".jpg", ".woff2", ".webp", ".ogg", ".mp3":
			h.Method = zip.Store
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			return writeError{err}
		}
		if err := folder.copyFile(w, file, buf); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return writeError{err}
	}
	return nil
}

func digestOf(f *os.File) (sum string, size int64, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", 0, writeError{err}
	}
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return "", 0, writeError{err}
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// Unpacked writes folder to a new folder at dir, for "Load unpacked". It gets
// its name when it is whole; one that is there stays, and is OutputUnwritable.
func Unpacked(ctx context.Context, dir string, folder *Folder) (err error) {
	unwritable := func(err error) error {
		return problem.New(problem.OutputUnwritable, "cannot write the folder %s: %w", dir, problem.Reason(err)).
			WithHint("choose another with --out, or remove it first")
	}
	if _, err := os.Lstat(dir); err == nil {
		return unwritable(errors.New("it already exists"))
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".*")
	if err != nil {
		return unwritable(err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(temp)
		}
	}()
	buf := make([]byte, copyBuffer)
	for _, file := range folder.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(temp, filepath.FromSlash(file.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return unwritable(err)
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return unwritable(err)
		}
		err = folder.copyFile(f, file, buf)
		if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
			if errors.Is(err, errChanged) {
				return problem.New(problem.ExtensionInvalid, "cannot pack the extension: %w", err)
			}
			return unwritable(err)
		}
	}
	err = filepath.WalkDir(temp, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		return err
	})
	if err != nil {
		return unwritable(err)
	}
	if err := os.Rename(temp, dir); err != nil {
		return unwritable(err)
	}
	return nil
}
