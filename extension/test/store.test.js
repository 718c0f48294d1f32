import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initial } from '../app/background/machine.js';
import { chosenDevices, createStore, fromSnapshot, snapshotVersion, toSnapshot } from '../app/background/store.js';

const area = (values = {}) => ({
  values,
  async get(key) {
    return key === null ? values : { [key]: values[key] };
  },
  async set(more) {
    Object.assign(values, structuredClone(more));
  },
});
const storage = (managed = {}) => ({ session: area(), local: area(), managed: area(managed) });

test('a snapshot comes back as it was, without the pages', () => {
  const state = { ...initial(), line: 'registered', identity: 'ext_alice', pages: { page1: { standing: 'accepted' } } };
  assert.deepEqual(fromSnapshot(toSnapshot(state)), { ...state, pages: {} });
});

test('a snapshot of another version, or none, starts afresh', () => {
  const state = { ...initial(), line: 'registered' };
  for (const stored of [undefined, null, 7, {}, { version: snapshotVersion + 1, state }, { version: 0, state }, { version: snapshotVersion }]) {
    assert.deepEqual(fromSnapshot(stored), initial(), JSON.stringify(stored));
  }
});

test('a snapshot with a state that nobody knows starts afresh', () => {
  for (const wrong of [{ line: 'teleporting' }, { line: 'constructor' }, { line: 'registered', call: { status: 'beamed' } }]) {
    assert.deepEqual(fromSnapshot({ version: snapshotVersion, state: { ...initial(), ...wrong } }), initial(), JSON.stringify(wrong));
  }
});

test('storage that cannot be opened is empty, and never stops the phone', async () => {
  const broken = () => ({ get: async () => { throw new Error('IO error: /profile: Input/output error'); }, set: async () => { throw new Error('IO error'); } });
  const store = createStore({ session: broken(), local: broken(), managed: broken() });
  const { state } = await store.load();
  assert.deepEqual(state, initial());
  await store.save(state);
  await store.rememberDevices(state.devices.chosen);
  await store.rememberConsents([]);
});

test("an administrator's policy is waited for, however slow it is", async () => {
  const areas = storage({ account: 'AC1' });
  const { get } = areas.managed;
  areas.managed.get = async (key) => {
    await new Promise((resolve) => setTimeout(resolve, 2_100));
    return get(key);
  };
  assert.equal((await createStore(areas).load()).state.policy.account, 'AC1');
});

test('no token ever reaches storage.local', async () => {
  const areas = storage();
  const store = createStore(areas);
  await store.save({ ...initial(), flexToken: { token: 'flex-secret', expiresAt: null }, voiceToken: { token: 'voice-secret', identity: 'i', issuedAt: 0, expiresAt: 1 } });
  await store.rememberDevices({ input: 'Headset', output: '', ringtone: '' });
  assert.doesNotMatch(JSON.stringify(areas.local.values), /secret/);
  assert.match(JSON.stringify(areas.session.values), /voice-secret/, 'the snapshot must bring it back');
});

test('a slow older write does not land on a newer one', async () => {
  const areas = storage();
  const delays = [];
  const set = areas.session.set;
  areas.session.set = (values) => new Promise((done) => delays.push(() => set(values).then(done)));
  const store = createStore(areas);
  const first = store.save({ ...initial(), lastEnd: 'first' });
  const second = store.save({ ...initial(), lastEnd: 'second' });
  await Promise.resolve();
  assert.equal(delays.length, 1, 'the second write waits for the first');
  delays.shift()();
  await first;
  delays.shift()();
  await second;
  assert.equal(areas.session.values.snapshot.state.lastEnd, 'second');
});

test('the agent chooses devices over the administrator, who chooses over the system', async () => {
  const areas = storage({ inputDevice: 'Managed microphone', outputDevice: 'Managed speaker', account: 'AC1' });
  const store = createStore(areas);
  await store.rememberDevices({ input: 'My headset', output: '', ringtone: 7 });
  const { state: { devices, policy } } = await store.load();
  assert.deepEqual(devices.chosen, { input: 'My headset', output: '', ringtone: '' });
  assert.equal(policy.account, 'AC1');
  assert.equal(chosenDevices(undefined, { inputDevice: 'Managed microphone' }).input, 'Managed microphone');
});

test('a browser without a policy store still starts', async () => {
  const areas = storage();
  areas.managed.get = () => Promise.reject(new Error('no managed storage'));
  assert.deepEqual((await createStore(areas).load()).state.policy, {});
});
