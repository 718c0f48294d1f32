// The call half of the machine: what becomes of a call, in each state that one can be in.

import { acceptedPages, chain, closeWhenIdle, ignoring, leaveLater, makeDocument, mayCommand, next, passOn, prepareDocument } from './steps.js';

/**
 * @typedef {import('./machine.js').State} State
 * @typedef {import('./machine.js').Event} Event
 * @typedef {import('./machine.js').Effect} Effect
 * @typedef {import('./machine.js').Step} Step
 * @typedef {import('./machine.js').Handler} Handler
 * @typedef {import('./machine.js').Call} Call
 * @typedef {import('./machine.js').CallState} CallState
 * @typedef {import('./machine.js').End} End
 */

/** So long Flex's own client waits, too, for the one of the session that accepted. */
const fallBackAfter = 5_000;

// Moves --------------------------------------------------------------------------------------------------------

/**
 * Flex names the page that accepted; a page without a name is that of an old plugin, and a call without one is for anybody.
 * @type {(s: State, e: Event) => boolean}
 */
const isForAnother = (s, e) =>
  Boolean(e.session) && !s.sessions.includes(e.session) && (s.sessions.length > 0 || acceptedPages(s).length === 0);

/** The browser that accepts is the one that answers, and the others only if it does not. @type {Handler} */
const takeOrWait = (s, e) => {
  if (!isForAnother(s, e) || !e.connectToken) return takeCall(s, e);
  const { callSid, connectToken, from } = e;
  return next(s, { held: [...s.held, { callSid, connectToken, from }] }, { do: 'setTimer', timer: 'fallback', ms: fallBackAfter });
};

/** Nobody is at a browser without a Flex page. @type {Handler} */
const fallBack = (s, e) => {
  const [first] = s.held;
  const state = { ...s, held: [] };
  return first && acceptedPages(s).length > 0 ? takeCall(state, { ...e, ...first }) : next(state);
};

/** @type {Handler} */
const takeCall = (s, e) => {
  // Without a connect token the call cannot leave the worker, and a worker has no microphone.
  if (!e.connectToken) return next(s, {}, { do: 'rejectInvite', callSid: e.callSid });
  /** @type {Call} */
  const call = {
    callSid: e.callSid,
    from: e.from,
    status: 'connecting',
    muted: false,
    direction: 'inbound',
    startedAt: null,
    quality: null,
  };
  const { callSid, connectToken, from } = e;
  const state = { ...s, call, invite: { callSid, connectToken, from }, lastEnd: null };
  // A document that is not there yet is told when it is.
  return state.document === 'ready' ? handOver(state) : makeDocument(state);
};

/** @type {(s: State) => Step} */
const handOver = (s) => next(s, {}, { do: 'takeCall', ...s.invite });

/** A second call never ends the first. The same call again is Twilio repeating itself. @type {Handler} */
const refuseAsBusy = (s, e) =>
  e.callSid === s.call?.callSid || isForAnother(s, e) ? next(s) : next(s, {}, { do: 'rejectInvite', callSid: e.callSid });

/** @type {Handler} */
const adopt = (s, e) => next(s, { call: e.call, invite: e.call.status === 'connecting' ? s.invite : null, lastEnd: null });

/** @type {Handler} */
const endCall = (s, e) =>
  e.callSid === s.call?.callSid ? afterCall(next(s, { call: null, invite: null, lastEnd: e.reason })) : next(s);

/** Somebody has answered it, here or elsewhere: to refuse it now would be to refuse it for them. */
const answered = new Set(['answered_elsewhere', 'ended', 'connection_lost']);

/** A call that could not be taken may still ring here; Flex offers it to somebody else once it is refused. @type {Handler} */
const giveUpCall = (s, e) => {
  const refuse = e.callSid === s.call?.callSid && !answered.has(e.reason);
  return chain(next(s, {}, ...(refuse ? [{ do: 'rejectInvite', callSid: e.callSid }] : [])), (now) => endCall(now, e));
};

/** @type {(step: Step) => Step} */
const afterCall = (step) => chain(applyUpdate(step), (s) => chain(next(s, {}, ...leaveLater(s)), closeWhenIdle));

/** @type {(step: Step) => Step} */
const applyUpdate = (step) =>
  step.state.update && !step.state.call
    ? { state: step.state, effects: [...step.effects, { do: 'reloadExtension' }] }
    : step;

