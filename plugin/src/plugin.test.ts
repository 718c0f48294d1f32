import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import vm from 'node:vm';
import * as messages from './messages';
import { alive, beat, call, connected, createWorld, enabled, offline, settings, settle } from './test/world';

// The tests run from .test; npm runs them from the plugin's folder.
const bundle = () => readFileSync('dist/bundle.js', 'utf8');

test('Flex is left as it is for a worker who is not on the extension', async () => {
  const world = createWorld({ attributes: { contact_uri: 'client:alice' } });
  const before = { setInputDevice: world.audio.setInputDevice, keys: Object.keys(world.strings) };
  world.start();
  await settle();
  world.clock.tick(10_000);
  assert.deepEqual(world.posted, []);
  assert.deepEqual(world.written, []);
  assert.deepEqual(world.invoked, []);
  assert.deepEqual(world.shown, []);
  assert.equal(world.header.added.size + world.canvas.added.size + world.canvas.removed.length, 0);
  assert.deepEqual({ setInputDevice: world.audio.setInputDevice, keys: Object.keys(world.strings) }, before);
  await world.flex.Actions.invokeAction('SetActivity', { activitySid: offline });
});

test('the second copy on a page does nothing, and says so', async () => {
  const world = await connected();
  const asked = world.posted.length;
  const residue = world.residue();
  world.start();
  assert.equal(world.posted.length, asked);
  assert.equal(world.residue(), residue);
  assert.match(world.logged.at(-1)!, /another copy of this plugin, 1\.4\.0, is already at work/);
});

test('a bundle that was not deployed by flexvc does nothing, and says so', () => {
  const world = createWorld({ settings: null });
  world.start();
  assert.equal(world.residue(), 0);
  assert.match(world.logged.join(), /flexvc plugin deploy/);
});

test('nothing is left when the plugin stops', async () => {
  const world = await connected({}, { ...beat, call });
  world.stop();
  assert.equal(world.residue(), 0);
  assert.equal(world.state.phone.activeCall, undefined);
  world.start();
  assert.doesNotMatch(world.logged.at(-1)!, /another copy/);
});

test('a worker who is turned off keeps the controls until the call is over', async () => {
  const world = await connected({}, { ...beat, call });
  world.worker.become({ ...enabled, extensionVoiceClientEnabled: false });
  await settle();
  assert.notEqual(world.state.phone.activeCall, undefined);
  world.say(messages.CALL, null);
  assert.equal(world.state.phone.activeCall, undefined);
  assert.equal(world.header.added.size, 0);
});

test('an agent who is turned off while away gets the activity before back', async () => {
  const world = await connected();
  await alive(world, 4, { ...beat, status: 'offline', error: true });
  assert.equal(world.activity(), offline);
  world.worker.become({ ...world.worker.attributes, extensionVoiceClientEnabled: false });
  await settle();
  assert.equal(world.activity(), 'WA-available');
});

test('no token reaches the log or a notification', async () => {
  const world = await connected({}, { ...beat, call });
  world.worker.refuses = true;
  world.worker.become({ ...enabled, contact_uri: 'client:x' });
  world.events.emit('tokenExpired');
  await settle();
  assert.doesNotMatch(JSON.stringify([world.logged, world.shown, world.strings]), /flex-token/);
});

/** The bundle as Flex loads it: one classic script that registers at once. */
function load(script: string) {
  const registered: (new () => { name: string; init(...args: unknown[]): void })[] = [];
  const later: (() => void)[] = [];
  const Manager = { getInstance: () => ({ workerClient: undefined }) };
  const window: Record<string, unknown> = {
    Twilio: { Flex: { Manager, Plugins: { init: (plugin: never) => registered.push(plugin) } } },
    React: { createElement: () => null, createContext: () => ({}), Component: class {} },
    setTimeout: (task: () => void) => later.push(task),
  };
  const logged: string[] = [];
  vm.runInNewContext(script, { window, console: { info: (...args: unknown[]) => logged.push(args.join(' ')) } });
  return { registered, logged, wait: () => later.forEach((task) => task()) };
}

test('the bundle registers with Flex while its script runs, and is at most 60 kB', () => {
  assert.ok(bundle().length <= 60_000, `${bundle().length} bytes`);
  const { registered } = load(bundle());
  assert.equal(registered.length, 1);
  assert.equal(new registered[0]!().name, 'flexvc-voice-client');
});

test('the bundle takes its settings where flexvc puts them', () => {
  assert.equal(bundle().split('/*flexvc:settings*/null').length, 2);
  const { registered, logged } = load(bundle().replace('/*flexvc:settings*/null', JSON.stringify(settings)));
  // Not a worker: it gets as far as looking.
  new registered[0]!().init({}, { workerClient: undefined });
  assert.match(logged.join(), /not a worker/);
});

test('the bundle starts without Flex behind a plugin that never finishes, and only once', () => {
  const script = bundle().replace('/*flexvc:settings*/null', JSON.stringify(settings));
  const looked = (logged: string[]) => logged.filter((line) => /not a worker/.test(line)).length;
  const behind = load(script);
  behind.wait();
  assert.match(behind.logged.join(), /starting without Flex/);
  new behind.registered[0]!().init({}, { workerClient: undefined });
  assert.equal(looked(behind.logged), 1);
  const inTime = load(script);
  new inTime.registered[0]!().init({}, { workerClient: undefined });
  inTime.wait();
  assert.equal(looked(inTime.logged), 1);
  assert.doesNotMatch(inTime.logged.join(), /starting without Flex/);
});

test('a part that cannot start leaves the others at work, and says so', async () => {
  const world = createWorld();
  world.flex.CallCanvasActions = undefined as never;
  world.start();
  world.say(messages.HEARTBEAT, beat);
  await settle();
  assert.match(world.logged.join(), /a part of this plugin could not start/);
  assert.equal(world.header.added.has('flexvc-badge'), true);
  assert.equal(world.worker.attributes.contact_uri, 'client:ext_alice');
});

test('another plugin that throws where we change Flex does not stop ours', async () => {
  const world = await connected({}, { ...beat, call });
  (world.state.phone.activeCall as { on(event: string, listener: () => void): void }).on('disconnect', () => {
    throw new Error('a neighbour');
  });
  const neighbour = world.manager.store.subscribe(() => {
    throw new Error('a neighbour');
  });
  world.say(messages.CALL, null);
  world.say(messages.CALL, { ...call, callSid: 'CA2' });
  neighbour();
  world.say(messages.CALL, null);
  world.say(messages.CALL, { ...call, callSid: 'CA3' });
  assert.deepEqual((world.state.phone.activeCall as { parameters: object }).parameters, { CallSid: 'CA3' });
});
