// What the extension does when something happens: reduce(state, event) -> { state, effects }. Pure; effects are data that
// effects.js carries out.
//
// Two things move on their own. The line is the voice client in this worker, on which calls arrive; the call is up or it
// is not, in the offscreen document. Each has a table, the line's here and the call's in calls.js, and each table decides every
// (state, event) pair: `ignore` is a decision, a missing entry is a bug that a test finds.

import { call, callState, heldCalls, isRinging, keepAnswered, unheard } from './calls.js';
import { untilNextFetch } from './schedule.js';
import { acceptedPages, chain, closeWhenIdle, edgeOf, ignore, ignoring, leaveLater, makeDocument, mayCommand, next, passOn, prepareDocument, reloadsWithin } from './steps.js';

export { call, callState, heldCalls };

/**
 * @typedef {'unconfigured' | 'wanting' | 'fetching' | 'registering' | 'registered' | 'offline'} LineState
 *   unconfigured: no plugin has spoken. wanting: a Flex token is needed. fetching: no usable voice token yet.
 *   registering, registered: as it says. offline: was registered; the SDK is reconnecting.
 * @typedef {'connecting' | 'open' | 'reconnecting'} CallStatus
 * @typedef {'none' | CallStatus} CallState
 * @typedef {{ level: 'good' | 'fair' | 'poor', mos: number | null, rttMs: number | null, jitterMs: number | null,
 *   lossPercent: number | null }} Quality
 * @typedef {{ callSid: string, from: string, status: CallStatus, muted: boolean, direction: 'inbound',
 *   startedAt: number | null, quality: Quality | null }} Call  startedAt in milliseconds since the epoch
 * @typedef {{ callSid: string, connectToken: string, from: string, at: number }} Invite  connectToken: lets the document take the
 *   call; at: when it came
 * @typedef {Invite & { unheard: boolean }} Offer  unheard: the line on which it rang is gone, so nobody would tell of its end
 * @typedef {{ callSid: string, reason: string }} End
 * @typedef {'granted' | 'prompt' | 'denied' | 'missing' | 'unknown'} Microphone
 * @typedef {{ input: string, output: string, ringtone: string }} Chosen  labels; empty for the system's default
 * @typedef {{ microphone: Microphone, inputs: string[], outputs: string[], chosen: Chosen }} Devices
 * @typedef {{ account?: string, tokenURLs?: string[], edges?: string[], leaveAfterSeconds?: number, holdSeconds?: number, inputDevice?: string, outputDevice?: string,
 *   ringtoneDevice?: string }} Policy  what the administrator set in storage.managed
 * @typedef {'other_account' | 'url_not_allowed' | 'bad_config'} Rejection
 * @typedef {{ standing: 'new' | 'accepted' | 'rejected', pluginVersion: string | null, reason: Rejection | null, tab: number | null, early?: Event }} Page
 *   early: what it said before the tab that the agent has chosen
 * @typedef {'flex_token_refused' | 'token_server_unreachable' | 'token_server_error' | 'token_server_nonsense' |
 *   'voice_token_refused' | 'signalling_lost'} LineProblem
 * @typedef {{ token: string, expiresAt: number | null, refused: boolean }} FlexToken  refused: by the token server
 * @typedef {{ token: string, identity: string, issuedAt: number, expiresAt: number }} VoiceToken
 *
 * @typedef {object} State
 * @property {LineState} line
 * @property {{ account: string, tokenURL: string, prefix: string, worker: string | null } | null} config  worker: the agent's name in
 *   Flex, where the plugin tells
 * @property {{ tab: number | null, until: number | null } | null} holder  the tab whose page may change the configuration; until: when
 *   that ends, while the page is away
 * @property {string[]} consents  accounts and token servers that the agent has agreed to
 * @property {boolean} consentAsked  in this life of the configuration
 * @property {FlexToken | null} flexToken
 * @property {VoiceToken | null} voiceToken
 * @property {string | null} identity  of the last registration; pages may tell Flex to ring it
 * @property {{ number: number, failures: number }} fetch  number of the latest fetch: answers to older ones are stale
 * @property {number} refusals  voice tokens Twilio refused in a row
 * @property {number} revivals  since the line was registered
 * @property {number} edge  how often the line moved on to the next edge
 * @property {LineProblem | null} problem
 * @property {import('./token.js').Refusal | null} refusal  what the token server said last, if it refused
 * @property {Record<string, Page>} pages  open Flex pages by port; not part of the snapshot
 * @property {'none' | 'starting' | 'ready'} document  the offscreen document; ready when it can be told things
 * @property {Call | null} call  the one the agent speaks in
 * @property {Call[]} onHold  all others, the latest to be put on hold last; without a call there is none
 * @property {Invite | null} invite  of the call, while it may still ring
 * @property {string[]} hungUp  SIDs of calls that the agent has ended: the document may not have heard it
 * @property {Offer[]} offers  calls that ring until the agent answers or declines them
 * @property {Invite[]} held  calls that another session of Flex has accepted, and not yet answered
 * @property {string[]} sessions  Flex's own names for the latest pages of this browser, the newest first
 * @property {string | null} lastEnd  why the last call ended
 * @property {Devices} devices
 * @property {Policy} policy
 * @property {boolean} welcomed  the welcome page was shown in this browser session
 * @property {string | null} update  a version that waits for the end of the call
 * @property {number | null} loggedOut  mark of the Flex token of a session that has ended: it is not taken again
 * @property {Record<string, number>} refused  messages turned away, by reason
 *
 * @typedef {{ name: string, at: number, luck: number } & Record<string, any>} Event  at: milliseconds since the epoch;
 *   luck: random number in [0, 1)
 * @typedef {{ do: string } & Record<string, any>} Effect
 * @typedef {{ state: State, effects: Effect[] }} Step
 * @typedef {(s: State, e: Event) => Step} Handler
 */