/** @type {(effect: (e: Event) => Effect) => Handler} */
const commanded = (effect) => (s, e) => (mayCommand(s, e) ? next(s, {}, effect(e)) : next(s));

/** @type {Handler} */
const hangUp = (s, e) =>
  mayCommand(s, e) && (e.callSid === undefined || e.callSid === s.call?.callSid)
    ? next(s, {}, { do: 'hangUp' })
    : next(s);

const mute = commanded((e) => ({ do: 'mute', muted: e.muted }));
const sendDigits = commanded((e) => ({ do: 'sendDigits', digits: e.digits }));

/**
 * The call is not in the document, which nobody has said: the worker died before it had handed the call over, or before it
 * could hear the end, or the document is gone. One that was not taken must not ring on.
 * @type {(s: State, ended?: End | null) => Step}
 */
const missCall = (s, ended) => {
  if (!s.call) return next(s, { lastEnd: ended?.reason ?? s.lastEnd });
  const { callSid, status } = s.call;
  const lastEnd = ended?.callSid === callSid ? ended.reason : 'lost';
  const refuse = status === 'connecting' && !answered.has(lastEnd);
  return next(s, { call: null, invite: null, lastEnd }, ...(refuse ? [{ do: 'rejectInvite', callSid }] : []));
};

/** The document says what is true. @type {Handler} */
const believeDocument = (s, e) =>
  afterCall(
    chain(next(s, { document: 'ready' }, ...(s.voiceToken ? [prepareDocument(s)] : [])), (now) => {
      if (e.call) return adopt(now, e);
      // It still rings, and this document has not been told of it, or not in a way that it could hear.
      return now.invite && e.ended?.callSid !== now.invite.callSid ? handOver(now) : missCall(now, e.ended);
    }),
  );

/** @type {Handler} */
const loseDocument = (s) =>
  afterCall(
    // A call that still rings is for the next document.
    chain(s.invite ? next(s) : missCall(s), (now) => {
      const without = next(now, { document: 'none' });
      return now.line === 'unconfigured' ? without : chain(without, makeDocument);
    }),
  );

/** The worker woke, and nothing rings here any more; its document may have lived on, and says so itself. @type {Handler} */
const resumeCall = (s, e) => {
  const state = passOn({ ...s, pages: {}, invite: null, held: [] }, e.at);
  return e.document ? next(state, { document: 'starting' }, ...leaveLater(state)) : loseDocument(state, e);
};

/**
 * Twilio cancels the worker's copy both when the document has taken the call and when the caller gave up. A document that is
 * not there has not taken it.
 * @type {Handler}
 */
const inviteGone = (s, e) => {
  if (e.callSid !== s.call?.callSid) return next(s);
  const state = { ...s, invite: null };
  return s.document === 'ready' ? next(state, {}, { do: 'inviteGone', callSid: e.callSid }) : afterCall(missCall(state));
};

// The table ----------------------------------------------------------------------------------------------------

/** @type {Record<string, Handler>} */
const whileUp = {
  callInvited: refuseAsBusy,
  fallbackDue: (s) => next(s, { held: [] }),
  callChanged: adopt,
  callEnded: endCall,
  hangUpAsked: hangUp,
  muteAsked: mute,
  documentConnected: believeDocument,
  documentGone: loseDocument,
  workerStarted: resumeCall,
  updateFound: (s, e) => next(s, { update: e.version }),
};

/** @type {Record<CallState, Record<string, Handler>>} */
export const call = {
  none: {
    callInvited: takeOrWait,
    fallbackDue: fallBack,
    callChanged: adopt,
    documentConnected: believeDocument,
    documentGone: loseDocument,
    workerStarted: resumeCall,
    updateFound: (s, e) => applyUpdate(next(s, { update: e.version })),
    ...ignoring('inviteGone', 'callEnded', 'hangUpAsked', 'muteAsked', 'digitsAsked'),
  },
  connecting: {
    ...whileUp,
    callEnded: giveUpCall,
    inviteGone,
    ...ignoring('digitsAsked'),
  },
  open: { ...whileUp, digitsAsked: sendDigits, ...ignoring('inviteGone') },
  reconnecting: { ...whileUp, digitsAsked: sendDigits, ...ignoring('inviteGone') },
};

/** @type {(s: State) => CallState} */
export const callState = (s) => s.call?.status ?? 'none';
