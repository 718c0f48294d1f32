package crx

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
)

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
			r.fault(e.listed, "", "%s: the directory places it beyond the end of the file", show(e.name))
			continue
		case !ok || local.name != e.name:
			r.fault(e.at, "", "%s: it does not start where the directory says", show(e.name))
			continue
		case e.flags&isEncrypted != 0:
			r.fault(e.at, "", "%s: it is encrypted", show(e.name))
			continue
		case names[e.name]:
			r.fault(e.at, "", "%s: it occurs twice", show(e.name))
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
			r.fault(r.ArchiveAt, "", "%s is missing", ManifestName)
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
		r.fault(s.size, saysSignature, "the file is truncated: it ends at byte %d without the archive's directory", s.size)
		return nil, false
	}
	end := buf[at:]
	endAt := s.size - tail + int64(at)
	count := int(binary.LittleEndian.Uint16(end[10:]))
	size := int64(binary.LittleEndian.Uint32(end[12:]))
	offset := int64(binary.LittleEndian.Uint32(end[16:]))
	if count == 0xffff || size == 0xffffffff || offset == 0xffffffff {
		r.fault(endAt, "", "the archive is ZIP64, which extensions never need")
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
		r.fault(endAt, "", "the archive's directory lists %d files but claims %d", len(entries), count)
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
		r.fault(e.at, "", "%s: it extends beyond the end of the file", show(e.name))
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
		r.fault(damagedAt(e, in, err), saysSignature, "%s: the data is damaged: %v", show(e.name), plain(err))
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
			r.fault(at, saysSignature, "a file starts here, but its name is incomplete")
			return
		}
		if e.data > s.size { // in the extra field behind the name
			r.fault(s.size, saysSignature, "%s: it is incomplete", show(e.name))
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
			r.fault(damagedAt(e, in, err), saysSignature, "%s: it is incomplete", show(e.name))
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
