// The registered voice client: calls arrive here and leave at once, by connect token, for the offscreen document. It never
// accepts a call itself; a service worker has no microphone.

import { createPatience } from '../shared/patience.js';
import { hangUp, hear, isOpen, register as sayRegister } from '../shared/stream.js';

/**
 * @typedef {import('@twilio/voice-sdk').Device} Device
 * @typedef {import('@twilio/voice-sdk').Call} SDKCall
 * @typedef {(event: { name: string } & Record<string, any>) => void} Report
 */

/** A registration whose network has gone looks well for many seconds, while no call can come: it has to prove itself. */
const proveEvery = 1_000;
/** Until it is known how long its answers take, and how soon a missing one tells. */
const learnEvery = 200;

/** So long Twilio holds a call at most, for a client that does not come back. */
export const heldAtMost = 30_000;

/** Codes with which Twilio says that it will not have this token. */
const tokenCodes = new Set([20101, 20103, 20104, 20151, 31202, 31204, 31205, 51007]);

/**
 * Options both voice clients use.
 * @param {{ edge: string, appVersion: string, holdSeconds?: number }} settings
 */
export const deviceOptions = ({ edge, appVersion, holdSeconds = 30 }) => ({
  // Asked of Twilio as the time to hold a call whose signalling is gone; 30 s is the most it grants.
  maxCallSignalingTimeoutMs: holdSeconds * 1000,
  enableImprovedSignalingErrorPrecision: true,
  // The SDK's own 20 s between attempts would leave an agent unreachable long after the network is back.
  backoffMaxMs: 4_000,
  edge,
  // Tokens are renewed here; the SDK would start a timer of its own with every answer.
  tokenRefreshMs: undefined,
  appName: 'flexvc',
  appVersion,
  closeProtection: false,
  logLevel: 'silent',
});

/**
 * @param {{ Device: DeviceClass, report: Report, appVersion: string, parted: (callSid: string) => void }} outside  parted: a call
 *   that nobody holds any more has been hung up
 */