/** @returns {State} */
export const initial = () => ({
  line: 'unconfigured',
  config: null,
  holder: null,
  consents: [],
  consentAsked: false,
  flexToken: null,
  voiceToken: null,
  identity: null,
  fetch: { number: 0, failures: 0 },
  refusals: 0,
  revivals: 0,
  edge: 0,
  problem: null,
  refusal: null,
  pages: {},
  document: 'none',
  call: null,
  onHold: [],
  invite: null,
  hungUp: [],
  offers: [],
  held: [],
  sessions: [],
  lastEnd: null,
  devices: { microphone: 'unknown', inputs: [], outputs: [], chosen: { input: '', output: '', ringtone: '' } },
  policy: {},
  welcomed: false,
  update: null,
  loggedOut: null,
  refused: {},
});

/** The longest wait for a token while a call is reconnecting. */
const hurriedRetry = 4_000;

/** Refusals of the voice token in a row, two seconds apart, after which it is tried less and less often. */
const patientAfter = 8;

/** How long a registration may hang before the voice client is made anew, at the next edge: at first, and at most. */
const reviveAfter = 3_000;
const reviveAfterAtMost = 20_000;

// Building steps -----------------------------------------------------------------------------------------------

/** @type {(s: State, e: Event, retryAfterMs?: number) => Effect} */
const fetchLater = (s, e, retryAfterMs) => {
  const ms = untilNextFetch(s.voiceToken, { at: e.at, luck: e.luck, failures: s.fetch.failures, retryAfterMs });
  // A call that reconnects needs a token that holds; how long the server itself asks for still counts.
  const hurried = s.fetch.failures > 0 && !retryAfterMs && s.call?.status === 'reconnecting';
  return { do: 'setTimer', timer: 'refresh', ms: hurried ? Math.min(hurriedRetry, ms) : ms };
};

/** A network that is only slow gets more time each time. @type {(s: State) => Effect} */
const reviveLater = (s) => ({ do: 'setTimer', timer: 'revive', ms: Math.min(reviveAfterAtMost, reviveAfter * 2 ** s.revivals) });

/** What an agent agrees to: this account's Flex token may go to that server. @type {(config: NonNullable<State['config']>) => string} */
const consentKey = ({ account, tokenURL }) => `${account} ${new URL(tokenURL).origin}`;

