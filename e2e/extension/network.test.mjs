// What goes wrong outside of the browser: signalling, media, tokens. No call is lost, and nobody has to touch anything.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { flow, plays, startWorld, until } from './world.mjs';

let world, page;

before(async () => {
  world = await startWorld({ audited: true });
  page = await world.openFlex();
  await world.registered(page);
});

after(() => world?.stop());

const play = plays(() => world.atRest(page));

/** The socket with which the document takes the next call; the end of a call may bring another one. */
const preparedSocket = () => world.atEdge('a prepared socket', (sockets) => sockets.length === 2 && sockets.find((s) => !s.registered));

play('signalling is dropped in a call: it goes on', async (t) => {
  const sid = await world.answered(page);
  for (const code of [0, 1011]) {
    const { reconnects, age } = await world.stats(sid);
    const at = Date.now();
    await world.order('drop', { identity: world.identity, code });
    await until('the call is held again', async () => {
      const s = await world.stats(sid);
      return s.reconnects === reconnects + 1 && s.state === 'in-progress';
    });
    const held = Date.now() - at;
    await world.atEdge('registered', (sockets) => sockets.some((s) => s.registered));
    t.diagnostic(`dropped (${code}): held again after ${held} ms, registered after ${Date.now() - at} ms`);
    const s = await world.heardMore(sid);
    assert.equal((await world.heard(sid, age, s.age)).lost, 0);
    await world.callIs(page, 'open');
  }
  await world.hangUp(page, sid);
});

play('the network is gone for 25 s in a call: it comes back by itself', async (t) => {
  const sid = await world.answered(page);
  const outage = { refuse_sockets: true, block_media: true };
  await world.order('faults', { faults: outage, seconds: 25 });
  await world.order('drop', { identity: world.identity, code: 0 });
  await world.callIs(page, 'reconnecting');
  await until('the network is back', async () => (await world.order('events')).filter((e) => e.kind === 'faults').length % 2 === 0, 40_000);
  const at = Date.now();
  await world.heardMore(sid);
  const s = await world.inState(sid, 'in-progress');
  t.diagnostic(`heard again ${Date.now() - at} ms after the network was back, ${s.ice_restarts} ICE restarts; ${flow(s)}`);
  await world.callIs(page, 'open');
  await world.registered(page);
  const { age } = await world.heardMore(sid, 50);
  assert.equal((await world.heard(sid, age - 500e6, age)).lost, 0);
  const fired = await world.order('fired');
  assert.ok(fired.refuse_sockets > 0 && fired.block_media > 0, JSON.stringify(fired));
  await world.hangUp(page, sid);
});

play('"I was Available, the phone showed green, and the customer heard nothing": the prepared socket is dead when the call comes', async (t) => {
  for (let i = 0; i < 3; i += 1) {
    const prepared = await preparedSocket();
    assert.equal(await world.order('strand', { identity: world.identity, socket: prepared.id }), 1);
    const sid = await world.answered(page);
    const s = await world.stats(sid);
    t.diagnostic(`answered ${Math.round(s.marks.connect / 1e6)} ms after the invite`);
    const events = await world.order('events');
    assert.deepEqual(events.filter((e) => e.call_sid === sid && /reject|hangup/.test(e.kind)), [], 'nothing was said against the call');
    await world.hangUp(page, sid);
    await world.atRest(page);
  }
  assert.ok((await world.order('fired')).strand > 0);
});

play('"between two calls the network hiccuped": a dead socket is found and replaced before a call needs it', async () => {
  const prepared = await preparedSocket();
  await world.order('strand', { identity: world.identity, socket: prepared.id });
  await world.atEdge('another socket', (sockets) => sockets.some((s) => !s.registered && s.id > prepared.id));
  await world.hangUp(page, await world.answered(page));
});

play('"I hung up, and the customer went on hearing nothing": a hang-up without signalling is kept, and said when it is back', async (t) => {
  const cut = await world.answered(page);
  await world.order('faults', { faults: { refuse_sockets: true } });
  await world.order('drop', { identity: world.identity, code: 0 });
  await world.callIs(page, 'reconnecting');
  await world.say(page, 'HANGUP_CALL');
  await world.noCall(page);
  await world.order('faults', { faults: {} });
  const back = Date.now();
  assert.equal((await world.inState(cut, 'ended')).reason, 'agent');
  t.diagnostic(`freed ${Date.now() - back} ms after signalling was back`);
  await world.registered(page);
  await world.atRest(page);

  const dead = await world.answered(page);
  await world.order('strand', { identity: world.identity, socket: (await world.sockets()).find((s) => s.calls?.length).id });
  const at = Date.now();
  await world.say(page, 'HANGUP_CALL');
  assert.equal((await world.inState(dead, 'ended')).reason, 'agent');
  t.diagnostic(`freed ${Date.now() - at} ms after a hang-up into a dead socket`);
});

