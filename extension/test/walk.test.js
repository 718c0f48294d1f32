// A random walk with up to four calls at once: customers who call, give up and hang up, an agent who answers, declines, goes back
// and forth and reloads, and a worker that dies in between. Nothing may be lost, and everybody has to agree afterwards.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { account, World } from './world.js';

const steps = 100;

/** Numbers that look random and are the same each time. */
function dice(seed) {
  let x = seed * 7919 + 1;
  const next = () => (x = (x * 16807) % 2147483647) / 2147483647;
  return { next, of: (list) => list[Math.floor(next() * list.length)] };
}

const sids = (list) => list.map(({ callSid }) => callSid);

async function walk(seed) {
  const luck = dice(seed);
  const world = new World();
  /** What became of each customer, by the SID of the call. Whoever rings, rings until somebody has decided. */
  const customers = new Map();
  const log = [];
  let page;
  /** Everything that was under way has arrived. */
  let calm = true;

  async function openPage() {
    page = await world.connect('page');
    page.postMessage({
      type: 'VOICE_CLIENT_EXTENSION_CONFIGURE',
      payload: { accountSid: account, voiceClientTokenGeneratorUrl: 'https://voice.example.com/generateToken', extensionVoiceClientPrefix: 'ext_', sessionIdentifier: 'here' },
    });
    page.postMessage({ type: 'VOICE_CLIENT_EXTENSION_FLEX_TOKEN', payload: { token: 'flex', accountSid: account, expiration: '2030-01-01T00:00:00Z' } });
    await world.settle();
  }
  const say = (type, payload) => page.postMessage({ type: `VOICE_CLIENT_EXTENSION_${type}`, payload });
  const inDocument = () => [...(world.document?.call ? [world.document.call] : []), ...(world.document?.onHold ?? [])];
  const ringing = () => [...customers].filter(([, { state }]) => state === 'ringing').map(([sid]) => sid);
  const offers = () => sids(world.state().offers);

  /** Twilio withdraws the invite, where somebody still hears it. */
  const withdraw = ({ call, life }) => {
    if (world.alive && life === world.life) call.emit('cancel');
  };

  /** Twilio answers the document, or has nobody to put through any more. */
  async function connectAll() {
    for (const { callSid, status } of inDocument()) {
      const customer = customers.get(callSid);
      if (status !== 'connecting') continue;
      if (customer.state === 'gone') world.document.end('not_answered', callSid);
      else {
        customer.state = 'talking';
        inDocument().find((call) => call.callSid === callSid).status = 'open';
        world.document.changed();
        withdraw(customer);
      }
    }
    await world.settle();
  }

  const kinds = {
    async 'a customer calls'() {
      if (ringing().length + inDocument().length >= 4) return;
      const sid = `CA${customers.size + 1}`;
      const session = luck.next() < 0.4 ? 'here' : undefined;
      const call = world.call(sid, 'connect', session);
      customers.set(sid, { state: 'ringing', call, life: world.life });
      world.device.emit('incoming', call);
    },
    async 'a customer gives up'() {
      const sid = luck.of(ringing());
      if (!sid) return;
      customers.get(sid).state = 'gone';
      withdraw(customers.get(sid));
    },
    async 'a customer hangs up'() {
      const call = luck.of(inDocument().filter(({ status }) => status === 'open'));
      if (!call) return;
      customers.get(call.callSid).state = 'gone';
      world.document.end('ended', call.callSid);
    },
    async 'the agent answers, or goes back to another'() {
      const sid = luck.of([...offers(), ...sids(world.document.onHold)]);
      if (sid) say('ANSWER_CALL', { callSid: sid });
    },
    async 'the agent declines'() {
      const sid = luck.of(offers());
      if (!sid) return;
      const customer = customers.get(sid);
      customer.declined = true;
      say('DECLINE_CALL', { callSid: sid });
      await world.settle();
      // Where the line on which it rang is gone nobody can be told, and it rings until Twilio gives up.
      if (customer.state === 'ringing') customer.state = 'gone';
    },
    async 'the agent hangs up'() {
      const call = luck.of(inDocument());
      if (!call) return;
      customers.get(call.callSid).state = 'gone';
      // Without a name it is for the one the agent speaks in, whichever that is by then.
      const named = luck.next() < 0.5 || !calm || call !== world.document.call;
      say('HANGUP_CALL', named ? { callSid: call.callSid } : undefined);
    },
    async 'the page is reloaded'() {
      page.disconnect();
      await openPage();
    },
    async 'the worker dies'() {
      await world.kill();
      await world.document?.connect();
      await world.settle();
      await openPage();
    },
    async 'the worker dies at once'() {
      for (let i = Math.floor(luck.next() * 8); i > 0; i -= 1) await null;
      await world.kill();
      await world.document?.connect();
      await world.settle();
      await openPage();
    },
  };

  await openPage();
  for (let step = 1; step <= steps; step += 1) {
    const kind = luck.of(Object.keys(kinds));
    log.push(kind);
    await kinds[kind]();
    // One often comes before the other is over.
    calm = luck.next() >= 0.3;
    if (!calm) continue;
    await world.settle();
    await connectAll();
    await connectAll();

    const where = `seed ${seed}, step ${step}: ${log.slice(-6).join(', ')}`;
    const { call, onHold, offers: offered } = world.state();
    assert.deepEqual([call?.callSid, ...sids(onHold)], [world.document.call?.callSid, ...sids(world.document.onHold)], `${where}: the worker knows what is`);
    assert.equal(new Set([...sids(inDocument()), ...sids(offered)]).size, inDocument().length + offered.length, `${where}: a call is in two places`);
    for (const [sid, { state, call: rung, declined }] of customers) {
      const there = sids(inDocument()).includes(sid);
      if (state === 'ringing') assert.ok(sids(offered).includes(sid), `${where}: ${sid} rings, and nobody is asked`);
      if (state === 'talking') assert.ok(there, `${where}: ${sid} was lost`);
      if (state === 'gone') assert.ok(!there, `${where}: ${sid} is over, and in the document`);
      if (rung.rejected && !declined) assert.equal(state, 'gone', `${where}: ${sid} was refused`);
    }
    for (const { callSid, unheard } of offered) assert.ok(unheard || customers.get(callSid).state === 'ringing', `${where}: ${callSid} is offered, and nobody is there`);
    const beat = page.received.findLast(({ type }) => /_(HEARTBEAT|CALLS)$/.test(type)).payload;
    assert.deepEqual([beat.call?.callSid, sids(beat.onHold), sids(beat.offers)], [call?.callSid, sids(onHold), sids(offered)], `${where}: the page is told`);
  }
}

for (const half of [0, 1]) {
  test(`up to four calls at once, walks ${half * 10 + 1} to ${half * 10 + 10} of 20`, async () => {
    for (let seed = half * 10 + 1; seed <= half * 10 + 10; seed += 1) await walk(seed);
  });
}