/**
 * Whether the agent has to agree first. An administrator's list speaks for them, and what stays on this machine leaves nothing.
 * @param {State} s
 * @returns {{ key: string, account: string, host: string } | null}
 */
export function consentNeeded(s) {
  if (!s.config || s.policy.tokenURLs) return null;
  const url = new URL(s.config.tokenURL);
  const key = consentKey(s.config);
  return isLoopback(url) || s.consents.includes(key) ? null : { key, account: s.config.account, host: url.host };
}

/** @type {(s: State) => Effect[]} */
const askPages = (s) => (consentNeeded(s) ? [] : acceptedPages(s).map(askPage));

/** A plugin answers CONFIGURED with its current Flex token, so saying it again asks for a new one. @type {(page: string) => Effect} */
const askPage = (page) => ({ do: 'answerPage', page, type: 'VOICE_CLIENT_EXTENSION_CONFIGURED' });

/**
 * Tells two tokens apart, and nothing about either.
 * @param {string} token
 */
export function markOf(token) {
  let mark = 0x811c9dc5;
  for (let i = 0; i < token.length; i++) mark = Math.imul(mark ^ token.charCodeAt(i), 0x01000193);
  return mark >>> 0;
}

// Line: shared moves -------------------------------------------------------------------------------------------

/** @type {(s: State, patch?: Partial<State>) => Step} */
const fetchNow = (s, patch = {}) => {
  const state = { ...s, ...patch, fetch: { ...s.fetch, number: s.fetch.number + 1 } };
  return next(state, {}, {
    do: 'fetchToken',
    number: state.fetch.number,
    url: state.config?.tokenURL,
    prefix: state.config?.prefix,
    flexToken: state.flexToken?.token,
  });
};

/** @type {(s: State, e: Event, patch?: Partial<State>) => Step} */
const askNow = (s, e, patch = {}) => {
  const state = { ...s, ...patch };
  return next(state, {}, ...askPages(state), fetchLater(state, e));
};

/** Fetch when there is something to fetch with, else ask the plugins for it. @type {Handler} */
const fetchOrAsk = (s, e) => {
  if (!s.flexToken) return askNow(s, e, { fetch: { ...s.fetch, failures: s.fetch.failures + 1 } });
  const stale = s.flexToken.refused || (s.flexToken.expiresAt !== null && e.at >= s.flexToken.expiresAt);
  // Our clock, or one answer of the server, may be wrong: the token is tried again while a new one is asked for.
  const asking = stale ? askPages(s) : [];
  return chain(fetchNow(s, s.line === 'wanting' ? { line: 'fetching' } : {}), (state) => next(state, {}, ...asking));
};

/** @type {(s: State) => Step} */
const registerNow = (s) =>
  chain(unheard(s), (now) => next(now, { line: 'registering' }, { do: 'register', token: now.voiceToken?.token, edge: edgeOf(now) }, reviveLater(now)));

/** @type {(s: State, e: Record<string, any>) => Rejection | null} */
const whyRejected = (s, e) => {
  if (!/^AC[0-9a-zA-Z]{32}$/.test(e.account) || !isTokenURL(e.tokenURL)) return 'bad_config';
  const account = s.config?.account ?? s.policy.account;
  if (account !== undefined && account !== e.account) return 'other_account';
  if (s.policy.account !== undefined && s.policy.account !== e.account) return 'other_account';
  // While the first page is there, no other takes the phone from its agent.
  if (isHeldByAnother(s, e) && !isSame(s.config, e)) return 'other_account';
  return isAllowedURL(e.tokenURL, s.policy.tokenURLs) ? null : 'url_not_allowed';
};

/** @type {(s: State, e: Record<string, any>) => boolean} */
const isHeldByAnother = (s, e) =>
  s.holder !== null && s.holder.tab !== (s.pages[e.page]?.tab ?? null) && (s.holder.until === null || e.at < s.holder.until);

/** @type {(config: State['config'], e: Record<string, any>) => boolean} */
const isSame = (config, e) =>
  config !== null &&
  config.tokenURL === e.tokenURL &&
  config.prefix === (e.prefix ?? '') &&
  (config.worker === null || (e.worker ?? config.worker) === config.worker);

