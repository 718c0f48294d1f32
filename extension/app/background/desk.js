// Events in, effects and views out. Holds the state while the worker lives; wake() brings it back after it died.

import { heldCalls, initial, reduce } from './machine.js';
import { callForPage, callsForPage, forPopup, heartbeat, icon } from './view.js';

/**
 * @typedef {import('./machine.js').State} State
 * @typedef {{ name: string } & Record<string, any>} Happening  an event before it is stamped
 */

/**
 * @param {{ store: import('./store.js').Store, ports: import('./ports.js').Ports, now: () => number,
 *   luck: () => number, extensionVersion: string, paint: (icon: import('./view.js').Icon) => void,
 *   perform: (effect: import('./machine.js').Effect) => unknown }} outside
 */
export function createDesk({ store, ports, now, luck, extensionVersion, paint, perform }) {
  let state = initial();
  let awake = false;
  /** @type {Happening[]} */
  let early = [];
  const seen = { call: 'null', calls: '', heartbeat: '', popup: '', icon: '' };

  /** @param {Happening} happening */
  function report(happening) {
    if (!awake) early.push(happening);
    else step(happening);
  }

  /** @param {Happening} happening */
  function step(happening) {
    const { state: after, effects } = reduce(state, { ...happening, at: now(), luck: luck() });
    const before = state;
    state = after;
    // The call first: saving and showing can wait, the caller should not.
    for (const effect of effects) perform(effect);
    if (state !== before) store.save(state);
    rememberCalls(heldCalls(before), heldCalls(state), effects);
    show();
    welcomePages(before);
  }

  /**
   * One that was lost is remembered until it has been hung up.
   * @param {string[]} before
   * @param {string[]} after
   * @param {import('./machine.js').Effect[]} effects
   */
  function rememberCalls(before, after, effects) {
    for (const callSid of after) if (!before.includes(callSid)) store.rememberCall(callSid);
    const lost = new Set(effects.filter((effect) => effect.do === 'sayGoodbye').map((effect) => effect['callSid']));
    for (const callSid of before) if (!after.includes(callSid) && !lost.has(callSid)) store.forgetCall(callSid);
  }

  /** A page that was just accepted learns at once of a call that is already up. @param {State} before */
  function welcomePages(before) {
    for (const [page, { standing }] of Object.entries(state.pages)) {
      if (standing !== 'accepted' || before.pages[page]?.standing === 'accepted') continue;
      ports.toPage(page, { type: 'VOICE_CLIENT_EXTENSION_HEARTBEAT', payload: heartbeat(state, extensionVersion) });
    }
  }

  function show() {
    // All of them first: in CALL alone, a call that is put on hold for another looks ended.
    const calls = JSON.stringify(callsForPage(state));
    if (calls !== seen.calls) toAcceptedPages('VOICE_CLIENT_EXTENSION_CALLS', callsForPage(state));
    const call = JSON.stringify(callForPage(state));
    if (call !== seen.call) toAcceptedPages('VOICE_CLIENT_EXTENSION_CALL', callForPage(state));
    const beat = JSON.stringify(heartbeat(state, extensionVersion));
    if (beat !== seen.heartbeat) tick();
    const shown = icon(state);
    if (shown !== seen.icon) paint(shown);
    if (ports.hasPopups()) {
      const view = JSON.stringify(forPopup(state, extensionVersion));
      if (view !== seen.popup) ports.toPopups(JSON.parse(view));
      seen.popup = view;
    }
    Object.assign(seen, { call, calls, heartbeat: beat, icon: shown });
  }

  /** @param {string} type @param {unknown} payload */
  function toAcceptedPages(type, payload) {
    for (const [page, { standing }] of Object.entries(state.pages)) {
      if (standing === 'accepted') ports.toPage(page, { type, payload });
    }
  }

  /** One heartbeat to each page of our account. */
  function tick() {
    toAcceptedPages('VOICE_CLIENT_EXTENSION_HEARTBEAT', heartbeat(state, extensionVersion));
  }

  return {
    report,
    tick,

    /** @param {chrome.runtime.Port} port */
    welcomePopup(port) {
      ports.addPopup(port);
      seen.popup = JSON.stringify(forPopup(state, extensionVersion));
      port.postMessage({ type: 'popup.view', payload: JSON.parse(seen.popup) });
    },

    /**
     * Loads what was, says whether the offscreen document is there, then lets in what happened meanwhile.
     * @param {() => Promise<boolean>} hasDocument
     */
    async wake(hasDocument) {
      const [{ state: loaded, first, orphans }, document] = await Promise.all([store.load(), hasDocument()]);
      state = loaded;
      awake = true;
      step({ name: 'workerStarted', document });
      for (const happening of early.splice(0)) step(happening);
      if (first) step({ name: 'lifeBegan', orphans: document ? [] : orphans });
    },
  };
}
