package crx

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strings"
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
	Kind  string `json:"kind"` // rsa or ecdsa
	Bits  int    `json:"bits"`
	ID    string `json:"id"` // of the extension that the key belongs to
	At    int64  `json:"at"`
	Valid bool   `json:"valid"`
	Key   string `json:"key_sha256"`
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
		r.fault(r.idAt(), fmt.Sprintf("Expected ID %q, but ID was %q", id, r.ID), "it is signed with another key: the ID is %s, wanted is %s", r.ID, id)
	}
	if version != "" && r.Manifest != nil && version != r.Manifest.Version {
		r.fault(r.fileSums[ManifestName], fmt.Sprintf("Expected version %q, but version was %q", version, r.Manifest.Version),
			"the version is %s, wanted is %s", r.Manifest.Version, version)
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

func declaredID(signed []byte) string {
	data, _ := fields(signed)
	for _, f := range data {
		if f.number == fieldID {
			return letters(f.value)
		}
	}
	return ""
}

// readHeader checks magic, header and proofs, and reports whether it is known
// where the archive starts.
func (r *Report) readHeader(s *source) bool {
	header := r.readStart(s)
	if header != nil {
		r.readProofs(s, header)
	}
	return r.ArchiveAt > 0
}

// readStart reads the header's fields; nil: it cannot.
func (r *Report) readStart(s *source) []field {
	start, ok := s.bytes(0, headerAt)
	if !ok {
		r.fault(s.size, saysHeader, "the file ends after %d bytes, in the middle of the header", s.size)
		return nil
	}
	switch {
	case string(start[:4]) == "PK\x03\x04":
		r.fault(0, saysHeader, "it is a plain ZIP archive, without a signature")
		return nil
	case string(start[:4]) != magic:
		r.fault(0, saysHeader, "it is no .crx: it does not start with Cr24")
		return nil
	}
	if v := binary.LittleEndian.Uint32(start[4:]); v != version {
		r.fault(4, saysHeader, "it is CRX version %d, and Chrome takes only 3", v)
		return nil
	}
	length := int64(binary.LittleEndian.Uint32(start[8:]))
	switch {
	case length > headerMost:
		r.fault(8, saysHeader, "the header is said to be %d bytes long, longer than any", length)
		return nil
	case length > s.size-headerAt:
		r.fault(s.size, saysHeader, "the file ends after %d bytes, in the middle of the header", s.size)
		return nil
	}
	r.HeaderSize, r.ArchiveAt = length, headerAt+length
	head, ok := s.bytes(headerAt, int(length))
	if !ok {
		return nil
	}
	all, bad := fields(head)
	if bad >= 0 {
		r.fault(headerAt+int64(bad), saysHeader, "the header is damaged")
		return nil
	}
	return all
}

// readProofs checks every signature over the archive.
func (r *Report) readProofs(s *source, header []field) {
	var signed []byte
	for _, f := range header {
		if f.number != fieldSignedData {
			continue
		}
		signed = f.value
		if _, bad := fields(f.value); bad >= 0 {
			r.fault(headerAt+int64(f.at+bad), saysHeader, "the signed part of the header is damaged")
			return
		}
		r.ID = declaredID(f.value)
	}
	if signed == nil {
		r.fault(headerAt, saysProof, "the header does not say which extension it is")
		return
	}
	digest := newDigest(signed)
	if _, err := io.Copy(digest, s.section(r.ArchiveAt, s.size-r.ArchiveAt)); err != nil {
		return
	}
	sum := digest.Sum(nil)
	own := false
	for _, f := range header {
		if f.number != fieldRSA && f.number != fieldECDSA {
			continue
		}
		at := headerAt + int64(f.at)
		if len(r.Proofs) == proofsLimit {
			r.fault(at, "", "there are more than %d signatures", proofsLimit)
			return
		}
		parts, bad := fields(f.value)
		if bad >= 0 {
			r.fault(at+int64(bad), saysHeader, "a signature is damaged")
			continue
		}
		var spki, signature field
		for _, part := range parts {
			switch part.number {
			case fieldPublicKey:
				spki = part
			case fieldSignature:
				signature = part
			}
		}
		proof, known := newProof(f.number, spki.value, sum, signature.value)
		proof.At = at
		own = own || proof.ID == r.ID
		r.Proofs = append(r.Proofs, proof)
		switch {
		case !known:
			r.fault(at+int64(spki.at), saysInit, "a public key is damaged or not of its kind")
		case !proof.Valid:
			r.fault(at+int64(signature.at), saysSignature, "the signature of %s does not fit: signature or archive were changed after signing", proof.ID)
		}
	}
	if !own {
		r.fault(headerAt, saysProof, "no signature is of the key that the ID %s belongs to", r.ID)
	}
}

// newProof checks one signature. known is false when the key is none.
func newProof(kind int, spki, digest, signature []byte) (p Proof, known bool) {
	sum := sha256.Sum256(spki)
	p = Proof{Kind: "rsa", ID: idOf(spki), Key: hex.EncodeToString(sum[:])}
	if kind == fieldECDSA {
		p.Kind = "ecdsa"
	}
	if len(spki) > 4096 { // an RSA key of 16384 bits is shorter, and longer ones cost much
		return p, false
	}
	public, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return p, false
	}
	switch public := public.(type) {
	case *rsa.PublicKey:
		p.Bits = public.N.BitLen()
		p.Valid = rsa.VerifyPKCS1v15(public, crypto.SHA256, digest, signature) == nil
		return p, kind == fieldRSA
	case *ecdsa.PublicKey:
		p.Bits = public.Params().BitSize
		if public.Curve != elliptic.P256() {
			return p, false
		}
		p.Valid = ecdsa.VerifyASN1(public, digest, signature)
		return p, kind == fieldECDSA
	}
	return p, false
}