/** Whoever it was for, nothing of it is left, but the call that is up. @type {(s: State, e: Event) => Step} */
const dropTokens = (s, e) => {
  const state = { ...s, fetch: { number: s.fetch.number + 1, failures: 0 } };
  const asked = askNow(state, e, { line: 'wanting', flexToken: null, voiceToken: null, identity: null, problem: null, refusal: null, offers: [], held: [] });
  return chain(asked, (now) =>
    now.call ? next(now) : chain(next(now, { document: 'none' }, { do: 'closeDocument' }), makeDocument),
  );
};

/** @type {Handler} */
const configure = (s, e) => {
  // Whether it is the same account is known when the tab that the agent has chosen has spoken.
  if (s.config === null && s.holder?.until && isHeldByAnother(s, e)) return waitForHolder(s, e, s.holder.until);
  const reason = whyRejected(s, e);
  const tab = s.pages[e.page]?.tab ?? null;
  const page = { pluginVersion: e.pluginVersion ?? null, reason, tab };
  if (reason) {
    const pages = { ...s.pages, [e.page]: { ...page, standing: /** @type {const} */ ('rejected') } };
    return next(s, { pages }, { do: 'answerPage', page: e.page, type: 'VOICE_CLIENT_EXTENSION_CONFIG_REJECTED', payload: { reason } });
  }
  const config = { account: e.account, tokenURL: e.tokenURL, prefix: e.prefix ?? '', worker: e.worker ?? s.config?.worker ?? null };
  const holder = isHeldByAnother(s, e) ? s.holder : { tab, until: null };
  const sessions = e.session ? [e.session, ...s.sessions.filter((session) => session !== e.session)].slice(0, 8) : s.sessions;
  const pages = { ...s.pages, [e.page]: { ...page, standing: /** @type {const} */ ('accepted') } };
  const accepted = { ...s, config, holder, sessions, pages };
  const consent = consentNeeded(accepted) !== null;
  const state = consent ? { ...accepted, consentAsked: true } : accepted;
  // A page whose port merely broke need not send its token again, unless we want for one.
  const wanted = !(e.resumed && s.flexToken && !s.flexToken.refused);
  const question = s.consentAsked ? [] : [{ do: 'openConsent' }];
  const answers = consent ? question : wanted ? [askPage(e.page)] : [];
  if (s.line === 'unconfigured') return chain(chain(next(state, { line: 'wanting' }, ...answers, stay), makeDocument), hearEarly);
  const moved = s.config?.tokenURL !== config.tokenURL || s.config?.prefix !== config.prefix;
  // Another agent at the same browser, or a server that this agent has not agreed to.
  if ((s.config?.worker && s.config.worker !== config.worker) || (moved && consent)) {
    return chain(next(state, {}, ...answers, stay, { do: 'unregister' }, { do: 'clearTimer', timer: 'revive' }), (now) => dropTokens(now, e));
  }
  return chain(next(state, {}, ...answers, stay), (now) =>
    moved && now.flexToken ? fetchNow(now, now.line === 'wanting' ? { line: 'fetching' } : {}) : next(now),
  );
};

/** @type {(s: State, e: Event, until: number) => Step} */
const waitForHolder = (s, e, until) => {
  const page = s.pages[e.page];
  return page ? next(s, { pages: { ...s.pages, [e.page]: { ...page, early: e } } }, { do: 'setTimer', timer: 'holder', ms: until - e.at }) : next(s);
};

/** The tab that the agent has chosen has spoken, or never will. @type {(s: State) => Step} */
const hearEarly = (s) => {
  const early = Object.values(s.pages).flatMap((page) => page.early ?? []);
  const pages = Object.fromEntries(Object.entries(s.pages).map(([name, { early: _, ...page }]) => [name, page]));
  return early.reduce((step, said) => chain(step, (now) => configure(now, said)), next(s, { pages }, { do: 'clearTimer', timer: 'holder' }));
};

/** @type {Effect} */
const stay = { do: 'clearTimer', timer: 'leave' };

