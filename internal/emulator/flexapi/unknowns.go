package flexapi

import "github.com/flexvc/flexvc/internal/emulator"

// unknowns are the answers of Twilio here that no public document gives, and
// what the emulator does instead. A client should live with every other answer
// too.
var unknowns = []emulator.Unknown{
	{"The status of a minted Flex token's answer", "201"},
	{"The lifetime of a minted Flex token", "1 second to 24 hours, by default one hour"},
	{"The identity encoding beyond `@` and `.`", "Every byte of UTF-8 that is no ASCII letter or digit becomes `_` and two upper-case hexadecimal digits"},
	{"Whether the Plugins API itself refuses a version that is not greater", "It does, with 400; Twilio's own tools refuse it before"},
}
