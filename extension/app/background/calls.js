// The call half of the machine. The agent speaks in one call, whose state the table goes by; others are on hold, or are offered
// and ring until the agent decides. Which is which in the document, the document says: it goes on while the worker is dead.

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
 * @typedef {import('./machine.js').Invite} Invite
 * @typedef {import('./machine.js').Offer} Offer
 */

/** So long Flex's own client waits, too, for the one of the session that accepted. */
const fallBackAfter = 5_000;
/** Nobody tells of the end of a call whose line is gone. Unless told otherwise, Twilio lets a client ring no longer. */
const unheardFor = 30_000;

// Invites ------------------------------------------------------------------------------------------------------

/**
 * Flex names the page that accepted; a page without a name is that of an old plugin, and a call without one is for anybody.
 * @type {(s: State, e: Event) => boolean}
 */
const isForAnother = (s, e) =>
  Boolean(e.session) && !s.sessions.includes(e.session) && (s.sessions.length > 0 || acceptedPages(s).length === 0);

/** @type {(e: Record<string, any>) => Invite} */
const inviteOf = ({ callSid, connectToken, from, at }) => ({ callSid, connectToken, from, at });

/** Those that the document has, or is about to have; the one the agent speaks in is the last. @type {(s: { call: Call | null, onHold: Call[] }) => Call[]} */
const taken = ({ call, onHold }) => (call ? [...onHold, call] : onHold);

/** @type {(list: { callSid: string }[], callSid: string | undefined) => boolean} */
const has = (list, callSid) => list.some((other) => other.callSid === callSid);

/** The browser that accepts is the one that answers, and the others only if it does not. @type {Handler} */
const wait = (s, e) => next(s, { held: [...s.held, inviteOf(e)] }, { do: 'setTimer', timer: 'fallback', ms: fallBackAfter });

/** Twilio repeats itself; and without a connect token a call cannot leave the worker, which has no microphone. @type {(handler: Handler) => Handler} */
const ifNew = (handler) => (s, e) => {
  if (has([...taken(s), ...s.held], e.callSid)) return next(s);
  // It rings on this line again.
  if (has(s.offers, e.callSid)) return offer(withoutOffer(s, e.callSid), e);
  return e.connectToken ? handler(s, e) : next(s, {}, { do: 'rejectInvite', callSid: e.callSid });
};

const takeOrWait = ifNew((s, e) => (isForAnother(s, e) ? wait(s, e) : takeCall(s, e)));

/** Who has pressed Accept in this browser's Flex has decided; anybody else is asked. */
const holdOrOffer = ifNew((s, e) => {
  if (isForAnother(s, e)) return wait(s, e);
  return s.sessions.includes(e.session) && !isWaiting(s) ? takeCall(s, e) : offer(s, e);
});

/** A document that is not there yet can be told of one call when it is: another has to ring until then. @type {(s: State) => boolean} */
const isWaiting = (s) => s.invite !== null && s.document !== 'ready';

/** @type {(s: State, ...invites: Record<string, any>[]) => Step} */
const offer = (s, ...invites) => next(s, { offers: [...s.offers, ...invites.map((invite) => ({ ...inviteOf(invite), unheard: false }))] });

/** Nobody is at a browser without a Flex page. @type {Handler} */
const fallBack = (s, e) => {
  const state = { ...s, held: [] };
  if (acceptedPages(s).length === 0) return next(state);
  const [first, ...others] = s.held;
  return first && !s.call ? chain(takeCall(state, { ...e, ...first }), (now) => offer(now, ...others)) : offer(state, ...s.held);
};

/** The one before is put on hold: the document does the same. @type {(s: State, e: Record<string, any>) => Step} */
const takeCall = (s, e) => {
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
  const state = { ...s, call, onHold: s.call ? [...s.onHold, s.call] : s.onHold, invite: inviteOf(e), lastEnd: null };
  // A document that is not there yet is told when it is.
  return state.document === 'ready' ? handOver(state) : makeDocument(state);
};

