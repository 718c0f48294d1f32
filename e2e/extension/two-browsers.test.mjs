// One agent with two browsers, such as a desk and a laptop: both are registered, and both ring.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { pause, plays, startWorld } from './world.mjs';

let world, desk, laptop;

before(async () => {
  world = await startWorld();
  desk = await world.openFlex();
  await world.registered(desk);
  const other = await world.otherBrowser();
  laptop = await other.newPage();
  await laptop.goto('https://flex.twilio.com/agent-desktop');
  await world.registered(laptop);
});

after(() => world?.stop());

const play = plays(() => world.atEdge('two clients at rest', (sockets) => sockets.filter((s) => s.registered).length === 2 && sockets.every((s) => !s.calls?.length)));

/** As Flex calls the agent, for whom one page has accepted. */
const ringFor = async (session) => world.ring({ parameters: { flex_session_identifier: session } });
const callOf = (page) => page.evaluate(() => window.latest.HEARTBEAT?.call?.callSid ?? null);

for (const ten of [1, 2, 3, 4, 5]) play(`"I accepted at my desk, and the laptop in my bag answered": the accepting one answers, ${ten}0 of 50`, async () => {
  let wrong = 0;
  for (let i = 0; i < 10; i += 1) {
    const [accepts, other] = i % 2 ? [laptop, desk] : [desk, laptop];
    const sid = await ringFor(await accepts.evaluate(() => window.session));
    await world.inState(sid, 'in-progress');
    await world.callIs(accepts, 'open');
    if ((await callOf(accepts)) !== sid || (await callOf(other)) !== null) wrong += 1;
    await world.hangUp(accepts, sid);
    await Promise.all([accepts, other].map((page) => world.noCall(page)));
  }
  assert.equal(wrong, 0);
});

play('"a second call, which I accepted on the laptop, while I talked at my desk": the laptop answers, and the desk is not asked', async () => {
  const first = await ringFor(await desk.evaluate(() => window.session));
  await world.callIs(desk, 'open');
  await desk.evaluate(() => {
    window.offered = 0;
    addEventListener('message', ({ data }) => (window.offered += data.payload?.offers?.length ?? 0));
  });
  const second = await ringFor(await laptop.evaluate(() => window.session));
  await world.inState(second, 'in-progress');
  await world.callIs(laptop, 'open');
  // So long the other waits before it would ask.
  await pause(6_000);
  assert.deepEqual([await callOf(desk), await callOf(laptop)], [first, second]);
  assert.equal(await desk.evaluate(() => window.offered), 0);
  await world.hangUp(laptop, second);
  await world.hangUp(desk, first);
  await Promise.all([desk, laptop].map((page) => world.noCall(page)));
});

play('"I accepted, and reloaded": the same browser answers', async () => {
  const session = await laptop.evaluate(() => window.session);
  await laptop.reload();
  await world.registered(laptop);
  const sid = await ringFor(session);
  await world.callIs(laptop, 'open');
  assert.equal(await callOf(desk), null);
  await world.hangUp(laptop, sid);
});

play('"my laptop was closed in the bag": a browser without a page does not answer what another accepted', async () => {
  await laptop.close();
  const sid = await ringFor('a page that has just crashed');
  await pause(3_000);
  assert.equal((await world.stats(sid)).state, 'ringing', 'nobody answers at once');
  // Nobody came: after the time that Flex waits too, the browser where somebody may be takes it.
  await world.inState(sid, 'in-progress');
  await world.callIs(desk, 'open');
  assert.equal(await callOf(desk), sid);
  await world.hangUp(desk, sid);
});
