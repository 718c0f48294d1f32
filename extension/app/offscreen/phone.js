// Owns one call, or waits for one; switchboard.js has one of these for each. Lives in the offscreen document, so it outlives the
// Flex tab and the service worker, and knows nothing of chrome.*: report() tells whoever listens.

import { heldAtMost } from '../background/line.js';
import { hear } from '../shared/stream.js';
import { createClient } from './client.js';
import { createDebts } from './debts.js';
import { createDigits } from './digits.js';
import { watchLink } from './link.js';
import { createMicrophone, whyNoMicrophone } from './microphone.js';
import { quality } from './quality.js';

/**
 * @typedef {import('../background/machine.js').Call} Call
 * @typedef {import('../background/machine.js').Chosen} Chosen
 * @typedef {import('./client.js').Client} Client
 * @typedef {import('@twilio/voice-sdk').Device} Device
 * @typedef {import('@twilio/voice-sdk').Call} SDKCall
 * @typedef {{ client: Client, seat?: import('./peers.js').Seat, sdkCall?: SDKCall, code?: number, lost: boolean }} Attempt  to take
 *   the call; code: of its last error; lost: another took it, or it has ended
 * @typedef {{ token: string, identity: string, edge: string, holdSeconds: number, appVersion: string, chosen: Chosen }} Preparation
 * @typedef {{ callSid: string, connectToken: string, from: string }} Offer
 * @typedef {{ kind: string, label: string, deviceId: string }} KnownDevice
 */

/** The SDK waits for an answer for ever; a caller who is gone must not leave the agent connecting. */
const answerWithin = 10_000;
/** A call that is not answered by then is tried with another socket, as this one may be dead; and so on, while it rings. */
const answerIsLate = 1_500;
const answerIsStillLate = 2_000;
/** What fails for another reason than the network is soon given back, to somebody who can take it. */
const mostTries = 5;
/** So many of them may succeed yet. */
const mostAttempts = 3;
const betweenTries = 500;
/** How often an open socket has to prove that it is alive. */
const proveEvery = 5_000;
/** The same, when it has yet to take a hang-up. */
const insistEvery = 500;
/** What Twilio says of a call that nobody can take any more: it is over, or somebody else has it. */
const takenElsewhere = 31486;
const final = new Set([31404, 31480, takenElsewhere, 31603]);
/** Once Twilio has withdrawn the invite, an answer is on its way or will never come. */
const answerAfterCancel = 5_000;
/** An open socket that has an answer to give says so within this time. */
const proofWithin = 1_500;
const reportQualityEvery = 5_000;
/** A token that Twilio refused may be taken the next time; until a new one comes there is no other. */
const knockEvery = 2_000;

/**
 * @param {{ Device: DeviceClass, media: import('./microphone.js').Media, signal: (sinkId: string, meaning: import('./signal.js').Meaning) => void,
 *   peers: import('./peers.js').Peers,
 *   report: (type: string, payload: object) => void, now: () => number,
 *   later: (task: () => void, ms: number) => any, cancel: (timer: any) => void, online?: () => boolean }} outside
 */
