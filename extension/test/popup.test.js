import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { initial } from '../app/background/machine.js';
import { forPopup, heartbeat, icon } from '../app/background/view.js';
import { othersOf } from '../app/popup/others.js';
import { clock, statusOf } from '../app/popup/status.js';

const app = new URL('../app/', import.meta.url);
const messages = JSON.parse(readFileSync(new URL('_locales/en/messages.json', app), 'utf8'));
const read = (path) => readFileSync(new URL(path, app), 'utf8');

const lines = ['unconfigured', 'wanting', 'fetching', 'registering', 'registered', 'offline'];
const problems = [null, 'flex_token_refused', 'token_server_unreachable', 'token_server_error', 'token_server_nonsense', 'voice_token_refused', 'signalling_lost'];
const microphones = ['granted', 'prompt', 'denied', 'missing', 'unknown'];
const rejections = [null, 'other_account', 'url_not_allowed', 'bad_config'];
const statuses = [null, 'connecting', 'open', 'reconnecting'];

const state = (overrides = {}) => ({ ...initial(), ...overrides });

test('every situation has a headline, a reason and a fix to show', () => {
  const view = forPopup(initial(), '1');
  const seen = new Set();
  for (const line of lines) for (const problem of problems) for (const microphone of microphones)
    for (const rejection of rejections) for (const status of statuses) for (const update of [null, '2']) for (const tabs of [0, 1]) for (const consent of [null, { key: 'k', account: 'AC1', host: 'h' }]) {
      const { id, action } = statusOf({ ...view, line, problem, rejection, update, tabs, consent, call: status && { status }, devices: { ...view.devices, microphone } });
      seen.add(id);
      for (const part of ['title', 'reason', 'fix']) assert.ok(messages[`status_${id}_${part}`], `status_${id}_${part}`);
      assert.ok(messages[`status_${id}_title`].message, id);
      if (action) assert.ok(messages[`status_action_${action}`], action);
    }
  const written = Object.keys(messages).flatMap((key) => /^status_(.+)_title$/.exec(key)?.[1] ?? []);
  assert.deepEqual(written.filter((id) => !seen.has(id)), [], 'text that nothing shows');
});

test('a call that is offered comes before those on hold, and the popup asks for it by name', () => {
  const offers = [{ callSid: 'CA3', from: '+15550103' }];
  const onHold = ['CA1', 'CA2'].map((callSid) => ({ callSid, from: '' }));
  const said = (rows) => rows.map(({ callSid, actions }) => [callSid, ...actions.map(({ type, text }) => `${type} ${text}`)]);
  assert.deepEqual(said(othersOf({ call: { callSid: 'CA4' }, onHold, offers })), [
    ['CA3', 'popup.answer other_hold_and_answer', 'popup.decline other_decline'],
    ['CA2', 'popup.answer other_resume'],
    ['CA1', 'popup.answer other_resume'],
  ]);
  assert.equal(othersOf({ call: null, onHold: [], offers })[0].actions[0].text, 'other_answer', 'nothing is there to hold');
  assert.equal(icon(state({ offers })), 'call');
});

