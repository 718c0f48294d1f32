// Owns the call. Lives in the offscreen document, so it outlives the Flex tab and the service worker, and knows nothing of
// chrome.*: report() tells whoever listens.

import { deviceOptions } from '../background/line.js';
import { createDigits } from './digits.js';
import { createMicrophone, whyNoMicrophone } from './microphone.js';
import { quality } from './quality.js';

/**
 * @typedef {import('../background/machine.js').Call} Call
 * @typedef {import('../background/machine.js').Chosen} Chosen
 * @typedef {import('@twilio/voice-sdk').Device} Device
 * @typedef {import('@twilio/voice-sdk').Call} SDKCall
 * @typedef {{ token: string, identity: string, edge: string, appVersion: string, chosen: Chosen }} Preparation
 * @typedef {{ callSid: string, connectToken: string, from: string }} Offer
 * @typedef {{ kind: string, label: string, deviceId: string }} KnownDevice
 */

/** The SDK waits for an answer for ever; a caller who is gone must not leave the agent connecting. */
const answerWithin = 10_000;
/** Once Twilio has withdrawn the invite, an answer is on its way or will never come. */
const answerAfterCancel = 5_000;
const reportQualityEvery = 5_000;

/**
 * @param {{ Device: DeviceClass, media: import('./microphone.js').Media, signal: (sinkId: string) => void,
 *   peers: import('./peers.js').Peers,
 *   report: (type: string, payload: object) => void, now: () => number,
 *   later: (task: () => void, ms: number) => any, cancel: (timer: any) => void }} outside
 */
