// Calls that were hung up, of which Twilio may not have heard: the word may have gone into a socket that was dead. While Twilio
// has not noticed that, it takes the word from no other socket, and never says so; another says it for as long as Twilio holds a
// call.

import { heldAtMost } from '../background/line.js';

/**
 * @typedef {import('./client.js').Client} Client
 * @typedef {{ since: number, client?: Client, socket?: unknown }} Debt  client, socket: that had the call, where they were there
 */

/** @param {() => number} now */
export function createDebts(now) {
  /** @type {Map<string, Debt>} */
  const owed = new Map();

  /** @param {(debt: Debt) => boolean} paid */
  function settle(paid) {
    for (const [callSid, debt] of owed) if (paid(debt)) owed.delete(callSid);
  }

  return {
    /** @param {string} callSid @param {Client} [client]  whose socket had the call, and was told; none where it was away */
    add(callSid, client) {
      owed.set(callSid, { since: now(), ...(client && { client, socket: client.socket() }) });
    },

    /** Whether there are any that Twilio could still be holding. */
    any() {
      settle(({ since }) => now() - since >= heldAtMost);
      return owed.size > 0;
    },

    /** @param {Client} client  that is new, or has another socket */
    say(client) {
      for (const callSid of owed.keys()) client.hangUp(callSid);
    },

    /** What was said before may have been lost on the way, though the same socket answers now. @param {Client} client */
    sayAgain(client) {
      for (const [callSid, { since }] of owed) if (now() > since) client.hangUp(callSid);
    },

    /** @param {Client} client  whose socket has answered */
    heard: (client) => settle((debt) => debt.client === client && debt.socket === client.socket()),

    /** Of one agent's call Twilio hears no other. */
    forget: () => owed.clear(),
  };
}
