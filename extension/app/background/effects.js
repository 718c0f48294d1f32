// Carries out what the machine decides. With store.js and the entry files, the only place that touches chrome.*.

import { fetchVoiceToken } from './token.js';
import { createLine } from './line.js';

/**
 * @typedef {import('./machine.js').Effect} Effect
 * @typedef {import('./line.js').Report} Report
 * @typedef {import('./store.js').Store} Store
 */

const documentPath = 'offscreen/offscreen.html';
/** So long a document may take to be made or closed before it is taken for one that hangs. */
const patience = 3_000;

/**
 * @param {{ chrome: Chrome, Device: DeviceClass, store: Store, ports: import('./ports.js').Ports,
 *   report: Report, fetch: Fetch, now: () => number }} outside
 */
export function createEffects({ chrome, Device, store, ports, report, fetch, now }) {
  const { version: appVersion, content_scripts: scripts = [] } = chrome.runtime.getManifest();
  const line = createLine({ Device, report, appVersion, parted: (callSid) => store.forgetCall(callSid) });
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */
  const timers = new Map();
  /**
   * What is to become of the document. Making and closing it takes a while: neither overtakes the other, and of what was asked
   * meanwhile the latest counts.
   */
  const due = { close: false, make: false };
  let busy = false;

  async function hasDocument() {
    const contexts = await chrome.runtime.getContexts({ contextTypes: ['OFFSCREEN_DOCUMENT'] });
    return contexts.length > 0;
  }

  async function attend() {
    if (busy) return;
    busy = true;
    while (due.close || due.make) {
      const closes = due.close;
      due[closes ? 'close' : 'make'] = false;
      await (closes ? closeDocument() : inTime(createDocument())).catch(() => {});
    }
    busy = false;
  }

  async function createDocument() {
    if (await hasDocument()) return;
    await chrome.offscreen.createDocument({
      url: documentPath,
      reasons: ['USER_MEDIA', 'WEB_RTC'],
      justification: 'Holds the phone call, so that it outlives the Flex tab.',
    });
  }

  /** Made before the first call: making it takes longer than taking the call. */
  function ensureDocument() {
    due.make = true;
    attend();
  }

  /**
   * Chrome puts content scripts into pages that load; a page that was open before gets them here. One that cannot have them,
   * as where a policy blocks the host, keeps an orphan that tells it so.
   */
  async function bridgeTabs() {
    for (const { matches = [], js = [] } of scripts) {
      const tabs = await chrome.tabs.query({ url: matches, discarded: false }).catch(() => []);
      for (const { id } of tabs) {
        if (id === undefined) continue;
        chrome.scripting.executeScript({ target: { tabId: id }, files: js, injectImmediately: true }).catch(() => {});
      }
    }
  }

  /** @param {string} type @param {unknown} [payload] */
  function tellDocument(type, payload) {
    if (!ports.toDocument({ type, payload })) ensureDocument();
  }

  async function closeDocument() {
    if (!(await hasDocument())) return;
    await ports.partFromDocument();
    await inTime(chrome.offscreen.closeDocument().catch(() => {}));
    // One that cannot be closed, or that never finishes loading, would keep the next one away for good.
    if (await hasDocument()) chrome.runtime.reload();
  }

  /** @param {Promise<unknown>} work */
  async function inTime(work) {
    await Promise.race([work, new Promise((resolve) => setTimeout(resolve, patience))]);
  }

  /** @param {string} timer */
  function clearTimer(timer) {
    clearTimeout(timers.get(timer));
    timers.delete(timer);
  }

  /** @type {Record<string, (effect: any) => unknown>} */
  const perform = {
    setTimer({ timer, ms }) {
      clearTimer(timer);
      timers.set(timer, setTimeout(() => report({ name: `${timer}Due` }), ms));
    },
    clearTimer: ({ timer }) => clearTimer(timer),

    async fetchToken({ number, url, prefix, flexToken }) {
      const answer = await fetchVoiceToken({ url, prefix, flexToken }, { fetch, now });
      const { ok, ...details } = answer;
      report({ name: ok ? 'tokenFetched' : 'tokenFetchFailed', number, ...details });
    },
    register: ({ token, edge }) => line.register(token, edge),
    updateToken: ({ token }) => line.updateToken(token),
    unregister: () => line.unregister(),
    sayGoodbye: ({ callSid }) => line.sayGoodbye(callSid),
    rejectInvite: ({ callSid }) => line.reject(callSid),

    ensureDocument,
    closeDocument() {
      Object.assign(due, { close: true, make: false });
      attend();
    },
    prepareDocument: ({ token, identity, edge, holdSeconds, chosen }) =>
      tellDocument('offscreen.prepare', { token, identity, edge, holdSeconds, appVersion, chosen }),
    takeCall: ({ callSid, connectToken, from }) => tellDocument('offscreen.takeCall', { callSid, connectToken, from }),
    inviteGone: ({ callSid }) => tellDocument('offscreen.inviteGone', { callSid }),
    ring: ({ on }) => ports.toDocument({ type: 'offscreen.ring', payload: { on } }),
    resume: ({ callSid }) => tellDocument('offscreen.resume', { callSid }),
    hangUp: ({ callSid }) => tellDocument('offscreen.hangUp', { callSid }),
    mute: ({ muted, callSid }) => tellDocument('offscreen.mute', { muted, callSid }),
    sendDigits: ({ digits, callSid }) => tellDocument('offscreen.sendDigits', { digits, callSid }),
    chooseDevice: ({ kind, label }) => ports.toDocument({ type: 'offscreen.chooseDevice', payload: { kind, label } }),

    rememberConsents: ({ consents }) => store.rememberConsents(consents),
    rememberDevices: ({ chosen }) => store.rememberDevices(chosen),
    answerPage: ({ page, type, payload }) => ports.toPage(page, { type, payload: payload ?? ports.introduction(type) }),
    bridgeTabs,
    reconnectPages: () => ports.dropPages(),
    openConsent: () => chrome.tabs.create({ url: chrome.runtime.getURL('popup/popup.html') }),
    openWelcome: () => chrome.tabs.create({ url: chrome.runtime.getURL('welcome/welcome.html') }),
    reloadExtension: () => chrome.runtime.reload(),
  };

  return {
    hasDocument,
    /** Whether the document that is there, or is being made, is to go: nothing may be given to it. */
    isClosing: () => due.close,
    proveLine: () => line.prove(),
    /** The Flex tab that somebody looked at last. @returns {Promise<number | undefined>} */
    async latestTab() {
      const tabs = await chrome.tabs.query({ url: scripts.flatMap(({ matches = [] }) => matches) }).catch(() => []);
      return tabs.sort((a, b) => (b.lastAccessed ?? 0) - (a.lastAccessed ?? 0))[0]?.id;
    },
    /** @param {Effect} effect */
    perform(effect) {
      const action = perform[effect.do];
      if (!action) throw new Error(`no such effect: ${effect.do}`);
      return action(effect);
    },
  };
}
