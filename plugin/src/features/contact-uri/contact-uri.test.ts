import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as messages from '../../messages';
import { problemOf } from '../../state';
import { alive, beat, call, connected, createWorld, enabled, settle } from '../../test/world';
import { contactURI } from './contact-uri';

const theirs = 'client:alice';
const ours = 'client:ext_alice';

test('a heartbeat sets contact_uri, and nothing else changes', async () => {
  const { written } = await connected();
  assert.deepEqual(written, [{ ...enabled, contact_uri: ours }]);
});

test('an old extension gets its contact_uri too', async () => {
  const { written } = await connected({}, { voiceClientIdentity: 'ext_alice', error: null });
  assert.equal(written[0]?.contact_uri, ours);
});

test('one that is right already is not written again, whatever its query', async () => {
  const { written } = await connected({ attributes: { ...enabled, contact_uri: `${ours}?a=b` } });
  assert.deepEqual(written, []);
});

test('a worker without contact_uri gets one, and is told why nobody calls until then', async () => {
  const { contact_uri: _, ...attributes } = enabled;
  const world = createWorld({ attributes });
  const outside = world.outside();
  contactURI(outside);
  outside.board.set({ link: 'up' });
  assert.equal(problemOf(outside.board.get()), 'contact_uri_missing');
  outside.board.set({ beat: messages.readHeartbeat(beat) });
  await settle();
  assert.deepEqual(world.written, [{ ...attributes, contact_uri: ours }]);
  assert.equal(problemOf(outside.board.get()), null);
});

test('attributes that changed meanwhile are kept: the freshest are fetched before a write', async () => {
  const world = createWorld();
  world.worker.newer = { ...enabled, skills: ['new'] };
  world.start();
  world.say(messages.HEARTBEAT, beat);
  await settle();
  assert.deepEqual(world.written, [{ ...enabled, skills: ['new'], contact_uri: ours }]);
});

test('a worker who was turned off meanwhile is not pointed at the extension', async () => {
  const world = createWorld();
  world.worker.newer = { ...enabled, extensionVoiceClientEnabled: false };
  world.start();
  world.say(messages.HEARTBEAT, beat);
  await settle();
  assert.deepEqual(world.written, []);
});

test('another writer who undoes it is overruled, then left alone, and the agent is told', async () => {
  const world = await connected();
  for (let round = 1; round <= 3; round++) {
    world.worker.become({ ...world.worker.attributes, contact_uri: theirs, round });
    await settle();
    assert.equal(world.worker.attributes.contact_uri, ours);
    assert.equal(world.worker.attributes.round, round);
  }
  world.worker.become({ ...world.worker.attributes, contact_uri: theirs });
  await alive(world, 60);
  assert.equal(world.worker.attributes.contact_uri, theirs);
  assert.equal(world.written.length, 4);
  assert.match(world.shown.join(), /contact_uri_contested/);

  await alive(world, 300);
  assert.equal(world.worker.attributes.contact_uri, ours);
});

test('"my calls went to the tab, and the badge said ready": another write that Flex has not heard of is found', async () => {
  const world = await connected();
  world.worker.newer = { ...world.worker.attributes, contact_uri: theirs, note: 1 };
  await alive(world, 4);
  assert.deepEqual(world.written.slice(1), [{ ...enabled, contact_uri: ours, note: 1 }]);
});

test('a write that fails is tried again, but not with every heartbeat', async () => {
  const world = createWorld();
  world.worker.refuses = true;
  world.start();
  world.say(messages.HEARTBEAT, beat);
  await alive(world, 4);
  assert.equal(world.logged.filter((line) => line.includes('could not be set')).length, 1);
  world.worker.refuses = false;
  await alive(world, 2);
  assert.equal(world.worker.attributes.contact_uri, ours);
});

test('another agent\'s identity is never written', async () => {
  const { written } = await connected({}, { ...beat, voiceClientIdentity: 'ext_bob' });
  assert.deepEqual(written, []);
});

for (const flag of [false, undefined, 'true', 1]) {
  test(`it goes back to the tab when the flag is ${JSON.stringify(flag)}`, async () => {
    const attributes = { ...enabled, extensionVoiceClientEnabled: flag, contact_uri: ours };
    const world = createWorld({ attributes });
    world.start();
    await settle();
    assert.deepEqual(world.written, [{ ...attributes, contact_uri: theirs }]);
  });
}

for (const contact_uri of [theirs, 'client:ext_bob', '+15551230000', undefined]) {
  test(`a worker who is not on the extension keeps ${contact_uri}`, async () => {
    const world = createWorld({ attributes: { contact_uri } });
    world.start();
    await settle();
    world.clock.tick(10_000);
    await settle();
    assert.deepEqual(world.written, []);
  });
}

test('a worker who is turned off while at work gets the tab back', async () => {
  const world = await connected();
  world.worker.become({ ...world.worker.attributes, extensionVoiceClientEnabled: false });
  await settle();
  assert.equal(world.worker.attributes.contact_uri, theirs);
});

for (const contact_uri of ['sip:alice@pbx.example.com', '+15551230000', 'Client:alice', 7, { a: 1 }]) {
  test(`the address of a phone is never touched: ${JSON.stringify(contact_uri)}`, async () => {
    const attributes = { ...enabled, contact_uri };
    for (let start = 0; start < 10; start++) {
      const world = await connected({ attributes });
      await alive(world, 5);
      assert.deepEqual(world.written, []);
      assert.deepEqual(world.posted, [], 'nothing else of Flex is touched either');
      assert.equal(world.header.added.size, 0);
      assert.deepEqual(world.actions(), []);
      world.stop();
    }
  });
}

test('a worker who is given a phone while at work keeps it, and the call that is up keeps its controls', async () => {
  const world = await connected({}, { ...beat, call });
  const before = world.written.length;
  world.worker.become({ ...world.worker.attributes, contact_uri: 'sip:alice@pbx.example.com' });
  await alive(world, 5, { ...beat, call });
  assert.notEqual(world.state.phone.activeCall, undefined);
  await alive(world, 5);
  assert.equal(world.written.length, before);
  assert.equal(world.worker.attributes.contact_uri, 'sip:alice@pbx.example.com');
  assert.equal(world.header.added.size, 0);
});

test('an address that became a phone\'s since it was read is kept', async () => {
  const world = createWorld();
  world.worker.newer = { ...enabled, contact_uri: '+15551230000' };
  world.start();
  world.say(messages.HEARTBEAT, beat);
  await settle();
  assert.deepEqual(world.written, []);
});

for (const identity of ['ext_malice', 'ext_ext_alice', 'alice', 'EXT_alice', 'ext_alice2']) {
  test(`the client of a colleague on the same PC is not taken over: ${identity}`, async () => {
    const world = await connected({}, { ...beat, voiceClientIdentity: identity });
    await alive(world, 4, { ...beat, voiceClientIdentity: identity });
    assert.deepEqual(world.written, []);
    assert.equal(world.badge().board.get().otherAgent, true);
  });
}

test('a phone that was to be moved too is moved, and comes back with the flag', async () => {
  const phone = 'sip:alice@pbx.example.com';
  const attributes = { ...enabled, contact_uri: phone, extensionVoiceClientFormerContactUri: phone };
  const world = await connected({ attributes });
  assert.deepEqual(world.written, [{ ...attributes, contact_uri: ours }]);
  world.worker.become({ ...world.worker.attributes, extensionVoiceClientEnabled: false });
  await settle();
  assert.equal(world.worker.attributes.contact_uri, phone);
});