/** @type {(s: State, e: Event) => boolean} */
const isOurToken = (s, e) =>
  markOf(e.token) !== s.loggedOut && !consentNeeded(s) && mayCommand(s, e) && (e.account === undefined || e.account === s.config?.account);

/**
 * A plugin answers at once, with the very token that was just refused if it has no other. Only another token is worth a fetch
 * now; the same one is tried again when its time comes. Otherwise page, worker and token server would chase each other.
 * @type {(patch: Partial<State>) => Handler}
 */
const takeFlexToken = (patch) => (s, e) => {
  if (!isOurToken(s, e) || s.flexToken?.token === e.token) return next(s);
  const flexToken = { token: e.token, expiresAt: e.expiresAt ?? null, refused: false };
  // Twilio refuses what the token server makes, which has its own time to be tried again.
  if (s.line === 'fetching' && s.refusals > 1) return next(s, { flexToken });
  return fetchNow({ ...s, fetch: { ...s.fetch, failures: 0 } }, { ...patch, flexToken });
};

const firstFlexToken = takeFlexToken({ line: 'fetching' });
const newFlexToken = takeFlexToken({});

/** @type {(s: State, e: Event) => Step} */
const keepVoiceToken = (s, e) => {
  const state = {
    ...s,
    voiceToken: { token: e.token, identity: e.identity, issuedAt: e.at, expiresAt: e.expiresAt },
    fetch: { ...s.fetch, failures: 0 },
    problem: s.problem === 'signalling_lost' ? s.problem : null,
    refusal: null,
  };
  return next(state, {}, fetchLater(state, e), prepareDocument(state));
};

/** @type {(handler: Handler) => Handler} */
const ifLatest = (handler) => (s, e) => (e.number === s.fetch.number ? handler(s, e) : next(s));

const firstToken = ifLatest((s, e) => chain(keepVoiceToken(s, e), registerNow));

const newToken = ifLatest((s, e) =>
  chain(keepVoiceToken(s, e), (state) =>
    s.voiceToken?.identity === e.identity
      ? next(state, {}, { do: 'updateToken', token: e.token })
      : registerNow(state),
  ),
);

/** @type {(waiting: LineState | undefined) => Handler} */
const fetchFailed = (waiting) =>
  ifLatest((s, e) => {
    const state = { ...s, problem: e.reason, refusal: e.refusal ?? null, fetch: { ...s.fetch, failures: s.fetch.failures + 1 } };
    if (e.reason === 'flex_token_refused') {
      const flexToken = s.flexToken && { ...s.flexToken, refused: true };
      return askNow(state, e, { flexToken, line: waiting ?? s.line });
    }
    return next(state, {}, fetchLater(state, e, e.retryAfterMs));
  });

/** Twilio will not have this token; the call in the offscreen document is not touched. @type {Handler} */
const tokenRefused = (s, e) => {
  /** @type {State} */
  const state = { ...s, voiceToken: null, problem: 'voice_token_refused', refusals: s.refusals + 1, line: 'fetching' };
  return chain(next(state, {}, { do: 'unregister' }, { do: 'clearTimer', timer: 'revive' }), (now) => {
    if (!now.flexToken || now.flexToken.refused) return askNow(now, e, { line: 'wanting' });
    if (now.refusals === 1) return fetchNow(now);
    // A moment's trouble at Twilio is over soon; what lasts is not asked for every moment.
    const slower = { ...now, fetch: { ...now.fetch, failures: Math.max(2, now.refusals - patientAfter) } };
    return next(slower, {}, fetchLater(slower, e));
  });
};

/** @type {Handler} */
const registered = (s) =>
  next(
    s,
    {
      line: 'registered',
      identity: s.voiceToken?.identity ?? s.identity,
      refusals: 0,
      revivals: 0,
      problem: s.problem === 'signalling_lost' || s.problem === 'voice_token_refused' ? null : s.problem,
    },
    { do: 'clearTimer', timer: 'revive' },
  );

/** @type {Handler} */
const registerAnew = (s) => registerNow(s);

/** @type {Handler} */
const revive = (s) => {
  const state = { ...s, edge: s.edge + 1, revivals: s.revivals + 1 };
  return chain(registerNow(state), (now) => next(now, {}, prepareDocument(now)));
};