export function createLine({ Device, report, appVersion, parted }) {
  /** @type {Device | undefined} */
  let device;
  /** One that has not answered in time, while another takes its place: it may only have been slow. @type {Device | undefined} */
  let former;
  /** A call rings at both. @type {Map<string, { call: SDKCall, at: Device }[]>} */
  const invites = new Map();
  /** @type {ReturnType<typeof createPatience>} */
  let patience = createPatience();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let proof;
  let askedAt = 0;
  /** @type {Device | undefined} */
  let late;
  /**
   * Calls whose document is gone, and when Twilio first heard here that they are hung up. While it has not noticed that the socket
   * of a call is gone, it takes a hang-up from no other.
   * @type {Map<string, number | undefined>}
   */
  const owed = new Map();

  /** @param {SDKCall} call @param {Device} at */
  function onIncoming(call, at) {
    const callSid = call.parameters['CallSid'] ?? '';
    const before = invites.get(callSid) ?? [];
    invites.set(callSid, [...before, { call, at }]);
    const gone = () => {
      if (!invites.get(callSid)?.some((invite) => invite.call === call)) return;
      forget((invite) => invite.call === call);
      if (!invites.has(callSid)) report({ name: 'inviteGone', callSid });
    };
    call.on('cancel', gone);
    call.on('disconnect', gone);
    // An event emitter without an error listener throws.
    call.on('error', () => {});
    if (before.length > 0) return;
    report({
      name: 'callInvited',
      callSid,
      connectToken: call.connectToken,
      from: call.parameters['From'] ?? '',
      session: call.customParameters?.get('flex_session_identifier') ?? null,
    });
  }

  /** @param {(invite: { call: SDKCall, at: Device }) => boolean} which */
  function forget(which) {
    for (const [callSid, ringing] of invites) {
      const rest = ringing.filter((invite) => !which(invite));
      if (rest.length > 0) invites.set(callSid, rest);
      else invites.delete(callSid);
    }
  }

  function prove() {
    const asked = device;
    if (proof || asked?.state !== 'registered' || isOpen(asked) !== true) return;
    askedAt = Date.now();
    const said = partFrom(asked);
    const stop = hear(asked, 'ready', () => {
      stop();
      said.forEach(heardOf);
      clearTimeout(proof);
      proof = undefined;
      // Asked twice, it may answer either: that a question was lost does not make the link a slow one.
      patience.learn(Date.now() - askedAt);
      if (patience.isNew()) setTimeout(prove, learnEvery);
      if (late === asked) wake(asked);
    });
    proof = setTimeout(() => {
      proof = undefined;
      if (device !== asked) return stop();
      late = asked;
      report({ name: 'lineDead' });
    }, patience.now());
    sayRegister(asked);
  }

  /** @param {Device} on @returns {string[]} what was hung up there */
  function partFrom(on) {
    for (const callSid of owed.keys()) hangUp(on, callSid);
    return [...owed.keys()];
  }

  /** Twilio has, and may have been too early. @param {string} callSid */
  function heardOf(callSid) {
    if (!owed.has(callSid)) return;
    const since = owed.get(callSid) ?? Date.now();
    owed.set(callSid, since);
    if (Date.now() - since < heldAtMost) return;
    owed.delete(callSid);
    parted(callSid);
  }

  /** It was slow, not dead. @param {Device} slow */
  function wake(slow) {
    late = undefined;
    if (former !== slow) return;
    former = undefined;
    retire(device);
    device = slow;
    report({ name: 'lineRegistered' });
  }

  setInterval(() => {
    prove();
    // What it was asked before may never have arrived.
    if (!former || !isOpen(former)) return;
    askedAt = Date.now();
    sayRegister(former);
  }, proveEvery);

  /** @param {Device | undefined} old */
  function retire(old) {
    if (!old) return;
    // destroy() rejects what still rings, and with it a call that the offscreen document is about to take.
    for (const { call, at } of [...invites.values()].flat()) if (at === old) call.ignore();
    forget(({ at }) => at === old);
    old.removeAllListeners();
    old.on('error', () => {});
    old.destroy();
  }

  function dropFormer() {
    retire(former);
    former = late = undefined;
  }

  const unregister = () => {
    dropFormer();
    retire(device);
    device = undefined;
  };

  return {
    /**
     * One that is late with its answer stays until the new one is registered, and takes its place again if it answers first.
     * @param {string} token
     * @param {string} edge
     */
    register(token, edge) {
      if (device && device === late) former = device;
      else retire(device);
      clearTimeout(proof);
      proof = undefined;
      const fresh = new Device(token, /** @type {any} */ (deviceOptions({ edge, appVersion })));
      device = fresh;
      patience = createPatience();
      const current = () => device === fresh;
      fresh.on('registered', () => {
        if (!current()) return;
        dropFormer();
        partFrom(fresh);
        report({ name: 'lineRegistered' });
        // Its first answer tells how long the next may take.
        prove();
      });
      fresh.on('unregistered', () => current() && report({ name: 'lineDropped' }));
      fresh.on('incoming', (/** @type {SDKCall} */ call) => onIncoming(call, fresh));
      fresh.on('error', (/** @type {{ code?: number }} */ { code }) => {
        if (!current()) return;
        if (tokenCodes.has(code ?? 0)) report({ name: 'lineRefused' });
        // Other errors, such as a malformed invite, leave a registration as it is.
        else if (fresh.state !== 'registered') report({ name: 'lineDropped' });
      });
      // It may never settle, and 'registered' and 'error' tell all there is.
      fresh.register().catch(() => {});
    },

    prove,

    /** @param {string} token */
    updateToken: (token) => device?.updateToken(token),

    unregister,

    /**
     * Hangs up a call that was in a document which is gone: Twilio would keep it for a client that does not come back.
     * @param {string} callSid
     */
    sayGoodbye(callSid) {
      owed.set(callSid, undefined);
      if (device?.state === 'registered') partFrom(device);
    },

    /** @param {string} callSid */
    reject(callSid) {
      for (const { call } of invites.get(callSid) ?? []) call.reject();
      invites.delete(callSid);
    },
  };
}
