// What steps of both tables are made of: a step is a state and the effects that lead to it.

/**
 * @typedef {import('./machine.js').State} State
 * @typedef {import('./machine.js').Event} Event
 * @typedef {import('./machine.js').Effect} Effect
 * @typedef {import('./machine.js').Step} Step
 * @typedef {import('./machine.js').Handler} Handler
 */

/** A page that comes back within this time is the one that was there before. */
export const reloadsWithin = 10_000;

/** So long the phone stays registered without a Flex page, unless the policy says otherwise. */
const leaveAfter = 60_000;

/** roaming is Twilio's nearest edge; the others are for when that one, or its name, is out of order. */
const defaultEdges = ['roaming', 'ashburn', 'dublin', 'singapore'];

// Steps -------------------------------------------------------------------------------------------------------

/** @type {(s: State, patch?: Partial<State>, ...effects: Effect[]) => Step} */
export const next = (s, patch = {}, ...effects) => ({ state: { ...s, ...patch }, effects });

/** @type {Handler} */
export const ignore = (s) => next(s);

/** The events a state lets pass. @type {(...names: string[]) => Record<string, Handler>} */
export const ignoring = (...names) => Object.fromEntries(names.map((name) => [name, ignore]));

/** Runs a second step on the result of the first. @type {(first: Step, then: (s: State) => Step) => Step} */
export const chain = (first, then) => {
  const second = then(first.state);
  return { state: second.state, effects: [...first.effects, ...second.effects] };
};

// Pages -------------------------------------------------------------------------------------------------------

/** @type {(s: State) => string[]} */
export const acceptedPages = (s) => Object.keys(s.pages).filter((page) => s.pages[page]?.standing === 'accepted');

/** A person at the popup, or the page of the account we serve. @type {(s: State, e: Event) => boolean} */
export const mayCommand = (s, e) => e.page === undefined || s.pages[e.page]?.standing === 'accepted';

/** When pages go, another one with the same settings holds, or the place is kept for a while. @type {(s: State, at: number) => State} */
export const passOn = (s, at) => {
  if (!s.holder || s.holder.until !== null) return s;
  const tabs = acceptedPages(s).map((page) => s.pages[page]?.tab ?? null);
  if (tabs.includes(s.holder.tab)) return s;
  const holder = tabs.length > 0 ? { tab: tabs[0] ?? null, until: null } : { ...s.holder, until: at + reloadsWithin };
  return { ...s, holder };
};

/** Without a page nobody is there to take a call; a reload is over long before. @type {(s: State) => Effect[]} */
export const leaveLater = (s) =>
  s.line === 'unconfigured' || s.call || acceptedPages(s).length > 0
    ? []
    : [{ do: 'setTimer', timer: 'leave', ms: (s.policy.leaveAfterSeconds ?? leaveAfter / 1000) * 1000 }];

// The document ------------------------------------------------------------------------------------------------

/**
 * One edge at a time. The SDK takes a list too, but then waits one to five seconds before every reconnection.
 * @type {(s: State) => string}
 */
export const edgeOf = (s) => {
  const edges = s.policy.edges?.length ? s.policy.edges : defaultEdges;
  return edges[s.edge % edges.length] ?? 'roaming';
};

/** @type {(s: State) => Step} */
export const makeDocument = (s) =>
  s.document === 'ready' ? next(s) : next(s, { document: 'starting' }, { do: 'ensureDocument' });

/** Twilio grants no more than 30 s. @type {(s: State) => number} */
export const holdSeconds = ({ policy }) => Math.min(30, Math.max(0, policy.holdSeconds ?? 30));

/** @type {(s: State) => Effect} */
export const prepareDocument = (s) => ({
  do: 'prepareDocument',
  token: s.voiceToken?.token,
  identity: s.voiceToken?.identity,
  edge: edgeOf(s),
  holdSeconds: holdSeconds(s),
  chosen: s.devices.chosen,
});

/** The document has a voice client with a token of its own. @type {(s: State) => Step} */
export const closeWhenIdle = (s) =>
  s.line === 'unconfigured' && !s.call && s.document !== 'none' ? next(s, { document: 'none' }, { do: 'closeDocument' }) : next(s);
