package iam

import "github.com/flexvc/flexvc/internal/emulator"

// unknowns are the answers of Twilio here that no public document gives, and
// what the emulator does instead. A client should live with every other answer
// too.
var unknowns = []emulator.Unknown{
	{"A Standard key on /Accounts and /Keys", "401, code 20003, \"Authenticate\", the same as for a wrong secret; users of Twilio's helper libraries report it so"},
	{"What a Restricted key may do", "A product, when its policy allows anything in that product; resources and verbs below it are not told apart. Flex and token validation never"},
	{"The failure of Tokens/validate", "A switch: 200 with `valid: false`, 401 or 403 with an error body, or an HTML page"},
}
