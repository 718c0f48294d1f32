import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { initial, line } from '../app/background/machine.js';
import { heartbeat, icon } from '../app/background/view.js';

const strings = JSON.parse(readFileSync(new URL('../app/_locales/en/messages.json', import.meta.url), 'utf8'));
const microphones = ['granted', 'prompt', 'denied', 'missing', 'unknown'];
const lineProblems = ['flex_token_refused', 'token_server_unreachable', 'token_server_error', 'token_server_nonsense', 'voice_token_refused', 'signalling_lost'];

const stateOf = (line, microphone, problem) => ({ ...initial(), line, problem, devices: { ...initial().devices, microphone } });
const beat = (...state) => heartbeat(stateOf(...state), '1.0.0');

test('a heartbeat tells the plugin what is wrong whenever it tells that something is', () => {
  const said = new Set();
  for (const state of Object.keys(line)) {
    for (const microphone of microphones) {
      for (const problem of [null, ...lineProblems]) {
        const where = `${state} + ${microphone} + ${problem}`;
        const { error, problem: code, microphone: heard } = beat(state, microphone, problem);
        assert.equal(error, code === null ? null : true, where);
        assert.equal(heard, microphone, where);
        assert.equal(icon(stateOf(state, microphone, problem)) === 'error', code !== null, where);
        if (code === null) continue;
        said.add(code);
        assert.ok(strings[`status_${code}_title`], `the popup has no words for ${code}`);
      }
    }
  }
  assert.deepEqual([...said].sort(), ['microphone_denied', 'microphone_missing', 'microphone_prompt', ...lineProblems].sort());
});

test('the worst comes first, and a client that is registered is not in trouble because a token could not be renewed', () => {
  assert.equal(beat('offline', 'denied', 'signalling_lost').problem, 'microphone_denied');
  assert.equal(beat('offline', 'granted', 'signalling_lost').problem, 'signalling_lost');
  assert.equal(beat('registered', 'granted', 'token_server_unreachable').problem, null);
  assert.equal(beat('registered', 'prompt', null).problem, 'microphone_prompt');
  assert.equal(beat('unconfigured', 'prompt', null).problem, null, 'nobody has asked for calls yet');
});
