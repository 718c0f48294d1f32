// Package twilio has what an account at Twilio consists of, as plain types, and
// facts about them that hold everywhere, such as the shape of an SID. Nothing here
// talks to Twilio, decides anything or is known to flexvc alone: internal/twilioapi
// makes the requests, and their callers declare the interfaces they need.
package twilio

// PageSize is how many rows Twilio gives in one page of a list, at most.
// https://www.twilio.com/docs/usage/twilios-response#pagination
const PageSize = 1000
