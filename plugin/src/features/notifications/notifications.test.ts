import assert from 'node:assert/strict';
import { test } from 'node:test';
import { notices, problems } from '../../strings';
import { alive, beat, connected, createWorld } from '../../test/world';

const unregistered = { ...beat, status: 'offline', error: true };
const pending = { sid: 'WR1', status: 'pending', taskChannelUniqueName: 'voice' };

test('what is wrong is said once, and its end too', async () => {
  const world = await connected();
  await alive(world, 8, unregistered);
  assert.deepEqual(world.shown, ['flexvc.signalling']);
  await alive(world, 3);
  assert.deepEqual(world.shown, ['flexvc.voice_client_back']);
});

test('what passes within the grace time is not worth a word', async () => {
  const world = await connected();
  await alive(world, 2, unregistered);
  await alive(world, 3);
  assert.deepEqual(world.shown, []);
});

test('nothing covers Accept: a task that arrives sends our bar away', async () => {
  const world = await connected();
  await alive(world, 4, unregistered);
  assert.equal(world.shown.length, 1);
  world.setTask(pending);
  assert.deepEqual(world.shown, []);
});

test('nothing covers Accept: what happens meanwhile is said once the task is taken', async () => {
  const world = await connected();
  world.setTask(pending);
  await alive(world, 4, unregistered);
  assert.deepEqual(world.shown, []);
  world.setTask({ ...pending, status: 'accepted' });
  assert.deepEqual(world.shown, ['flexvc.signalling']);
});

test('a problem that is over by then is not said any more', async () => {
  const world = await connected();
  world.setTask(pending);
  await alive(world, 4, unregistered);
  await alive(world, 1);
  world.setTask(null);
  assert.deepEqual(world.shown, ['flexvc.voice_client_back']);
});

test('every sentence is one', () => {
  for (const text of [...Object.values(notices), ...Object.values(problems).map((problem) => problem.text)]) {
    assert.match(text, /^[A-Z].{30,}\.$/);
    // Flex would take these for its templates.
    assert.doesNotMatch(text, /[{}]/);
  }
});

test('a sentence that the administrator has given is kept', async () => {
  const world = createWorld();
  world.strings['flexvc.lost'] = 'Die Erweiterung ist weg.';
  world.strings['flexvc.no_extension'] = '';
  world.start();
  assert.equal(world.strings['flexvc.lost'], 'Die Erweiterung ist weg.');
  assert.equal(world.strings['flexvc.no_extension'], problems.no_extension.text);
});
