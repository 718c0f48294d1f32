// A random walk: an agent, customers, and everything that goes wrong around them, step after step, one often before the other
// is over. After each step the pages, the popup and the voice edge have to agree, and what customers hear is watched all the time.
//
// The walk knows what both ends want; the world (see chromium.mjs) knows what is. The same seed gives the same steps.

/** The pages and the popup are true within this time of every step. */
const trueWithin = 2_000;
/** No caller is in silence for longer. */
const silence = 3_000;
/** Whose answers were slow is given longer before it counts as dead: otherwise an agent on such a link would come and go. */
const slower = 2_000;
const slowIsRemembered = 10_000;
/** After an outage the agent is reachable again within this time. */
const reachableWithin = 4_000;
/** A fault lasts at most so long. */
const longestFault = 4_000;

/** Mulberry32: small, and the same everywhere. @param {number} seed */
export function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * @param {ReturnType<typeof import('./chromium.mjs').chaosWorld> extends Promise<infer W> ? W : never} world
 * @param {{ seed: number, steps: number, say?: (line: string) => void }} options
 * @returns {Promise<{ broken: string[], done: Map<string, number>, calls: number, slowest: Record<string, number> }>}  broken: what no
 *   agent and no customer would forgive; slowest: milliseconds until a step's views were true, by kind
 */
