package serverless

import "github.com/flexvc/flexvc/internal/emulator"

// unknowns are the answers of Twilio here that no public document gives, and
// what the emulator does instead. A client should live with every other answer
// too.
var unknowns = []emulator.Unknown{
	{"Whether `Visibility` of an upload minds case", "It does not: Twilio's tools send both; answers have it in lower case"},
	{"How long a build takes", "No time, until a switch says so; it is answered as building once"},
	{"How a second variable of one key in an environment is refused", "409, code 20409"},
	{"What a build has for dependencies when each of several is sent empty, as Twilio's tools do when they activate a build elsewhere", "None"},
	{"Whether a build that is deployed, and an asset or Function that a build has, can be deleted", "400, code 20001; deleting a service takes along all that it holds"},
}
