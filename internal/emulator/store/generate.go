package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// generate makes up n workers the way they are found in Flex workspaces: names
// in several scripts, skills with levels, numbers that a float64 cannot hold,
// text that a careless encoder would escape, several ways to lay out JSON, and
// one in eight with extensionVoiceClientEnabled already set. The same n-th
// worker comes out for the same seed value, whatever n.
func generate(n int, seedValue uint64) *Seed {
	s := &Seed{Workers: make([]SeedWorker, n)}
	taken := make(map[string]int, n)
	for i := range s.Workers {
		s.Workers[i] = generateWorker(i, rand.New(rand.NewPCG(seedValue, uint64(i))), taken)
	}
	return s
}

var givenNames = []string{
	"Alice", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace", "Heidi", "Ivan", "Judy", "Mallory", "Niaj", "Olivia",
	"Peggy", "Quentin", "Rupert", "Sybil", "Trent", "Uma", "Victor", "Wendy", "Xenia", "Yusuf", "Zoë", "José", "Łukasz",
	"Søren", "Åsa", "Małgorzata", "Nguyễn", "Дмитро", "Ελένη", "陽菜", "지우", "अनन्या", "Siân-Mai", "O'Neil",
}

var familyNames = []string{
	"Abbott", "Bianchi", "Castillo", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ibrahim", "Jansen", "Kowalski",
	"Laurent", "Müller", "Novák", "Okafor", "Petrov", "Quispe", "Rossi", "Silva", "Tanaka", "Ueda", "Varga", "Weber",
	"Xu", "Yılmaz", "Zieliński", "de la Cruz", "McAllister", "St. John",
}

var (
	skills      = []string{"sales", "support", "billing", "retention", "claims", "français", "日本語"}
	teams       = []string{"Madrid", "München", "Kraków", "São Paulo", "Portland, OR", "R&D <beta>"}
	domains     = []string{"example.com", "contact.example.com", "example.co.uk", "1st-line.example.com"}
	activities  = []SeedActivity{{"Offline", false}, {"Available", true}, {"Unavailable", false}, {"Break", false}}
	asciiFolder = strings.NewReplacer("ë", "e", "é", "e", "Ł", "l", "ł", "l", "ø", "o", "Å", "a", "á", "a", "í", "i", "ü", "u", "ń", "n", "ı", "i", "ễ", "e", " ", "", "'", "", ".", "")
)

type pair struct{ key, raw string }

func generateWorker(i int, rng *rand.Rand, taken map[string]int) SeedWorker {
	given, family := givenNames[rng.IntN(len(givenNames))], familyNames[rng.IntN(len(familyNames))]
	mailbox := strings.ToLower(asciiFolder.Replace(given) + "." + asciiFolder.Replace(family))
	taken[mailbox]++
	if n := taken[mailbox]; n > 1 {
		mailbox += fmt.Sprintf(".%d", n) // a dot before a digit is what twilio-go loses in queries
	}
	email := mailbox + "@" + domains[i%len(domains)]
	name := email
	if i%3 == 0 {
		name = mailbox
	}
	identity := EncodeIdentity(email)

	w := SeedWorker{FriendlyName: name, Version: int64(rng.IntN(40))}
	if i%5 != 0 {
		w.Activity = activities[rng.IntN(len(activities))].FriendlyName
	}

	contact := "client:" + identity
	doc := []pair{
		{"full_name", Quote(given+" "+family, i%7 == 3)},
		{"email", Quote(email, false)},
		{"image_url", Quote("https://www.example.com/avatar?d=mp&s=64&id="+Derive(12, email), false)},
		{"roles", []string{`["agent"]`, `["agent"]`, `["agent","wfo.full_access"]`, `["supervisor"]`}[rng.IntN(4)]},
		{"routing", routing(rng)},
		{"team_name", Quote(teams[rng.IntN(len(teams))], false)},
	}
	switch i % 8 {
	case 0:
		doc = append(doc, pair{"employee_id", fmt.Sprint("12345678901234", 567890+i)})
	case 1:
		doc = append(doc, pair{"score", "1.0"}, pair{"rate", "4.50e-3"})
	case 2:
		doc = append(doc, pair{"note", `"a&b<c> \"quoted\" C:\\calls\/today"`})
	case 3:
		doc = append(doc, pair{"manager", `null`}, pair{"", `"an empty key"`}, pair{"nested", `{"deep":{"list":[1,[2,{"three":3.10}],"x"],"empty":{}}}`})
	case 4:
		doc = append(doc, pair{"disabled_skills", `{"skills":["claims"],"levels":{"claims":7}}`})
	case 5:
		doc = append(doc, pair{"config_overrides", `{"features":{"supervisor-capacity":{"enabled":true,"rules":{"max":9007199254740993}}}}`})
	case 6:
		doc = append(doc, pair{"greeting", `"line one\nline two\t\ud83d\ude00 and 😀"`})
	case 7:
		doc = append(doc, pair{"location", `"Zürich"`}, pair{"department-name", `"with-hyphen"`})
	}
	switch i % 16 {
	case 5:
		doc = append(doc, pair{"extensionVoiceClientEnabled", "false"})
	case 11:
		doc = append(doc, pair{"extensionVoiceClientEnabled", "true"})
		if i%32 == 11 {
			contact = "client:ext_" + identity
		}
	}
	doc = append(doc, pair{"contact_uri", Quote(contact, false)})
	if i%2 == 1 {
		rng.Shuffle(len(doc), func(a, b int) { doc[a], doc[b] = doc[b], doc[a] })
	}
	w.Attributes = Attributes(layOut(doc, i))
	return w
}

func routing(rng *rand.Rand) string {
	var names, levels []string
	for _, at := range rng.Perm(len(skills))[:1+rng.IntN(4)] {
		names = append(names, Quote(skills[at], false))
		levels = append(levels, fmt.Sprintf("%s:%d", Quote(skills[at], false), 1+rng.IntN(9)))
	}
	return `{"skills":[` + strings.Join(names, ",") + `],"levels":{` + strings.Join(levels, ",") + `}}`
}

// Quote writes a JSON string the way a JavaScript client does, or with every
// non-ASCII letter escaped, as other clients do.
func Quote(s string, ascii bool) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes, a Buffer always takes it
	text := strings.TrimSuffix(b.String(), "\n")
	if !ascii {
		return text
	}
	var escaped strings.Builder
	for _, r := range text {
		switch {
		case r < 0x80:
			escaped.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&escaped, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&escaped, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
	}
	return escaped.String()
}

// layOut writes the pairs as JavaScript would, as Python would, or by hand.
func layOut(doc []pair, i int) string {
	comma, colon, open, end := ",", ":", "{", "}"
	switch i % 6 {
	case 2:
		comma, colon = ", ", ": "
	case 4:
		comma, colon, open, end = ",\n  ", ": ", "{\n  ", "\n}"
	}
	members := make([]string, len(doc))
	for at, p := range doc {
		members[at] = Quote(p.key, false) + colon + p.raw
	}
	return open + strings.Join(members, comma) + end
}
