import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { initial } from '../app/background/machine.js';
import { forPopup, heartbeat, icon } from '../app/background/view.js';
import { nameOf } from '../app/popup/names.js';
import { othersOf } from '../app/popup/others.js';
import { clock, details, statusOf, unresponsive, wordsOf } from '../app/popup/status.js';
import { readRefusal } from '../app/background/token.js';
import { allStates } from './browser/states.js';

const app = new URL('../app/', import.meta.url);
const messages = JSON.parse(readFileSync(new URL('_locales/en/messages.json', app), 'utf8'));
const read = (path) => readFileSync(new URL(path, app), 'utf8');

const state = (overrides = {}) => ({ ...initial(), ...overrides });

test('every situation has a headline, a reason, a fix and, unless all is well, something to do', () => {
  const seen = new Set();
  for (const { status } of allStates()) {
    const { id, tone, actions, reason } = status;
    seen.add(id);
    for (const part of ['title', 'reason', 'fix']) assert.ok(messages[`status_${id}_${part}`], `status_${id}_${part}`);
    assert.ok(messages[`status_${id}_title`].message, id);
    if (reason) assert.ok(messages[reason], reason);
    for (const action of actions) assert.ok(messages[`status_action_${action}`], action);
    if (['bad', 'warn', 'off', 'muted'].includes(tone)) assert.ok(actions.length > 0, `nothing to do about ${id}`);
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

test('a refused token says why, by the code of the token server', () => {
  const wanting = { ...forPopup(initial(), '1'), line: 'wanting', tabs: 1, problem: 'flex_token_refused' };
  const shown = (code) => {
    const { id, reason, refusal } = statusOf({ ...wanting, refusal: code === undefined ? null : { status: 403, code, message: null, requestId: null } });
    assert.equal(refusal, [undefined, null, 'something-new'].includes(code) ? 'words' : 'name');
    return reason ?? id;
  };
  assert.equal(shown('flex-token-expired'), 'flex_token_expired');
  assert.equal(shown('flex-token-refused'), 'flex_token_refused');
  assert.equal(shown(undefined), 'flex_token_refused');
  assert.equal(shown(null), 'flex_token_refused');
  assert.equal(shown('role-missing'), 'refused_role_missing');
  assert.equal(shown('something-new'), 'not_permitted');
});

test('every 403 of flexvc serve that a browser can read is one the popup knows', () => {
  const source = readFileSync(new URL('../../internal/tokensrv/refusal.go', import.meta.url), 'utf8');
  const words = Object.fromEntries([...source.matchAll(/(\w+)\s+reason = "([\w-]+)"/g)].map(([, name, word]) => [name, word]));
  const forbidden = [...source.matchAll(/(\w+):\s+{http.StatusForbidden/g)].map(([, name]) => words[name]);
  assert.ok(forbidden.length >= 8, 'the table is where it was');
  const view = { ...forPopup(initial(), '1'), line: 'wanting', tabs: 1, problem: 'flex_token_refused' };
  // An origin that is not allowed cannot read that it is not.
  for (const code of forbidden.filter((word) => word !== 'origin-not-allowed')) {
    const { id, reason } = statusOf({ ...view, refusal: { status: 403, code, message: null, requestId: null } });
    assert.ok(reason || id !== 'not_permitted', code);
  }
});

// What an operator reads in `flexvc serve log` and what the agent reads are the same reason: one file has both, and the
// server's tests hold it to what the server answers.
test('the popup shows each refusal of flexvc serve with its reason and request id', () => {
  const refusals = JSON.parse(readFileSync(new URL('../../internal/tokenlog/refusals.json', import.meta.url), 'utf8'));
  assert.ok(refusals.length >= 20);
  for (const { reason, status, why, popup } of refusals) {
    const body = JSON.stringify({ type: `urn:flexvc:problem:${reason}`, status, code: reason, detail: why, requestId: '7Q2M4XYZ' });
    const refusal = readRefusal(status, body);
    assert.deepEqual(refusal, { status, code: reason, message: why, requestId: '7Q2M4XYZ' });
    const problem = status === 401 || status === 403 ? 'flex_token_refused' : 'token_server_error';
    const shown = statusOf({ ...forPopup(initial(), '1'), line: 'wanting', tabs: 1, problem, refusal });
    assert.equal(`status_${shown.id}_title`, popup.title, reason);
    assert.equal(shown.reason ?? `status_${shown.id}_reason`, popup.reason, reason);
    for (const locale of readdirSync(new URL('_locales/', app))) {
      const texts = JSON.parse(read(`_locales/${locale}/messages.json`));
      assert.ok(texts[popup.title]?.message && texts[popup.reason]?.message, `${reason} in ${locale}`);
    }
    // The popup's own words say the reason, or else the server's are shown beside the code and the request.
    const line = wordsOf(refusal, shown.refusal, (_, id) => `Request ${id}`);
    assert.ok(line.includes(reason) && line.includes('Request 7Q2M4XYZ'), line);
    assert.ok(shown.refusal === 'name' || line.startsWith(why), line);
  }
});

test('who calls is a name, not what Twilio makes of it', () => {
  assert.equal(nameOf('client:alice_2Ehaddad_40acme_2Ecom'), 'alice.haddad@acme.com');
  assert.equal(nameOf('client:ext_alice_2Ehaddad_40acme_2Ecom?flex_session_identifier=u', 'ext_'), 'alice.haddad@acme.com');
  assert.equal(nameOf('ext_jos_C3_A9_5Fg', 'ext_'), 'josé_g');
  for (const same of ['+15550100199', 'alice', 'sip:alice@acme.example', 'alice_b', '100%25', '']) assert.equal(nameOf(same), same);
  assert.equal(nameOf('ext_', 'ext_'), 'ext_', 'a name that is all prefix');
  assert.equal(nameOf('client:a_FFb'), 'a_FFb', 'bytes that are no text');
  assert.equal(nameOf('a_0Ab'), 'a_0Ab', 'a line feed');
  assert.equal(nameOf('a_E2_80_AEb'), 'a_E2_80_AEb', 'a character that turns the text round');
});

test('the details are for whoever is asked for help, and hold no secret', () => {
  const view = {
    ...forPopup(initial(), '1.2.3'), line: 'wanting', problem: 'flex_token_refused', tokenURL: 'https://voice.example.com/generateToken?key=secret', account: 'AC1', tabs: 1,
    refusal: { status: 403, code: 'role-missing', message: 'the agent has none of the required roles', requestId: '7Q2M4XYZ' },
  };
  assert.equal(
    details(view, 'not_permitted', { at: 0, browser: 'Chrome' }),
    `flexvc: 1.2.3
time: 1970-01-01T00:00:00.000Z
state: not_permitted
line: wanting
problem: flex_token_refused
token server: https://voice.example.com/generateToken
response: HTTP 403, role-missing, the agent has none of the required roles
request id: 7Q2M4XYZ
account: AC1
Flex tabs: 0 of 1
browser: Chrome
`,
  );
  assert.match(details(undefined, unresponsive.id, { at: 0, browser: 'Chrome' }), /^time: .*\nstate: unresponsive\nbrowser: Chrome\n$/);
});

test('every text the pages name is written, and every one written is named', () => {
  const sources = readdirSync(app, { recursive: true }).filter((path) => /\.(js|html|json)$/.test(path) && !/vendor|_locales/.test(path)).map(read).join('\n');
  const named = [...sources.matchAll(/data-(?:text|label)="([a-z_]\w*)"|\bt\('([a-z_]\w*)'|__MSG_(\w+)__|getMessage\('(\w+)'|\['(info_\w+)'/g)].map((m) => m.slice(1).find(Boolean));
  for (const key of named) assert.ok(messages[key], key);
  const built = /^(status_|refused_|call_end_|quality_|icon_|call_|welcome_(granted|denied))/;
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

test('only the entry files, effects, store, words and the popup\'s actions touch chrome.*', () => {
  const allowed = ['background/worker.js', 'background/effects.js', 'background/store.js', 'offscreen/offscreen.js', 'popup/popup.js', 'popup/actions.js', 'shared/words.js', 'content/bridge.js'];
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
  assert.equal(icon(state({ line: 'registered', call: { status: 'open', muted: true } })), 'muted', 'whoever talks into it looks up');
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
