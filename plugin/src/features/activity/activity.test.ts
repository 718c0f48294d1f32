import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as messages from '../../messages';
import { type World, alive, beat, connected, createWorld, offline, settings, settle } from '../../test/world';

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
  await alive(world, 4, unregistered);
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

test('a change that takes Flex long is asked for once', async () => {
  const world = await connected();
  let shown = () => {};
  world.pace.activity = new Promise((resolve) => (shown = resolve));
  await alive(world, 12, unregistered);
  shown();
  await alive(world, 1, unregistered);
  assert.deepEqual(changes(world), [offline]);
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
  const before = await connected();
  await alive(before, 4, unregistered);
  // Nothing is said to it when a page goes, a tab is closed or a browser crashes.
  const world = await connected({ activity: offline, memory: before.memory });
  await alive(world, 6);
  assert.equal(world.activity(), 'WA-available');
  assert.equal(world.state.worker.activity.sid, 'WA-available');
});

test('what was remembered long ago is not believed: the agent is told, and returns with one click', async () => {
  const before = await connected();
  await alive(before, 4, unregistered);
  const world = createWorld({ activity: offline, memory: before.memory });
  world.clock.leap(16 * 60_000);
  world.start();
  world.say(messages.HEARTBEAT, beat);
  await alive(world, 5);
  assert.equal(world.activity(), offline);
  assert.match(world.shown.join(), /stranded/);
});