play('"I went from the dock to the wireless, and the phone showed green": dead sockets are found, and the agent is reachable', async (t) => {
  const before = Math.max(...(await world.sockets()).map((s) => s.id));
  await page.evaluate(() => (window.latest = {}));
  const at = Date.now();
  await world.order('strand', { identity: world.identity });
  await world.waitForPage(page, 'a heartbeat that says so', () => window.latest.HEARTBEAT?.problem === 'signalling_lost');
  t.diagnostic(`the heartbeat told after ${Date.now() - at} ms`);
  await world.atEdge('a new registration', (sockets) => sockets.some((s) => s.registered && s.id > before));
  t.diagnostic(`reachable after ${Date.now() - at} ms`);
  await world.registered(page);
  await world.hangUp(page, await world.answered(page));
});

play('"I took the laptop out of the dock, and the customer was gone for a quarter of a minute": a call goes on over the other link', async (t) => {
  for (let i = 0; i < 2; i += 1) {
    const sid = await world.answered(page);
    await world.heardMore(sid, 100);
    const { age } = await world.stats(sid);
    await page.evaluate(() => window.changes.splice(0));
    await world.order('strand', { identity: world.identity, calls: true });
    await world.callIs(page, 'reconnecting');
    await world.callIs(page, 'open');
    const s = await world.heardMore(sid, 50);
    assert.equal(s.state, 'in-progress');
    assert.ok(s.ice_restarts > 0);
    t.diagnostic(`silent for ${Math.round((await world.heard(sid, age, s.age)).longest_gap / 1e6)} ms, ${s.ice_restarts} ICE restarts`);
    await world.hangUp(page, sid);
    await world.atRest(page);
  }
});

play('"they say your data centre is down": the edge of a call is away, and signalling comes back at another', async (t) => {
  const sid = await world.answered(page);
  await world.order('faults', { faults: { refuse_edge: 'ashburn' } });
  const { reconnects } = await world.stats(sid);
  await world.order('drop', { identity: world.identity, code: 0 });
  const at = Date.now();
  await until('the call is held again', async () => {
    const s = await world.stats(sid);
    return s.reconnects > reconnects && s.state === 'in-progress';
  });
  t.diagnostic(`held again after ${Date.now() - at} ms`);
  assert.ok((await world.order('fired')).refuse_edge > 0);
  await world.callIs(page, 'open');
  await world.hangUp(page, sid);
  await world.order('faults', { faults: {} });
});

play('voice tokens of 25 s, a Flex token that expires and a token endpoint out of order: a call outlives them all', async (t) => {
  const events = async () => (await world.order('events')).filter((e) => e.identity === world.identity);
  const first = (await events()).at(-1).number;
  await world.serve('25s');
  world.flex.tokenTTL = '8s';
  const anew = world.tokens.served;
  await page.evaluate(async () => window.say('FLEX_TOKEN', await (await fetch('/session')).json()));
  await until('a voice token of 25 s', () => world.tokens.served > anew);
  const began = Date.now();
  const sid = await world.answered(page);
  world.tokens.mode = 'down';
  const { asked } = world.tokens;
  await until('a request that fails', () => world.tokens.asked > asked, 40_000);
  world.tokens.mode = 'nonsense';
  const again = world.tokens.asked;
  await until('a request that is answered with nonsense', () => world.tokens.asked > again, 40_000);
  const { asked: logins } = world.flex;
  world.tokens.mode = 'well';
  const { served } = world.tokens;
  await until('a new voice token', () => world.tokens.served > served, 40_000);
  assert.ok(world.flex.asked > logins, 'the plugin was asked for a new Flex token');
  t.diagnostic(`the token endpoint was back, and a new voice token there, ${((Date.now() - began) / 1000).toFixed(1)} s after the first of 25 s`);
  const s = await until('the first token is over', async () => {
    const now = await world.stats(sid);
    return Date.now() - began > 26_000 && now;
  }, 40_000);
  assert.equal(s.state, 'in-progress');
  assert.equal(s.heard.lost, 0);
  t.diagnostic(flow(s));
  const bad = (await events()).filter((e) => e.number > first && /^token\.(expired|refused)/.test(e.kind));
  assert.deepEqual(bad, [], 'the edge never saw an expired token');
  await world.registered(page);
  await world.hangUp(page, sid);
  world.flex.tokenTTL = '1h';
  await world.serve();
  const long = world.tokens.served;
  await page.evaluate(async () => window.say('FLEX_TOKEN', await (await fetch('/session')).json()));
  await until('a long voice token', () => world.tokens.served > long);
});
