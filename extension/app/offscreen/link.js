// The path of a call that is up. When the network under it is swapped for another, what was open stays open and nothing comes
// through, which the SDK notices after ten to fifteen seconds. The packets that no longer come tell within half a second: ICE is
// restarted then, and signalling opened anew if it does not answer either.

import { edgesInTurn, hear, isOpen, reconnect, restartICE } from '../shared/stream.js';

/** How often the packets are counted: while they come, and when they do not. */
const lookEvery = 250;
const lookCloser = 100;
/** They come every 20 ms, and from a codec that sends no silence every 400. */
const silentAfter = 600;
/** The same when the system has told of another network in the last seconds. */
const silentAfterChange = 200;
const changeCounts = 5_000;
/** Only what has come for so long can be missed: an edge that has nothing to say, as on hold, sends nothing. */
const flowing = 300;
/** An edge answers a restart after a round trip. */
const answerAtLeast = 400;
const answerAtMost = 1_500;
/** What has not helped by then is tried again. */
const again = 2_500;
/** Where an edge cannot be reached for so long, another is asked. */
const roamAfter = 3_000;

/**
 * @typedef {import('@twilio/voice-sdk').Call} SDKCall
 * @typedef {{ packets: number, path: string, rtt: number }} Look  packets: received so far; path: the pair of addresses in use and
 *   how often the far one has answered; rtt: milliseconds
 * @typedef {{ triedAt: number, answered: boolean, path: string | undefined, moved: boolean, away: boolean }} Trouble
 *   path: when the restart was answered; moved: signalling was opened anew since the last try; away: the agent has been told
 */

/**
 * @param {{ peer: RTCPeerConnection, call: SDKCall, device: import('@twilio/voice-sdk').Device, callSid: string }} what
 * @param {{ changed: (away: boolean) => void, online: () => boolean, now: () => number,
 *   later: (task: () => void, ms: number) => any, cancel: (timer: any) => void }} outside  changed: the call has lost its path, or
 *   has one again
 */
export function watchLink({ peer, call, device, callSid }, { changed, online, now, later, cancel }) {
  let packets = 0;
  /** Milliseconds that packets have come, and have not come. */
  let flow = 0;
  let silence = 0;
  let lookedAt = now();
  /** When signalling was open, or was last sent to another edge. */
  let openAt = now();
  let changedAt = -Infinity;
  /** @type {Trouble | undefined} */
  let trouble;
  let closed = false;
  let timer = later(look, lookEvery);
  const askAnotherEdge = edgesInTurn(device);
  const quiet = hear(device, 'answer', (payload) => {
    if (trouble && (payload?.callsid ?? callSid) === callSid) trouble.answered = true;
  });
  peer.addEventListener('iceconnectionstatechange', onICE);

  async function look() {
    const seen = await count(peer);
    if (closed) return;
    judge(seen);
    lookAtSignalling();
    cancel(timer);
    timer = later(look, trouble || silence > 0 ? lookCloser : lookEvery);
  }

  /** @param {Look} seen */
  function judge(seen) {
    // Time in which this document did not run, as when the machine slept or is busy, is not time in which nothing came.
    const passed = Math.min(now() - lookedAt, lookEvery * 2);
    lookedAt = now();
    if (seen.packets > packets) {
      packets = seen.packets;
      flow += passed;
      silence = 0;
      if (trouble) settle(flow);
      return;
    }
    silence += passed;
    if (trouble) pursue(trouble, seen);
    else if (flow >= flowing && silence >= (now() - changedAt < changeCounts ? silentAfterChange : silentAfter)) begin();
  }

  function lookAtSignalling() {
    if (isOpen(device)) openAt = now();
    if (now() - openAt < roamAfter) return;
    openAt = now();
    askAnotherEdge();
  }

  function onICE() {
    if (!trouble && (peer.iceConnectionState === 'disconnected' || peer.iceConnectionState === 'failed')) begin();
  }

  function begin() {
    trouble = { triedAt: 0, answered: false, path: undefined, moved: false, away: false };
    attempt(trouble);
  }

  /** @param {Trouble} of */
  function attempt(of) {
    Object.assign(of, { triedAt: now(), answered: false, path: undefined, moved: false });
    // Without any network there is nothing to restart it with, and the SDK would count that as a failure.
    if (online()) restartICE(call);
  }

  /** @param {Trouble} of @param {Look} seen */
  function pursue(of, seen) {
    if (of.answered) {
      of.path ??= seen.path;
      // The far end lives, and has nothing to say.
      if (seen.path !== of.path) return settle();
    }
    const waited = now() - of.triedAt;
    const patience = Math.min(answerAtMost, Math.max(answerAtLeast, 4 * seen.rtt));
    if (waited >= (of.answered ? 2 * patience : patience)) {
      if (!of.away) changed((of.away = true));
      if (!of.answered && !of.moved) {
        of.moved = true;
        reconnect(device);
      }
    }
    if (waited < again) return;
    if (isOpen(device)) return attempt(of);
    // The offer of the restart goes out with the opening of the socket, which is begun once more.
    Object.assign(of, { triedAt: now(), moved: false });
  }

  /** @param {number} [flowed]  milliseconds; none where the far end has nothing to say */
  function settle(flowed = 0) {
    if (trouble?.away) changed(false);
    trouble = undefined;
    flow = flowed;
    silence = 0;
  }

  return {
    /** The system tells of another network: what was open may be dead. */
    networkChanged() {
      changedAt = now();
      if (trouble && isOpen(device)) attempt(trouble);
      look();
    },

    close() {
      closed = true;
      cancel(timer);
      quiet();
      peer.removeEventListener('iceconnectionstatechange', onICE);
    },
  };
}

/** @param {RTCPeerConnection} peer @returns {Promise<Look>} */
async function count(peer) {
  const look = { packets: 0, path: '', rtt: 0 };
  try {
    /** @type {any[]} */
    const stats = [...(await peer.getStats()).values()];
    const used = stats.find(({ type }) => type === 'transport')?.selectedCandidatePairId;
    for (const { type, id, packetsReceived, responsesReceived, currentRoundTripTime } of stats) {
      if (type === 'inbound-rtp') look.packets += packetsReceived ?? 0;
      if (type === 'candidate-pair' && id === used) {
        look.path = `${id} ${responsesReceived}`;
        look.rtt = (currentRoundTripTime ?? 0) * 1000;
      }
    }
  } catch {
    // Closed a moment ago.
  }
  return look;
}