// letters spells an ID as Chromium does.
func letters(id []byte) string {
	if len(id) != idLength {
		return ""
	}
	var b strings.Builder
	for _, c := range id {
		b.WriteByte('a' + c>>4)
		b.WriteByte('a' + c&0x0f)
	}
	return b.String()
}

// Parts of a ZIP archive. Source: APPNOTE.TXT 6.3.10, 4.3.
const (
	localSignature  = "PK\x03\x04"
	centralSignture = "PK\x01\x02"
	endSignature    = "PK\x05\x06"
	localLength     = 30
	centralLength   = 46
	endLength       = 22
	endSearch       = endLength + 1<<16 - 1 // the longest comment
	stored          = 0
	deflated        = 8
	hasDescriptor   = 1 << 3
	isEncrypted     = 1
)

// entry is a file of the archive; positions are bytes of the .crx.
type entry struct {
	name             string
	at, data         int64
	listed           int64 // where the directory speaks of it
	method, flags    uint16
	crc              uint32
	packed, unpacked int64 // -1: not known
}

// readArchive checks every file against the directory at the archive's end; when
// that is gone, it goes through the files from the front, to see how far they go.
func (r *Report) readArchive(s *source) {
	directory, ok := r.readDirectory(s)
	if !ok {
		r.walk(s)
		return
	}
	names := map[string]bool{}
	left := int64(unpackedLimit)
	for _, e := range directory {
		switch local, ok := readLocal(s, e.at); {
		case e.at >= s.size:
			r.fault(e.listed, "", "%s: the directory says that it starts behind the file's end", show(e.name))
			continue
		case !ok || local.name != e.name:
			r.fault(e.at, "", "%s: it does not start where the directory says", show(e.name))
			continue
		case e.flags&isEncrypted != 0:
			r.fault(e.at, "", "%s: it is encrypted", show(e.name))
			continue
		case names[e.name]:
			r.fault(e.at, "", "%s: it is there twice", show(e.name))
			continue
		default:
			names[e.name] = true
			e.data = local.data
		}
		if !strings.HasSuffix(e.name, "/") && !r.readFile(s, e, &left) {
			return
		}
	}
	if r.manifest == nil {
		if !names[ManifestName] {
			r.fault(r.ArchiveAt, "", "there is no %s", ManifestName)
		}
		return
	}
	var err error
	if r.Manifest, err = ParseManifest(r.manifest); err != nil {
		r.fault(r.fileSums[ManifestName], "", "%s: %v", ManifestName, err)
		return
	}
	r.Name = localName(s, directory, r.Manifest)
}

