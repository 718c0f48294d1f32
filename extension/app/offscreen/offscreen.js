// The offscreen document: wires the phone to the service worker and to this machine's devices.

import { unhurried } from '../shared/insights.js';
import { accept, worker } from '../shared/messages.js';
import { createHeadset } from './headset.js';
import { createPeers } from './peers.js';
import { rehearse } from './rehearsal.js';
import { signal } from './signal.js';
import { createSwitchboard } from './switchboard.js';

const home = { id: chrome.runtime.id, base: chrome.runtime.getURL(''), matches: [] };
/** @type {chrome.runtime.Port | undefined} */
let port;
let retry = 0;
/** @type {{ microphone: import('../background/machine.js').Microphone, inputs: string[], outputs: string[] }} */
let devices = { microphone: 'unknown', inputs: [], outputs: [] };

/** A call is offered: the agent hears it. */
let ringing = false;

globalThis.fetch = unhurried(globalThis.fetch.bind(globalThis), setTimeout);
const phone = createSwitchboard({
  Device: globalThis.Twilio.Device,
  media: navigator.mediaDevices,
  signal: (sinkId, meaning) => signal(sinkId, meaning).catch(() => {}),
  peers: createPeers(window),
  report(type, payload) {
    tell(type, payload);
    showHeadset();
  },
  now: () => Date.now(),
  later: (task, ms) => setTimeout(task, ms),
  cancel: (timer) => clearTimeout(timer),
  online: () => navigator.onLine,
});

const headset = createHeadset({
  hid: /** @type {any} */ (navigator).hid,
  act: {
    // Where a call is offered, it puts the one that is up on hold, and answers.
    hook: () => (ringing ? tell('offscreen.answerPressed', {}) : phone.hangUp()),
    mute: () => phone.mute(phone.truth().call?.muted === false),
    flash() {
      const last = phone.truth().onHold.at(-1);
      if (last) phone.resume(last.callSid);
    },
  },
  now: () => Date.now(),
});

function showHeadset() {
  const { call, onHold } = phone.truth();
  headset.show({ up: call !== null, ringing, muted: call?.muted ?? false, holding: onHold.length > 0 });
}

/** @param {string} type @param {object} payload */
function tell(type, payload) {
  try {
    port?.postMessage({ type, payload });
  } catch {
    // The port has just broken: the next one starts with the whole truth.
  }
}

/** The worker may die at any time; connecting to it again is also what wakes it. */
function connect() {
  const opened = chrome.runtime.connect({ name: 'offscreen' });
  port = opened;
  opened.onMessage.addListener(hear);
  opened.onDisconnect.addListener(() => {
    if (port === opened) port = undefined;
    reconnect();
  });
  tell('offscreen.truth', { ...phone.truth(), ...devices });
  openShortcut().catch(() => {});
}

/** A way from the worker of the moment to here that does not lead through the browser; see there. */
async function openShortcut() {
  const { active } = await navigator.serviceWorker.ready;
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => phone.hangUpAll();
  active?.postMessage(null, [port2]);
}

/** The first time at once: Chromium may hold back the timers of a page that nobody sees. */
function reconnect() {
  const wait = retry;
  retry = Math.min(1_000, retry + 100);
  if (wait) setTimeout(connect, wait);
  else connect();
}

/** @param {unknown} message */
function hear(message) {
  const answer = accept(message, worker, home, 'offscreen');
  if (!answer.ok) return;
  retry = 0;
  const { type, payload } = answer.message;
  switch (type) {
    case 'offscreen.prepare':
      return phone.prepare(payload);
    case 'offscreen.takeCall':
      return phone.take(payload);
    case 'offscreen.inviteGone':
      return phone.inviteGone(payload.callSid);
    case 'offscreen.ring':
      ringing = payload.on;
      showHeadset();
      return phone.ring(ringing);
    case 'offscreen.resume':
      return phone.resume(payload.callSid);
    case 'offscreen.hangUp':
      return phone.hangUp(payload.callSid);
    case 'offscreen.mute':
      return phone.mute(payload.muted, payload.callSid);
    case 'offscreen.sendDigits':
      return phone.sendDigits(payload.digits, payload.callSid);
    case 'offscreen.chooseDevice':
      return phone.choose(payload);
    default:
      return forget();
  }
}

function forget() {
  const parting = port;
  phone.forget();
  // The hang-up is on its way; closing the document at once could cut it off.
  setTimeout(() => {
    parting?.disconnect();
    // Where the worker died before it could close this document, the next worker has to hear of it.
    if (port === parting) setTimeout(connect, 1_000);
  }, 100);
}

async function lookAtDevices() {
  const permission = await navigator.permissions.query({ name: /** @type {PermissionName} */ ('microphone') });
  permission.onchange = refresh;
  const found = (await navigator.mediaDevices.enumerateDevices()).filter(
    // Chromium lists the default twice: by its own name and as these.
    ({ kind, deviceId }) => kind !== 'videoinput' && deviceId !== 'default' && deviceId !== 'communications',
  );
  /** @param {string} kind */
  const labels = (kind) => [...new Set(found.filter((d) => d.kind === kind && d.label).map((d) => d.label))];
  const inputs = found.filter(({ kind }) => kind === 'audioinput').length;
  const microphone = permission.state === 'granted' && inputs === 0 ? 'missing' : permission.state;
  devices = { microphone, inputs: labels('audioinput'), outputs: labels('audiooutput') };
  phone.setDevices(found.map(({ kind, label, deviceId }) => ({ kind, label, deviceId })), permission.state === 'granted');
}

async function refresh() {
  await lookAtDevices();
  tell('offscreen.devicesChanged', devices);
}

navigator.mediaDevices.addEventListener('devicechange', refresh);
addEventListener('online', () => phone.networkChanged());
// Not every browser tells.
/** @type {any} */ (navigator).connection?.addEventListener('change', () => phone.networkChanged());
// Not later than the devices: a call may be waiting.
connect();
refresh();
rehearse(globalThis.Twilio.Device, window).catch(() => {});
