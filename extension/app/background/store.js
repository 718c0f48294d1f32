// What outlives the service worker. The snapshot, tokens included, is in storage.session: memory that only this extension
// reads and that ends with the browser or an update, so a snapshot of another version is dropped, not migrated. Only the
// names of the chosen audio devices, which account may use which token server, and the SIDs of the calls that are up are in
// storage.local.

import { call, callState, initial, line } from './machine.js';

/**
 * @typedef {import('./machine.js').State} State
 * @typedef {import('./machine.js').Chosen} Chosen
 * @typedef {import('./machine.js').Policy} Policy
 */

/** Raise it whenever State changes shape. */
export const snapshotVersion = 3;

/** @param {State} state */
export function toSnapshot(state) {
  // Ports do not survive the worker; the pages come back by themselves.
  return { version: snapshotVersion, state: { ...state, pages: {} } };
}

/** @param {unknown} stored @returns {State} */
export function fromSnapshot(stored) {
  const snapshot = /** @type {{ version?: unknown, state?: State } | undefined} */ (stored);
  if (snapshot?.version !== snapshotVersion || typeof snapshot.state !== 'object') return initial();
  const state = { ...initial(), ...snapshot.state };
  // One that nobody knows could decide nothing, and the phone would be dead until the browser is restarted.
  return Object.hasOwn(line, state.line) && Object.hasOwn(call, callState(state)) ? state : initial();
}

/** @param {unknown} stored @param {Policy} policy @returns {Chosen} */
export function chosenDevices(stored, policy) {
  const own = /** @type {Partial<Record<keyof Chosen, unknown>> | undefined} */ (stored) ?? {};
  /** @type {(value: unknown, fallback: string | undefined) => string} */
  const pick = (value, fallback) => (typeof value === 'string' ? value : (fallback ?? ''));
  return {
    input: pick(own.input, policy.inputDevice),
    output: pick(own.output, policy.outputDevice),
    ringtone: pick(own.ringtone, policy.ringtoneDevice),
  };
}

const patience = 2_000;
/** Of those that are up: what was never heard of again must not pile up. */
const mostCalls = 10;

/**
 * A storage that cannot be opened, or does not answer, is empty: the phone works without what it remembers.
 * @param {Promise<Record<string, any>>} reading
 * @returns {Promise<Record<string, any>>}
 */
async function inTime(reading) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((/** @type {(value: Record<string, any>) => void} */ resolve) => (timer = setTimeout(() => resolve({}), patience)));
  try {
    return await Promise.race([reading, late]);
  } catch {
    return {};
  } finally {
    clearTimeout(timer);
  }
}

/** @param {unknown} stored @returns {string[]} */
const texts = (stored) => (Array.isArray(stored) ? stored.filter((text) => typeof text === 'string') : []);

/** @param {ChromeStorage} storage */
export function createStore(storage) {
  /** @type {Promise<unknown>} */
  let writing = Promise.resolve();
  /** @type {string[]} */
  let calls = [];

  /** @param {string[]} kept */
  function keepCalls(kept) {
    calls = kept;
    return storage.local.set({ calls }).catch(() => {});
  }

  return {
    /**
     * @returns {Promise<{ state: State, first: boolean, orphans: string[] }>}  the state as it was, with today's policy and
     *   devices; first: no worker has run before since this extension was installed, updated or switched on, or since the browser
     *   was started; orphans: the calls that were up when the life before ended
     */
    async load() {
      const [session, local, managed] = await Promise.all([
        inTime(storage.session.get('snapshot')),
        inTime(storage.local.get(null)),
        readPolicy(storage),
      ]);
      const state = fromSnapshot(session['snapshot']);
      const chosen = chosenDevices(local['devices'], managed);
      return {
        state: { ...state, consents: texts(local['consents']), policy: managed, devices: { ...state.devices, chosen } },
        first: session['snapshot'] === undefined,
        orphans: (calls = texts(local['calls'])),
      };
    },

    /** Writes in order: a slow older write must not land on a newer one. @param {State} state */
    save(state) {
      writing = writing.then(() => storage.session.set({ snapshot: toSnapshot(state) })).catch(() => {});
      return writing;
    },

    /** @param {Chosen} chosen */
    rememberDevices: (chosen) => storage.local.set({ devices: chosen }).catch(() => {}),

    /** @param {string[]} consents */
    rememberConsents: (consents) => storage.local.set({ consents }).catch(() => {}),

    /** Outlives this extension, so that its next life can hang up. @param {string} callSid */
    rememberCall: (callSid) => keepCalls([...calls, callSid].slice(-mostCalls)),

    /** @param {string} callSid */
    forgetCall: (callSid) => keepCalls(calls.filter((other) => other !== callSid)),

    policy: () => readPolicy(storage),
  };
}

/** @typedef {ReturnType<typeof createStore>} Store */

/** @param {ChromeStorage} storage @returns {Promise<Policy>} */
async function readPolicy(storage) {
  // Some Chromium builds reject instead of answering {} where no policy store exists.
  // However long it takes: without the administrator's list a Flex token could go anywhere.
  const managed = await storage.managed.get(null).catch(() => ({}));
  return /** @type {Policy} */ (managed);
}
