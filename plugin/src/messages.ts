// What crosses between this page and the extension's content script. Names and old fields are those of plugins and extensions
// already deployed; an old extension's heartbeat holds voiceClientIdentity and error, and nothing else.

const name = (suffix: string) => `VOICE_CLIENT_EXTENSION_${suffix}`;

export const CONFIGURE = name('CONFIGURE');
export const FLEX_TOKEN = name('FLEX_TOKEN');
export const HANGUP_CALL = name('HANGUP_CALL');
export const SEND_DTMF_DIGITS = name('SEND_DTMF_DIGITS');
export const SET_MUTED = name('SET_MUTED');
export const SET_AUDIO_DEVICE = name('SET_AUDIO_DEVICE');
export const ANSWER_CALL = name('ANSWER_CALL');
export const DECLINE_CALL = name('DECLINE_CALL');
export const LOGGED_OUT = name('LOGGED_OUT');
export const CONFIGURED = name('CONFIGURED');
export const CONFIG_REJECTED = name('CONFIG_REJECTED');
export const HEARTBEAT = name('HEARTBEAT');
export const DISCONNECTED = name('DISCONNECTED');
export const CALL = name('CALL');
export const CALLS = name('CALLS');

/** Of the messages themselves; 1 is an extension that says none. */
export const protocol = 3;

export type CallStatus = 'connecting' | 'open' | 'reconnecting';
export type Quality = 'good' | 'fair' | 'poor';

export interface Call {
  callSid: string;
  status: CallStatus;
  muted: boolean;
  /** Milliseconds since the epoch; null until somebody is heard. */
  startedAt: number | null;
  quality: Quality | null;
}

/** A call that rings until the agent answers or declines it. */
export interface Offer {
  callSid: string;
  /** The caller's number; empty when it is not known. */
  from: string;
}

/** All calls of the extension. One of before there could be two says nothing of the others. */
export interface Calls {
  /** The one the agent speaks in. */
  call: Call | null;
  /** The latest to be put on hold last. */
  onHold: (Call & Offer)[];
  offers: Offer[];
}

export type DeviceKind = 'input' | 'output' | 'ringtone';

/** Labels, because ids differ per origin. An empty selected one is the system's default. */
export interface AudioDevices {
  inputs: string[];
  outputs: string[];
  selected: Record<DeviceKind, string>;
}

const troubles = [
  'microphone_denied', 'microphone_missing', 'microphone_prompt', 'flex_token_refused', 'token_server_unreachable',
  'token_server_error', 'token_server_nonsense', 'voice_token_refused', 'signalling_lost', 'consent_needed',
] as const;
/** Why a call offered now would not reach the agent, in the extension's words. */
export type Trouble = (typeof troubles)[number];

const microphones = ['granted', 'prompt', 'denied', 'missing', 'unknown'] as const;
export type Microphone = (typeof microphones)[number];

export interface Heartbeat {
  identity: string | null;
  /** A call offered now would not reach the agent. */
  broken: boolean;
  protocol: number;
  extensionVersion: string | null;
  status: string | null;
  /** Null when nothing is wrong, from an extension that does not tell, and for what this plugin does not know. */
  trouble: Trouble | null;
  microphone: Microphone;
  /** Undefined from an extension that does not tell. */
  call: Call | null | undefined;
  onHold: (Call & Offer)[];
  offers: Offer[];
  devices: AudioDevices | null;
}

export type Rejection = 'other_account' | 'url_not_allowed' | 'bad_config';

// Anybody may post to this window, so every field is looked at.

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);
const texts = (value: unknown): string[] => (Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []);
const oneOf = <T extends string>(value: unknown, ...all: T[]): T | null => all.find((item) => item === value) ?? null;

export function readHeartbeat(payload: unknown): Heartbeat {
  const beat = record(payload);
  return {
    identity: text(beat.voiceClientIdentity),
    broken: Boolean(beat.error),
    protocol: typeof beat.protocol === 'number' ? beat.protocol : 1,
    extensionVersion: text(beat.extensionVersion),
    status: text(beat.status),
    trouble: oneOf(beat.problem, ...troubles),
    microphone: oneOf(beat.microphone, ...microphones) ?? 'unknown',
    ...readCalls(beat),
    call: 'call' in beat ? readCall(beat.call) : undefined,
    devices: readDevices(beat.audioDevices),
  };
}

export function readCall(payload: unknown): Call | null {
  const call = record(payload);
  const callSid = text(call.callSid);
  if (callSid === null) return null;
  return {
    callSid,
    status: oneOf(call.status, 'connecting', 'open', 'reconnecting') ?? 'open',
    muted: call.muted === true,
    startedAt: typeof call.startedAt === 'number' ? call.startedAt : null,
    quality: oneOf(record(call.quality).level, 'good', 'fair', 'poor'),
  };
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

const readOffer = (payload: unknown): Offer | null => {
  const { callSid, from } = record(payload);
  return text(callSid) === null ? null : { callSid: String(callSid), from: text(from) ?? '' };
};

export function readCalls(payload: unknown): Calls {
  const { call, onHold, offers } = record(payload);
  return {
    call: readCall(call),
    onHold: list(onHold).flatMap((item) => {
      const [held, from] = [readCall(item), readOffer(item)];
      return held && from ? [{ ...held, ...from }] : [];
    }),
    offers: list(offers).flatMap((item) => readOffer(item) ?? []),
  };
}

export function readRejection(payload: unknown): Rejection {
  return oneOf(record(payload).reason, 'other_account', 'url_not_allowed', 'bad_config') ?? 'bad_config';
}

function readDevices(payload: unknown): AudioDevices | null {
  if (payload === undefined) return null;
  const { inputs, outputs, selected } = record(payload);
  const { input, output, ringtone } = record(selected);
  return {
    inputs: texts(inputs),
    outputs: texts(outputs),
    selected: { input: text(input) ?? '', output: text(output) ?? '', ringtone: text(ringtone) ?? '' },
  };
}