/** @type {(s: State) => Step} */
const handOver = (s) => {
  if (!s.invite) return next(s);
  const { callSid, connectToken, from } = s.invite;
  return next(s, {}, { do: 'takeCall', callSid, connectToken, from });
};

/** The document lets the agent hear it. @type {(s: State) => boolean} */
export const isRinging = (s) => s.offers.length > 0;

/** @type {(s: State, callSid: string) => State} */
const withoutOffer = (s, callSid) => ({ ...s, offers: s.offers.filter((offer) => offer.callSid !== callSid) });

/** To speak in another call: one that is offered, or on hold. A headset names none. @type {Handler} */
const answer = (s, e) => {
  if (!mayCommand(s, e)) return next(s);
  const offer = s.offers.find(({ callSid }) => callSid === (e.callSid ?? s.offers[0]?.callSid));
  if (offer) return isWaiting(s) ? next(s) : takeCall(withoutOffer(s, offer.callSid), { ...offer, at: e.at });
  return has(s.onHold, e.callSid) ? next(s, {}, { do: 'resume', callSid: e.callSid }) : next(s);
};

/** @type {Handler} */
const decline = (s, e) =>
  mayCommand(s, e) && has(s.offers, e.callSid)
    ? afterCall(next(withoutOffer(s, e.callSid), {}, { do: 'rejectInvite', callSid: e.callSid }))
    : next(s);

/**
 * The line on which they ring is gone, and with it the word of their end. They can be answered as long as they ring.
 * @type {(s: State, timing?: boolean) => Step}
 */
export const unheard = (s, timing = s.offers.every((offer) => offer.unheard)) =>
  timing ? next(s) : next(s, { offers: s.offers.map((offer) => ({ ...offer, unheard: true })) }, { do: 'setTimer', timer: 'unheard', ms: unheardFor });

/** @type {Handler} */
const forgetUnheard = (s) => afterCall(next(s, { offers: s.offers.filter((offer) => !offer.unheard) }));

// What the document says ---------------------------------------------------------------------------------------

/** The call that is being handed over is none of those that the document knows of. @type {(s: State, e: Event) => boolean} */
const isUntold = (s, e) => s.invite !== null && !has(taken(/** @type {any} */ (e)), s.invite.callSid);

/** @type {Handler} */
const adopt = (s, e) =>
  isUntold(s, e)
    ? next(s, { onHold: taken(/** @type {any} */ (e)) })
    : next(s, { call: e.call, onHold: e.onHold, invite: e.call?.status === 'connecting' ? s.invite : null, lastEnd: null });

/** Somebody has answered it, here or elsewhere: to refuse it now would be to refuse it for them. */
const answered = new Set(['answered_elsewhere', 'ended', 'connection_lost']);

/** A call that could not be taken may still ring here; Flex offers it to somebody else once it is refused. @type {(call: Call, reason: string) => Effect[]} */
const giveBack = ({ callSid, status }, reason) => (status === 'connecting' && !answered.has(reason) ? [{ do: 'rejectInvite', callSid }] : []);

/** The calls that Twilio keeps for a while when their document is gone. @type {(s: State) => string[]} */
export const heldCalls = (s) => taken(s).filter(({ startedAt }) => startedAt !== null).map(({ callSid }) => callSid);

/** The latest to be put on hold comes back: the document does the same. @type {(s: State) => State} */
const withoutCall = (s) => ({ ...s, call: s.onHold.at(-1) ?? null, onHold: s.onHold.slice(0, -1), invite: null });

/** @type {Handler} */
const endCall = (s, e) => {
  const ended = taken(s).find(({ callSid }) => callSid === e.callSid);
  if (!ended) return next(s);
  const state = ended === s.call ? withoutCall(s) : { ...s, onHold: s.onHold.filter((other) => other !== ended) };
  return afterCall(next(state, { lastEnd: e.reason }, ...giveBack(ended, e.reason)));
};

/** @type {(step: Step) => Step} */
const afterCall = (step) => chain(applyUpdate(step), (s) => chain(next(s, {}, ...leaveLater(s)), closeWhenIdle));

