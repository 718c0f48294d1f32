// The calls of this document: a phone for each. One call is the one the agent speaks in; all others are on hold until it ends, or
// until the agent goes back to one of them. The worker may be dead at that moment, so it is decided here.

import { createPhone } from './phone.js';

/**
 * @typedef {import('../background/machine.js').Call} Call
 * @typedef {import('../background/machine.js').Chosen} Chosen
 * @typedef {import('./phone.js').Phone} Phone
 * @typedef {import('./phone.js').Preparation} Preparation
 * @typedef {import('./phone.js').Offer} Offer
 * @typedef {import('./phone.js').KnownDevice} KnownDevice
 */

/** A phone that is not needed any more keeps its client for so long: the hang-up is on its way. */
const restAfter = 1_000;
/** A call that is offered is heard so often, until the agent has decided. */
const ringEvery = 4_000;

/** @param {Parameters<typeof createPhone>[0]} outside */
export function createSwitchboard(outside) {
  const { peers, report, later, cancel } = outside;
  /** @type {Preparation | undefined} */
  let preparation;
  /** @type {{ devices: KnownDevice[], permitted: boolean }} */
  let plugged = { devices: [], permitted: false };
  /** Without a client, for the next time that there are as many calls. @type {Phone[]} */
  const spares = [];
  /** The phone of the call that the agent speaks in; without one, of the next. */
  let active = create();
  /** The others, the latest to be put on hold last. @type {Phone[]} */
  let onHold = [];
  /** How the latest call ended: a worker that was dead at that moment asks later. @type {import('../background/machine.js').End | null} */
  let ended = null;
  /** @type {any} */
  let ringing;
  peers.rehearse().catch(() => {});

  function create() {
    /** @type {Phone} */
    const phone = createPhone({ ...outside, report: (type, payload) => hear(phone, type, payload) });
    return phone;
  }

  /** One more, ready for a call. */
  function another() {
    const phone = spares.pop() ?? create();
    phone.setDevices(plugged.devices, plugged.permitted);
    if (preparation) phone.prepare(preparation);
    return phone;
  }

  /** @param {Phone} phone @param {string} type @param {object} payload */
  function hear(phone, type, payload) {
    if (type === 'offscreen.callChanged') return tell();
    ended = /** @type {import('../background/machine.js').End} */ (payload);
    const next = phone === active ? onHold.at(-1) : active;
    report(type, payload);
    if (!next) return;
    rest(phone);
    active = next;
    onHold = onHold.filter((other) => other !== phone && other !== next);
    active.hold(false);
    tell();
  }

  function tell() {
    if (active.call()) report('offscreen.callChanged', { call: active.call(), onHold: held() });
  }

  const held = () => onHold.flatMap((phone) => phone.call() ?? []);

  /** @param {Phone} phone */
  function rest(phone) {
    later(() => {
      if (phone.owes()) return rest(phone);
      phone.forget();
      spares.push(phone);
    }, restAfter);
  }

  /** @param {boolean} on */
  function ring(on) {
    cancel(ringing);
    if (!on) return;
    active.say('offered');
    ringing = later(() => ring(true), ringEvery);
  }

  /** @param {string | undefined} callSid  none for the call that the agent speaks in */
  const find = (callSid) => (callSid === undefined ? active : [active, ...onHold].find((phone) => phone.call()?.callSid === callSid));

  return {
    /** @param {Preparation} wanted */
    prepare(wanted) {
      preparation = wanted;
      for (const phone of [active, ...onHold]) phone.prepare(wanted);
    },

    /** Takes a call, and puts the one that is up on hold. @param {Offer} offer */
    take(offer) {
      if (find(offer.callSid)) return;
      if (active.call()) {
        const before = active;
        onHold.push(before);
        active = another();
        before.hold(true);
      }
      active.take(offer);
    },

    ring,

    /** Back to a call that is on hold. @param {string} callSid */
    resume(callSid) {
      const phone = onHold.find((other) => other.call()?.callSid === callSid);
      if (!phone) return;
      const before = active;
      active = phone;
      onHold = [...onHold.filter((other) => other !== phone), before];
      before.hold(true);
      phone.hold(false);
      tell();
    },

    /** @param {string} [callSid] */
    hangUp: (callSid) => find(callSid)?.hangUp(),

    /** The active one last: another would take its place. */
    hangUpAll() {
      for (const phone of [...onHold, active]) phone.hangUp();
    },

    /** @param {string} callSid */
    inviteGone: (callSid) => find(callSid)?.inviteGone(callSid),

    /** @param {boolean} muted @param {string} [callSid] */
    mute: (muted, callSid) => find(callSid)?.mute(muted),

    /** @param {string} digits @param {string} [callSid] */
    sendDigits: (digits, callSid) => find(callSid)?.sendDigits(digits),

    /** @param {{ kind: keyof Chosen, label: string }} choice */
    choose(choice) {
      if (preparation) preparation = { ...preparation, chosen: { ...preparation.chosen, [choice.kind]: choice.label } };
      for (const phone of [active, ...onHold]) phone.choose(choice);
    },

    /** @param {KnownDevice[]} devices  what is plugged in now @param {boolean} permitted  to use a microphone */
    setDevices(devices, permitted) {
      plugged = { devices, permitted };
      for (const phone of [active, ...onHold]) phone.setDevices(devices, permitted);
    },

    /** The system tells of another network: what was open may be dead. */
    networkChanged() {
      for (const phone of [active, ...onHold]) phone.networkChanged();
    },

    /** Hangs up and lets go of everything. */
    forget() {
      preparation = undefined;
      ring(false);
      // The one that is spoken in last: it would be followed by one of the others.
      for (const phone of [...onHold, active]) phone.forget();
    },

    /** What is true of the calls, for a worker that was dead. */
    truth: () => ({ call: active.call(), onHold: held(), ended }),
  };
}
