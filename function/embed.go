// Package function holds the token endpoint as a Twilio Function, for accounts without a server of their own.
// How it is deployed is in internal/provision, and the server whose answers it gives is internal/tokensrv.
package function

import _ "embed"

// Source is generateToken.js, as it is deployed: CommonJS, UTF-8, for Node 18 or later.
//
//go:embed generateToken.js
var Source []byte

// Path is where the Function is deployed.
const Path = "/generateToken"

// Dependency is an npm package of a build, in the version that it names exactly.
type Dependency struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Dependencies are what a build of the Function must name. Below version 1.2.0 of the runtime handler a Function is
// shown no headers, and this one refuses every request; Twilio.Response comes with it.
// https://www.twilio.com/docs/serverless/functions-assets/functions/headers-and-cookies
func Dependencies() []Dependency {
	return []Dependency{{"@twilio/runtime-handler", "2.1.0"}, {"twilio", "4.23.0"}}
}