/** @type {(step: Step) => Step} */
const applyUpdate = (step) =>
  step.state.update && !step.state.call && !isRinging(step.state)
    ? { state: step.state, effects: [...step.effects, { do: 'reloadExtension' }] }
    : step;

/**
 * Calls that are not in the document, which nobody has said: the worker died before it had handed one over, or before it could
 * hear the end, or the document is gone. One that was not taken must not ring on.
 * @type {(s: State, truth: { call: Call | null, onHold: Call[], ended: End | null }) => Step}
 */
const settle = (s, { call, onHold, ended }) => {
  const missed = taken(s).filter(({ callSid }) => !has(taken({ call, onHold }), callSid));
  const missedEnd = has(missed, ended?.callSid) ? ended?.reason : missed.length > 0 ? 'lost' : ended?.reason;
  const lastEnd = call ? null : (missedEnd ?? s.lastEnd);
  const invite = call?.status === 'connecting' && call.callSid === s.invite?.callSid ? s.invite : null;
  /** @type {(other: Call) => string} */
  const reasonOf = ({ callSid }) => (ended?.callSid === callSid ? ended.reason : 'lost');
  const refusals = missed.flatMap((other) => giveBack(other, reasonOf(other)));
  const goodbyes = missed.filter((other) => other.startedAt !== null && reasonOf(other) === 'lost').map(({ callSid }) => ({ do: 'sayGoodbye', callSid }));
  return next(s, { call, onHold, invite, lastEnd }, ...refusals, ...goodbyes);
};

/** The document says what is true. @type {Handler} */
const believeDocument = (s, e) =>
  afterCall(
    chain(next(s, { document: 'ready' }, ...(s.voiceToken ? [prepareDocument(s)] : []), { do: 'ring', on: isRinging(s) }), (now) => {
      const truth = { call: e.call, onHold: e.onHold, ended: e.ended };
      // It still rings, and this document has not been told of it, or not in a way that it could hear.
      const untold = isUntold(now, e) && e.ended?.callSid !== now.invite?.callSid;
      if (!untold) return chain(settle(now, truth), hangUpAgain);
      const { call, invite } = now;
      const tell = (/** @type {State} */ settled) => handOver({ ...settled, call, invite, onHold: taken(truth), lastEnd: null });
      return chain(chain(settle({ ...now, call: null }, truth), tell), hangUpAgain);
    }),
  );

/** What the agent asked for may have died with the worker before. @type {(s: State) => Step} */
const hangUpAgain = (s) => {
  const hungUp = s.hungUp.filter((callSid) => has(taken(s), callSid));
  return next(s, { hungUp }, ...hungUp.map((callSid) => ({ do: 'hangUp', callSid })));
};

/** @type {Handler} */
const loseDocument = (s) =>
  afterCall(
    // A call that still rings is for the next document.
    chain(s.invite ? next(s, { onHold: [] }) : settle(s, { call: null, onHold: [], ended: null }), (now) => {
      const without = next(now, { document: 'none' });
      return now.line === 'unconfigured' ? without : chain(without, makeDocument);
    }),
  );

/**
 * The worker woke. Its document may have lived on, and says so itself; its line has not, and no timer. What rang there can be taken
 * by its token from any other, as long as it rings.
 * @type {Handler}
 */
const resumeCalls = (s, e) => {
  /** @type {(invite: Invite) => boolean} */
  const rings = (invite) => e.at - invite.at < unheardFor;
  const held = s.held.filter(rings);
  const woken = passOn({ ...s, pages: {}, held, invite: s.invite && rings(s.invite) ? s.invite : null }, e.at);
  const waiting = held.length > 0 ? [{ do: 'setTimer', timer: 'fallback', ms: fallBackAfter }] : [];
  return chain(chain(next(woken, {}, ...waiting), (now) => unheard(now, now.offers.length === 0)), (now) =>
    e.document ? next(now, { document: 'starting' }, ...leaveLater(now)) : loseDocument(now, e),
  );
};