test('an agent whose other browser has gone is told, and returns with one click', async () => {
  const world = await connected({ activity: offline });
  await alive(world, 10);
  assert.equal(world.activity(), offline);
  assert.deepEqual(world.shown, ['flexvc.stranded']);
  world.badge().takeCalls();
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

for (const activity of ['WA-available', 'WA-break']) {
  test(`the offline activity cannot be chosen by hand: ${activity}`, async () => {
    const world = await connected({ activity });
    await world.choose('Voice Client Offline');
    assert.equal(world.activity(), activity);
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
  await world.choose('Available');
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

// Other plugins, tabs and browsers -----------------------------------------------------------------------------

const task = (sid: string, status: string, taskChannelUniqueName = 'voice') => ({ sid, status, taskChannelUniqueName });
/** The activities that were asked for, by whomever, and not refused. */
const changes = (world: World) => world.invoked.filter(([name]) => name === 'SetActivity').map(([, { activitySid }]) => activitySid);

test('a disconnection that a heartbeat follows changes nothing, forged or not', async () => {
  const world = await connected();
  for (let round = 0; round < 20; round++) {
    world.say(messages.DISCONNECTED);
    await alive(world, 1);
  }
  assert.deepEqual(changes(world), []);
});

test('an extension that is gone for good takes the agent out of the queue', async () => {
  const world = await connected();
  world.say(messages.DISCONNECTED);
  for (let second = 0; second < 4; second++) {
    world.clock.tick(1_000);
    await settle();
  }
  assert.deepEqual(changes(world), [offline]);
});

test('an extension that comes and goes for ten minutes does not make the agent flap', async () => {
  for (const [down, up] of [[4, 4], [4, 12], [10, 2]] as const) {
    const world = await connected();
    for (let second = 0; second < 600; second += down + up) {
      await alive(world, down, unregistered);
      await alive(world, up);
    }
    assert.ok(changes(world).length <= 6, `${down} s down, ${up} s up: ${changes(world)}`);
    await alive(world, 65);
    assert.equal(world.activity(), 'WA-available', 'when it stays');
  }
});

test('a page that has never heard the extension takes nobody out of the queue', async () => {
  const world = createWorld();
  world.start();
  for (let second = 0; second < 60; second++) {
    world.clock.tick(1_000);
    await settle();
  }
  assert.deepEqual(changes(world), []);
  assert.deepEqual(world.shown, ['flexvc.no_extension']);
  // Another plugin, which runs in the agent's other browser too, ends a wrap-up there.
  await world.flex.Actions.invokeAction('SetActivity', { activityName: 'Break' });
  await world.flex.Actions.invokeAction('SetActivity', { activityName: 'Available' });
  assert.deepEqual(changes(world), ['WA-break', 'WA-available']);
});

test('whoever becomes available by hand in a browser without the extension is not offered calls', async () => {
  const world = createWorld({ activity: 'WA-break' });
  world.start();
  world.clock.tick(5_000);
  await world.choose('Available');
  assert.equal(world.activity(), offline);
  assert.match(world.shown.join(), /available_while_away/);
});

test('an agent who is made available elsewhere in an outage is left there: calls may reach another browser', async () => {
  const world = await connected();
  await alive(world, 4, unregistered);
  world.setActivity('WA-available');
  await alive(world, 30, unregistered);
  assert.equal(world.activity(), 'WA-available');
  await alive(world, 10);
  assert.deepEqual(changes(world), [offline]);
});

test('in a call or in wrap-up nobody offers another one, and the activity stays', async () => {
  for (const status of ['accepted', 'wrapping']) {
    const world = await connected();
    world.setTasks(task('WR1', status));
    await alive(world, 10, unregistered);
    assert.deepEqual(changes(world), [], status);
    world.setTasks();
    await settle();
    assert.equal(world.activity(), offline, 'once the task is over');
    await alive(world, 1);
    assert.equal(world.activity(), 'WA-available');
  }
  const two = await connected({ capacity: 2 });
  two.setTasks(task('WR1', 'accepted'));
  await alive(two, 4, unregistered);
  assert.equal(two.activity(), offline, 'another call could come');
});

test('a chat that is offered is not taken away, and a call is given to somebody else', async () => {
  const world = await connected();
  world.setTasks(task('WR1', 'pending', 'chat'));
  await alive(world, 10, unregistered);
  assert.deepEqual(changes(world), []);
  world.setTasks(task('WR1', 'accepted', 'chat'));
  await settle();
  assert.equal(world.activity(), offline);
  const rejects = (world: World) => world.invoked.at(-1)![1].options.rejectPendingReservations;
  assert.equal(rejects(world), false);
  const ringing = await connected();
  ringing.setTasks(task('WR2', 'pending'));
  await alive(ringing, 4, unregistered);
  assert.equal(ringing.activity(), offline);
  assert.equal(rejects(ringing), true);
});

test('a plugin that puts our change off until the wrap-up ends leaves the agent where the agent was', async () => {
  for (const outage of [4, 30]) {
    const world = await connected({ capacity: 2 });
    let remembered: string | null = null;
    world.setTasks(task('WR1', 'wrapping'));
    world.flex.Actions.addListener('beforeSetActivity', (payload, abort) => {
      if (payload.theirs || world.state.worker.tasks.size === 0) return;
      abort();
      remembered = payload.activitySid;
      world.setActivity('WA-wrap-up');
    });
    await alive(world, outage, unregistered);
    assert.equal(remembered, offline);
    await alive(world, 3);
    assert.equal(world.activity(), 'WA-wrap-up');
    world.setTasks();
    await world.flex.Actions.invokeAction('SetActivity', { activitySid: remembered, theirs: true });
    await alive(world, 8);
    assert.equal(world.activity(), 'WA-available');
    assert.deepEqual(changes(world), ['WA-available']);
  }
});

test('nobody is refused who asks for an activity', async () => {
  const world = await connected();
  await world.flex.Actions.invokeAction('SetActivity', { activitySid: offline });
  assert.equal(world.activity(), offline);
  await alive(world, 4, unregistered);
  await world.flex.Actions.invokeAction('SetActivity', { activityName: 'Available' });
  assert.equal(world.activity(), offline, 'calls do not reach the agent');
  await alive(world, 1);
  assert.equal(world.activity(), 'WA-available');
});

test('a tab that calls reach brings back the agent whom another tab has taken out', async () => {
  const [deaf, well] = [await connected(), await connected()];
  await alive(deaf, 4, unregistered);
  const [[key, value]] = [...deaf.memory] as [[string, string]];
  well.stored(key, value);
  well.setActivity(offline);
  await alive(well, 6);
  assert.equal(well.activity(), 'WA-available');
  deaf.setActivity('WA-available');
  await alive(deaf, 10, unregistered);
  assert.equal(deaf.activity(), 'WA-available');
});

test('our own return that Flex shows late, in the next outage, is nobody\'s wish to stay available', async () => {
  for (const late of [4, 7]) {
    const world = await connected();
    await alive(world, 4, unregistered);
    let shown = () => {};
    world.pace.activity = new Promise((resolve) => (shown = resolve));
    await alive(world, 1);
    assert.equal(world.activity(), offline, 'asked for, and not shown yet');
    await alive(world, late, unregistered);
    world.pace.activity = Promise.resolve();
    shown();
    await alive(world, 6, unregistered);
    assert.equal(world.activity(), offline, `shown ${late} s later`);
    await alive(world, 10);
    assert.equal(world.activity(), 'WA-available');
  }
});

test('whoever becomes available elsewhere while our return is under way stays available', async () => {
  const world = await connected();
  await alive(world, 4, unregistered);
  world.state.worker.activities.set('WA-second', { sid: 'WA-second', name: 'Second line', available: true });
  world.pace.activity = new Promise(() => {});
  await alive(world, 1);
  await alive(world, 4, unregistered);
  world.state.worker = { ...world.state.worker, activity: world.state.worker.activities.get('WA-second')! };
  world.changed();
  await alive(world, 30, unregistered);
  assert.equal(world.activity(), 'WA-second');
});

test('ten minutes of an extension that comes and goes at random: few changes, and Available when it stays', async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    let state = seed;
    const random = (most: number) => 1 + ((state = (state * 48_271) % 2_147_483_647) % most);
    const world = await connected();
    let outages = 0;
    for (let second = 0; second < 600; ) {
      const [down, up] = [random(15), random(30)];
      await alive(world, down, unregistered);
      await alive(world, up);
      second += down + up;
      outages += 1;
    }
    assert.ok(outages > 10, `${outages} outages`);
    // The first ones are believed; whoever goes on like this has to be ready for a minute.
    assert.ok(changes(world).length <= 8, `seed ${seed}: ${changes(world)}`);
    for (const [at, sid] of changes(world).entries()) assert.equal(sid, at % 2 ? 'WA-available' : offline, 'never the same twice');
    await alive(world, 65);
    assert.equal(world.activity(), 'WA-available', `seed ${seed}`);
  }
});
