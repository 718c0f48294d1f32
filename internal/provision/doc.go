// Package provision plans and makes what should exist in an account: what init
// creates, the sink and subscription of events, and the deployed Flex plugin. It
// changes no worker (internal/workers), sends no request itself
// (internal/twilioapi) and prints nothing.
package provision
