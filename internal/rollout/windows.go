package rollout

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"
)

// registry is a .reg file: UTF-16 with a byte order mark and CRLF, as regedit
// itself writes it.
func (s Settings) registry(b Browser) []byte {
	var w strings.Builder
	w.WriteString("Windows Registry Editor Version 5.00\r\n")
	key := func(path string, values map[string]any) {
		fmt.Fprintf(&w, "\r\n[%s]\r\n", path)
		for _, name := range slices.Sorted(maps.Keys(values)) {
			switch value := values[name].(type) {
			case bool:
				n := 0
				if value {
					n = 1
				}
				fmt.Fprintf(&w, "%s=dword:%08x\r\n", regString(name), n)
			case int:
				fmt.Fprintf(&w, "%s=dword:%08x\r\n", regString(name), value)
			case string:
				fmt.Fprintf(&w, "%s=%s\r\n", regString(name), regString(value))
			}
		}
	}
	key(b.Registry+`\`+extensionSettings+`\`+s.ID, s.extension(b))
	key(b.Registry+`\`+audioCapture, map[string]any{s.listName(): s.origin()})
	if managed := s.managed(); len(managed) > 0 {
		root := b.Registry + `\3rdparty\extensions\` + s.ID + `\policy`
		key(root, managed)
		// What an earlier file has set stays in the registry until it is taken out.
		for _, name := range []string{"account", "holdSeconds", "leaveAfterSeconds"} {
			if managed[name] == nil {
				fmt.Fprintf(&w, "%s=-\r\n", regString(name))
			}
		}
		if len(s.TokenURLs) > 0 {
			list := map[string]any{}
			for i, address := range s.TokenURLs {
				list[fmt.Sprint(i+1)] = address
			}
			// An older, longer list must not shine through.
			fmt.Fprintf(&w, "\r\n[-%s\\tokenURLs]\r\n", root)
			key(root+`\tokenURLs`, list)
		}
	}
	units := utf16.Encode([]rune(w.String()))
	out := []byte{0xff, 0xfe}
	for _, u := range units {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

// listName is the name of our value in a policy that is a list. Any number does;
// 1 would overwrite the administrator's first entry.
func (s Settings) listName() string {
	return fmt.Sprint(10000 + crc32.ChecksumIEEE([]byte(s.ID))%90000)
}

func regString(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// omaURI is one row of a custom configuration profile of Intune.
type omaURI struct {
	Name     string `json:"name"`
	URI      string `json:"omaUri"`
	DataType string `json:"dataType"`
	Value    string `json:"value"`
}

// intune force-installs by ExtensionInstallForcelist, which Intune has ready-made; the
// manifest's own update_url then brings the updates. The first part of the
// value is its name in the list.
func (s Settings) intune(b Browser) []omaURI {
	node := map[string]string{
		Chrome.Name: "Chrome~Policy~googlechrome~Extensions",
		Edge.Name:   "Edge~Policy~microsoft_edge~Extensions",
	}[b.Name]
	text := strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;").Replace(s.ID + ";" + s.UpdateURL)
	return []omaURI{{
		Name:     b.Title + ": force-install flexvc",
		URI:      "./Device/Vendor/MSFT/Policy/Config/" + node + "/ExtensionInstallForcelist",
		DataType: "String",
		Value:    `<enabled/><data id="ExtensionInstallForcelistDesc" value="` + s.listName() + "&#xF000;" + text + `"/>`,
	}}
}