export function createPhone({ Device, media, signal, peers, report, now, later, cancel, online = () => true }) {
  const microphone = createMicrophone(media);
  /** @type {Client | undefined} */
  let client;
  /** @type {Preparation | undefined} */
  let preparation;
  /** @type {Offer | undefined} */
  let unprepared;
  /** @type {Call | null} */
  let call = null;
  /** The call as the SDK has it, once Twilio answered. @type {SDKCall | undefined} */
  let sdkCall;
  /** @type {ReturnType<typeof watchLink> | undefined} */
  let link;
  /** @type {Set<'media' | 'signalling'>} */
  const gone = new Set();
  /** What that one speaks and hears through. @type {import('./peers.js').Seat | undefined} */
  let taken;
  /** On hold: nothing is heard, either way. */
  let held = false;
  /** Another microphone was chosen meanwhile. */
  let microphoneDue = false;
  /** @type {any} */
  let answerTimer;
  /** Ways in which the call is being taken at this moment. @type {Set<Attempt>} */
  const attempts = new Set();
  /** @type {any} */
  let lateTimer;
  let tries = 0;
  const debts = createDebts(now);
  /** @type {any} */
  let insisting;
  /** @type {any} */
  let knocking;
  /** The call that is being taken, and since when. @type {Offer | undefined} */
  let offered;
  let takenAt = 0;
  /** When Twilio withdrew the invite: it has been answered, or the caller is gone. @type {number | null} */
  let withdrawn = null;
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
  later(proveAgain, proveEvery);
  const digits = createDigits((run) => sdkCall?.sendDigits(run), later);

  // The voice client ---------------------------------------------------------------------------------------------

  /** @param {Preparation} wanted */
  function prepare(wanted) {
    preparation = wanted;
    chosen = wanted.chosen;
    if (client && client.identity === wanted.identity && (call || client.fits(wanted))) {
      client.updateToken(wanted.token);
      prove();
    }
    // A call keeps the client it began with; the next one gets a new one.
    else if (!call) renew(wanted);
    if (unprepared) {
      const offer = unprepared;
      unprepared = undefined;
      connect(offer);
    }
  }

  /** @param {Preparation} wanted */
  function makeClient(wanted) {
    const made = createClient({ Device, getUserMedia: microphone.getUserMedia }, wanted, () => call !== null);
    useSpeaker(made.device);
    return made;
  }

  /** @param {Preparation} wanted */
  function renew(wanted) {
    client?.drop();
    if (client?.identity !== wanted.identity) debts.forget();
    client = makeClient(wanted);
    debts.say(client);
    return client;
  }

  function proveAgain() {
    later(proveAgain, proveEvery);
    prove();
  }

  /** Between calls: in a call the SDK has its own ways. */
  function prove() {
    if (debts.any()) insist();
    const asked = client;
    if (call || !asked) return;
    const timer = later(() => {
      if (client !== asked) return;
      asked.wearOut();
      // A call that came meanwhile is on it, and has a second attempt.
      if (!call && preparation) renew(preparation);
    }, asked.patience());
    const heard = (/** @type {boolean} */ same) => {
      cancel(timer);
      if (client !== asked || !debts.any()) return;
      if (same) return debts.heard(asked);
      // What was said before went into the socket that is no more.
      debts.say(asked);
      prove();
    };
    if (!asked.ask(heard)) cancel(timer);
  }

  /** A customer waits for the hang-up to arrive. */
  function insist() {
    cancel(insisting);
    insisting = later(prove, insistEvery);
    // A socket that has not got its way in is deaf, and stays so.
    if (!call && preparation && !client?.fits(preparation)) renew(preparation);
    else if (client?.isOpen()) debts.sayAgain(client);
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
    hungUp = failed = held = microphoneDue = false;
    tries = 0;
    withdrawn = null;
    qualityReportedAt = 0;
    const { callSid, from } = offer;
    call = { callSid, from, status: 'connecting', muted: false, direction: 'inbound', startedAt: null, quality: null };
    takenAt = now();
    offered = offer;
    answerTimer = later(askForAnswer, answerWithin - proofWithin);
    // Connecting first: the worker knows already, and somebody is waiting.
    if (preparation) connect(offer);
    else unprepared = offer;
    report('offscreen.callChanged', { call });
  }

  /** @param {Offer} offer */
  function connect(offer) {
    const { callSid } = offer;
    const wanted = /** @type {Preparation} */ (preparation);
    tries = 1;
    lateTimer = later(() => call?.callSid === callSid && tryAgain(offer), answerIsLate);
    attempt(offer, client?.fits(wanted) ? client : renew(wanted));
  }

  /**
   * With a socket of its own, while the call still rings. The attempt before may yet succeed.
   * @param {Offer} offer
   */
  function tryAgain(offer) {
    if (sdkCall || !mayTryAgain() || !preparation) return;
    tries += 1;
    cancel(lateTimer);
    lateTimer = later(() => call?.callSid === offer.callSid && tryAgain(offer), answerIsStillLate);
    const before = client;
    before?.wearOut();
    client = makeClient(preparation);
    if (![...attempts].some((one) => one.client === before)) before?.drop();
    const [oldest] = attempts;
    if (oldest && attempts.size >= mostAttempts) lose(oldest);
    attempt(offer, client);
  }

  const mayTryAgain = () => tries < mostTries && withdrawn === null && !hungUp;

  /** @param {Offer} offer @param {Client} used */
  async function attempt(offer, used) {
    /** @type {Attempt} */
    const mine = { client: used, lost: false };
    attempts.add(mine);
    const stillWanted = () => !mine.lost;
    const opening = openMicrophone(stillWanted);
    // Opening takes longer than all else: the caller is taken meanwhile, and hears the agent as soon as it is done. A call that
    // may yet have to be given back is not taken.
    const reliable = granted && !failedToOpen;
    const opened = reliable ? undefined : await opening;
    if (!reliable && !opened) return;
    const seat = peers.take();
    mine.seat = seat;
    used.seat(seat, opened ?? seat.stream);
    // It fails where the call has ended meanwhile.
    if (!opened) speak(mine, seat, opening).catch(() => {});
    try {
      const connected = await used.device.connect({ connectToken: offer.connectToken });
      mine.sdkCall = connected;
      if (stillWanted()) follow(mine, offer);
      else connected.disconnect();
    } catch {
      fail(mine, offer);
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
      if (stillWanted()) end(whyNoMicrophone(error));
      return undefined;
    }
  }

  /** @param {Attempt} mine @param {import('./peers.js').Seat} seat @param {Promise<MediaStream | undefined>} opening */
  async function speak(mine, seat, opening) {
    const voice = (await opening)?.getAudioTracks()[0];
    if (!voice) return;
    if (!(await seat.give(voice))) return voice.stop();
    // Muted or unmuted while it was being replaced.
    mine.sdkCall?.mute(mine.sdkCall.isMuted());
    remeasure(mine.sdkCall, seat.stream);
  }

  /**
   * The SDK measures the level of what it sends, for its reports, on the track it began with. Only choosing another microphone
   * makes it look again; where a later SDK has none of these names, it reports silence.
   * @param {SDKCall | undefined} made
   * @param {MediaStream} stream
   */
  function remeasure(made, stream) {
    const inside = /** @type {{ _mediaHandler?: { _inputAnalyser?: AnalyserNode, _updateInputStreamSource?: (stream: MediaStream) => void } } | undefined} */ (
      /** @type {unknown} */ (made)
    );
    if (inside?._mediaHandler?._inputAnalyser) inside._mediaHandler._updateInputStreamSource?.(stream);
  }

  /** @param {Attempt} mine @param {Offer} offer */
  function follow(mine, offer) {
    const made = /** @type {SDKCall} */ (mine.sdkCall);
    const is = () => sdkCall === made;
    if (call?.muted || held) made.mute(true);
    const quiet = hear(mine.client.device, 'answer', ({ callsid }) => {
      if (callsid !== offer.callSid) return;
      quiet();
      win(mine);
    });
    made.on('accept', () => {
      win(mine);
      if (!is() || call?.startedAt !== null) return;
      cancel(answerTimer);
      update({ status: 'open', startedAt: now() });
      watch(mine);
      // Only now: opening a speaker takes what the connection needed.
      say('connected');
    });
    made.on('mute', (/** @type {boolean} */ muted) => is() && !held && update({ muted }));
    made.on('reconnecting', () => is() && goAway('signalling', true));
    made.on('reconnected', () => is() && goAway('signalling', false));
    made.on('sample', (/** @type {any} */ sample) => is() && measure(quality(sample)));
    made.on('error', (/** @type {{ code?: number }} */ { code }) => {
      mine.code = code;
      if (is()) failed = true;
    });
    for (const event of ['disconnect', 'cancel', 'reject']) {
      made.on(event, () => {
        quiet();
        if (is()) finish(reasonOfEnd());
        else fail(mine, offer);
      });
    }
  }

  /** @param {Attempt} mine */
  function watch({ seat, sdkCall: made, client: { device } }) {
    if (!seat || !made || !call) return;
    link?.close();
    const changed = (/** @type {boolean} */ away) => sdkCall === made && goAway('media', away);
    link = watchLink({ peer: seat.peer, call: made, device, callSid: call.callSid }, { changed, online, now, later, cancel });
  }

  /** What the call has lost: it is open again when both are back. @param {'media' | 'signalling'} what @param {boolean} away */
  function goAway(what, away) {
    if (away) gone.add(what);
    else gone.delete(what);
    if (what === 'signalling') knockLater();
    const status = gone.size > 0 ? 'reconnecting' : 'open';
    if (call && call.startedAt !== null && call.status !== status) update({ status });
  }

  function knockLater() {
    cancel(knocking);
    if (gone.has('signalling')) knocking = later(knock, knockEvery);
  }

  /** The SDK says its token once for each opening of the socket, and waits for ever. */
  function knock() {
    client?.ask(() => {});
    knockLater();
  }

  /** Twilio has answered this one. @param {Attempt} mine */
  function win(mine) {
    if (mine.lost || sdkCall) return;
    cancel(lateTimer);
    sdkCall = mine.sdkCall;
    taken = mine.seat;
    client = mine.client;
    for (const other of attempts) if (other !== mine) lose(other);
    // Muted, unmuted, held or resumed since it was begun.
    hush();
  }

  function hush() {
    const quiet = held || call?.muted === true;
    if (sdkCall && sdkCall.isMuted() !== quiet) sdkCall.mute(quiet);
    taken?.hush(held);
  }

  /** @param {boolean} wanted */
  function hold(wanted) {
    held = wanted;
    hush();
    if (!held && microphoneDue) useMicrophone();
  }

  /** @param {Attempt} mine @param {Offer} offer */
  function fail(mine, offer) {
    if (mine.lost) return;
    mine.client.wearOut();
    // What nobody has heard was no refusal.
    if (!mine.client.isOpen() && now() - takenAt < heldAtMost) tries -= 1;
    lose(mine);
    if (attempts.size > 0) return;
    if (final.has(mine.code ?? 0) || !mayTryAgain()) return finish(mine.code === takenElsewhere ? 'answered_elsewhere' : reasonOfEnd());
    cancel(lateTimer);
    if (tries === 1) tryAgain(offer);
    else lateTimer = later(() => call?.callSid === offer.callSid && tryAgain(offer), betweenTries);
  }

  /** Not a word of it may reach Twilio any more: that would be about a call that another has. @param {Attempt} mine */
  function lose(mine) {
    mine.lost = true;
    attempts.delete(mine);
    if (mine.client !== client) mine.client.drop();
  }

  function reasonOfEnd() {
    if (hungUp) return 'hung_up';
    if (!sdkCall) return 'not_answered';
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
    if (call?.status === 'connecting') end(sdkCall ? 'connection_lost' : 'not_answered');
  }

  /**
   * A socket that answers, and has no answer to the call, has none to give; asking it makes the SDK ask for the call, too. Where
   * none answers the network is away, and the call still rings, or is held.
   */
  function askForAnswer() {
    if (!offered || call?.status !== 'connecting') return;
    const offer = offered;
    let proven = false;
    for (const { client: asked } of attempts) asked.ask(() => (proven = true));
    answerTimer = later(() => {
      if (call?.callSid !== offer.callSid) return;
      if (proven || now() - (withdrawn ?? takenAt) >= heldAtMost) return giveUp();
      tries = Math.min(tries, mostTries - 1);
      tryAgain(offer);
      askForAnswer();
    }, proofWithin);
  }

  /** Ends it from this side, with a word to Twilio. @param {string} reason */
  function end(reason) {
    const abandoned = [...attempts];
    const callSid = sdkCall && call?.callSid;
    const open = client?.isOpen() && !gone.has('signalling');
    finish(reason);
    for (const { sdkCall: made } of abandoned) made?.disconnect();
    if (!callSid || !client) return;
    // The SDK's own call says nothing without a socket.
    if (!open) client.hangUp(callSid);
    debts.add(callSid, open ? client : undefined);
    prove();
  }

  /** @param {string} reason */
  function finish(reason) {
    if (!call) return;
    const { callSid } = call;
    cancel(answerTimer);
    cancel(lateTimer);
    digits.clear();
    link?.close();
    link = undefined;
    gone.clear();
    knockLater();
    for (const attempt of attempts) attempt.lost = true;
    call = null;
    sdkCall = taken = undefined;
    unprepared = undefined;
    // The SDK lets go of the call in the same turn; only then may it let go of the microphone.
    Promise.resolve().then(() => {
      if (!call) letGo();
    });
    report('offscreen.callEnded', { callSid, reason });
  }

  function letGo() {
    for (const attempt of attempts) lose(attempt);
    microphone.close();
    client?.device.audio?.unsetInputDevice().catch(() => {});
    if (preparation && !client?.fits(preparation)) renew(preparation);
    peers.prepare();
  }

  function hangUp() {
    if (!call) return;
    hungUp = true;
    end('hung_up');
  }

  // Devices ------------------------------------------------------------------------------------------------------

  /** @param {string} kind @param {string} label @returns {string} empty for the default, or when it is not plugged in */
  const idOf = (kind, label) => known.find((device) => device.kind === kind && device.label === label)?.deviceId ?? '';

  /** @param {import('./signal.js').Meaning} meaning */
  const say = (meaning) => signal(idOf('audiooutput', chosen.ringtone), meaning);

  /** @param {Device} device */
  function useSpeaker(device) {
    device.audio?.speakerDevices.set(idOf('audiooutput', chosen.output) || 'default').catch(() => {});
  }

  async function useMicrophone() {
    if (!call || !client) return;
    // The SDK opens it before it is muted.
    microphoneDue = held;
    if (held) return;
    const id = idOf('audioinput', chosen.input) || 'default';
    await client.device.audio?.setInputDevice(id).catch(() => {});
  }

  return {
    prepare,
    take,
    hangUp,
    hold,
    say,

    /** @param {string} callSid */
    inviteGone(callSid) {
      if (call?.callSid !== callSid || call.status !== 'connecting') return;
      withdrawn = now();
      cancel(answerTimer);
      answerTimer = later(askForAnswer, answerAfterCancel - proofWithin);
    },

    /** @param {boolean} muted */
    mute(muted) {
      if (sdkCall && !held) sdkCall.mute(muted);
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

    /** The system tells of another network: what was open may be dead. */
    networkChanged() {
      link?.networkChanged();
      prove();
    },

    call: () => call,
    /** Whether the word that a call was hung up has yet to arrive. */
    owes: () => debts.any(),
  };
}

/** @typedef {ReturnType<typeof createPhone>} Phone */
