package crx

import (
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// The layout of a CRX3 file. All numbers are little endian.
//
//	0      "Cr24"
//	4      version, 3
//	8      length N of the header
//	12     header: a protobuf CrxFileHeader
//	12+N   ZIP archive, to the end of the file
//
// Source: components/crx_file/crx3.proto and crx_verifier.cc in Chromium.
const (
	magic      = "Cr24"
	version    = 3
	headerAt   = 12
	headerMost = 1 << 20 // Chromium takes no longer one
)

// Fields of CrxFileHeader, of AsymmetricKeyProof and of SignedData.
const (
	fieldRSA        = 2
	fieldECDSA      = 3
	fieldSignedData = 10000
	fieldPublicKey  = 1
	fieldSignature  = 2
	fieldID         = 1
)

const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

const idLength = 16 // bytes, before they are spelled with letters

// signedData is the encoding of SignedData for the extension of a public key.
func signedData(spki []byte) []byte {
	sum := sha256.Sum256(spki)
	return appendField(nil, fieldID, sum[:idLength])
}

// newDigest starts the hash that every proof signs: what follows is the archive.
// The comment in crx3.proto says that RSA proofs are PSS; the verifier and
// all packers use PKCS #1 v1.5.
func newDigest(signed []byte) hash.Hash {
	h := crypto.SHA256.New()
	h.Write([]byte("CRX3 SignedData\x00"))
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(signed))))
	h.Write(signed)
	return h
}

// header encodes all that precedes the archive. Its length depends on the
// lengths of the arguments only, so room can be left for the signature.
func header(spki, signature, signed []byte) []byte {
	proof := appendField(nil, fieldPublicKey, spki)
	proof = appendField(proof, fieldSignature, signature)
	fields := appendField(nil, fieldRSA, proof)
	fields = appendField(fields, fieldSignedData, signed)
	out := append([]byte(magic), 0, 0, 0, 0, 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(out[4:], version)
	binary.LittleEndian.PutUint32(out[8:], uint32(len(fields)))
	return append(out, fields...)
}

func appendField(b []byte, field int, value []byte) []byte {
	b = binary.AppendUvarint(b, uint64(field)<<3|wireBytes)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

// field is one field of a message: its number and, for wireBytes, its value,
// which begins at byte at of the message.
type field struct {
	number int
	value  []byte
	at     int
}

// fields takes a message apart. When it is damaged, bad is the byte where
// that shows, else -1.
func fields(message []byte) (all []field, bad int) {
	for at := 0; at < len(message); {
		start := at
		tag, n := binary.Uvarint(message[at:])
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return all, start
		}
		at += n
		f := field{number: int(tag >> 3)}
		skip := uint64(0)
		switch tag & 7 {
		case wireVarint:
			_, n := binary.Uvarint(message[at:])
			if n <= 0 {
				return all, start
			}
			skip = uint64(n)
		case wireFixed64:
			skip = 8
		case wireFixed32:
			skip = 4
		case wireBytes:
			length, n := binary.Uvarint(message[at:])
			if n <= 0 || length > uint64(len(message)-at-n) {
				return all, start
			}
			at += n
			f.at, f.value = at, message[at:at+int(length)]
			skip = length
		default:
			return all, start
		}
		if skip > uint64(len(message)-at) {
			return all, start
		}
		at += int(skip)
		if f.value != nil {
			all = append(all, f)
		}
	}
	return all, -1
}