test('every text the pages name is written, and every one written is named', () => {
  const sources = readdirSync(app, { recursive: true }).filter((path) => /\.(js|html|json)$/.test(path) && !/vendor|_locales/.test(path)).map(read).join('\n');
  const named = [...sources.matchAll(/data-(?:text|label)="([a-z_]\w*)"|\bt\('([a-z_]\w*)'|__MSG_(\w+)__|getMessage\('(\w+)'|\['(info_\w+)'/g)].map((m) => m.slice(1).find(Boolean));
  for (const key of named) assert.ok(messages[key], key);
  const built = /^(status_|call_end_|quality_|icon_|call_|welcome_(granted|denied))/;
  const unused = Object.keys(messages).filter((key) => !named.includes(key) && !built.test(key) && !sources.includes(`'${key}'`));
  assert.deepEqual(unused, []);
});

test('pages hold no inline script, no inline style and nothing from elsewhere', () => {
  for (const path of ['popup/popup.html', 'welcome/welcome.html', 'offscreen/offscreen.html']) {
    const html = read(path);
    assert.doesNotMatch(html, /<script(?![^>]*\bsrc="(?!http))/, path);
    assert.doesNotMatch(html, /\son\w+=|\sstyle=|https?:/, path);
  }
});

test('nothing is written as HTML and nothing is evaluated', () => {
  for (const path of readdirSync(app, { recursive: true }).filter((p) => p.endsWith('.js') && !p.startsWith('vendor'))) {
    assert.doesNotMatch(read(path), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|importScripts/, path);
  }
});

test('only the entry files, effects and store touch chrome.*', () => {
  const allowed = ['background/worker.js', 'background/effects.js', 'background/store.js', 'offscreen/offscreen.js', 'popup/popup.js', 'welcome/welcome.js', 'content/bridge.js'];
  for (const path of readdirSync(app, { recursive: true }).filter((p) => p.endsWith('.js') && !p.startsWith('vendor'))) {
    const code = read(path).replace(/\/\*[^]*?\*\/|\/\/.*/g, '');
    if (!allowed.includes(path)) assert.doesNotMatch(code, /\bchrome\./, path);
  }
});

test('no line of ours logs, but for the popup saying that it was refused', () => {
  for (const path of readdirSync(app, { recursive: true }).filter((p) => p.endsWith('.js') && !p.startsWith('vendor'))) {
    const logs = read(path).match(/console\.\w+\(.*/g) ?? [];
    assert.deepEqual(logs, path === 'popup/popup.js' ? ['console.warn(`flexvc: ${type} was refused: ${answer?.error}`);'] : [], path);
  }
});

test('a call is timed in minutes, and in hours when it has some', () => {
  assert.deepEqual([0, 59_999, 61_000, 3_600_000, 36_061_000, -5].map(clock), ['0:00', '0:59', '1:01', '1:00:00', '10:01:01', '0:00']);
});

test('the icon tells the worst thing first, and a call before all', () => {
  assert.equal(icon(state()), 'grey');
  assert.equal(icon(state({ line: 'registered' })), 'green');
  assert.equal(icon(state({ line: 'offline', problem: 'signalling_lost' })), 'error');
  assert.equal(icon(state({ line: 'offline', problem: 'signalling_lost', call: { status: 'open' } })), 'call');
  assert.equal(icon(state({ line: 'registered', devices: { ...initial().devices, microphone: 'denied' } })), 'error');
  assert.equal(icon(state({ line: 'registered', devices: { ...initial().devices, microphone: 'prompt' } })), 'error', 'a call would find no microphone');
  assert.equal(icon(state({ devices: { ...initial().devices, microphone: 'prompt' } })), 'grey', 'nobody wants one yet');
  assert.equal(icon(state({ line: 'registered', problem: 'token_server_error' })), 'green', 'the old token still serves');
});

test('heartbeats have what deployed plugins read, and no token', () => {
  const voiceToken = { token: 'voice-secret', identity: 'ext_alice', issuedAt: 0, expiresAt: 86_400_000 };
  const beat = heartbeat(state({ line: 'registered', identity: 'ext_alice', voiceToken, flexToken: { token: 'flex-secret', expiresAt: null } }), '1.2.3');
  assert.deepEqual(beat, {
    voiceClientIdentity: 'ext_alice', error: null, protocol: 3, extensionVersion: '1.2.3', status: 'registered', problem: null, microphone: 'unknown', call: null, onHold: [], offers: [],
    audioDevices: { inputs: [], outputs: [], selected: { input: '', output: '', ringtone: '' } },
    tokenExpiresAt: '1970-01-02T00:00:00.000Z',
  });
  assert.doesNotMatch(JSON.stringify([beat, forPopup(state({ voiceToken, flexToken: { token: 'flex-secret', expiresAt: 1 } }), '1')]), /secret/);
});