// localName is the manifest's name with its __MSG_ parts in the default locale,
// and the manifest's own text when that cannot be had: a name is not worth a
// fault.
func localName(s *source, directory []entry, m *Manifest) string {
	if !strings.Contains(m.Name, messageStart) {
		return m.Name
	}
	path := "_locales/" + m.DefaultLocale + "/messages.json"
	at := slices.IndexFunc(directory, func(e entry) bool { return e.name == path })
	if at < 0 {
		return m.Name
	}
	e, ok := readLocal(s, directory[at].at)
	if !ok || e.name != path {
		return m.Name
	}
	var text bytes.Buffer
	in := &counter{r: bufio.NewReader(s.section(e.data, directory[at].packed))}
	if n, err := unpack(&text, in, directory[at].method, messagesLimit+1); err != nil || n > messagesLimit {
		return m.Name
	}
	if name := localize(m.Name, text.Bytes()); name != "" && len([]rune(name)) <= nameMost {
		return name
	}
	return m.Name
}

// readDirectory reads the central directory. When it cannot, it says where.
func (r *Report) readDirectory(s *source) ([]entry, bool) {
	length := s.size - r.ArchiveAt
	tail := min(length, endSearch)
	buf, ok := s.bytes(s.size-tail, int(tail))
	if !ok {
		return nil, false
	}
	at := bytes.LastIndex(buf, []byte(endSignature))
	if at < 0 || len(buf)-at < endLength {
		r.fault(s.size, saysSignature, "the file is cut: it ends at byte %d without the archive's directory", s.size)
		return nil, false
	}
	end := buf[at:]
	endAt := s.size - tail + int64(at)
	count := int(binary.LittleEndian.Uint16(end[10:]))
	size := int64(binary.LittleEndian.Uint32(end[12:]))
	offset := int64(binary.LittleEndian.Uint32(end[16:]))
	if count == 0xffff || size == 0xffffffff || offset == 0xffffffff {
		r.fault(endAt, "", "the archive is of the 64-bit kind, which extensions never need")
		return nil, false
	}
	if offset+size != endAt-r.ArchiveAt {
		r.fault(endAt, "", "the archive's directory is not where its end says")
		return nil, false
	}
	if count > filesLimit {
		r.fault(endAt, "", "there are more than %d files", filesLimit)
		return nil, false
	}
	entries := make([]entry, 0, min(count, int(size)/centralLength))
	for pos := r.ArchiveAt + offset; pos < endAt; {
		h, ok := s.bytes(pos, centralLength)
		if !ok || string(h[:4]) != centralSignture || len(entries) == count {
			r.fault(pos, "", "the archive's directory is damaged")
			return nil, false
		}
		nameLength := int(binary.LittleEndian.Uint16(h[28:]))
		more := nameLength + int(binary.LittleEndian.Uint16(h[30:])) + int(binary.LittleEndian.Uint16(h[32:]))
		name, ok := s.bytes(pos+centralLength, min(nameLength, nameLimit))
		if !ok || nameLength > nameLimit {
			r.fault(pos, "", "the archive's directory is damaged")
			return nil, false
		}
		entries = append(entries, entry{
			name:     string(name),
			listed:   pos,
			at:       r.ArchiveAt + int64(binary.LittleEndian.Uint32(h[42:])),
			flags:    binary.LittleEndian.Uint16(h[8:]),
			method:   binary.LittleEndian.Uint16(h[10:]),
			crc:      binary.LittleEndian.Uint32(h[16:]),
			packed:   int64(binary.LittleEndian.Uint32(h[20:])),
			unpacked: int64(binary.LittleEndian.Uint32(h[24:])),
		})
		pos += centralLength + int64(more)
	}
	if len(entries) != count {
		r.fault(endAt, "", "the archive's directory has %d files, and says %d", len(entries), count)
		return nil, false
	}
	return entries, true
}

func readLocal(s *source, at int64) (e entry, ok bool) {
	h, ok := s.bytes(at, localLength)
	if !ok || string(h[:4]) != localSignature {
		return e, false
	}
	nameLength := int(binary.LittleEndian.Uint16(h[26:]))
	if nameLength > nameLimit {
		return e, false
	}
	name, ok := s.bytes(at+localLength, nameLength)
	if !ok {
		return e, false
	}
	e = entry{
		name:     string(name),
		at:       at,
		flags:    binary.LittleEndian.Uint16(h[6:]),
		method:   binary.LittleEndian.Uint16(h[8:]),
		crc:      binary.LittleEndian.Uint32(h[14:]),
		packed:   int64(binary.LittleEndian.Uint32(h[18:])),
		unpacked: int64(binary.LittleEndian.Uint32(h[22:])),
		data:     at + localLength + int64(nameLength) + int64(binary.LittleEndian.Uint16(h[28:])),
	}
	return e, true
}

