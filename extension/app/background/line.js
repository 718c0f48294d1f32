// The registered voice client: calls arrive here and leave at once, by connect token, for the offscreen document. It never
// accepts a call itself; a service worker has no microphone.

import { hear, isOpen, register as sayRegister } from '../shared/stream.js';

/**
 * @typedef {import('@twilio/voice-sdk').Device} Device
 * @typedef {import('@twilio/voice-sdk').Call} SDKCall
 * @typedef {(event: { name: string } & Record<string, any>) => void} Report
 */

/** A registration whose network has gone looks well for many seconds, while no call can come: it has to prove itself. */
const proveEvery = 2_000;
const proofWithin = 1_500;

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
 * @param {{ Device: DeviceClass, report: Report, appVersion: string }} outside
 */
export function createLine({ Device, report, appVersion }) {
  /** @type {Device | undefined} */
  let device;
  /** @type {Map<string, SDKCall>} */
  const invites = new Map();

  /** @param {SDKCall} call */
  function onIncoming(call) {
    const callSid = call.parameters['CallSid'] ?? '';
    invites.set(callSid, call);
    const gone = () => {
      if (invites.get(callSid) === call) invites.delete(callSid);
      report({ name: 'inviteGone', callSid });
    };
    call.on('cancel', gone);
    call.on('disconnect', gone);
    // An event emitter without an error listener throws.
    call.on('error', () => {});
    report({
      name: 'callInvited',
      callSid,
      connectToken: call.connectToken,
      from: call.parameters['From'] ?? '',
      session: call.customParameters?.get('flex_session_identifier') ?? null,
    });
  }

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let proof;

  function prove() {
    const asked = device;
    if (proof || asked?.state !== 'registered' || isOpen(asked) !== true) return;
    const stop = hear(asked, 'ready', settle);
    function settle() {
      stop();
      clearTimeout(proof);
      proof = undefined;
    }
    proof = setTimeout(() => {
      settle();
      if (device === asked) report({ name: 'lineDead' });
    }, proofWithin);
    sayRegister(asked);
  }

  /** @param {Device} watched */
  function watch(watched) {
    if (device !== watched) return;
    prove();
    setTimeout(() => watch(watched), proveEvery);
  }

  const unregister = () => {
    // destroy() rejects what still rings, and with it a call that the offscreen document is about to take.
    for (const call of invites.values()) call.ignore();
    invites.clear();
    device?.removeAllListeners();
    device?.on('error', () => {});
    device?.destroy();
    device = undefined;
  };

  return {
    /** @param {string} token @param {string} edge */
    register(token, edge) {
      unregister();
      const fresh = new Device(token, /** @type {any} */ (deviceOptions({ edge, appVersion })));
      device = fresh;
      fresh.on('registered', () => report({ name: 'lineRegistered' }));
      fresh.on('unregistered', () => report({ name: 'lineDropped' }));
      fresh.on('incoming', onIncoming);
      fresh.on('error', (/** @type {{ code?: number }} */ { code }) => {
        if (tokenCodes.has(code ?? 0)) report({ name: 'lineRefused' });
        // Other errors, such as a malformed invite, leave a registration as it is.
        else if (fresh.state !== 'registered') report({ name: 'lineDropped' });
      });
      // It may never settle, and 'registered' and 'error' tell all there is.
      fresh.register().catch(() => {});
      watch(fresh);
    },

    prove,

    /** @param {string} token */
    updateToken: (token) => device?.updateToken(token),

    unregister,

    /** @param {string} callSid */
    reject(callSid) {
      invites.get(callSid)?.reject();
      invites.delete(callSid);
    },
  };
}
