// Content script: carries messages between the Flex page and the service worker. It trusts neither: the page must speak as
// itself, and the worker checks everything again.

(() => {
  // Chrome puts this script into pages that load, the worker puts it into those that were open before: once is enough. The
  // page does not see this name, and an extension that was replaced has left it in a world of its own.
  const world = /** @type {{ flexvcBridge?: boolean }} */ (globalThis);
  if (world.flexvcBridge === true) return; // an element of that name would show here too
  world.flexvcBridge = true;

  /** What a page may say. The catalogue in shared/messages.js has the shapes; a test holds the two together. */
  const fromPage = new Set([
    'VOICE_CLIENT_EXTENSION_CONFIGURE',
    'VOICE_CLIENT_EXTENSION_FLEX_TOKEN',
    'VOICE_CLIENT_EXTENSION_HANGUP_CALL',
    'VOICE_CLIENT_EXTENSION_SEND_DTMF_DIGITS',
    'VOICE_CLIENT_EXTENSION_SET_MUTED',
    'VOICE_CLIENT_EXTENSION_SET_AUDIO_DEVICE',
    'VOICE_CLIENT_EXTENSION_ANSWER_CALL',
    'VOICE_CLIENT_EXTENSION_DECLINE_CALL',
    'VOICE_CLIENT_EXTENSION_LOGGED_OUT',
  ]);
  const toPage = new Set([
    'VOICE_CLIENT_EXTENSION_CONFIGURED',
    'VOICE_CLIENT_EXTENSION_CONFIG_REJECTED',
    'VOICE_CLIENT_EXTENSION_HEARTBEAT',
    'VOICE_CLIENT_EXTENSION_CALL',
    'VOICE_CLIENT_EXTENSION_CALLS',
  ]);
  /** Of what the page says while the worker is away, this much is kept. */
  const mostWaiting = 20;
  const aliveEvery = 10;
  /** So long a script without its extension waits for the next version's before it tells the page; a plugin waits no longer. */
  const successorWithin = 3_000;
  // From script to script, across the worlds of two versions of the extension. A page that sends them gains nothing: the
  // first moves only a script whose extension is gone, and what the second says a page may say anyway.
  const arrival = 'flexvc.bridge.arrival';
  const legacy = 'flexvc.bridge.legacy';

  /** @type {chrome.runtime.Port | undefined} */
  let port;
  /** @type {unknown} */
  let configuration;
  /** @type {{ type: string, payload?: unknown }[]} */
  let waiting = [];
  let heartbeats = 0;
  let retry = 0;
  let orphaned = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let farewell;

  /** @param {{ type: string, payload?: unknown }} message */
  function tellPage(message) {
    window.postMessage(message, window.location.origin);
  }

  /** The extension was reloaded, updated or removed: this script belongs to one that no longer exists. */
  function orphan() {
    if (orphaned) return;
    orphaned = true;
    port = undefined;
    waiting = [];
    farewell = setTimeout(() => {
      fallSilent();
      tellPage({ type: 'VOICE_CLIENT_EXTENSION_DISCONNECTED' });
    }, successorWithin);
  }

  function fallSilent() {
    window.removeEventListener('message', hearPage);
    window.removeEventListener('pageshow', comeBack);
  }

  /** The next version's script is here. It gets what the page would otherwise have to say again. */
  function giveWay() {
    if (chrome.runtime?.id) return;
    orphan();
    clearTimeout(farewell);
    fallSilent();
    window.removeEventListener(arrival, giveWay);
    window.dispatchEvent(new CustomEvent(legacy, { detail: configuration }));
  }

  /** Events are heard before dispatchEvent returns, so a script of the version before has given way when this has. */
  function succeed() {
    /** @param {Event} event */
    const inherit = (event) => (configuration = /** @type {CustomEvent} */ (event).detail ?? undefined);
    window.addEventListener(legacy, inherit);
    window.dispatchEvent(new CustomEvent(arrival));
    window.removeEventListener(legacy, inherit);
    window.addEventListener(arrival, giveWay);
  }

  /** The port of an extension that is replaced breaks without a word, and a page at rest says nothing that would find out. */
  function watch() {
    if (orphaned) return;
    if (!chrome.runtime?.id) return orphan();
    setTimeout(watch, 1_000);
  }

  function connect() {
    if (orphaned || port) return;
    /** @type {chrome.runtime.Port} */
    let opened;
    try {
      if (!chrome.runtime?.id) return orphan();
      opened = chrome.runtime.connect({ name: 'page' });
    } catch {
      return orphan();
    }
    port = opened;
    opened.onMessage.addListener(hearWorker);
    opened.onDisconnect.addListener(() => {
      if (port !== opened) return;
      port = undefined;
      reconnect();
    });
    if (configuration !== undefined) send({ type: 'page.resumed', payload: configuration });
    for (const message of waiting.splice(0)) send(message);
  }

  /** The first time at once: Chromium may hold back the timers of a tab that nobody sees. */
  function reconnect() {
    const wait = retry;
    retry = Math.min(1_000, retry + 100);
    if (wait) setTimeout(connect, wait);
    else connect();
  }

  /** @param {{ type: string, payload?: unknown }} message */
  function send(message) {
    try {
      if (port) return port.postMessage(message);
    } catch {
      port = undefined;
    }
    const first = waiting.length === 0;
    waiting = [...waiting, message].slice(-mostWaiting);
    if (first) reconnect();
  }

  /** @param {MessageEvent} event */
  function hearPage(event) {
    const { type, payload } = Object(event.data);
    if (typeof type !== 'string' || !fromPage.has(type)) return;
    if (event.source !== window || event.origin !== window.location.origin) return countForgery();
    if (type === 'VOICE_CLIENT_EXTENSION_CONFIGURE') configuration = payload;
    // Nobody is logged in: the next worker is not to be told otherwise.
    if (type === 'VOICE_CLIENT_EXTENSION_LOGGED_OUT') configuration = undefined;
    if (!chrome.runtime?.id) return orphan();
    send({ type, payload });
  }

  /** Not by send(): a flood of these must not push out what the page itself is waiting to say. */
  function countForgery() {
    try {
      port?.postMessage({ type: 'page.forged' });
    } catch {}
  }

  /** @param {{ type: string, payload?: unknown }} message */
  function hearWorker(message) {
    if (!toPage.has(message.type)) return;
    retry = 0;
    tellPage({ type: message.type, payload: message.payload });
    // A word from here keeps the worker alive while no voice client does.
    if (message.type === 'VOICE_CLIENT_EXTENSION_HEARTBEAT' && ++heartbeats % aliveEvery === 0) send({ type: 'page.alive' });
  }

  /** A page that returns from the back/forward cache has lost its port. @param {PageTransitionEvent} event */
  function comeBack(event) {
    if (event.persisted) connect();
  }

  succeed();
  window.addEventListener('message', hearPage);
  window.addEventListener('pageshow', comeBack);
  connect();
  watch();
})();
