import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as messages from '../../messages';
import { connected } from '../../test/world';

test('a choice in Flex\'s device menu reaches the extension by its label', async () => {
  const { audio, sent, chosen } = await connected();
  await audio.setInputDevice('d1');
  await audio.speakerDevices.set(['d1']);
  await audio.ringtoneDevices.set('d1');
  assert.deepEqual(sent(messages.SET_AUDIO_DEVICE), [
    { kind: 'input', label: 'Headset' },
    { kind: 'output', label: 'Headset' },
    { kind: 'ringtone', label: 'Headset' },
  ]);
  assert.deepEqual(chosen, []);
});

test('the system\'s default is an empty label', async () => {
  const { audio, sent } = await connected();
  await audio.setInputDevice('default');
  assert.deepEqual(sent(messages.SET_AUDIO_DEVICE), [{ kind: 'input', label: '' }]);
});

test('what the Voice SDK takes of itself, when a headset comes or goes, is not the agent\'s choice', async () => {
  const { audio, page, sent, chosen } = await connected();
  const userActivation = { isActive: false };
  Object.assign(page.navigator, { userActivation });
  const taken = { size: 0 };
  Object.assign(audio.speakerDevices, { get: () => taken });
  await audio.speakerDevices.set('d1');
  assert.deepEqual(sent(messages.SET_AUDIO_DEVICE), []);
  assert.deepEqual(chosen, ['output d1']);
  // Another plugin that remembers the agent's headset, once the SDK has its own.
  taken.size = 1;
  await audio.speakerDevices.set('d1');
  taken.size = 0;
  userActivation.isActive = true;
  await audio.speakerDevices.set('default');
  assert.deepEqual(sent(messages.SET_AUDIO_DEVICE), [{ kind: 'output', label: 'Headset' }, { kind: 'output', label: '' }]);
});

test('a device without a name is refused, so that Flex says so', async () => {
  const { audio, sent } = await connected();
  await assert.rejects(audio.speakerDevices.set('d2'), /names of audio devices/);
  await assert.rejects(audio.speakerDevices.set('unknown'));
  assert.deepEqual(sent(messages.SET_AUDIO_DEVICE), []);
});

test('Flex has its own devices back when the plugin stops', async () => {
  const { audio, chosen, stop } = await connected();
  stop();
  await audio.setInputDevice('d1');
  await audio.speakerDevices.set('d1');
  assert.deepEqual(chosen, ['input d1', 'output d1']);
});
