package crx

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"io"
	"strings"
)

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
		r.fault(0, saysHeader, "it is not a .crx: it does not start with Cr24")
		return nil
	}
	if v := binary.LittleEndian.Uint32(start[4:]); v != version {
		r.fault(4, saysHeader, "it is CRX version %d, but Chrome accepts only 3", v)
		return nil
	}
	length := int64(binary.LittleEndian.Uint32(start[8:]))
	switch {
	case length > headerMost:
		r.fault(8, saysHeader, "the header claims to be %d bytes long, more than is allowed", length)
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
		r.fault(headerAt, saysProof, "the header does not identify the extension")
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
			r.fault(at+int64(spki.at), saysInit, "a public key is damaged or of the wrong kind")
		case !proof.Valid:
			r.fault(at+int64(signature.at), saysSignature, "the signature of %s does not match: signature or archive changed after signing", proof.ID)
		}
	}
	if !own {
		r.fault(headerAt, saysProof, "no signature is by the key of ID %s", r.ID)
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
