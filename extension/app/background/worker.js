// The service worker: listeners, all registered before the first await, as Chromium demands of a worker that is to be
// woken by them. What they mean is in machine.js.

import '../vendor/twilio.min.js';
import { unhurried } from '../shared/insights.js';
import { accept, partyOf } from '../shared/messages.js';
import { createDesk } from './desk.js';
import { createEffects } from './effects.js';
import { createPorts } from './ports.js';
import { createStore } from './store.js';
import { watchWindows } from './windows.js';

/** @typedef {import('../shared/messages.js').Message} Message */

const manifest = chrome.runtime.getManifest();
const home = {
  id: chrome.runtime.id,
  base: chrome.runtime.getURL(''),
  matches: (manifest.content_scripts ?? []).flatMap((script) => script.matches ?? []),
};

globalThis.fetch = unhurried(globalThis.fetch.bind(globalThis), setTimeout);
const store = createStore(chrome.storage);
const ports = createPorts(manifest.version);
const effects = createEffects({
  chrome,
  Device: globalThis.Twilio.Device,
  store,
  ports,
  report: (happening) => desk.report(happening),
  fetch: (input, init) => fetch(input, init),
  now: () => Date.now(),
});
const desk = createDesk({
  store,
  ports,
  now: () => Date.now(),
  luck: () => Math.random(),
  extensionVersion: manifest.version,
  paint(icon) {
    const path = { 16: `/icons/${icon}-16.png`, 32: `/icons/${icon}-32.png` };
    Promise.resolve(chrome.action.setIcon({ path })).catch(() => {});
    chrome.action.setTitle({ title: chrome.i18n.getMessage(`icon_${icon}`) });
  },
  perform: (effect) => effects.perform(effect),
});

chrome.runtime.onConnect.addListener((port) => {
  const party = partyOf(port.sender, home);
  if (party === 'page' && port.name === 'page') connectPage(port);
  else if (party === 'offscreen' && port.name === 'offscreen') connectDocument(port);
  else if (party === 'popup' && port.name === 'popup') connectPopup(port);
  else {
    desk.report({ name: 'messageRefused', refusal: 'wrong_sender' });
    port.disconnect();
  }
});

chrome.runtime.onMessage.addListener((message, sender, reply) => {
  const answer = accept(message, sender, home, 'worker');
  if (answer.ok && answer.from === 'popup') {
    if (answer.message.type === 'popup.restart') effects.latestTab().then((tab) => desk.report({ name: 'restartAsked', tab }));
    else desk.report(fromPopup(answer.message));
    reply({ ok: true });
  } else {
    const refusal = answer.ok ? 'wrong_sender' : answer.refusal;
    desk.report({ name: 'messageRefused', refusal });
    reply({ ok: false, error: refusal });
  }
});

chrome.runtime.onUpdateAvailable.addListener(({ version }) => desk.report({ name: 'updateFound', version }));
// Waking is all these have to do: the icon gets painted, and open Flex tabs get the content script.
chrome.runtime.onStartup.addListener(() => {});
chrome.runtime.onInstalled.addListener(() => {});
chrome.storage.onChanged.addListener(async (_changes, area) => {
  if (area === 'managed') desk.report({ name: 'policyChanged', policy: await store.policy() });
});
/** Straight to the document: by way of the browser a word would come too late, as it is the browser that ends. @type {MessagePort | undefined} */
let shortcut;
self.addEventListener('message', ({ source, ports: [straight] }) => {
  if (/** @type {{ url?: string } | null} */ (source)?.url === chrome.runtime.getURL('offscreen/offscreen.html')) shortcut = straight;
});
watchWindows(chrome, () => {
  shortcut?.postMessage('browserClosing');
  desk.report({ name: 'browserClosing' });
});
self.addEventListener('online', () => {
  desk.report({ name: 'networkReturned' });
  effects.proveLine();
});
// Another network: what is open may be dead. Not every browser tells.
/** @type {any} */ (globalThis.navigator)?.connection?.addEventListener('change', () => effects.proveLine());

setInterval(() => desk.tick(), 1000);
const ready = desk.wake(effects.hasDocument);

/** @param {chrome.runtime.Port} port */
function connectPage(port) {
  const page = ports.addPage(port);
  desk.report({ name: 'pageConnected', page, tab: port.sender?.tab?.id });
  port.onDisconnect.addListener(() => {
    ports.removePage(page);
    desk.report({ name: 'pageClosed', page });
  });
  port.onMessage.addListener((message) => {
    const answer = accept(message, port.sender, home, 'worker');
    if (answer.ok) {
      const happening = fromPage(answer.message);
      if (happening) desk.report({ ...happening, page });
      return;
    }
    desk.report({ name: 'messageRefused', refusal: answer.refusal });
    if (answer.type === 'VOICE_CLIENT_EXTENSION_CONFIGURE') desk.report({ name: 'pageMisconfigured', page });
  });
}

