package crx

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func verify(t testing.TB, data []byte) *Report {
	t.Helper()
	report, err := Verify(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// says are Chromium's lines as the facts of real installs have them.
func (r *Report) says(line string) bool {
	return slices.ContainsFunc(r.Faults, func(f Fault) bool { return f.Chromium == line })
}

func TestVerifySaysWhatChromiumSays(t *testing.T) {
	good := packed(t, sample())
	change := func(edit func([]byte) []byte) []byte { return edit(bytes.Clone(good)) }
	at := func(text string) int { return bytes.Index(good, []byte(text)) }
	for name, tc := range map[string]struct {
		data     []byte
		at       int
		what     string
		chromium string
	}{
		"empty":            {nil, 0, "the file ends after 0 bytes", "Package is invalid: 'CRX_HEADER_INVALID'."},
		"wrong magic":      {change(func(b []byte) []byte { b[0] = 'X'; return b }), 0, "it is not a .crx", "Package is invalid: 'CRX_HEADER_INVALID'."},
		"crx2":             {change(func(b []byte) []byte { b[4] = 2; return b }), 4, "CRX version 2", "Package is invalid: 'CRX_HEADER_INVALID'."},
		"plain zip":        {good[593:], 0, "plain ZIP", "Package is invalid: 'CRX_HEADER_INVALID'."},
		"header too long":  {change(func(b []byte) []byte { b[11] = 0x7f; return b }), 8, "more than is allowed", "Package is invalid: 'CRX_HEADER_INVALID'."},
		"header damaged":   {change(func(b []byte) []byte { b[12] = 0x07; return b }), 12, "the header is damaged", "Package is invalid: 'CRX_HEADER_INVALID'."},
		"cut in header":    {good[:300], 300, "ends after 300 bytes", "Package is invalid: 'CRX_HEADER_INVALID'."},
		"cut in directory": {good[:len(good)-30], len(good) - 30, "without the archive's directory", "Package is invalid: 'CRX_SIGNATURE_VERIFICATION_FAILED'."},
		"cut in a file":    {good[:len(good)-600], len(good) - 600, "without the archive's directory", "Package is invalid: 'CRX_SIGNATURE_VERIFICATION_FAILED'."},
		"signature":        {change(func(b []byte) []byte { b[400] ^= 1; return b }), 315, "does not match", "Package is invalid: 'CRX_SIGNATURE_VERIFICATION_FAILED'."},
		"key":              {change(func(b []byte) []byte { b[100] ^= 1; return b }), 12, "no signature is by the key", "Package is invalid: 'CRX_REQUIRED_PROOF_MISSING'."},
		"declared id":      {change(func(b []byte) []byte { b[592] ^= 1; return b }), 12, "no signature is by the key", "Package is invalid: 'CRX_REQUIRED_PROOF_MISSING'."},
		"bit in a file":    {change(func(b []byte) []byte { b[at("icons/a.png")+200] ^= 4; return b }), at("icons/a.png") + 11, "icons/a.png: one of its bytes", "Package is invalid: 'CRX_SIGNATURE_VERIFICATION_FAILED'."},
		"trailing byte":    {change(func(b []byte) []byte { return append(b, 0) }), 315, "does not match", "Package is invalid: 'CRX_SIGNATURE_VERIFICATION_FAILED'."},
	} {
		t.Run(name, func(t *testing.T) {
			report := verify(t, tc.data)
			if !report.says(tc.chromium) {
				t.Errorf("Chromium's line %s is missing from %+v", tc.chromium, report.Faults)
			}
			if !slices.ContainsFunc(report.Faults, func(f Fault) bool { return f.At == int64(tc.at) && strings.Contains(f.What, tc.what) }) {
				t.Errorf("no fault %q at %d: %+v", tc.what, tc.at, report.Faults)
			}
		})
	}
	report := verify(t, good)
	report.Expect(strings.Repeat("a", 32), "1.0.5")
	for _, line := range []string{fmt.Sprintf("Expected ID %q, but ID was %q", strings.Repeat("a", 32), report.ID), `Expected version "1.0.5", but version was "1.2.3"`} {
		if !report.says(line) {
			t.Errorf("%s is missing from %+v", line, report.Faults)
		}
	}
	report = verify(t, good)
	report.Expect(report.ID, "1.2.3")
	if !report.OK() {
		t.Errorf("faults: %+v", report.Faults)
	}
}

// No byte of a package can change without being noticed.
func TestVerifyNoticesEveryByte(t *testing.T) {
	good := packed(t, sample())
	for at := range good {
		if at > 700 && at < len(good)-700 && at%37 != 0 {
			continue // between, one byte is like the next
		}
		bad := bytes.Clone(good)
		bad[at] ^= 0x10
		if verify(t, bad).OK() {
			t.Errorf("byte %d of %d", at, len(good))
		}
	}
	for n := range len(good) {
		if n%97 == 0 && verify(t, good[:n]).OK() {
			t.Errorf("cut at %d of %d", n, len(good))
		}
	}
}

// A cut archive is walked from the front: what is whole is listed, and the file
// that the cut is in is named.
func TestVerifyNamesTheFileThatIsCut(t *testing.T) {
	good := packed(t, sample())
	cut := bytes.Index(good, []byte("manifest.json")) + 50
	report := verify(t, good[:cut])
	last := report.Faults[len(report.Faults)-1]
	if !slices.ContainsFunc(report.Faults, func(f Fault) bool { return f.At == int64(cut) && f.What == "manifest.json: it is incomplete" }) {
		t.Errorf("last fault is %+v", last)
	}
	var names []string
	for _, f := range report.Files {
		names = append(names, f.Name)
	}
	if want := []string{"content.js", "empty.css", "icons/a.png"}; !slices.Equal(names, want) {
		t.Errorf("whole are %v, want %v", names, want)
	}
}

// No tool in the field writes an ECDSA proof, but Chromium takes one.
func TestVerifyTakesECDSA(t *testing.T) {
	good := packed(t, sample())
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	signed := signedData(spki)
	digest := newDigest(signed)
	digest.Write(good[593:])
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	head := header(spki, signature, signed)
	head[headerAt] = fieldECDSA<<3 | wireBytes
	report := verify(t, append(head, good[593:]...))
	if !report.OK() || report.Proofs[0].Kind != "ecdsa" || !report.Proofs[0].Valid {
		t.Errorf("%+v", report)
	}
}

// strict fails the test when it is read outside its bytes.
type strict struct {
	t    *testing.T
	data []byte
}

func (s strict) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at+int64(len(p)) > int64(len(s.data)) {
		s.t.Errorf("read of %d bytes at %d, of %d", len(p), at, len(s.data))
	}
	return bytes.NewReader(s.data).ReadAt(p, at)
}

func FuzzVerify(f *testing.F) {
	good := packed(f, sample())
	f.Add(good)
	f.Add(good[593:])
	f.Add(good[:len(good)-22])
	f.Add(good[:1000])
	behind := bytes.Clone(good) // the directory says that its last file starts behind the end
	binary.LittleEndian.PutUint32(behind[bytes.LastIndex(behind, []byte(centralSignture))+42:], 1<<20)
	f.Add(behind)
	localised := sample()
	localised[ManifestName] = &fstest.MapFile{Data: []byte(strings.Replace(manifestText, `"sample"`, `"__MSG_name__", "default_locale": "en"`, 1))}
	localised["_locales/en/messages.json"] = &fstest.MapFile{Data: []byte(`{"name": {"message": "Sample"}}`)}
	f.Add(packed(f, localised))
	f.Fuzz(func(t *testing.T, data []byte) {
		report, err := Verify(strict{t, data}, int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range report.Faults {
			if fault.At < 0 || fault.At > int64(len(data)) || fault.What == "" {
				t.Errorf("fault %+v in %d bytes", fault, len(data))
			}
		}
		if report.OK() && (len(report.Files) == 0 || report.ID == "" || report.Manifest == nil || report.Name == "") {
			t.Errorf("nothing is wrong with %+v", report)
		}
	})
}

// A localised name is shown as people see it, and whatever the messages hold,
// the package stays a good one.
func TestVerifyTranslatesTheName(t *testing.T) {
	const raw = "__MSG_name__"
	const messages = "_locales/en/messages.json"
	for name, tc := range map[string]struct {
		name, locale, messages, want string
	}{
		"plain":                   {"sample", "", "", "sample"},
		"localised":               {raw, "en", `{"name": {"message": "Sample for Flex"}}`, "Sample for Flex"},
		"another case":            {raw, "en", `{"NAME": {"message": "Sample"}}`, "Sample"},
		"exact case first":        {raw, "en", `{"NAME": {"message": "no"}, "name": {"message": "yes"}}`, "yes"},
		"inside text":             {"__MSG_name__ (__MSG_ring__)", "en", `{"name": {"message": "Sample"}, "ring": {"message": "beta"}}`, "Sample (beta)"},
		"one of two is missing":   {"__MSG_name__ (__MSG_ring__)", "en", `{"name": {"message": "Sample"}}`, "__MSG_name__ (__MSG_ring__)"},
		"not closed":              {"__MSG_name", "en", `{"name": {"message": "Sample"}}`, "__MSG_name"},
		"no locale":               {raw, "", `{"name": {"message": "Sample"}}`, raw},
		"no message":              {raw, "en", `{"other": {"message": "Sample"}}`, raw},
		"empty message":           {raw, "en", `{"name": {"message": ""}}`, raw},
		"message of another kind": {raw, "en", `{"name": {"message": 7}}`, raw},
		"entry of another kind":   {raw, "en", `{"name": "Sample"}`, raw},
		"a list":                  {raw, "en", `["name"]`, raw},
		"garbage":                 {raw, "en", "\x00\xff{{{", raw},
		"cut":                     {raw, "en", `{"name": {"message": "Samp`, raw},
		"too long a name":         {raw, "en", `{"name": {"message": "` + strings.Repeat("a", nameMost+1) + `"}}`, raw},
		"too long a file":         {raw, "en", `{"name": {"message": "Sample"}}` + strings.Repeat(" ", messagesLimit), raw},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := sample()
			text := strings.Replace(manifestText, `"sample"`, fmt.Sprintf("%q, \"default_locale\": %q", tc.name, tc.locale), 1)
			fsys[ManifestName] = &fstest.MapFile{Data: []byte(text)}
			if tc.messages != "" {
				fsys[messages] = &fstest.MapFile{Data: []byte(tc.messages)}
			}
			if report := verify(t, packed(t, fsys)); !report.OK() || report.Name != tc.want {
				t.Errorf("name is %q, want %q; faults %+v", report.Name, tc.want, report.Faults)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		fsys := sample()
		fsys[ManifestName] = &fstest.MapFile{Data: []byte(strings.Replace(manifestText, `"sample"`, `"__MSG_name__", "default_locale": "en"`, 1))}
		fsys[messages] = &fstest.MapFile{Data: []byte(`{"name": {"message": "Sample"}}`)}
		elsewhere := bytes.ReplaceAll(packed(t, fsys), []byte("_locales/en/"), []byte("_locales/fr/"))
		if report := verify(t, elsewhere); report.Manifest == nil || report.Name != raw {
			t.Errorf("name is %q, want %q", report.Name, raw)
		}
	})
}

// A small file that unpacks to much, or says that it is big, costs little memory.
func TestVerifyNeedsLittleMemory(t *testing.T) {
	fsys := sample()
	fsys["bomb.css"] = &fstest.MapFile{Data: make([]byte, 64<<20)}
	data := packed(t, fsys)
	huge := bytes.Clone(data)
	end := len(huge) - endLength
	binary.LittleEndian.PutUint16(huge[end+10:], 0xfffe)
	deep := slices.Concat([]byte(magic), binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, version), headerMost), make([]byte, headerMost))
	for name, data := range map[string][]byte{"bomb": data, "entries": huge, "header": deep} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		verify(t, data)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
			t.Errorf("%s: %d bytes were allocated", name, used)
		}
	}
}

// A reader that fails is an error, not a verdict.
func TestVerifyReportsItsReader(t *testing.T) {
	if _, err := Verify(failing{}, 1000); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Verify = %v", err)
	}
}

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

// Offsets near the end of what a number can hold wrap nowhere.
func TestSourceStaysWithin(t *testing.T) {
	s := &source{r: strict{t, []byte("abc")}, size: 3}
	for _, at := range []int64{-1, 4, math.MaxInt64} {
		if _, ok := s.bytes(at, 1); ok {
			t.Errorf("a byte at %d", at)
		}
	}
	if got, ok := s.bytes(1, 2); !ok || string(got) != "bc" {
		t.Errorf("got %q", got)
	}
}