/**
 * Nothing tells but that it no longer answers: the same edge, over whatever network there is now. What the document has open is
 * dead, too, and looks at itself when it is prepared.
 * @type {Handler}
 */
const lineDead = (s) => chain(registerNow({ ...s, problem: 'signalling_lost' }), (now) => next(now, {}, prepareDocument(now)));

/** The worker woke without its voice client. @type {Handler} */
const resumeLine = (s, e) => {
  if (s.voiceToken && e.at < s.voiceToken.expiresAt) return chain(next(s, {}, fetchLater(s, e)), registerNow);
  const state = { ...s, voiceToken: null };
  return state.flexToken ? fetchNow(state, { line: 'fetching' }) : askNow(state, e, { line: 'wanting' });
};

/**
 * Nobody's phone any more: no account, no token, nothing registered. A call that is up goes on, in the document, to its end.
 * @type {(s: State, patch?: Partial<State>) => Step}
 */
const forget = (s, patch = {}) => {
  const kept = keepAnswered(s);
  const { pages, call, onHold, invite, hungUp, lastEnd, document, devices, policy, consents, update, welcomed, loggedOut, refused } = kept.state;
  const state = {
    ...initial(),
    ...{ pages, call, onHold, invite, hungUp, lastEnd, document, devices, policy, consents, update, welcomed, loggedOut, refused },
    // Whatever is still being fetched is for nobody.
    fetch: { number: s.fetch.number + 1, failures: 0 },
    ...patch,
  };
  const timers = ['refresh', 'revive', 'leave', 'fallback', 'unheard', 'holder'].map((timer) => ({ do: 'clearTimer', timer }));
  return chain(next(state, {}, ...kept.effects, ...timers, { do: 'unregister' }), closeWhenIdle);
};

/** So that the next plugin to speak decides again. @type {Handler} */
const restart = (s, e) => {
  // The tab that the agent is looking at is the first to speak, however fast the others are; if it has a plugin that speaks.
  const speaks = Object.values(s.pages).some(({ tab, standing }) => tab === e.tab && standing !== 'new');
  const holder = speaks ? { tab: e.tab, until: e.at + reloadsWithin } : null;
  return chain(forget(s, { holder, pages: {}, call: null, onHold: [], invite: null, lastEnd: null, welcomed: false, document: 'none', loggedOut: null }), (now) =>
    next(now, {}, { do: 'closeDocument' }, { do: 'reconnectPages' }, { do: 'bridgeTabs' }),
  );
};

/** The agent has logged out of Flex, in this page or another. @type {Handler} */
const logOut = (s, e) => {
  // Said while the worker was away, it comes from a page that has not been accepted again.
  const isHolder = s.holder !== null && s.holder.tab !== null && s.pages[e.page]?.tab === s.holder.tab;
  if (!(mayCommand(s, e) || isHolder) || (e.account !== undefined && e.account !== s.config?.account)) return next(s);
  const pages = Object.fromEntries(Object.entries(s.pages).map(([name, page]) => [name, { ...page, standing: /** @type {const} */ ('new') }]));
  return forget(s, { pages, loggedOut: s.flexToken ? markOf(s.flexToken.token) : s.loggedOut });
};

/** @type {Handler} */
const leave = (s) => (acceptedPages(s).length > 0 || s.call ? next(s) : forget(s));

/** What the administrator has just forbidden ends now. @type {Handler} */
const judge = (s, e) => {
  const state = { ...s, policy: e.policy };
  if (s.line !== 'unconfigured' && consentNeeded(state) && !consentNeeded(s)) {
    return chain(next(state, {}, { do: 'unregister' }, { do: 'clearTimer', timer: 'revive' }), (now) => dropTokens(now, e));
  }
  const reason = s.config && whyRejected(state, s.config);
  if (!reason) return next(state, {}, ...leaveLater(state));
  const affected = acceptedPages(s);
  const rejected = affected.map((page) => [page, { ...s.pages[page], standing: 'rejected', reason }]);
  return chain(forget(state, { pages: { ...s.pages, ...Object.fromEntries(rejected) } }), (now) =>
    next(now, {}, ...affected.map((page) => ({ do: 'answerPage', page, type: 'VOICE_CLIENT_EXTENSION_CONFIG_REJECTED', payload: { reason } }))),
  );
};