export function createPhone({ Device, media, signal, peers, report, now, later, cancel }) {
  const microphone = createMicrophone(media);
  /** @type {{ device: Device, identity: string, edge: string, broken: boolean } | undefined} */
  let client;
  /** @type {Preparation | undefined} */
  let preparation;
  /** @type {Offer | undefined} */
  let unprepared;
  /** @type {Call | null} */
  let call = null;
  /** How the call before ended: a worker that was dead at that moment asks later. @type {import('../background/machine.js').End | null} */
  let ended = null;
  /** @type {SDKCall | undefined} */
  let sdkCall;
  /** @type {any} */
  let answerTimer;
  /** @type {Chosen} */
  let chosen = { input: '', output: '', ringtone: '' };
  /** @type {KnownDevice[]} */
  let known = [];
  let hungUp = false;
  let failed = false;
  let qualityReportedAt = 0;
  /** Whether the microphone can be relied on to open: it is there, it is permitted, and it did not fail the last time. */
  let granted = false;
  let failedToOpen = false;
  peers.rehearse().catch(() => {});
  const digits = createDigits((run) => sdkCall?.sendDigits(run), later);

  // The voice client ---------------------------------------------------------------------------------------------

  /** @param {Preparation} wanted */
  function prepare(wanted) {
    preparation = wanted;
    chosen = wanted.chosen;
    if (client && client.identity === wanted.identity && (call || isFit(client))) client.device.updateToken(wanted.token);
    // A call keeps the client it began with; the next one gets a new one.
    else if (!call) makeClient(wanted);
    if (unprepared) {
      const offer = unprepared;
      unprepared = undefined;
      connect(offer);
    }
  }

  /** Whether this client could take the next call. @param {NonNullable<typeof client>} candidate */
  const isFit = ({ identity, edge, broken }) =>
    !broken && identity === preparation?.identity && edge === preparation.edge;

  /** @param {Preparation} wanted */
  function makeClient(wanted) {
    client?.device.destroy();
    const options = { ...deviceOptions(wanted), getUserMedia: microphone.getUserMedia, RTCPeerConnection: peers.Peer };
    const device = new Device(wanted.token, /** @type {any} */ (options));
    const made = { device, identity: wanted.identity, edge: wanted.edge, broken: false };
    client = made;
    // An error between calls is about the token or the socket: the next preparation starts afresh.
    device.on('error', () => (made.broken = made.broken || !call));
    for (const sound of /** @type {const} */ (['incoming', 'outgoing', 'disconnect'])) device.audio?.[sound](false);
    useSpeaker(device);
    warm(device).catch(() => {});
  }

  /**
   * Opens the signalling socket before there is a call; connect() then finds it open, which saves a TLS handshake and two
   * round trips at the moment somebody is waiting. The SDK has no public call that connects without registering; where a
   * later SDK has none of these names, connect() opens the socket itself, only later.
   * @param {Device} device
   */
  async function warm(device) {
    const inside = /** @type {{ _streamConnectedPromise?: Promise<unknown> | null, _setupStream?: () => Promise<unknown> }} */ (
      /** @type {unknown} */ (device)
    );
    await (inside._streamConnectedPromise ?? inside._setupStream?.());
  }

  // A call -------------------------------------------------------------------------------------------------------

  /** @param {Partial<Call>} change */
  function update(change) {
    if (!call) return;
    call = { ...call, ...change };
    report('offscreen.callChanged', { call });
  }

  /** @param {Offer} offer */
  function take(offer) {
    if (call) return;
    hungUp = false;
    failed = false;
    qualityReportedAt = 0;
    const { callSid, from } = offer;
    call = { callSid, from, status: 'connecting', muted: false, direction: 'inbound', startedAt: null, quality: null };
    answerTimer = later(giveUp, answerWithin);
    // Connecting first: the worker knows already, and somebody is waiting.
    if (preparation) connect(offer);
    else unprepared = offer;
    report('offscreen.callChanged', { call });
  }

  /** @param {Offer} offer */
  async function connect(offer) {
    const stillWanted = () => call?.callSid === offer.callSid && !hungUp;
    if (preparation && !(client && isFit(client))) makeClient(preparation);
    const device = /** @type {NonNullable<typeof client>} */ (client).device;
    const opening = openMicrophone(stillWanted);
    // Opening takes longer than all else: the caller is taken meanwhile, and hears the agent as soon as it is done. A call that
    // may yet have to be given back is not taken.
    const reliable = granted && !failedToOpen;
    const opened = reliable ? undefined : await opening;
    if (!reliable && !opened) return;
    const seat = peers.take();
    microphone.lend(opened ?? seat.stream);
    // It fails where the call has ended meanwhile.
    if (!opened) speak(seat, opening).catch(() => {});
    try {
      const connected = await device.connect({ connectToken: offer.connectToken });
      if (!stillWanted()) return connected.disconnect();
      follow(connected);
      if (call?.muted) connected.mute(true);
    } catch {
      if (stillWanted()) finish('not_answered');
    }
  }

  /** @param {() => boolean} stillWanted @returns {Promise<MediaStream | undefined>} */
  async function openMicrophone(stillWanted) {
    try {
      const stream = await microphone.open(idOf('audioinput', chosen.input));
      failedToOpen = false;
      return stillWanted() ? stream : undefined;
    } catch (error) {
      failedToOpen = true;
      if (!stillWanted()) return undefined;
      const abandoned = sdkCall;
      finish(whyNoMicrophone(error));
      abandoned?.disconnect();
      return undefined;
    }
  }

  /** @param {import('./peers.js').Seat} seat @param {Promise<MediaStream | undefined>} opening */
  async function speak(seat, opening) {
    const voice = (await opening)?.getAudioTracks()[0];
    if (!voice) return;
    if (!(await seat.give(voice))) return voice.stop();
    // Muted or unmuted while it was being replaced.
    sdkCall?.mute(sdkCall.isMuted());
    remeasure(seat.stream);
  }

  /**
   * The SDK measures the level of what it sends, for its reports, on the track it began with. Only choosing another microphone
   * makes it look again; where a later SDK has none of these names, it reports silence.
   * @param {MediaStream} stream
   */
  function remeasure(stream) {
    const inside = /** @type {{ _mediaHandler?: { _inputAnalyser?: AnalyserNode, _updateInputStreamSource?: (stream: MediaStream) => void } } | undefined} */ (
      /** @type {unknown} */ (sdkCall)
    );
    if (inside?._mediaHandler?._inputAnalyser) inside._mediaHandler._updateInputStreamSource?.(stream);
  }

  /** @param {SDKCall} made */
  function follow(made) {
    sdkCall = made;
    const mine = () => sdkCall === made;
    made.on('accept', () => {
      if (!mine()) return;
      cancel(answerTimer);
      update({ status: 'open', startedAt: now() });
      // Only now: opening a speaker takes what the connection needed.
      signal(idOf('audiooutput', chosen.ringtone));
    });
    made.on('mute', (/** @type {boolean} */ muted) => mine() && update({ muted }));
    made.on('reconnecting', () => mine() && update({ status: 'reconnecting' }));
    made.on('reconnected', () => mine() && update({ status: 'open' }));
    made.on('sample', (/** @type {any} */ sample) => mine() && measure(quality(sample)));
    made.on('error', () => (failed = true));
    for (const end of ['disconnect', 'cancel', 'reject']) made.on(end, () => mine() && finish(reasonOfEnd()));
  }

  function reasonOfEnd() {
    if (hungUp) return 'hung_up';
    if (call?.startedAt === null) return 'not_answered';
    return failed ? 'connection_lost' : 'ended';
  }

  /** @param {Call['quality']} measured */
  function measure(measured) {
    const due = now() - qualityReportedAt >= reportQualityEvery;
    if (!due && measured?.level === call?.quality?.level) return;
    qualityReportedAt = now();
    update({ quality: measured });
  }

  function giveUp() {
    if (call?.status !== 'connecting' || call.startedAt !== null) return;
    const abandoned = sdkCall;
    finish('not_answered');
    abandoned?.disconnect();
  }

  /** @param {string} reason */
  function finish(reason) {
    if (!call) return;
    const { callSid } = call;
    cancel(answerTimer);
    digits.clear();
    call = null;
    sdkCall = undefined;
    unprepared = undefined;
    // The SDK lets go of the call in the same turn; only then may it let go of the microphone.
    Promise.resolve().then(() => {
      if (!call) letGo();
    });
    ended = { callSid, reason };
    report('offscreen.callEnded', ended);
  }

  function letGo() {
    microphone.close();
    client?.device.audio?.unsetInputDevice().catch(() => {});
    if (preparation && !(client && isFit(client))) makeClient(preparation);
    peers.prepare();
  }

  function hangUp() {
    if (!call) return;
    hungUp = true;
    if (sdkCall) sdkCall.disconnect();
    finish('hung_up');
  }

  // Devices ------------------------------------------------------------------------------------------------------

  /** @param {string} kind @param {string} label @returns {string} empty for the default, or when it is not plugged in */
  const idOf = (kind, label) => known.find((device) => device.kind === kind && device.label === label)?.deviceId ?? '';

  /** @param {Device} device */
  function useSpeaker(device) {
    device.audio?.speakerDevices.set(idOf('audiooutput', chosen.output) || 'default').catch(() => {});
  }

  async function useMicrophone() {
    if (!call || !client) return;
    const id = idOf('audioinput', chosen.input) || 'default';
    await client.device.audio?.setInputDevice(id).catch(() => {});
  }

  return {
    prepare,
    take,
    hangUp,

    /** @param {string} callSid */
    inviteGone(callSid) {
      if (call?.callSid !== callSid || call.status !== 'connecting') return;
      cancel(answerTimer);
      answerTimer = later(giveUp, answerAfterCancel);
    },

    /** @param {boolean} muted */
    mute(muted) {
      if (sdkCall) sdkCall.mute(muted);
      else update({ muted });
    },

    sendDigits: digits.send,

    /** @param {{ kind: keyof Chosen, label: string }} choice */
    choose({ kind, label }) {
      chosen = { ...chosen, [kind]: label };
      if (kind === 'input') useMicrophone();
      if (kind === 'output' && client) useSpeaker(client.device);
    },

    /**
     * @param {KnownDevice[]} devices  what is plugged in now
     * @param {boolean} permitted  to use a microphone
     */
    setDevices(devices, permitted) {
      granted = permitted && devices.some(({ kind }) => kind === 'audioinput');
      const before = idOf('audioinput', chosen.input);
      known = devices;
      const after = idOf('audioinput', chosen.input);
      if (client) useSpeaker(client.device);
      // A headset pulled out in a call, or plugged back in.
      if (call && chosen.input && before !== after) useMicrophone();
    },

    /** Hangs up and lets go of everything. */
    forget() {
      hangUp();
      client?.device.destroy();
      client = undefined;
      preparation = undefined;
      microphone.close();
    },

    call: () => call,
    ended: () => ended,
  };
}
