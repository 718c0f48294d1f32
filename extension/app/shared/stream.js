// What the SDK has no public word for: the signalling stream of a Device. Where a later SDK has none of these names each of
// these does nothing, and the SDK goes its own way, only slower.

/**
 * @typedef {import('@twilio/voice-sdk').Device} Device
 * @typedef {(payload: any) => void} Listener
 * @typedef {object} Stream
 * @property {(type: string, listener: Listener) => void} on
 * @property {(type: string, listener: Listener) => void} removeListener
 * @property {(callSid: string) => void} [hangup]
 * @property {(media: { audio: boolean }) => void} [register]
 * @property {string} [status]
 * @property {{ close: () => void, _closeSocket?: () => void, _socket?: object | null, uri?: string | null }} [transport]
 * @property {(uri: string | null) => void} [updatePreferredURI]
 * @property {(type: string, ...rest: any[]) => boolean} emit
 */

/** @typedef {{ _stream?: Stream | null, _streamConnectedPromise?: Promise<unknown> | null, _setupStream?: () => Promise<unknown> }} Inside */

/** @param {Device} device @returns {Inside} */
const inside = (device) => /** @type {Inside} */ (/** @type {unknown} */ (device));

/**
 * Opens the socket before there is a call; connect() then finds it open, which saves a TLS handshake and two round trips at
 * the moment somebody is waiting.
 * @param {Device} device
 */
export async function warm(device) {
  const { _streamConnectedPromise: connected } = inside(device);
  await (connected ?? inside(device)._setupStream?.());
}

/** @param {Device} device @returns {boolean | undefined} whether the socket is open; undefined where that cannot be known */
export function isOpen(device) {
  const status = inside(device)._stream?.status;
  return status === undefined ? undefined : status !== 'disconnected';
}

/** Tells one opening of the socket from the next. @param {Device} device @returns {unknown} */
export const socketOf = (device) => inside(device)._stream?.transport?._socket;

/**
 * Tells of the frames of one type that come in.
 * @param {Device} device
 * @param {string} type
 * @param {Listener} listener
 * @returns {() => void} stops it
 */
export function hear(device, type, listener) {
  const stream = inside(device)._stream;
  stream?.on(type, listener);
  return () => stream?.removeListener(type, listener);
}

/**
 * Hangs up now or, where the socket is away, as soon as it is back. The SDK's own call says nothing then.
 * @param {Device} device
 * @param {string} callSid
 */
export function hangUp(device, callSid) {
  inside(device)._stream?.hangup?.(callSid);
}

/**
 * Says again that this client takes calls, which Twilio answers with 'ready'; the SDK itself does so every half minute.
 * @param {Device} device
 */
export function register(device) {
  inside(device)._stream?.register?.({ audio: true });
}

/**
 * Restarts ICE: the SDK itself does so only after its own, longer, doubts. What it says goes out at once or, where the socket is
 * dead, with the next opening.
 * @param {import('@twilio/voice-sdk').Call} call
 */
export function restartICE(call) {
  const { _mediaHandler: media } = /** @type {{ _mediaHandler?: { iceRestart?: () => void } }} */ (/** @type {unknown} */ (call));
  try {
    media?.iceRestart?.();
  } catch {
    // The call has just ended.
  }
}

/**
 * Opens the socket anew, as the SDK does when it has heard nothing for 15 s.
 * @param {Device} device
 */
export function reconnect(device) {
  inside(device)._stream?.transport?._closeSocket?.();
}

/**
 * In a call the SDK asks for no edge but the call's own, and Twilio promises no more. Each call of the function asks the nearest
 * one and the own one in turns; one that does not know the call must not end it, and is not asked again.
 * @param {Device} device  with a call that is up
 * @returns {() => void}
 */
export function edgesInTurn(device) {
  const home = device.edge;
  const stream = inside(device)._stream;
  const to = (/** @type {string} */ edge) => stream?.transport?.uri?.replace(/^(wss:\/\/voice-js\.)[^.]+/, `$1${edge}`) ?? null;
  let other = home === 'roaming' ? null : to('roaming');
  let guarded = false;
  let away = false;
  if (!stream || !home) return () => {};

  function guard(/** @type {Stream} */ { emit }) {
    guarded = true;
    /** @type {Stream} */ (stream).emit = (type, ...rest) => {
      if (type !== 'hangup' || !rest[0]?.error || device.edge === home) return emit.call(stream, type, ...rest);
      other = null;
      stream?.updatePreferredURI?.(to(home ?? ''));
      reconnect(device);
      return false;
    };
  }

  return () => {
    if (!other) return;
    if (!guarded) guard(stream);
    away = !away;
    stream.updatePreferredURI?.(away ? other : to(home));
  };
}

/**
 * Ends a client without a word to Twilio. destroy() alone hangs up what the client was about to take, and rejects what rings.
 * @param {Device} device
 */
export function drop(device) {
  device.removeAllListeners();
  // An event emitter without an error listener throws.
  device.on('error', () => {});
  inside(device)._stream?.transport?.close();
  device.destroy();
}