// Line: the table ----------------------------------------------------------------------------------------------

/** Whatever the line does. @type {Record<string, Handler>} */
const anyTime = { restartAsked: restart, loggedOut: logOut, leaveDue: leave, policyChanged: judge, holderDue: ignore };

/** @type {Record<LineState, Record<string, Handler>>} */
export const line = {
  unconfigured: {
    pageConfigured: configure,
    restartAsked: restart,
    policyChanged: judge,
    holderDue: (s) => hearEarly({ ...s, holder: null }),
    ...ignoring('lineDead', 'loggedOut', 'leaveDue', 'flexTokenGiven', 'tokenFetched', 'tokenFetchFailed', 'refreshDue', 'reviveDue'),
    ...ignoring('lineRegistered', 'lineDropped', 'lineRefused', 'networkReturned', 'workerStarted'),
  },
  wanting: {
    pageConfigured: configure,
    flexTokenGiven: firstFlexToken,
    refreshDue: fetchOrAsk,
    networkReturned: fetchOrAsk,
    workerStarted: (s, e) => askNow(s, e),
    ...anyTime,
    ...ignoring('tokenFetched', 'tokenFetchFailed', 'reviveDue', 'lineRegistered', 'lineDropped', 'lineDead', 'lineRefused'),
  },
  fetching: {
    pageConfigured: configure,
    flexTokenGiven: firstFlexToken,
    tokenFetched: firstToken,
    tokenFetchFailed: fetchFailed('wanting'),
    refreshDue: fetchOrAsk,
    networkReturned: fetchOrAsk,
    workerStarted: resumeLine,
    ...anyTime,
    ...ignoring('reviveDue', 'lineRegistered', 'lineDropped', 'lineDead', 'lineRefused'),
  },
  registering: {
    pageConfigured: configure,
    flexTokenGiven: newFlexToken,
    tokenFetched: newToken,
    tokenFetchFailed: fetchFailed(undefined),
    refreshDue: fetchOrAsk,
    lineRegistered: registered,
    lineDropped: (s) => next(s, { problem: 'signalling_lost' }),
    lineDead: ignore,
    lineRefused: tokenRefused,
    reviveDue: revive,
    networkReturned: registerAnew,
    workerStarted: resumeLine,
    ...anyTime,
  },
  registered: {
    pageConfigured: configure,
    flexTokenGiven: newFlexToken,
    tokenFetched: newToken,
    tokenFetchFailed: fetchFailed(undefined),
    refreshDue: fetchOrAsk,
    lineDropped: (s) => chain(unheard(s), (now) => next(now, { line: 'offline', problem: 'signalling_lost' }, reviveLater(now))),
    lineDead,
    lineRefused: tokenRefused,
    workerStarted: resumeLine,
    ...anyTime,
    ...ignoring('lineRegistered', 'reviveDue', 'networkReturned'),
  },
  offline: {
    pageConfigured: configure,
    flexTokenGiven: newFlexToken,
    tokenFetched: newToken,
    tokenFetchFailed: fetchFailed(undefined),
    refreshDue: fetchOrAsk,
    lineRegistered: registered,
    lineRefused: tokenRefused,
    reviveDue: revive,
    networkReturned: registerAnew,
    workerStarted: resumeLine,
    ...anyTime,
    ...ignoring('lineDropped', 'lineDead'),
  },
};

// What depends on neither --------------------------------------------------------------------------------------

