package crx

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/quick"

	"github.com/flexvc/flexvc/internal/problem"
)

// testKey is made anew for each run of the tests: no key is ever in the
// repository.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// The vectors of GenerateID in Chromium's components/crx_file/id_util_unittest.cc.
func TestExtensionIDIsChromiums(t *testing.T) {
	for input, want := range map[string]string{
		"test": "jpignaibiiemhngfjkcpokkamffknabf",
		"_":    "ncocknphbhhlhkikpnnlmbcnbgdempcd",
	} {
		if got := idOf([]byte(input)); got != want {
			t.Errorf("idOf(%q) = %s, want %s", input, got, want)
		}
	}
}

// Mapped back from a-p to 0-f, an ID is the start of the hash.
func TestExtensionIDIsTheHash(t *testing.T) {
	back := func(spki []byte) bool {
		id := idOf(spki)
		digits := strings.Map(func(r rune) rune { return rune("0123456789abcdef"[r-'a']) }, id)
		sum := sha256.Sum256(spki)
		return len(id) == 32 && digits == hex.EncodeToString(sum[:16])
	}
	if err := quick.Check(back, nil); err != nil {
		t.Error(err)
	}
}

func TestKeyRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "extension.pem")
	if err := WriteKey(path, testKey()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	key, open, err := ReadKey(path)
	if err != nil || open || !key.Equal(testKey()) {
		t.Errorf("ReadKey: open %v, %v", open, err)
	}
	want, err := ExtensionID(testKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ExtensionID(&key.PublicKey); err != nil || got != want || len(got) != 32 {
		t.Errorf("ExtensionID = %q, %v, want %q", got, err, want)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("beside the key there are %v, %v", entries, err)
	}
}

func TestWriteKeyNeverReplaces(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func(string) error{
		"file":          func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) },
		"folder":        func(path string) error { return os.Mkdir(path, 0o700) },
		"dangling link": func(path string) error { return os.Symlink(filepath.Join(dir, "nowhere"), path) },
	} {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if err := WriteKey(path, testKey()); !problem.Is(err, problem.SigningKeyInvalid) {
			t.Errorf("%s: WriteKey = %v", name, err)
		}
	}
	if data, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(data) != "precious" {
		t.Errorf("the file is %q, %v", data, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the key went through the link: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// Of many that write at once, one wins, and its key is the one that stays.
func TestWriteKeyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "extension.pem")
	other, err := GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var winner *rsa.PrivateKey
	for i := range 8 {
		key := testKey()
		if i%2 == 0 {
			key = other
		}
		wg.Go(func() {
			if WriteKey(path, key) == nil {
				mu.Lock()
				defer mu.Unlock()
				if winner != nil {
					t.Error("two writers won")
				}
				winner = key
			}
		})
	}
	wg.Wait()
	if got, _, err := ReadKey(path); err != nil || !got.Equal(winner) {
		t.Errorf("the file holds another key than the winner's: %v", err)
	}
}

func TestWriteKeyWhereItCannot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteKey(filepath.Join(file, "extension.pem"), testKey()); !problem.Is(err, problem.ConfigUnwritable) {
		t.Errorf("WriteKey = %v", err)
	}
}

func TestReadKeyFormats(t *testing.T) {
	encode := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	pkcs8 := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(testKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("x")})
	for name, tc := range map[string]struct {
		data  []byte
		wants string // empty: it is a key
	}{
		"pkcs8":            {encode("PRIVATE KEY", pkcs8(testKey())), ""},
		"pkcs1":            {encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(testKey())), ""},
		"text before":      {append([]byte("a comment\n"), encode("PRIVATE KEY", pkcs8(testKey()))...), ""},
		"empty":            {nil, "it is not PEM"},
		"der":              {pkcs8(testKey()), "it is not PEM"},
		"elliptic":         {encode("PRIVATE KEY", pkcs8(p256)), "it is not an RSA private key"},
		"edwards":          {encode("PRIVATE KEY", pkcs8(edwards)), "it is not an RSA private key"},
		"short":            {encode("PRIVATE KEY", pkcs8(short)), "shorter than 2048 bits"},
		"public":           {encode("PUBLIC KEY", public), "it is a public key"},
		"certificate":      {encode("CERTIFICATE", []byte("x")), "it is not an RSA private key"},
		"encrypted":        {encode("ENCRYPTED PRIVATE KEY", []byte("x")), "it is encrypted"},
		"encrypted, old":   {encrypted, "it is encrypted"},
		"damaged":          {encode("PRIVATE KEY", pkcs8(testKey())[:600]), "it is damaged"},
		"pkcs8 called rsa": {encode("RSA PRIVATE KEY", pkcs8(testKey())), "it is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key.pem")
			if err := os.WriteFile(path, tc.data, 0o640); err != nil {
				t.Fatal(err)
			}
			key, open, err := ReadKey(path)
			if tc.wants == "" {
				if err != nil || !open || !key.Equal(testKey()) {
					t.Errorf("ReadKey: open %v, %v", open, err)
				}
				return
			}
			if !problem.Is(err, problem.SigningKeyInvalid) || !strings.Contains(err.Error(), tc.wants) {
				t.Errorf("ReadKey = %v, want %q", err, tc.wants)
			}
		})
	}
	if _, _, err := ReadKey(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: x\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := ParseKey(data)
		if (key == nil) == (err == nil) {
			t.Errorf("key %v, error %v", key != nil, err)
		}
	})
}