export async function walk(world, { seed, steps, say = () => {} }) {
  const luck = random(seed);
  const upTo = (ms) => Math.round(luck() * ms);
  const broken = [];
  const done = new Map();
  const slowest = {};
  const agent = { in: true };
  /**
   * The calls there are, by SID: whether both ends want them, whether the agent has decided to take them, and whether anybody has.
   * The agent speaks in the one that was taken or gone back to last.
   * @type {Map<string, { sid: string, number: number, wanted: boolean, accepted: boolean, forAnybody: boolean, answered: boolean, muted: boolean, unheard: boolean, began: number, heard?: number, heardAt?: number, endAt?: number }>}
   */
  const calls = new Map();
  let rang = 0;
  let number = 0;
  let kindNow = '';
  /** All views were true after the step before. */
  let settled = true;
  /** When the last fault of the network, and of the media alone, is over. */
  const faulty = { network: 0, media: 0, tokens: 0, speed: 0 };

  const told = new Set();
  /** Offered calls that ended after the line on which they rang: nobody tells of it, and they are offered for a while longer. */
  const unheardEnds = new Set();
  const complain = (text, about) => {
    // Once for a call, however long it goes on.
    if (about && told.has(about)) return;
    told.add(about);
    const line = `step ${number} (${kindNow}): ${text}`;
    broken.push(line);
    say(`  BROKEN ${line}`);
  };
  const outage = (of, ms) => (faulty[of] = Math.max(faulty[of], world.now() + ms));
  const present = () => agent.in && world.pages() > 0;

  // Kinds of steps -------------------------------------------------------------------------------------------------

  const all = () => [...calls.values()];
  const talks = () => all().filter((call) => call.wanted && call.accepted && call.answered);
  const offers = () => all().filter((call) => call.wanted && !call.accepted);
  const any = (list) => list[Math.floor(luck() * list.length)];
  /** The page has told the agent of it. @param {{ sid: string }} offer */
  const isShown = async ({ sid }) => Boolean((await world.views())[0]?.beat?.offers?.some(({ callSid }) => callSid === sid));
  const shown = async () => {
    const known = await Promise.all(offers().map(isShown));
    return offers().filter((_, at) => known[at]);
  };
  /** What is said to an extension whose worker is just starting dies with the page that said it: no agent clicks and reloads at once. */
  let saidAt = -Infinity;
  const tellExtension = (type, payload) => {
    saidAt = world.now();
    return world.say(type, payload);
  };
  const heardOut = () => world.now() - saidAt > 1_000;
  /** Nobody is about to take one. */
  const decided = () => all().every((call) => call.answered || !call.accepted);
  const active = () => talks().at(-1);
  const inCall = () => talks().length > 0;
  /** An invite that is on its way to a socket that ends is lost for both sides, and Twilio's to repeat. */
  const heard = () => all().every((call) => call.answered || world.now() - call.began > 200);
  /** The line on which they ring is gone: their end cannot be heard. */
  const unhear = () => offers().forEach((call) => (call.unheard = true));
  /** The agent takes it, or goes back to it: the others are on hold, the latest to be put there last. */
  const speakIn = (call) => {
    calls.delete(call.sid);
    calls.set(call.sid, call);
    call.accepted = true;
    call.began = world.now();
  };
  /** @param {boolean} accepted  by this agent, in Flex, as Flex tells each call */
  const rings = async (accepted, first) => {
    // What goes out to a network that is no more is lost for both sides, and Twilio's to repeat.
    const sid = (await world.fact()).reachable && (await world.ring(accepted));
    if (!sid) return undefined;
    rang += 1;
    const call = { sid, number: rang, wanted: true, accepted: accepted || first, forAnybody: !accepted, answered: false, muted: false, unheard: false, began: world.now() };
    calls.set(sid, call);
    return call;
  };
  const mute = (call) => (call.muted = !call.muted);
  /** A fault that takes signalling away; the media goes on by itself. */
  const network = (begin) => async () => {
    const ms = 300 + upTo(longestFault);
    outage('network', ms);
    unhear();
    await begin(ms);
  };

  const slow = async () => {
    const ms = 300 + upTo(longestFault);
    outage('speed', ms + slowIsRemembered);
    await world.fault({ delay: 150e6 }, ms);
  };

  const noTokens = (mode) => {
    const ms = 500 + upTo(longestFault);
    outage('tokens', ms);
    return world.tokens(mode, ms);
  };

  const kinds = {
    'a customer calls': {
      weight: 16,
      when: () => calls.size === 0 && present() && world.now() > faulty.network,
      // Where a call before has ended, and this side has not heard of it, it is offered as a second one is.
      run: () => rings(luck() < 0.7 || !settled, true),
    },
    'a customer gives up at once': {
      weight: 2,
      when: () => calls.size === 0 && present() && world.now() > faulty.network,
      async run() {
        const call = await rings(true, true);
        if (!call) return;
        await world.wait(upTo(200));
        await world.customerHangsUp(call.sid);
        call.wanted = false;
      },
    },
    'another customer calls': {
      weight: 12,
      when: () => inCall() && calls.size < 3 && decided() && present() && world.now() > faulty.network,
      run: () => rings(luck() < 0.5, false),
    },
    'the agent answers a call that is offered': {
      weight: 6, when: () => offers().length > 0 && decided() && present(),
      async run() {
        const call = any(await shown());
        if (!call) return;
        speakIn(call);
        await tellExtension('ANSWER_CALL', { callSid: call.sid });
      },
    },
    'the agent declines a call': {
      weight: 2, when: () => offers().length > 0 && present(),
      async run() {
        const call = any(await shown());
        if (!call) return;
        call.wanted = false;
        await tellExtension('DECLINE_CALL', { callSid: call.sid });
      },
    },
    'the agent goes back to a call on hold': {
      weight: 4, when: () => talks().length > 1 && decided() && present(),
      run() {
        const call = any(talks().slice(0, -1));
        speakIn(call);
        return tellExtension('ANSWER_CALL', { callSid: call.sid });
      },
    },
    'a customer hangs up': {
      weight: 5, when: () => inCall() || offers().length > 0,
      run() {
        const call = any([...talks(), ...offers()]);
        call.wanted = false;
        return world.customerHangsUp(call.sid);
      },
    },
    'the agent hangs up in Flex': {
      weight: 4, when: () => inCall() && present(),
      run() {
        const call = any(talks());
        call.wanted = false;
        return tellExtension('HANGUP_CALL', { callSid: call.sid });
      },
    },
    'the agent hangs up in the popup': {
      weight: 2, when: () => inCall() && world.popup() && settled && decided(),
      run: () => ((active().wanted = false), world.press('#hang-up')),
    },
    'the agent mutes or unmutes in Flex': {
      weight: 2, when: () => inCall() && present(),
      run() {
        const call = any(talks());
        return tellExtension('SET_MUTED', { muted: mute(call), callSid: call.sid });
      },
    },
    'the agent mutes or unmutes in the popup': {
      weight: 2, when: () => inCall() && world.popup() && settled && decided(), run: () => (mute(active()), world.press('#mute')),
    },
    'the agent presses keys': { weight: 1, when: () => inCall() && present(), run: () => tellExtension('SEND_DTMF_DIGITS', { digits: '42', callSid: active().sid }) },
    'the agent opens the popup': { weight: 2, when: () => !world.popup(), run: () => world.openPopup() },
    'the agent closes the popup': { weight: 1, when: () => world.popup(), run: () => world.closePopup() },
    'the agent reloads Flex': { weight: 5, when: () => present() && heardOut(), run: () => world.reload(luck) },
    'the agent opens a second tab': { weight: 2, when: () => agent.in && world.pages() === 1, run: () => world.openFlex() },
    'the agent closes a tab': { weight: 3, when: () => world.pages() > 0 && heardOut(), run: () => world.closeFlex(luck) },
    'the agent opens Flex': { weight: 6, when: () => agent.in && world.pages() === 0, run: () => world.openFlex() },
    'a Flex tab crashes': { weight: 2, when: () => world.pages() > 0 && heardOut(), run: () => world.crashFlex(luck) },
    'the agent logs out': {
      weight: 2, when: () => present() && calls.size === 0,
      async run() {
        agent.in = false;
        await world.logOut();
      },
    },
    'the agent logs in': {
      weight: 8, when: () => !agent.in,
      async run() {
        agent.in = true;
        await world.logIn();
      },
    },
    'the agent chooses a microphone': { weight: 1, when: present, run: () => tellExtension('SET_AUDIO_DEVICE', { kind: 'input', label: `Fake Audio Input ${1 + upTo(1)}` }) },
    'the agent restarts the extension': {
      weight: 1, when: () => calls.size === 0 && world.popup() && present(),
      run: () => world.restart(),
    },
    'the service worker is killed': { weight: 6, when: heard, run: () => (unhear(), world.killWorker()) },
    // In a call nothing can save it from these: the microphone and the peer connection are gone.
    'the document is gone': { weight: 2, when: () => calls.size === 0, run: () => world.loseDocument() },
    'the extension is reloaded': { weight: 1, when: () => calls.size === 0, run: () => world.reloadExtension() },
    'the sockets are cut': { weight: 3, when: heard, run: () => (unhear(), world.cut(luck() < 0.5 ? 0 : 1011)) },
    'the agent changes networks': { weight: 2, when: () => world.now() > faulty.network && heard(), run: () => (unhear(), outage('network', 0), world.strand(false)) },
    'the edge is full': { weight: 2, when: () => world.now() > faulty.network, run: network((ms) => world.fault({ refuse_sockets: true }, ms, true)) },
    'the edge says nothing': { weight: 2, when: () => world.now() > faulty.network, run: network((ms) => world.fault({ silent: true }, ms)) },
    'the edge is slow': { weight: 2, when: () => world.now() > faulty.network, run: slow },
    'the edge refuses the token': { weight: 1, when: () => world.now() > faulty.network, run: network((ms) => world.fault({ token_error: 31205 }, ms, true)) },
    'no packet comes through': {
      weight: 2, when: () => world.now() > faulty.network,
      async run() {
        const ms = 300 + upTo(longestFault);
        outage('media', ms);
        await world.fault({ block_media: true }, ms);
      },
    },
    'the token server is down': { weight: 2, when: () => true, run: () => noTokens('down') },
    'the token server talks nonsense': { weight: 1, when: () => true, run: () => noTokens('nonsense') },
    'the plugin brings a new Flex token': { weight: 2, when: present, run: () => world.newFlexToken() },
    'a page forges messages': { weight: 1, when: () => present() && heardOut(), run: () => world.forge() },
    'the tab sleeps for a while': { weight: 1, when: () => world.pages() > 0, run: () => world.freeze(luck, 500 + upTo(2_000)) },
  };

  function choose() {
    const open = Object.entries(kinds).filter(([, kind]) => kind.when());
    let left = luck() * open.reduce((sum, [, { weight }]) => sum + weight, 0);
    return (open.find(([, { weight }]) => (left -= weight) < 0) ?? open[0])[0];
  }

  // What has to be true --------------------------------------------------------------------------------------------

  /** Of a call that is beginning, or that ends while signalling is away, this side cannot know yet. */
  const unheard = () => !decided() || world.now() < faulty.network + reachableWithin;
  const sids = (list) => list.map((call) => call.callSid ?? call.sid).sort().join(' ') || 'none';

  /** What a page says of the calls that is not so; null when all of it is. */
  function untrueOfCalls({ call, onHold = [], offers: rung = [] }) {
    const [now, ...others] = talks().toReversed();
    if ((call?.callSid ?? null) !== (now?.sid ?? null)) return `${call?.callSid ?? 'no call'} instead of ${now?.sid ?? 'none'}`;
    if (sids(onHold) !== sids(others)) return `${sids(onHold)} on hold instead of ${sids(others)}`;
    const open = offers();
    const missing = open.filter(({ sid }) => !rung.some(({ callSid }) => callSid === sid));
    if (missing.length > 0) return `no offer of ${sids(missing)}`;
    const gone = rung.filter(({ callSid }) => !open.some(({ sid }) => sid === callSid) && !unheardEnds.has(callSid));
    if (gone.length > 0) return `an offer of ${sids(gone)}`;
    for (const one of [call, ...onHold]) if (one && one.muted !== calls.get(one.callSid).muted) return `muted ${one.muted} of ${one.callSid}`;
    return null;
  }

  /** Why the views are not true yet; null when they are. */
  async function untrue() {
    const fact = await world.fact();
    const now = active();
    for (const [i, view] of (await world.views()).entries()) {
      const at = `page ${i}`;
      if (!agent.in) {
        if (view.beat && view.age < 1_500 && view.beat.status === 'registered') return `${at} hears a phone that nobody is logged in to`;
        continue;
      }
      if (!view.beat || view.age > 1_500) return `${at} has no heartbeat (${view.age} ms)`;
      if (view.beat.status === 'registered' && !fact.reachable) return `${at} says registered, and no call could come`;
      if (view.beat.status !== 'registered' && fact.reachable && world.now() > faulty.network) return `${at} says ${view.beat.status}, and calls can come`;
      const wrong = unheard() ? null : untrueOfCalls(view.beat);
      if (wrong) return `${at} shows ${wrong}`;
    }
    const popup = await world.popupView();
    if (popup && !unheard()) {
      if (popup.call !== Boolean(now)) return `the popup shows ${popup.call ? 'a call' : 'no call'}`;
      if (now && popup.call && popup.muted !== now.muted) return `the popup says muted ${popup.muted}`;
      if (popup.ready && !fact.reachable && !now) return 'the popup says ready, and no call could come';
    }
    return null;
  }

  async function settle(at) {
    let why;
    for (;;) {
      await follow();
      why = await untrue();
      const now = world.now();
      if (!why) {
        slowest[kindNow] = Math.max(slowest[kindNow] ?? 0, now - at);
        settled = true;
        return;
      }
      if (now - at > trueWithin + (now < faulty.speed ? slower : 0)) break;
      await world.wait(25);
    }
    complain(`not true within ${trueWithin} ms: ${why}`);
    // What the next steps show is another matter.
    const until = world.now() + 10_000;
    while ((await untrue()) && world.now() < until) await Promise.all([follow(), world.wait(50)]);
    say(`  true ${world.now() - at} ms after the step`);
  }

  /** Follows the calls, and holds both ends' wishes against what became of them. */
  const follow = () => Promise.all(all().map(followOne));

  async function followOne(call) {
    const fact = await world.callFact(call.sid);
    const now = world.now();
    const name = `call ${call.number}`;
    if (fact.state === 'ended') {
      if (!calls.delete(call.sid)) return;
      if (call.wanted) complain(`${name} was lost: ${fact.reason}, ${call.answered ? 'answered' : 'never answered'}, ${now - call.began} ms after it began`);
      if (call.unheard) unheardEnds.add(call.sid);
      return;
    }
    if (fact.state === 'in-progress' && !call.answered) {
      call.answered = true;
      call.heardAt = now;
      if (!agent.in) complain(`${name} was answered, and nobody is logged in`, call);
      // It was told of when the agent was in no other call any more.
      if (call.forAnybody && talks().length === 0) call.accepted = true;
      if (!call.accepted) complain(`${name} was answered, and the agent has not decided`, call);
    }
    // A call before it had ended, and this side had not heard of it: it is offered, as a second one is.
    if (call.forAnybody && call.accepted && !call.answered && (await isShown(call))) call.accepted = false;
    const calm = Math.max(faulty.network, faulty.media, call.began);
    if (call.accepted && !call.answered && call.wanted && now - calm > silence) complain(`${name} rings into nothing`, call);
    if (call.answered && call.wanted) {
      if (fact.heard !== call.heard) Object.assign(call, { heard: fact.heard, heardAt: now });
      if (now - Math.max(call.heardAt, faulty.network, faulty.media) > silence) complain(`${name}: the customer has heard nothing for ${now - call.heardAt} ms`, call);
    }
    // Twilio takes a refusal only from where it rings: elsewhere it rings on, and nobody is asked.
    if (call.unheard && !call.accepted && !call.wanted) return;
    if (!call.wanted && now - Math.max((call.endAt ??= now), faulty.network) > silence) complain(`${name} was to end, and is still ${fact.state}`, call);
  }

  // The walk -------------------------------------------------------------------------------------------------------

  const began = world.now();
  for (number = 1; number <= steps; number += 1) {
    kindNow = choose();
    done.set(kindNow, (done.get(kindNow) ?? 0) + 1);
    const at = world.now();
    say(`${String(number).padStart(4)} ${((at - began) / 1000).toFixed(1).padStart(6)} s  ${kindNow}`);
    await kinds[kindNow].run();
    settled = false;
    const before = broken.length;
    if (luck() < 0.25) {
      const until = at + upTo(400);
      do {
        await world.wait(20);
        await follow();
      } while (world.now() < until);
    } else {
      await settle(at);
    }
    // At rest now and then, so that the next is not always about what was before.
    if (luck() < 0.3) {
      const rested = Math.max(faulty.network, faulty.media, faulty.tokens, world.now());
      // A token server that was out of order is not asked every moment.
      const deadline = rested + reachableWithin + (faulty.tokens > at - 10_000 ? 5_000 : 0);
      for (;;) {
        await follow();
        if (world.now() >= rested && (!present() || (await world.fact()).reachable)) break;
        if (world.now() > deadline) {
          complain(`not reachable ${reachableWithin} ms after all was well`);
          break;
        }
        await world.wait(50);
      }
    }
    if (broken.length > before) for (const line of await world.story()) say(`         ${line}`);
  }
  return { broken, done, calls: rang, slowest };
}
