// Package voice emulates Twilio's voice edge for the unmodified Voice SDK: the
// signalling socket, the insights sink and the sounds. What is heard and said in a
// call belongs to package media, and which agent is called to package flexui. A
// customer's call is placed with Edge.Call, and what became of it is read from Call.Stats.
//
// The calls of a Conference hear one another and its customer, as far as they are
// not muted, on hold or coaching.
//
// A call rings at every registered client of an identity. It is answered by one
// of them, or taken over by another document of the same agent that shows the
// call's token (the SDK's connectToken); the others are told that it is
// cancelled. Its client may lose the socket: within the time the client itself
// asked for it comes back with the same media connection and goes on.
//
// What it does not do: Opus (no encoder in pure Go is at hand, so PCMU is the
// only codec, which the SDK prefers anyway; a client that offers Opus alone is
// refused with 31488), early media, STUN and TURN, music on hold, moving an
// answered call to a new media connection. A client that registers while a call
// rings is not called; what Twilio does then is not known. ICE uses 127.0.0.1
// alone.
//
// Nothing here was compared with Twilio's own servers: this is what the SDK, in
// version 2.18.5, is content with.
package voice
