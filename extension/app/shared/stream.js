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
 * @property {{ close: () => void }} [transport]
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