/** @param {Message} message */
function fromPage({ type, payload }) {
  switch (type) {
    case 'VOICE_CLIENT_EXTENSION_CONFIGURE':
    case 'page.resumed':
      return {
        name: 'pageConfigured',
        resumed: type === 'page.resumed',
        account: payload.accountSid,
        tokenURL: payload.voiceClientTokenGeneratorUrl,
        prefix: payload.extensionVoiceClientPrefix ?? '',
        pluginVersion: payload.pluginVersion,
        session: payload.sessionIdentifier,
        worker: payload.workerIdentity,
      };
    case 'VOICE_CLIENT_EXTENSION_FLEX_TOKEN': {
      const expiresAt = new Date(payload.expiration ?? NaN).getTime();
      const { token, accountSid } = payload;
      return { name: 'flexTokenGiven', token, account: accountSid, expiresAt: Number.isNaN(expiresAt) ? null : expiresAt };
    }
    case 'VOICE_CLIENT_EXTENSION_HANGUP_CALL':
      return { name: 'hangUpAsked', callSid: payload?.callSid };
    case 'VOICE_CLIENT_EXTENSION_SEND_DTMF_DIGITS':
      return { name: 'digitsAsked', digits: payload.digits, callSid: payload.callSid };
    case 'VOICE_CLIENT_EXTENSION_SET_MUTED':
      return { name: 'muteAsked', muted: payload.muted, callSid: payload.callSid };
    case 'VOICE_CLIENT_EXTENSION_ANSWER_CALL':
      return { name: 'answerAsked', callSid: payload.callSid };
    case 'VOICE_CLIENT_EXTENSION_DECLINE_CALL':
      return { name: 'declineAsked', callSid: payload.callSid };
    case 'VOICE_CLIENT_EXTENSION_SET_AUDIO_DEVICE':
      return { name: 'deviceAsked', kind: payload.kind, label: payload.label };
    case 'VOICE_CLIENT_EXTENSION_LOGGED_OUT':
      return { name: 'loggedOut', account: payload?.accountSid };
    case 'page.forged':
      return { name: 'messageRefused', refusal: 'wrong_sender' };
    default:
      // page.alive: that it came is what keeps this worker alive.
      return undefined;
  }
}

/** @param {Message} message */
function fromPopup({ type, payload }) {
  switch (type) {
    case 'popup.hangUp':
      return { name: 'hangUpAsked', callSid: payload?.callSid };
    case 'popup.mute':
      return { name: 'muteAsked', muted: payload.muted, callSid: payload.callSid };
    case 'popup.sendDigits':
      return { name: 'digitsAsked', digits: payload.digits, callSid: payload.callSid };
    case 'popup.answer':
      return { name: 'answerAsked', callSid: payload.callSid };
    case 'popup.decline':
      return { name: 'declineAsked', callSid: payload.callSid };
    case 'popup.chooseDevice':
      return { name: 'deviceAsked', kind: payload.kind, label: payload.label };
    case 'popup.retry':
      // What would happen by itself, now.
      return { name: payload.what === 'token' ? 'refreshDue' : 'networkReturned' };
    case 'popup.consent':
      return { name: 'consentGiven', key: payload.key };
    default:
      return { name: 'welcomeAsked' };
  }
}

/** @param {chrome.runtime.Port} port */
function connectDocument(port) {
  // It is to go, and comes back until it is gone.
  if (effects.isClosing()) return port.disconnect();
  ports.setDocument(port);
  port.onDisconnect.addListener(async () => {
    // It reconnects when only this port broke; gone it is when Chromium says so.
    if (ports.removeDocument(port) === 'left' && !(await effects.hasDocument())) desk.report({ name: 'documentGone' });
  });
  port.onMessage.addListener((message) => {
    const answer = accept(message, port.sender, home, 'worker');
    if (!answer.ok) return desk.report({ name: 'messageRefused', refusal: answer.refusal });
    const { type, payload } = answer.message;
    if (type === 'offscreen.callChanged') return desk.report({ name: 'callChanged', ...payload });
    if (type === 'offscreen.callEnded') return desk.report({ name: 'callEnded', ...payload });
    if (type === 'offscreen.answerPressed') return desk.report({ name: 'answerAsked' });
    const { call, onHold, ended, ...devices } = payload;
    if (type === 'offscreen.truth') desk.report({ name: 'documentConnected', call, onHold, ended });
    return desk.report({ name: 'devicesChanged', devices });
  });
}

/** @param {chrome.runtime.Port} port */
function connectPopup(port) {
  port.onDisconnect.addListener(() => ports.removePopup(port));
  ready.then(() => desk.welcomePopup(port));
}
