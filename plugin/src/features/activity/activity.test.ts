import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as messages from '../../messages';
import { alive, beat, connected, createWorld, offline, settings, settle } from '../../test/world';

const unregistered = { ...beat, status: 'offline', error: true };

test('an available agent leaves the queue while the voice client is away, and comes back', async () => {
  const world = await connected();
  await alive(world, 4, unregistered);
  assert.equal(world.activity(), offline);
  await alive(world, 1);
  assert.equal(world.activity(), 'WA-available');
  assert.deepEqual(world.invoked.map(([, { activitySid }]) => activitySid), [offline, 'WA-available']);
});

test('an extension that is back before Flex has changed the activity does not leave the agent out of the queue', async () => {
  const world = await connected();
  let shown = () => {};
  world.pace.activity = new Promise((resolve) => (shown = resolve));
  world.say(messages.DISCONNECTED);
  await alive(world, 2);
  assert.equal(world.activity(), 'WA-available');
  shown();
  await settle();
  await alive(world, 1);
  assert.deepEqual(world.invoked.map(([, { activitySid }]) => activitySid), [offline, 'WA-available']);
  assert.equal(world.activity(), 'WA-available');
});

test('a change of activity that Flex lost is asked for again', async () => {
  const world = await connected();
  world.pace.activity = new Promise(() => {});
  await alive(world, 5, unregistered);
  world.pace.activity = Promise.resolve();
  await alive(world, 10, unregistered);
  assert.equal(world.activity(), offline);
});

test('a reload does not flip the activity: the extension answers in time', async () => {
  const world = await connected();
  await alive(world, 10);
  assert.deepEqual(world.actions(), []);
});

test('an agent on a break stays there', async () => {
  const world = await connected({ activity: 'WA-break' });
  await alive(world, 5, unregistered);
  await alive(world, 5);
  assert.deepEqual(world.actions(), []);
});

test('a page that is reloaded while the extension is away still knows the activity before', async () => {
  const world = createWorld({ activity: offline });
  world.memory.set('flexvc.activityBefore', 'WA-available');
  world.start();
  world.say(messages.HEARTBEAT, beat);
  await settle();
  assert.equal(world.activity(), 'WA-available');
});

test('whoever goes on a break while the voice client is away is not made available afterwards', async () => {
  const world = await connected();
  await alive(world, 4, unregistered);
  await world.flex.Actions.invokeAction('SetActivity', { activitySid: 'WA-break' });
  await alive(world, 5);
  assert.equal(world.activity(), 'WA-break');
});

for (const how of [{ activitySid: offline }, { activityName: 'Voice Client Offline' }]) {
  test(`the offline activity cannot be chosen by hand: ${Object.keys(how)}`, async () => {
    const world = await connected();
    await assert.rejects(world.flex.Actions.invokeAction('SetActivity', how), /cancelled/);
    assert.equal(world.activity(), 'WA-available');
    assert.deepEqual(world.shown, ['flexvc.offline_activity_chosen']);
  });
}

test('logging out may end in the offline activity', async () => {
  const world = await connected();
  await world.flex.Actions.invokeAction('Logout');
  await world.flex.Actions.invokeAction('SetActivity', { activitySid: offline });
  assert.equal(world.activity(), offline);
});

test('becoming available has to wait for the voice client, and then happens by itself', async () => {
  const world = await connected({ activity: 'WA-break' });
  await alive(world, 4, unregistered);
  await assert.rejects(world.flex.Actions.invokeAction('SetActivity', { activityName: 'Available' }), /cancelled/);
  assert.equal(world.activity(), offline);
  assert.deepEqual(world.shown, ['flexvc.available_while_away']);
  await alive(world, 1);
  assert.equal(world.activity(), 'WA-available');
});

test('without the offline activity nobody is moved, nothing is forbidden, and the agent is told', async () => {
  const world = await connected({ settings: { ...settings, offlineActivitySID: 'WA-gone' } });
  assert.match(world.shown.join(), /offline_activity_missing/);
  assert.match(world.logged.join(), /has no activity WA-gone/);
  await alive(world, 5, unregistered);
  await world.flex.Actions.invokeAction('SetActivity', { activitySid: 'WA-break' });
  assert.equal(world.activity(), 'WA-break');
});

test('an activity that was renamed is the same one', async () => {
  const world = await connected();
  world.state.worker.activities.get(offline)!.name = 'Hors ligne';
  await alive(world, 4, unregistered);
  assert.equal(world.activity(), offline);
});