/**
 * Twilio cancels the worker's copy both when the document has taken the call and when the caller gave up. A document that is
 * not there has not taken it.
 * @type {Handler}
 */
const inviteGone = (s, e) => {
  if (named(s, e)?.status !== 'connecting') return next(s);
  const tell = s.document === 'ready' ? [{ do: 'inviteGone', callSid: e.callSid }] : [];
  if (e.callSid !== s.call?.callSid) return next(s, {}, ...tell);
  return tell.length > 0 ? next(s, { invite: null }, ...tell) : afterCall(next(withoutCall(s), { lastEnd: 'lost' }));
};

// What the agent asks for --------------------------------------------------------------------------------------

/** The call that is named, or else the one that the agent speaks in. @type {(s: State, e: Event) => Call | null} */
const named = (s, e) => (e.callSid === undefined ? s.call : (taken(s).find(({ callSid }) => callSid === e.callSid) ?? null));

/** @type {(effect: (e: Event) => Effect) => Handler} */
const commanded = (effect) => (s, e) => {
  const call = mayCommand(s, e) ? named(s, e) : null;
  return call ? next(s, {}, { ...effect(e), callSid: call.callSid }) : next(s);
};

/** @type {Handler} */
const hangUp = (s, e) => {
  const call = mayCommand(s, e) ? named(s, e) : null;
  const hungUp = call ? [...s.hungUp.filter((callSid) => callSid !== call.callSid), call.callSid] : s.hungUp;
  return chain(commanded(() => ({ do: 'hangUp' }))({ ...s, hungUp }, e), (now) => decline(now, e));
};
const mute = commanded((e) => ({ do: 'mute', muted: e.muted }));

/** Nobody hears them yet. @type {Handler} */
const sendDigits = (s, e) => (named(s, e)?.status === 'connecting' ? next(s) : commanded(() => ({ do: 'sendDigits', digits: e.digits }))(s, e));

/**
 * A call that nobody has answered is not answered any more.
 * @type {(s: State) => Step}
 */
export const keepAnswered = (s) => {
  const state = { ...s, offers: [], held: [] };
  if (s.call?.status !== 'connecting') return next(state);
  // The others keep the document.
  return next(withoutCall(state), {}, ...(s.onHold.length > 0 ? [{ do: 'hangUp', callSid: s.call.callSid }] : []));
};

// The table ----------------------------------------------------------------------------------------------------

/** @type {Record<string, Handler>} */
const whileUp = {
  callInvited: holdOrOffer,
  fallbackDue: fallBack,
  unheardDue: forgetUnheard,
  callChanged: adopt,
  callEnded: endCall,
  inviteGone,
  answerAsked: answer,
  declineAsked: decline,
  hangUpAsked: hangUp,
  muteAsked: mute,
  digitsAsked: sendDigits,
  documentConnected: believeDocument,
  documentGone: loseDocument,
  workerStarted: resumeCalls,
  // Nobody could end them any more, and Twilio would keep the callers waiting.
  browserClosing: (s) => next(s, {}, ...taken(s).map(({ callSid }) => ({ do: 'hangUp', callSid }))),
  updateFound: (s, e) => next(s, { update: e.version }),
};

/** @type {Record<CallState, Record<string, Handler>>} */
export const call = {
  none: {
    callInvited: takeOrWait,
    fallbackDue: fallBack,
    unheardDue: forgetUnheard,
    callChanged: adopt,
    answerAsked: answer,
    declineAsked: decline,
    hangUpAsked: decline,
    documentConnected: believeDocument,
    documentGone: loseDocument,
    workerStarted: resumeCalls,
    updateFound: (s, e) => applyUpdate(next(s, { update: e.version })),
    // An offer was the last that stood in the way.
    inviteGone: (s) => applyUpdate(next(s)),
    ...ignoring('callEnded', 'browserClosing', 'muteAsked', 'digitsAsked'),
  },
  connecting: whileUp,
  open: whileUp,
  reconnecting: whileUp,
};

/** @type {(s: State) => CallState} */
export const callState = (s) => s.call?.status ?? 'none';
