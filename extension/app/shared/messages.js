// Every message that crosses a boundary of the extension, and who may send it. Nothing else is listened to.
//
// A claim in a message proves nothing. accept() decides by what the browser stamped on the sender, then by the
// payload's shape, and counts what it refuses.

/**
 * @typedef {'page' | 'popup' | 'welcome' | 'offscreen' | 'worker'} Party
 * @typedef {(value: unknown) => boolean} Check
 * @typedef {{ from: Party[], to: Party, payload: Check, keep?: string[] }} Row  keep: the fields that are read; others are
 *   dropped before the check. Without it they are refused.
 * @typedef {{ type: string, payload: any, request?: number }} Message
 * @typedef {{ id: string, base: string, matches: string[] }} Home  the extension's id, its base URL, and the
 *   content scripts' match patterns
 * @typedef {Pick<chrome.runtime.MessageSender, 'id' | 'url' | 'origin' | 'frameId'> & { tab?: unknown }} Sender
 * @typedef {'malformed' | 'unknown_type' | 'wrong_sender' | 'bad_payload'} Refusal
 */

// Payload shapes -----------------------------------------------------------------------------------------------

/** @type {(max: number) => Check} */
const text = (max) => (value) => typeof value === 'string' && value.length <= max;
/** @type {(pattern: RegExp) => Check} */
const matching = (pattern) => (value) => typeof value === 'string' && pattern.test(value);
/** @type {(...values: unknown[]) => Check} */
const oneOf = (...values) => (value) => values.includes(value);
/** @type {Check} */
const bool = (value) => typeof value === 'boolean';
/** @type {Check} */
const number = (value) => typeof value === 'number' && Number.isFinite(value);
/** @type {(check: Check) => Check} */
const optional = (check) => (value) => value === undefined || check(value);
/** @type {(check: Check) => Check} */
const orNull = (check) => (value) => value === null || check(value);
/** @type {(check: Check, max: number) => Check} */
const list = (check, max) => (value) => Array.isArray(value) && value.length <= max && value.every(check);

/**
 * An object with exactly these fields; an extra field is refused.
 * @type {(fields: Record<string, Check>) => Check}
 */
const object = (fields) => (value) =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.keys(value).every((key) => Object.hasOwn(fields, key)) &&
  Object.entries(fields).every(([key, check]) => check(/** @type {any} */ (value)[key]));

/** @type {Check} */
const nothing = (value) => value === undefined || value === null || object({})(value);

