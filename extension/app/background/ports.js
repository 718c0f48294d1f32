// The open ports: one per Flex page, one per open popup, one to the offscreen document.

import { protocol } from './view.js';

/** @typedef {{ type: string, payload?: any }} Outgoing */

/**
 * @param {string} extensionVersion
 */
export function createPorts(extensionVersion) {
  /** @type {Map<string, chrome.runtime.Port>} */
  const pages = new Map();
  /** @type {Set<chrome.runtime.Port>} */
  const popups = new Set();
  /** @type {chrome.runtime.Port | undefined} */
  let document;
  /** Messages for a document that is being made. @type {Outgoing[]} */
  let waiting = [];
  /** @type {(() => void) | undefined} */
  let parted;
  let opened = 0;

  /** A port may break between two lines of code; its onDisconnect tells. @param {chrome.runtime.Port} port @param {Outgoing} message */
  function post(port, message) {
    try {
      port.postMessage(message);
    } catch {}
  }

  return {
    /** @param {chrome.runtime.Port} port @returns {string} the page's name from now on */
    addPage(port) {
      const page = `page${++opened}`;
      pages.set(page, port);
      return page;
    },
    /** @param {string} page */
    removePage: (page) => pages.delete(page),
    /** @param {string} page @param {Outgoing} message */
    toPage(page, message) {
      const port = pages.get(page);
      if (port) post(port, message);
    },
    /** The pages come back by themselves and say again who they are. */
    dropPages() {
      for (const port of pages.values()) port.disconnect();
      pages.clear();
    },

    /** @param {chrome.runtime.Port} port */
    addPopup: (port) => popups.add(port),
    /** @param {chrome.runtime.Port} port */
    removePopup: (port) => popups.delete(port),
    /** @param {unknown} view */
    toPopups(view) {
      for (const port of popups) post(port, { type: 'popup.view', payload: view });
    },
    hasPopups: () => popups.size > 0,

    /** @param {chrome.runtime.Port} port */
    setDocument(port) {
      document = port;
      for (const message of waiting.splice(0)) post(port, message);
    },
    /** @param {chrome.runtime.Port} port @returns {'left' | 'sent away' | 'another is here'} */
    removeDocument(port) {
      if (document !== port) return 'another is here';
      document = undefined;
      if (!parted) return 'left';
      parted();
      return 'sent away';
    },
    /** @param {Outgoing} message @returns {boolean} false when it waits for the document to be made */
    toDocument(message) {
      if (document) {
        post(document, message);
        return true;
      }
      // Of what only repeats itself, the latest counts.
      waiting = [...waiting.filter((other) => other.type !== message.type || other.payload?.callSid !== message.payload?.callSid), message];
      return false;
    },
    /** Resolves once the document has hung up and let go. */
    async partFromDocument() {
      waiting = [];
      if (!document) return;
      const gone = new Promise((/** @type {(value?: unknown) => void} */ resolve) => (parted = resolve));
      post(document, { type: 'offscreen.forget' });
      // A document that does not answer must not stand in the way of a restart.
      await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, 2_000))]);
      parted = undefined;
      document = undefined;
    },

    /** What CONFIGURED tells the plugin. @param {string} type */
    introduction: (type) =>
      type === 'VOICE_CLIENT_EXTENSION_CONFIGURED' ? { protocol, extensionVersion } : undefined,
  };
}

/** @typedef {ReturnType<typeof createPorts>} Ports */
