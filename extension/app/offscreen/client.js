// A voice client of this document: the SDK's Device, what it is given for its next call, and whether its signalling socket
// still answers. A socket whose network has gone stays open for many seconds, and swallows the call that is taken with it.

import { deviceOptions } from '../background/line.js';
import { createPatience } from '../shared/patience.js';
import { drop, hangUp, hear, isOpen, socketOf, warm } from '../shared/stream.js';

/**
 * @typedef {import('./phone.js').Preparation} Preparation
 * @typedef {import('@twilio/voice-sdk').Device} Device
 * @typedef {ReturnType<typeof createClient>} Client
 */

/** No transport: what was to be said goes out with the next opening of the socket. */
const notOpenYet = 31009;

/**
 * @param {{ Device: DeviceClass, getUserMedia: (constraints: MediaStreamConstraints) => Promise<MediaStream> }} outside
 * @param {Preparation} wanted
 * @param {() => boolean} busy  whether a call is up or being taken
 */
export function createClient({ Device, getUserMedia }, wanted, busy) {
  const { identity, edge } = wanted;
  let { token } = wanted;
  let broken = false;
  let dropped = false;
  /** @type {import('./peers.js').Seat | undefined} */
  let seat;
  /** For the next request of the SDK. @type {MediaStream | undefined} */
  let lent;

  const options = {
    ...deviceOptions(wanted),
    /** @param {MediaStreamConstraints} constraints */
    async getUserMedia(constraints) {
      const stream = lent ?? getUserMedia(constraints);
      lent = undefined;
      return stream;
    },
    RTCPeerConnection: function Peer() {
      return seat?.peer;
    },
  };
  const device = new Device(token, /** @type {any} */ (options));
  // An error between calls is about the token or the socket: the next preparation starts afresh.
  device.on('error', (/** @type {{ code?: number }} */ { code }) => (broken ||= code !== notOpenYet && !busy()));
  for (const sound of /** @type {const} */ (['incoming', 'outgoing', 'disconnect'])) device.audio?.[sound](false);
  warm(device).catch(() => {});
  const patience = createPatience();
  /** Who waits for the next answer. @type {(() => void)[]} */
  const asking = [];
  /** @type {(() => void) | undefined} */
  let stopHearing;

  return {
    device,
    identity,

    /** Whether it could take the next call. @param {Preparation | undefined} preparation */
    fits: (preparation) => !broken && identity === preparation?.identity && edge === preparation.edge,

    /** It is not to be used for another call. */
    wearOut: () => void (broken = true),

    /** @param {string} fresh */
    updateToken(fresh) {
      if (fresh !== token && !dropped) device.updateToken(fresh);
      token = fresh;
    },

    /**
     * What the next call gets: the connection, and the stream that it sends.
     * @param {import('./peers.js').Seat} taken
     * @param {MediaStream} stream
     */
    seat(taken, stream) {
      seat = taken;
      lent = stream;
    },

    isOpen: () => isOpen(device) !== false,

    /** Tells one opening of the socket from the next. */
    socket: () => socketOf(device),

    /** @param {string} callSid */
    hangUp: (callSid) => hangUp(device, callSid),

    /**
     * Says something that must be answered.
     * @param {(same: boolean) => void} answered  same: by the socket that was asked; the SDK may have opened another
     * @returns {boolean} false where nothing can be said: the SDK is opening the socket, or it cannot be looked at
     */
    ask(answered) {
      if (isOpen(device) !== true) return false;
      const at = Date.now();
      const socket = socketOf(device);
      stopHearing ??= hear(device, 'connected', () => {
        stopHearing?.();
        stopHearing = undefined;
        for (const tell of asking.splice(0)) tell();
      });
      asking.push(() => {
        patience.learn(Date.now() - at);
        answered(socketOf(device) === socket);
      });
      device.updateToken(token);
      return true;
    },

    /** How long an answer to ask() may take. */
    patience: () => patience.now(),

    drop() {
      dropped = broken = true;
      seat?.peer.close();
      drop(device);
    },
  };
}
