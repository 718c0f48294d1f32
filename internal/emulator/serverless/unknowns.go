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
	{"Which Node runs a Function", "The one of this machine, whatever the Runtime of the build; npm packages of its Dependencies are not there, and a Function that needs one is told so"},
	{"What a Function is told when a parameter is named `request`", "The parameter takes the place of the headers and cookies, as in Twilio's local runtime"},
	{"How parameters with brackets, such as `a[b]`, are read", "As that name, like any other"},
	{"A body that is not what its Content-Type says", "400, and the Function does not run"},
	{"Methods other than GET, POST and OPTIONS on a Function", "405; Twilio documents that they are not supported. A GET with a body is 403, as documented"},
	{"The methods that a preflight names, and whether an answer of a Function itself gets `Access-Control-Allow-Origin: *`", "GET, POST, OPTIONS; it does not"},
	{"How large a request to a Function may be, and how many run at once", "6 MB, as in Twilio's local runtime; two for each processor of this machine, and others wait"},
	{"What a Function that throws, or calls back with an error, is answered as", "500, with message, name and stack in JSON, as in Twilio's local runtime; 504 after 10 seconds"},
	{"Whether the runtime keeps a process between invocations", "It does not: each invocation starts anew"},
}
