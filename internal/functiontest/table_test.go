package functiontest_test

import (
	"fmt"
	"strings"
	"time"
)

const (
	form     = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// row is a request, and how each server has to answer it. In query, body and
// header, {T} stands for the row's Flex token.
type row struct {
	name    string
	group   string // of settings; "" is plain
	method  string // "" is POST
	query   string
	kind    string // Content-Type; "" is form, "-" none
	body    string // "" is Token={T}, "-" none
	header  []string
	chunked bool // the body does not say how long it is
	length  int  // of the token; 0 is one of Flex's shape

	twilio verdict // about the token; the zero value vouches for alice
	worker verdict // about the worker; the zero value is an enabled one

	status int // 0 is 200
	code   string

	// What Twilio's runtime makes of it, where it leaves the Function no choice:
	// how the local runtime answers and how the emulator, whose facts are those of
	// Twilio's documentation. The reasons are in function/README.md.
	local, emulator *answerOf
}

// answerOf is a status and a code, "" for an answer that is not the Function's
// or has none.
type answerOf struct {
	status int
	code   string
}

// both is a platform that answers alike in both.
func (r row) both(status int, code string) row {
	r.local, r.emulator = &answerOf{status, code}, &answerOf{status, code}
	return r
}

func (r row) each(local, emulator answerOf) row {
	r.local, r.emulator = &local, &emulator
	return r
}

// says is an answer of Twilio's with a JSON body.
func says(status int, format string, args ...any) verdict {
	return verdict{status: status, body: fmt.Sprintf(format, args...)}
}

func inAnHour() string { return time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000Z") }

// vouches is Twilio's yes, with more fields in place of the usual ones.
func vouches(more string) verdict {
	return says(200, `{"valid":true,"code":0,"message":null,"expiration":%q,"realm_user_id":"alice@example.com","identity":"alice_40example_2Ecom","roles":["agent"],"worker_sid":%q%s}`,
		inAnHour(), worker, more)
}

func enabledWorker() verdict {
	return says(200, `{"sid":%q,"attributes":"{\"extensionVoiceClientEnabled\":true,\"x\":1}"}`, worker)
}

// long is n times a.
func long(n int) string { return strings.Repeat("a", n) }

func good() []row {
	return []row{
		{name: "a form"},
		{name: "a form with prefix and more", body: "Token={T}&VoiceClientPrefix=ext_&Other=1"},
		{name: "a form with charset", kind: form + "; charset=UTF-8"},
		{name: "a form, escaped", body: "%54oken={T}"},
		{name: "JSON", kind: jsonType, body: `{"Token":"{T}","VoiceClientPrefix":"ext_","Other":[1]}`},
		{name: "JSON with charset", kind: jsonType + "; charset=utf-8", body: `{"Token":"{T}"}`},
		{name: "JSON with a null prefix", kind: jsonType, body: `{"Token":"{T}","VoiceClientPrefix":null}`},
		{name: "a media type in capitals", kind: "Application/JSON", body: `{"Token":"{T}"}`},
		{name: "bearer", kind: "-", body: "-", header: []string{"Authorization", "Bearer {T}"}},
		{name: "bearer in lower case", kind: "-", body: "-", header: []string{"Authorization", "bearer {T}"}},
		{name: "bearer and the same in a form", header: []string{"Authorization", "Bearer {T}"}},
		{name: "bearer with nothing in the form", body: "Token=", header: []string{"Authorization", "Bearer {T}"}},
		{name: "another scheme beside a form", header: []string{"Authorization", "Basic YTpi"}},
		{name: "bearer twice beside a form", header: []string{"Authorization", "Bearer a", "Authorization", "Bearer b"}},
		{name: "the identity encoding", header: []string{"Content-Encoding", "identity"}},
		{name: "an origin of ours", header: []string{"Origin", ours}},
		{name: "another origin of ours", header: []string{"Origin", page}},
		{name: "fields that name somebody else", query: "identity=boss&AccountSid=AC9", body: "Token={T}&identity=boss&Identity=boss"},
		{name: "a token in the address too", query: "Token=other"},
		{name: "get", group: "get", method: "GET", query: "Token={T}&VoiceClientPrefix=ext_", kind: "-", body: "-"},
		{name: "get with an origin", group: "get", method: "GET", query: "Token={T}", kind: "-", body: "-", header: []string{"Origin", ours}},
		{name: "get with bearer", group: "get", method: "GET", kind: "-", body: "-", header: []string{"Authorization", "Bearer {T}"}},
		{name: "post where get is allowed", group: "get"},
		{name: "another prefix and life", group: "short", body: "Token={T}&VoiceClientPrefix=web_"},
		{name: "as long as the Flex token", group: "capped", twilio: says(200, `{"valid":true,"identity":"a","expiration":%q}`, time.Now().Add(20*time.Minute).UTC().Format(time.RFC3339))},
		{name: "a Flex token that outlives ours", group: "capped", twilio: says(200, `{"valid":true,"identity":"a","expiration":"2999-01-02T15:04:05+02:00"}`)},
		{name: "Twilio names no end", twilio: says(200, `{"valid":true,"identity":"a"}`)},
		{name: "one of the roles", group: "role", twilio: says(200, `{"valid":true,"identity":"a","roles":["agent","supervisor"]}`)},
		{name: "listed by SID", group: "list", twilio: says(200, `{"valid":true,"identity":"b","worker_sid":%q}`, worker)},
		{name: "listed by identity", group: "list", twilio: says(200, `{"valid":true,"identity":"alice_40example_2Ecom"}`)},
		{name: "enabled", group: "enabled"},
		{name: "vouched for via flex", group: "flex", twilio: says(200, `{"identity":"a","roles":["agent"],"account_sid":%q,"worker_sid":%q,"expiration":"2999-01-02T15:04:05Z"}`, account, worker)},
		{name: "an identity of 256 with the prefix", twilio: says(200, `{"valid":true,"identity":%q}`, long(252))},
		{name: "the longest token", length: 16384},
		{name: "a body of 32 kB", body: "Token={T}&x=" + long(30000)},
	}
}

func refused() []row {
	const vouched = `{"valid":true,"identity":"a",%s}`
	return []row{
		{name: "a foreign origin", header: []string{"Origin", "https://evil.example"}, status: 403, code: "origin-not-allowed"},
		{name: "the null origin", header: []string{"Origin", "null"}, status: 403, code: "origin-not-allowed"},
		{name: "an empty origin", header: []string{"Origin", ""}, status: 403, code: "origin-not-allowed"},
		{name: "any origin", header: []string{"Origin", "*"}, status: 403, code: "origin-not-allowed"},
		{name: "our origin with a slash", header: []string{"Origin", ours + "/"}, status: 403, code: "origin-not-allowed"},
		{name: "our origin in capitals", header: []string{"Origin", strings.ToUpper(ours)}, status: 403, code: "origin-not-allowed"},
		{name: "both of our origins at once", header: []string{"Origin", ours + "," + page}, status: 403, code: "origin-not-allowed"},
		{name: "two origins", header: []string{"Origin", ours, "Origin", "https://evil.example"}, status: 403, code: "origin-not-allowed"},
		{name: "an origin where none is allowed", group: "nobody", header: []string{"Origin", ours}, status: 403, code: "origin-not-allowed"},
		{name: "a get", method: "GET", query: "Token={T}", kind: "-", body: "-", status: 405, code: "method-not-allowed"},
		{name: "a get with an origin of ours", method: "GET", query: "Token={T}", kind: "-", body: "-", header: []string{"Origin", ours}, status: 405, code: "method-not-allowed"},
		{name: "a get from a foreign origin", method: "GET", query: "Token={T}", kind: "-", body: "-", header: []string{"Origin", "https://evil.example"}, status: 403, code: "origin-not-allowed"},
		{name: "another prefix", body: "Token={T}&VoiceClientPrefix=boss_", status: 403, code: "prefix-not-allowed"},
		{name: "an empty prefix", body: "Token={T}&VoiceClientPrefix=", status: 403, code: "prefix-not-allowed"},
		{name: "the default prefix where another is set", group: "short", body: "Token={T}&VoiceClientPrefix=ext_", status: 403, code: "prefix-not-allowed"},
		{name: "another prefix, and origin of ours", body: "Token={T}&VoiceClientPrefix=boss_", header: []string{"Origin", ours}, status: 403, code: "prefix-not-allowed"},
		{name: "not valid", twilio: says(200, `{"valid":false,"message":"not valid"}`), status: 403, code: "flex-token-refused"},
		{name: "expired, says the message", twilio: says(200, `{"valid":false,"message":"Token Expired"}`), status: 403, code: "flex-token-expired"},
		{name: "expired, says the code", twilio: says(401, `{"code":20104,"message":"no"}`), status: 403, code: "flex-token-expired"},
		{name: "expired, says the code as text", twilio: says(403, `{"code":"20104","message":"no"}`), status: 403, code: "flex-token-expired"},
		{name: "expired already", twilio: says(200, `{"valid":true,"identity":"a","expiration":"2020-01-02T15:04:05Z"}`), status: 403, code: "flex-token-expired"},
		{name: "refused with an error", twilio: says(401, `{"code":20101,"message":"Invalid"}`), status: 403, code: "flex-token-refused"},
		{name: "refused with valid false and 400", twilio: says(400, `{"valid":false}`), status: 403, code: "flex-token-refused"},
		{name: "of another account", twilio: says(200, vouched, `"account_sid":"AC99999999999999999999999999999999"`), status: 403, code: "other-account"},
		{name: "refused via flex", group: "flex", twilio: says(401, `{"code":20003,"message":"Authenticate"}`), status: 403, code: "flex-token-refused"},
		{name: "an error that vouches, via flex", group: "flex", twilio: says(400, `{"identity":"a"}`), status: 502, code: "validator-nonsense"},
		{name: "none of the roles", group: "role", status: 403, code: "role-missing"},
		{name: "no roles", group: "role", twilio: says(200, vouched, `"roles":null`), status: 403, code: "role-missing"},
		{name: "an empty role", group: "role", twilio: says(200, vouched, `"roles":[""]`), status: 403, code: "role-missing"},
		{name: "not on the list", group: "list", twilio: says(200, vouched, `"worker_sid":"WK9"`), status: 403, code: "worker-not-allowed"},
		{name: "not on the list, without SID", group: "list", twilio: says(200, vouched, `"worker_sid":""`), status: 403, code: "worker-not-allowed"},
		{name: "an identity Voice does not take", twilio: says(200, `{"valid":true,"identity":"a@b.c"}`), status: 403, code: "identity-unusable"},
		{name: "an identity with a line break", twilio: says(200, `{"valid":true,"identity":"a\n"}`), status: 403, code: "identity-unusable"},
		{name: "an identity of 257 with the prefix", twilio: says(200, `{"valid":true,"identity":%q}`, long(253)), status: 403, code: "identity-unusable"},
		{name: "not enabled", group: "enabled", worker: says(200, `{"attributes":"{\"extensionVoiceClientEnabled\":false}"}`), status: 403, code: "worker-not-enabled"},
		{name: "enabled in words", group: "enabled", worker: says(200, `{"attributes":"{\"extensionVoiceClientEnabled\":\"true\"}"}`), status: 403, code: "worker-not-enabled"},
		{name: "enabled by 1", group: "enabled", worker: says(200, `{"attributes":"{\"extensionVoiceClientEnabled\":1}"}`), status: 403, code: "worker-not-enabled"},
		{name: "without the attribute", group: "enabled", worker: says(200, `{"attributes":"{}"}`), status: 403, code: "worker-not-enabled"},
		{name: "no worker", group: "enabled", twilio: says(200, `{"valid":true,"identity":"a"}`), status: 403, code: "worker-not-enabled"},
		{name: "an unknown worker", group: "enabled", worker: says(404, `{"code":20404}`), status: 503, code: "worker-lookup-failed"},
		{name: "a worker Twilio cannot read", group: "enabled", worker: says(500, `{}`), status: 503, code: "worker-lookup-failed"},
		{name: "a worker in HTML", group: "enabled", worker: says(200, `<html>`), status: 503, code: "worker-lookup-failed"},
		{name: "a worker Twilio drops", group: "enabled", worker: verdict{failure: "drops"}, status: 503, code: "worker-lookup-failed"},
	}
}

func malformed() []row {
	return []row{
		{name: "nothing", kind: "-", body: "-", status: 400, code: "missing-token"},
		{name: "an empty form", body: "-", status: 400, code: "missing-token"},
		{name: "an empty token", body: "Token=", status: 400, code: "missing-token"},
		{name: "a name in lower case", body: "token={T}", status: 400, code: "malformed-request"},
		{name: "a JSON name in lower case", kind: jsonType, body: `{"token":"{T}"}`, status: 400, code: "malformed-request"},
		{name: "a JSON name in two cases", kind: jsonType, body: `{"Token":"{T}","voiceClientPrefix":"boss_"}`, status: 400, code: "malformed-request"},
		{name: "empty JSON", kind: jsonType, body: `{}`, status: 400, code: "missing-token"},
		{name: "a null token", kind: jsonType, body: `{"Token":null}`, status: 400, code: "missing-token"},
		{name: "get without a token", group: "get", method: "GET", kind: "-", body: "-", status: 400, code: "missing-token"},
		{name: "post with the token in the address", query: "Token={T}", kind: "-", body: "-", status: 400, code: "missing-token"},
		{name: "post with a short form and the token in the address", query: "Token={T}", body: "x=1", status: 400, code: "missing-token"},
		{name: "a prefix in the address beside an empty body", query: "VoiceClientPrefix=boss_", kind: "-", body: "-", header: []string{"Authorization", "Bearer {T}"}},
		{name: "two tokens", body: "Token={T}&Token=b", status: 400, code: "malformed-request"},
		{name: "two prefixes", body: "Token={T}&VoiceClientPrefix=ext_&VoiceClientPrefix=x", status: 400, code: "malformed-request"},
		{name: "get with two tokens", group: "get", method: "GET", query: "Token={T}&Token={T}", kind: "-", body: "-", status: 400, code: "malformed-request"},
		{name: "a number for a token", kind: jsonType, body: `{"Token":1}`, status: 400, code: "malformed-request"},
		{name: "a list for a token", kind: jsonType, body: `{"Token":["{T}"]}`, status: 400, code: "malformed-request"},
		{name: "an object for a token", kind: jsonType, body: `{"Token":{"a":"{T}"}}`, status: 400, code: "malformed-request"},
		{name: "a number for a prefix", kind: jsonType, body: `{"Token":"{T}","VoiceClientPrefix":1}`, status: 400, code: "malformed-request"},
		{name: "another token as bearer", header: []string{"Authorization", "Bearer other"}, status: 400, code: "malformed-request"},
		{name: "a space", body: "Token=+", status: 400, code: "malformed-token"},
		{name: "a space inside", body: "Token=a+b", status: 400, code: "malformed-token"},
		{name: "a line break", body: "Token=a%0D%0Ab", status: 400, code: "malformed-token"},
		{name: "a trailing line break", body: "Token={T}%0A", status: 400, code: "malformed-token"},
		{name: "a quote", body: "Token=%22%2C%22valid%22%3Atrue", status: 400, code: "malformed-token"},
		{name: "Unicode", body: "Token=t%C3%B6k%C3%A9n", status: 400, code: "malformed-token"},
		{name: "a token beyond 16 kB", length: 16385, status: 400, code: "malformed-token"},
		{name: "text", kind: "text/plain", status: 415, code: "unsupported-media-type"},
		{name: "no type", kind: "-", status: 415, code: "unsupported-media-type"},
		{name: "multipart", kind: "multipart/form-data; boundary=x", body: "--x--", status: 415, code: "unsupported-media-type"},
		{name: "JSON of a vendor", kind: "application/vnd.x+json", body: `{}`, status: 415, code: "unsupported-media-type"},
		{name: "33 kB", body: "Token={T}&x=" + long(33<<10), status: 413, code: "too-large"},
		{name: "33 kB of JSON", kind: jsonType, body: `{"Token":"{T}","x":"` + long(33<<10) + `"}`, status: 413, code: "too-large"},
		{name: "33 kB from a foreign origin", body: "Token={T}&x=" + long(33<<10), header: []string{"Origin", "https://evil.example"}, status: 413, code: "too-large"},
	}
}

func twilioAway() []row {
	return []row{
		{name: "503", twilio: says(503, `<html>`), status: 503, code: "validator-failing"},
		{name: "408", twilio: says(408, `{}`), status: 503, code: "validator-failing"},
		{name: "429", twilio: says(429, `{}`), status: 503, code: "validator-busy"},
		{name: "429 for a while", twilio: verdict{status: 429, header: [2]string{"Retry-After", "30"}}, status: 503, code: "validator-busy"},
		{name: "429 for a day", twilio: verdict{status: 429, header: [2]string{"Retry-After", "86400"}}, status: 503, code: "validator-busy"},
		{name: "429 until a date", twilio: verdict{status: 429, header: [2]string{"Retry-After", "Fri, 01 Jan 2999 00:00:00 GMT"}}, status: 503, code: "validator-busy"},
		{name: "429, for an origin of ours", twilio: says(429, `{}`), header: []string{"Origin", ours}, status: 503, code: "validator-busy"},
		{name: "dropped", twilio: verdict{failure: "drops"}, status: 503, code: "validator-unreachable"},
		{name: "broken off", twilio: verdict{failure: "breaks off"}, status: 503, code: "validator-unreachable"},
		{name: "no answer", twilio: verdict{failure: "hangs"}, status: 503, code: "validator-timeout"},
		{name: "own credentials refused", twilio: says(401, `{"code":20003,"message":"Authenticate"}`), status: 502, code: "validator-credentials-refused"},
		{name: "a redirect", twilio: verdict{status: 302, header: [2]string{"Location", "https://evil.example/"}, body: `{"valid":true,"identity":"a"}`}, status: 502, code: "validator-nonsense"},
		{name: "HTML", twilio: says(403, `<html>`), status: 502, code: "validator-nonsense"},
		{name: "nothing at all", twilio: says(200, ``), status: 502, code: "validator-nonsense"},
		{name: "null", twilio: says(200, `null`), status: 502, code: "validator-nonsense"},
		{name: "a list", twilio: says(200, `[]`), status: 502, code: "validator-nonsense"},
		{name: "an error without a code", twilio: says(400, `{}`), status: 502, code: "validator-nonsense"},
		{name: "not a word on validity", twilio: says(200, `{"identity":"a"}`), status: 502, code: "validator-nonsense"},
		{name: "valid in words", twilio: says(200, `{"valid":"true","identity":"a"}`), status: 502, code: "validator-nonsense"},
		{name: "nobody", twilio: says(200, `{"valid":true}`), status: 502, code: "validator-nonsense"},
		{name: "a number for an identity", twilio: says(200, `{"valid":true,"identity":1}`), status: 502, code: "validator-nonsense"},
		{name: "text for roles", group: "role", twilio: says(200, `{"valid":true,"identity":"a","roles":"admin"}`), status: 502, code: "validator-nonsense"},
		{name: "an end nobody can read", twilio: says(200, `{"valid":true,"identity":"a","expiration":"soon"}`), status: 502, code: "validator-nonsense"},
		{name: "an end without a zone", twilio: says(200, `{"valid":true,"identity":"a","expiration":"2999-01-02T15:04:05"}`), status: 502, code: "validator-nonsense"},
		{name: "no end where it counts", group: "capped", twilio: says(200, `{"valid":true,"identity":"a"}`), status: 502, code: "validator-nonsense"},
	}
}

// platform is what Twilio's runtime decides before the Function sees it.
func platform() []row {
	preflight := []string{"Access-Control-Request-Method", "POST", "Origin"}
	own := answerOf{status: 400}
	return []row{
		row{name: "a preflight of ours", method: "OPTIONS", kind: "-", body: "-", header: append(preflight, ours), status: 204}.both(204, ""),
		row{name: "a foreign preflight", method: "OPTIONS", kind: "-", body: "-", header: append(preflight, "https://evil.example"), status: 403, code: "origin-not-allowed"}.both(204, ""),
		row{name: "options without an origin", method: "OPTIONS", kind: "-", body: "-", status: 405, code: "method-not-allowed"}.both(204, ""),
		row{name: "put", method: "PUT", status: 405, code: "method-not-allowed"}.each(answerOf{status: 200}, answerOf{status: 405}),
		row{name: "delete", method: "DELETE", status: 405, code: "method-not-allowed"}.each(answerOf{status: 200}, answerOf{status: 405}),
		row{name: "head", method: "HEAD", query: "Token={T}", kind: "-", body: "-", status: 405}.both(405, ""),
		row{name: "head where get is allowed", group: "get", method: "HEAD", query: "Token={T}", kind: "-", body: "-", status: 405}.each(answerOf{status: 200}, answerOf{status: 405}),
		row{name: "get with a type", method: "GET", query: "Token={T}", body: "-", status: 405, code: "method-not-allowed"}.both(200, ""),
		row{name: "broken JSON", kind: jsonType, body: `{`, status: 400, code: "malformed-request"}.each(own, own),
		row{name: "two JSON values", kind: jsonType, body: `{"Token":"{T}"}{}`, status: 400, code: "malformed-request"}.each(own, own),
		row{name: "a JSON list", kind: jsonType, body: `["Token"]`, status: 400, code: "malformed-request"}.both(400, "missing-token"),
		row{name: "JSON null", kind: jsonType, body: `null`, status: 400, code: "missing-token"}.each(own, own),
		row{name: "deep JSON", kind: jsonType, body: strings.Repeat("[", 20000), status: 400, code: "malformed-request"}.each(own, own),
		row{name: "JSON in another charset", kind: jsonType + "; charset=latin1", body: `{}`, status: 415, code: "unsupported-media-type"}.both(415, ""),
		row{name: "packed, but not", header: []string{"Content-Encoding", "gzip"}, status: 415, code: "unsupported-media-type"}.each(own, own),
		row{name: "an unknown packing", header: []string{"Content-Encoding", "zip"}, status: 415, code: "unsupported-media-type"}.both(415, ""),
		row{name: "a bad escape", body: "Token=%zz", status: 400, code: "malformed-request"}.both(400, "malformed-token"),
		row{name: "a semicolon", body: "Token={T};Token=b", status: 400, code: "malformed-request"}.both(400, "malformed-token"),
		row{name: "a field named request", body: "Token={T}&request=x"}.both(400, "malformed-request"),
		row{name: "headers forged in JSON", kind: jsonType, body: `{"Token":"{T}","request":{"headers":{"origin":"` + ours + `","content-length":"400","content-type":"application/json"}}}`,
			header: []string{"Origin", "https://evil.example"}, status: 403, code: "origin-not-allowed"}.both(200, ""),
		row{name: "33 kB that do not say so", body: "Token={T}&x=" + long(33<<10), chunked: true, status: 413, code: "too-large"}.both(200, ""),
		row{name: "a prefix in the address beside a body", query: "VoiceClientPrefix=boss_"}.both(403, "prefix-not-allowed"),
		row{name: "a token of 15 kB in the address", group: "get", method: "GET", query: "Token={T}", length: 15 << 10, kind: "-", body: "-"}.each(answerOf{status: 200}, answerOf{status: 200}),
		row{name: "a token of 16 kB as bearer", kind: "-", body: "-", header: []string{"Authorization", "Bearer {T}"}, length: 16384}.both(431, ""),
	}
}