// readFile unpacks one file into its hash. It reports false when the
// limit of unpacked bytes is used up.
func (r *Report) readFile(s *source, e entry, left *int64) bool {
	if e.packed > s.size-e.data {
		r.fault(e.at, "", "%s: it would end beyond the file", show(e.name))
		return true
	}
	r.fileSums[e.name] = e.at
	in := &counter{r: bufio.NewReader(s.section(e.data, e.packed))}
	out := newSink(e.name)
	n, err := unpack(out, in, e.method, min(*left, e.unpacked)+1)
	*left -= n
	switch {
	case *left < 0:
		r.fault(e.at, "", "the files are more than %d MiB when unpacked", unpackedLimit>>20)
		return false
	case err != nil:
		r.fault(damagedAt(e, in, err), saysSignature, "%s: the data are damaged: %v", show(e.name), plain(err))
		return true
	case n != e.unpacked:
		r.fault(e.data, saysSignature, "%s: one of its bytes %d to %d was changed: it does not unpack to %d bytes", show(e.name), e.data, e.data+e.packed-1, e.unpacked)
		return true
	case out.crc.Sum32() != e.crc:
		r.fault(e.data, saysSignature, "%s: one of its bytes %d to %d was changed", show(e.name), e.data, e.data+e.packed-1)
		return true
	}
	if e.name == ManifestName {
		r.manifest = out.text.Bytes()
	}
	r.Files = append(r.Files, File{e.name, n, hex.EncodeToString(out.sum.Sum(nil))})
	return true
}

// walk goes through a cut archive from the front and tells which file the cut
// is in.
func (r *Report) walk(s *source) {
	left := int64(unpackedLimit)
	for at := r.ArchiveAt; len(r.Files) < filesLimit; {
		start, ok := s.bytes(at, 4)
		if !ok || string(start) != localSignature {
			return // the directory, or what is left of it
		}
		e, ok := readLocal(s, at)
		if !ok {
			r.fault(at, saysSignature, "a file begins here, but not even its name is whole")
			return
		}
		if e.data > s.size { // in the extra field behind the name
			r.fault(s.size, saysSignature, "%s: it is not whole", show(e.name))
			return
		}
		length := s.size - e.data
		if e.flags&hasDescriptor == 0 {
			length = min(length, e.packed)
		} else if e.method == stored {
			length = storedLength(s, e.data)
		}
		in := &counter{r: bufio.NewReader(s.section(e.data, length))}
		out := newSink(e.name)
		n, err := unpack(out, in, e.method, left)
		if left -= n; left <= 0 {
			return
		}
		if err != nil || e.flags&hasDescriptor == 0 && in.n < e.packed || length < 0 {
			r.fault(damagedAt(e, in, err), saysSignature, "%s: it is not whole", show(e.name))
			return
		}
		r.fileSums[e.name] = e.at
		r.Files = append(r.Files, File{e.name, n, hex.EncodeToString(out.sum.Sum(nil))})
		at = e.data + in.n
		if e.flags&hasDescriptor != 0 {
			at += descriptorLength
		}
	}
}

// descriptorLength is that of a data descriptor with its signature, "PK\7\8".
const descriptorLength = 16

// storedLength looks for the descriptor behind a stored file of unknown length,
// which is the first that names its own distance. -1: there is none.
func storedLength(s *source, at int64) int64 {
	in := bufio.NewReader(s.section(at, s.size-at))
	for n := int64(0); ; n++ {
		d, err := in.Peek(descriptorLength)
		if err != nil {
			return -1
		}
		if string(d[:4]) == "PK\x07\x08" && int64(binary.LittleEndian.Uint32(d[8:])) == n {
			return n
		}
		if _, err := in.Discard(1); err != nil {
			return -1
		}
	}
}

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
		return "the compressed data make no sense"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "they end too early"
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