/** @type {Record<string, Handler>} */
export const always = {
  // Pages that were open before this extension was do not have its content script. Ports that are here already may be the last
  // word of orphans, who hear nothing; a page that lives comes back.
  // Calls of the life before have ended with it.
  lifeBegan: (s, e) => {
    const goodbyes = (e.orphans ?? []).map((/** @type {string} */ callSid) => ({ do: 'sayGoodbye', callSid }));
    return next(passOn({ ...s, pages: {} }, e.at), {}, { do: 'reconnectPages' }, { do: 'bridgeTabs' }, ...goodbyes);
  },
  pageConnected: (s, e) =>
    next(s, { pages: { ...s.pages, [e.page]: { standing: 'new', pluginVersion: null, reason: null, tab: e.tab ?? null } } }),
  pageClosed: (s, e) => {
    const { [e.page]: _, ...pages } = s.pages;
    const state = passOn({ ...s, pages }, e.at);
    return next(state, {}, ...leaveLater(state));
  },
  pageMisconfigured: (s, e) =>
    next(
      s,
      { pages: { ...s.pages, [e.page]: { standing: 'rejected', pluginVersion: null, reason: 'bad_config', tab: s.pages[e.page]?.tab ?? null } } },
      { do: 'answerPage', page: e.page, type: 'VOICE_CLIENT_EXTENSION_CONFIG_REJECTED', payload: { reason: 'bad_config' } },
    ),
  consentGiven: (s, e) => {
    const asked = consentNeeded(s);
    if (asked?.key !== e.key) return next(s);
    const state = { ...s, consents: [...s.consents, e.key].slice(-20) };
    return next(state, {}, { do: 'rememberConsents', consents: state.consents }, ...askPages(state));
  },
  inviteGone: (s, e) => {
    const others = (/** @type {{ callSid: string }} */ { callSid }) => callSid !== e.callSid;
    return next(s, { held: s.held.filter(others), offers: s.offers.filter(others) });
  },
  messageRefused: (s, e) => next(s, { refused: { ...s.refused, [e.refusal]: (s.refused[e.refusal] ?? 0) + 1 } }),
  devicesChanged: (s, e) => {
    const needed = e.devices.microphone === 'prompt' && s.line !== 'unconfigured' && !s.welcomed;
    return next(s, { devices: { ...e.devices, chosen: s.devices.chosen }, welcomed: s.welcomed || needed }, ...(needed ? [{ do: 'openWelcome' }] : []));
  },
  deviceAsked: (s, e) => {
    if (!mayCommand(s, e)) return next(s);
    const chosen = { ...s.devices.chosen, [e.kind]: e.label };
    const effects = [
      { do: 'rememberDevices', chosen },
      { do: 'chooseDevice', kind: e.kind, label: e.label },
    ];
    return next(s, { devices: { ...s.devices, chosen } }, ...effects);
  },
  welcomeAsked: (s) => next(s, { welcomed: true }, { do: 'openWelcome' }),
};

/**
 * One event. What depends on neither state goes first, then the line, then the call on what the line left.
 * @param {State} state
 * @param {Event} event
 * @returns {Step}
 */
export function reduce(state, event) {
  const handlers = [always[event.name], line[state.line][event.name], call[callState(state)][event.name]];
  if (!handlers.some(Boolean)) throw new Error(`no decision for the event ${event.name}`);
  const step = handlers.reduce((/** @type {Step} */ step, handler) => (handler ? chain(step, (s) => handler(s, event)) : step), next(state));
  const on = isRinging(step.state);
  return on === isRinging(state) ? step : chain(step, (s) => next(s, {}, { do: 'ring', on }));
}

// Addresses ----------------------------------------------------------------------------------------------------

/** @param {string} text */
function parse(text) {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** @param {URL} url */
const isLoopback = (url) => ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);

/** Whether a Flex token could be sent there without crossing a network in the clear. @param {string} text */
export function isTokenURL(text) {
  const url = parse(text);
  if (!url || url.username || url.password) return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url));
}

/**
 * Whether the administrator's list has it. No list allows everything that isTokenURL allows; an empty list nothing.
 * @param {string} text
 * @param {string[] | undefined} list
 */
export function isAllowedURL(text, list) {
  const url = parse(text);
  if (!url) return false;
  if (!list) return true;
  return list.some((entry) => {
    const allowed = parse(entry);
    if (!allowed || allowed.origin !== url.origin) return false;
    return allowed.pathname.endsWith('/*')
      ? url.pathname.startsWith(allowed.pathname.slice(0, -1))
      : allowed.pathname === url.pathname;
  });
}
