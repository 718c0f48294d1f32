// Package function holds the token Function as Twilio runs it. How it gets there
// belongs to internal/provision.
package function

import _ "embed"

// Source is the Function's code: a CommonJS module with a handler.
//
//go:embed generateToken.js
var Source []byte

// Dependency is an npm package of a build, in the version that it names exactly.
type Dependency struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Dependencies are what a build of the Function must name.
func Dependencies() []Dependency {
	return []Dependency{{"@twilio/runtime-handler", "2.1.0"}, {"twilio", "4.23.0"}}
}
