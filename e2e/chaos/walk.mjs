// A random walk: an agent, customers, and everything that goes wrong around them, step after step, one often before the other
// is over. After each step the pages, the popup and the voice edge have to agree, and what customers hear is watched all the time.
//
// The walk knows what both ends want; the world (see chromium.mjs) knows what is. The same seed gives the same steps.

/** The pages and the popup are true within this time of every step. */
const trueWithin = 2_000;
/** No caller is in silence for longer. */
const silence = 3_000;
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
  const agent = { in: true, muted: false };
  /** The call that both ends want: { sid, wanted, answered, digits }. */
  let call = null;
  let calls = 0;
  let number = 0;
  let kindNow = '';
  /** When the last fault of the network, and of the media alone, is over. */
  const faulty = { network: 0, media: 0, tokens: 0 };

  const told = new Set();
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

  /** An invite that is on its way to a socket that ends is lost for both sides, and Twilio's to repeat. */
  const heard = () => !call || call.answered || world.now() - call.began > 200;
  const inCall = () => call?.answered && call.wanted;
  /** A fault that takes signalling away; the media goes on by itself. */
  const network = (begin) => async () => {
    const ms = 300 + upTo(longestFault);
    outage('network', ms);
    await begin(ms);
  };

  const noTokens = (mode) => {
    const ms = 500 + upTo(longestFault);
    outage('tokens', ms);
    return world.tokens(mode, ms);
  };

  const kinds = {
    'a customer calls': {
      weight: 16,
      when: () => !call && present() && world.now() > faulty.network,
      async run() {
        const sid = await world.ring(luck() < 0.7);
        if (!sid) return;
        calls += 1;
        call = { sid, wanted: true, answered: false, began: world.now() };
        agent.muted = false;
      },
    },
    'a customer gives up at once': {
      weight: 2,
      when: () => !call && present() && world.now() > faulty.network,
      async run() {
        const sid = await world.ring(true);
        if (!sid) return;
        await world.wait(upTo(200));
        await world.customerHangsUp(sid);
        call = { sid, wanted: false, answered: false, began: world.now() };
        agent.muted = false;
      },
    },
    'the customer hangs up': { weight: 4, when: inCall, run: () => (call.wanted = false, world.customerHangsUp(call.sid)) },
    'the agent hangs up in Flex': { weight: 4, when: () => inCall() && present(), run: () => (call.wanted = false, world.say('HANGUP_CALL')) },
    'the agent hangs up in the popup': { weight: 2, when: () => inCall() && world.popup(), run: () => (call.wanted = false, world.press('#hang-up')) },
    'the agent mutes or unmutes in Flex': {
      weight: 2, when: () => inCall() && present(),
      run: () => ((agent.muted = !agent.muted), world.say('SET_MUTED', { muted: agent.muted })),
    },
    'the agent mutes or unmutes in the popup': {
      weight: 2, when: () => inCall() && world.popup(), run: () => ((agent.muted = !agent.muted), world.press('#mute')),
    },
    'the agent presses keys': { weight: 1, when: () => inCall() && present(), run: () => world.say('SEND_DTMF_DIGITS', { digits: '42' }) },
    'the agent opens the popup': { weight: 2, when: () => !world.popup(), run: () => world.openPopup() },
    'the agent closes the popup': { weight: 1, when: () => world.popup(), run: () => world.closePopup() },
    'the agent reloads Flex': { weight: 5, when: present, run: () => world.reload(luck) },
    'the agent opens a second tab': { weight: 2, when: () => agent.in && world.pages() === 1, run: () => world.openFlex() },
    'the agent closes a tab': { weight: 3, when: () => world.pages() > 0, run: () => world.closeFlex(luck) },
    'the agent opens Flex': { weight: 6, when: () => agent.in && world.pages() === 0, run: () => world.openFlex() },
    'a Flex tab crashes': { weight: 2, when: () => world.pages() > 0, run: () => world.crashFlex(luck) },
    'the agent logs out': {
      weight: 2, when: () => present() && !call,
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
    'the agent chooses a microphone': { weight: 1, when: present, run: () => world.say('SET_AUDIO_DEVICE', { kind: 'input', label: `Fake Audio Input ${1 + upTo(1)}` }) },
    'the agent restarts the extension': {
      weight: 1, when: () => !call && world.popup() && present(),
      run: () => world.restart(),
    },
    'the service worker is killed': { weight: 6, when: heard, run: () => world.killWorker() },
    // In a call nothing can save it from these: the microphone and the peer connection are gone.
    'the document is gone': { weight: 2, when: () => !call, run: () => world.loseDocument() },
    'the extension is reloaded': { weight: 1, when: () => !call, run: () => world.reloadExtension() },
    'the sockets are cut': { weight: 3, when: heard, run: () => world.cut(luck() < 0.5 ? 0 : 1011) },
    'the agent changes networks': { weight: 2, when: () => world.now() > faulty.network && heard(), run: () => (outage('network', 0), world.strand(false)) },
    'the edge is full': { weight: 2, when: () => world.now() > faulty.network, run: network((ms) => world.fault({ refuse_sockets: true }, ms, true)) },
    'the edge says nothing': { weight: 2, when: () => world.now() > faulty.network, run: network((ms) => world.fault({ silent: true }, ms)) },
    'the edge is slow': { weight: 2, when: () => world.now() > faulty.network, run: () => world.fault({ delay: 150e6 }, 300 + upTo(longestFault)) },
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
    'a page forges messages': { weight: 1, when: present, run: () => world.forge() },
    'the tab sleeps for a while': { weight: 1, when: () => world.pages() > 0, run: () => world.freeze(luck, 500 + upTo(2_000)) },
  };

  function choose() {
    const open = Object.entries(kinds).filter(([, kind]) => kind.when());
    let left = luck() * open.reduce((sum, [, { weight }]) => sum + weight, 0);
    return (open.find(([, { weight }]) => (left -= weight) < 0) ?? open[0])[0];
  }

  // What has to be true --------------------------------------------------------------------------------------------

  /** Of a call that is beginning, or that ends while signalling is away, this side cannot know yet. */
  const unheard = () => (call && !call.answered) || world.now() < faulty.network + reachableWithin;

  /** Why the views are not true yet; null when they are. */
  async function untrue() {
    const fact = await world.fact();
    const live = fact.calls.filter(({ state }) => state === 'in-progress');
    if (live.length > 1) return `${live.length} calls at once`;
    const wanted = call?.wanted && call.answered ? call.sid : null;
    for (const [i, view] of (await world.views()).entries()) {
      const at = `page ${i}`;
      if (!agent.in) {
        if (view.beat && view.age < 1_500 && view.beat.status === 'registered') return `${at} hears a phone that nobody is logged in to`;
        continue;
      }
      if (!view.beat || view.age > 1_500) return `${at} has no heartbeat (${view.age} ms)`;
      if (view.beat.status === 'registered' && !fact.reachable) return `${at} says registered, and no call could come`;
      if (view.beat.status !== 'registered' && fact.reachable && world.now() > faulty.network) return `${at} says ${view.beat.status}, and calls can come`;
      if ((view.beat.call?.callSid ?? null) !== wanted && !unheard()) return `${at} shows ${view.beat.call?.callSid ?? 'no call'} instead of ${wanted ?? 'none'}`;
      if (wanted && view.beat.call && view.beat.call.muted !== agent.muted) return `${at} says muted ${view.beat.call.muted}`;
    }
    const popup = await world.popupView();
    if (popup && !unheard()) {
      if (popup.call !== Boolean(wanted)) return `the popup shows ${popup.call ? 'a call' : 'no call'}`;
      if (wanted && popup.call && popup.muted !== agent.muted) return `the popup says muted ${popup.muted}`;
      if (popup.ready && !fact.reachable && !wanted) return 'the popup says ready, and no call could come';
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
        return;
      }
      if (now - at > trueWithin) break;
      await world.wait(25);
    }
    complain(`not true within ${trueWithin} ms: ${why}`);
    // What the next steps show is another matter.
    const until = world.now() + 10_000;
    while ((await untrue()) && world.now() < until) await Promise.all([follow(), world.wait(50)]);
    say(`  true ${world.now() - at} ms after the step`);
  }

  /** Follows the call, and holds both ends' wishes against what became of it. */
  async function follow() {
    if (!call) return;
    const fact = await world.callFact(call.sid);
    const now = world.now();
    if (fact.state === 'ended') {
      if (call.wanted) complain(`call ${calls} was lost: ${fact.reason}, ${call.answered ? 'answered' : 'never answered'}, ${now - call.began} ms after it began`);
      call = null;
      return;
    }
    if (fact.state === 'in-progress' && !call.answered) {
      call.answered = true;
      call.heardAt = now;
      if (!agent.in) complain('answered, and nobody is logged in');
    }
    const calm = Math.max(faulty.network, faulty.media, call.began);
    if (!call.answered && call.wanted && now - calm > silence) complain(`call ${calls} rings into nothing`, call);
    if (call.answered && call.wanted) {
      if (fact.heard !== call.heard) Object.assign(call, { heard: fact.heard, heardAt: now });
      if (now - Math.max(call.heardAt, faulty.network, faulty.media) > silence) complain(`call ${calls}: the customer has heard nothing for ${now - call.heardAt} ms`, call);
    }
    if (!call.wanted && now - Math.max(call.endAt ??= now, faulty.network) > silence) complain(`call ${calls} was hung up, and is still ${fact.state}`, call);
  }

  // The walk -------------------------------------------------------------------------------------------------------

  for (number = 1; number <= steps; number += 1) {
    kindNow = choose();
    done.set(kindNow, (done.get(kindNow) ?? 0) + 1);
    const at = world.now();
    say(`${String(number).padStart(4)} ${kindNow}`);
    await kinds[kindNow].run();
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
  }
  return { broken, done, calls, slowest };
}