const accountSid = text(64);
const callSid = matching(/^[A-Za-z0-9]{1,64}$/);
const label = text(256);
const deviceKind = oneOf('input', 'output', 'ringtone');
const digits = matching(/^[0-9*#w]{1,64}$/);
const token = matching(/^[\x21-\x7e]{1,16384}$/);

const quality = object({
  level: oneOf('good', 'fair', 'poor'),
  mos: orNull(number),
  rttMs: orNull(number),
  jitterMs: orNull(number),
  lossPercent: orNull(number),
});

const call = object({
  callSid,
  from: text(256),
  status: oneOf('connecting', 'open', 'reconnecting'),
  muted: bool,
  direction: oneOf('inbound'),
  startedAt: orNull(number),
  quality: orNull(quality),
});

const calls = list(call, 16);
const end = object({ callSid, reason: text(64) });

const microphone = oneOf('granted', 'prompt', 'denied', 'missing', 'unknown');
const labels = list(label, 64);
const chosen = object({ input: label, output: label, ringtone: label });

const configuration = {
  accountSid,
  voiceClientTokenGeneratorUrl: text(2048),
  extensionVoiceClientPrefix: optional(orNull(text(64))),
  protocol: optional(number),
  pluginVersion: optional(text(64)),
  sessionIdentifier: optional(orNull(text(128))),
  workerIdentity: optional(orNull(text(256))),
};

/**
 * What a Flex page says.
 * @type {(fields: Record<string, Check>, or?: Check) => Row}
 */
const said = (fields, or = () => false) => ({
  from: ['page'],
  to: 'worker',
  payload: (value) => or(value) || object(fields)(value),
  keep: Object.keys(fields),
});

// The catalogue ------------------------------------------------------------------------------------------------

/** @type {Record<string, Row>} */
export const catalogue = {
  // Flex page -> content script -> worker. The names and the old fields are those deployed plugins use, and a newer plugin
  // may say more than this version knows of.
  VOICE_CLIENT_EXTENSION_CONFIGURE: said(configuration),
  VOICE_CLIENT_EXTENSION_FLEX_TOKEN: said({
    token,
    accountSid: optional(accountSid),
    expiration: optional(orNull((value) => text(64)(value) || number(value))),
  }),
  VOICE_CLIENT_EXTENSION_HANGUP_CALL: said({ callSid: optional(callSid) }, (value) => value === undefined || value === null),
  VOICE_CLIENT_EXTENSION_SEND_DTMF_DIGITS: said({ digits, callSid: optional(callSid) }),
  VOICE_CLIENT_EXTENSION_SET_MUTED: said({ muted: bool, callSid: optional(callSid) }),
  VOICE_CLIENT_EXTENSION_SET_AUDIO_DEVICE: said({ kind: deviceKind, label }),

  // To speak in this call: one that is offered, or on hold. The one before is put on hold.
  VOICE_CLIENT_EXTENSION_ANSWER_CALL: said({ callSid }),
  VOICE_CLIENT_EXTENSION_DECLINE_CALL: said({ callSid }),
  VOICE_CLIENT_EXTENSION_LOGGED_OUT: said({ accountSid: optional(accountSid) }, (value) => value === undefined || value === null),

  // Content script -> worker, on its own account.
  // The port broke and is back: the page's last configuration, so that it need not ask again.
  'page.resumed': said(configuration),
  // Somebody else posted one of our messages to the page. It goes no further than this word of it.
  'page.forged': { from: ['page'], to: 'worker', payload: nothing },
  'page.alive': { from: ['page'], to: 'worker', payload: nothing },

  // Worker -> content script -> Flex page.
  VOICE_CLIENT_EXTENSION_CONFIGURED: { from: ['worker'], to: 'page', payload: (value) => typeof value === 'object' },
  VOICE_CLIENT_EXTENSION_CONFIG_REJECTED: {
    from: ['worker'],
    to: 'page',
    payload: object({ reason: oneOf('other_account', 'url_not_allowed', 'bad_config') }),
  },
  VOICE_CLIENT_EXTENSION_HEARTBEAT: { from: ['worker'], to: 'page', payload: (value) => typeof value === 'object' },
  VOICE_CLIENT_EXTENSION_CALL: { from: ['worker'], to: 'page', payload: (value) => typeof value === 'object' },
  VOICE_CLIENT_EXTENSION_CALLS: { from: ['worker'], to: 'page', payload: (value) => typeof value === 'object' },

  // Popup -> worker.
  'popup.hangUp': { from: ['popup'], to: 'worker', payload: (value) => nothing(value) || object({ callSid })(value) },
  'popup.mute': { from: ['popup'], to: 'worker', payload: object({ muted: bool, callSid: optional(callSid) }) },
  'popup.sendDigits': { from: ['popup'], to: 'worker', payload: object({ digits, callSid: optional(callSid) }) },
  'popup.answer': { from: ['popup'], to: 'worker', payload: object({ callSid }) },
  'popup.decline': { from: ['popup'], to: 'worker', payload: object({ callSid }) },
  'popup.chooseDevice': { from: ['popup'], to: 'worker', payload: object({ kind: deviceKind, label }) },
  'popup.consent': { from: ['popup'], to: 'worker', payload: object({ key: text(2200) }) },
  'popup.restart': { from: ['popup'], to: 'worker', payload: nothing },
  'popup.retry': { from: ['popup'], to: 'worker', payload: object({ what: oneOf('token', 'line') }) },
  'popup.openWelcome': { from: ['popup'], to: 'worker', payload: nothing },

  // Offscreen document -> worker: what is true of the calls. The document owns them, the worker only knows of them.
  // call: the one the agent speaks in; onHold: the others, the latest to be put on hold last.
  'offscreen.truth': {
    from: ['offscreen'],
    to: 'worker',
    payload: object({ call: orNull(call), onHold: calls, ended: orNull(end), microphone, inputs: labels, outputs: labels }),
  },
  'offscreen.callChanged': { from: ['offscreen'], to: 'worker', payload: object({ call, onHold: calls }) },
  'offscreen.callEnded': { from: ['offscreen'], to: 'worker', payload: end },
  'offscreen.devicesChanged': {
    from: ['offscreen'],
    to: 'worker',
    payload: object({ microphone, inputs: labels, outputs: labels }),
  },

  // A headset's button, while a call is offered.
  'offscreen.answerPressed': { from: ['offscreen'], to: 'worker', payload: nothing },

  // Worker -> offscreen document.
  'offscreen.prepare': {
    from: ['worker'],
    to: 'offscreen',
    payload: object({ token, identity: text(256), edge: text(64), holdSeconds: number, appVersion: text(64), chosen }),
  },
  'offscreen.takeCall': {
    from: ['worker'],
    to: 'offscreen',
    payload: object({ callSid, connectToken: token, from: text(256) }),
  },
  'offscreen.inviteGone': { from: ['worker'], to: 'offscreen', payload: object({ callSid }) },
  'offscreen.ring': { from: ['worker'], to: 'offscreen', payload: object({ on: bool }) },
  'offscreen.resume': { from: ['worker'], to: 'offscreen', payload: object({ callSid }) },
  'offscreen.hangUp': { from: ['worker'], to: 'offscreen', payload: object({ callSid }) },
  'offscreen.mute': { from: ['worker'], to: 'offscreen', payload: object({ muted: bool, callSid }) },
  'offscreen.sendDigits': { from: ['worker'], to: 'offscreen', payload: object({ digits, callSid }) },
  'offscreen.chooseDevice': { from: ['worker'], to: 'offscreen', payload: object({ kind: deviceKind, label }) },
  'offscreen.forget': { from: ['worker'], to: 'offscreen', payload: nothing },
};

// Senders ------------------------------------------------------------------------------------------------------

/** Paths of the extension's own pages, relative to its base URL. */
const pages = { popup: 'popup/popup.html', welcome: 'welcome/welcome.html', offscreen: 'offscreen/offscreen.html' };

/**
 * Whether a Chrome match pattern covers the origin. Paths do not count: a content script speaks for its origin.
 * @param {string} pattern  for example https://flex.twilio.com/* or https://*.example.com/*
 * @param {string} origin
 */
export function coversOrigin(pattern, origin) {
  const parts = /^(\*|https?):\/\/(\*|(?:\*\.)?[^/*]+)\/.*$/.exec(pattern);
  if (!parts) return false;
  let url;
  try {
    url = new URL(origin);
  } catch {
    return false;
  }
  const [, scheme, host = ''] = parts;
  const protocol = url.protocol.slice(0, -1);
  if (scheme === '*' ? protocol !== 'http' && protocol !== 'https' : protocol !== scheme) return false;
  if (host === '*') return true;
  if (host.startsWith('*.')) return url.hostname === host.slice(2) || url.hostname.endsWith(host.slice(1));
  return host.includes(':') ? url.host === host : url.hostname === host;
}

/**
 * Which party the browser says this sender is; undefined when it is none of ours.
 * @param {Sender | undefined} sender
 * @param {Home} home
 * @returns {Party | undefined}
 */
export function partyOf(sender, home) {
  if (!sender || sender.id !== home.id) return undefined;
  // The offscreen document is in no tab. The popup may be: people open it in a tab to have it at hand.
  if (sender.url === home.base + pages.offscreen) return sender.tab ? undefined : 'offscreen';
  if (sender.url === home.base + pages.popup) return sender.frameId ? undefined : 'popup';
  if (sender.url === home.base + pages.welcome) return sender.frameId ? undefined : 'welcome';

  const origin = sender.origin;
  if (!sender.tab || sender.frameId !== 0 || typeof origin !== 'string') return undefined;
  if (typeof sender.url !== 'string' || !sameOrigin(sender.url, origin)) return undefined;
  return home.matches.some((pattern) => coversOrigin(pattern, origin)) ? 'page' : undefined;
}

/** @param {string} url @param {string} origin */
function sameOrigin(url, origin) {
  try {
    return new URL(url).origin === origin;
  } catch {
    return false;
  }
}

/** The sender of what comes back over a port that this context opened to the worker: nobody else can answer it. */
export const worker = /** @type {const} */ ('worker');

/**
 * The one gate. Every entry point of every context calls it before anything else.
 * @param {unknown} message
 * @param {Sender | typeof worker | undefined} sender
 * @param {Home} home
 * @param {Party} self  who is asking
 * @returns {{ ok: true, message: Message, from: Party } | { ok: false, refusal: Refusal, type: string }}
 */
export function accept(message, sender, home, self) {
  const envelope = object({ type: text(64), payload: () => true, request: optional(number) });
  if (!envelope(message)) return { ok: false, refusal: 'malformed', type: '' };
  const { type, payload: whole, request } = /** @type {Message} */ (message);
  const row = Object.hasOwn(catalogue, type) ? catalogue[type] : undefined;
  if (!row) return { ok: false, refusal: 'unknown_type', type: '' };

  const from = sender === worker ? worker : partyOf(sender, home);
  if (!from || row.to !== self || !row.from.includes(from)) return { ok: false, refusal: 'wrong_sender', type };
  const payload = row.keep ? only(row.keep, whole) : whole;
  if (!row.payload(payload)) return { ok: false, refusal: 'bad_payload', type };
  return { ok: true, message: { type, payload, request }, from };
}

/** @param {string[]} fields @param {unknown} value */
function only(fields, value) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([field]) => fields.includes(field)));
}

/** @type {(type: string) => boolean} */
export const isPageMessage = (type) => type.startsWith('VOICE_CLIENT_EXTENSION_');
