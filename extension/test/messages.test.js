import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { accept, catalogue, coversOrigin, partyOf, worker } from '../app/shared/messages.js';

const home = { id: 'ours', base: 'chrome-extension://ours/', matches: ['https://flex.twilio.com/*'] };

const senders = {
  page: { id: 'ours', url: 'https://flex.twilio.com/agent-desktop', origin: 'https://flex.twilio.com', frameId: 0, tab: { id: 1 } },
  popup: { id: 'ours', url: 'chrome-extension://ours/popup/popup.html', origin: 'chrome-extension://ours' },
  welcome: { id: 'ours', url: 'chrome-extension://ours/welcome/welcome.html', origin: 'chrome-extension://ours', frameId: 0, tab: { id: 2 } },
  offscreen: { id: 'ours', url: 'chrome-extension://ours/offscreen/offscreen.html', origin: 'chrome-extension://ours' },
};

const call = { callSid: 'CA1', from: '+1', status: 'open', muted: false, direction: 'inbound', startedAt: 1, quality: null };
const devices = { microphone: 'granted', inputs: ['a'], outputs: [] };
const chosen = { input: '', output: '', ringtone: '' };
const configuration = { accountSid: 'AC1', voiceClientTokenGeneratorUrl: 'https://x.example/t', extensionVoiceClientPrefix: 'ext_' };

/** A payload each row accepts. */
const good = {
  VOICE_CLIENT_EXTENSION_CONFIGURE: configuration,
  VOICE_CLIENT_EXTENSION_FLEX_TOKEN: { token: 't', accountSid: 'AC1', expiration: '2030-01-01T00:00:00Z' },
  VOICE_CLIENT_EXTENSION_HANGUP_CALL: undefined,
  VOICE_CLIENT_EXTENSION_SEND_DTMF_DIGITS: { digits: '12w#*' },
  VOICE_CLIENT_EXTENSION_SET_MUTED: { muted: true },
  VOICE_CLIENT_EXTENSION_ANSWER_CALL: { callSid: 'CA2' },
  VOICE_CLIENT_EXTENSION_DECLINE_CALL: { callSid: 'CA2' },
  VOICE_CLIENT_EXTENSION_LOGGED_OUT: { accountSid: `AC${'0'.repeat(32)}` },
  VOICE_CLIENT_EXTENSION_SET_AUDIO_DEVICE: { kind: 'input', label: 'Headset' },
  'page.resumed': configuration,
  'page.forged': undefined,
  'page.alive': undefined,
  VOICE_CLIENT_EXTENSION_CONFIGURED: { protocol: 2, extensionVersion: '1' },
  VOICE_CLIENT_EXTENSION_CONFIG_REJECTED: { reason: 'other_account' },
  VOICE_CLIENT_EXTENSION_HEARTBEAT: {},
  VOICE_CLIENT_EXTENSION_CALL: null,
  VOICE_CLIENT_EXTENSION_CALLS: { call: null, onHold: [], offers: [] },
  'popup.hangUp': undefined,
  'popup.mute': { muted: false },
  'popup.sendDigits': { digits: '1' },
  'popup.answer': { callSid: 'CA2' },
  'popup.decline': { callSid: 'CA2' },
  'popup.chooseDevice': { kind: 'ringtone', label: '' },
  'popup.consent': { key: 'AC1 https://voice.example.com' },
  'popup.restart': undefined,
  'popup.retry': { what: 'token' },
  'popup.openWelcome': undefined,
  'offscreen.truth': { call, onHold: [call], ended: { callSid: 'CA0', reason: 'hung_up' }, ...devices },
  'offscreen.callChanged': { call, onHold: [] },
  'offscreen.callEnded': { callSid: 'CA1', reason: 'ended' },
  'offscreen.answerPressed': {},
  'offscreen.devicesChanged': devices,
  'offscreen.prepare': { token: 't', identity: 'i', edge: 'roaming', holdSeconds: 30, appVersion: '1', chosen },
  'offscreen.takeCall': { callSid: 'CA1', connectToken: 'c', from: '' },
  'offscreen.inviteGone': { callSid: 'CA1' },
  'offscreen.ring': { on: true },
  'offscreen.resume': { callSid: 'CA1' },
  'offscreen.hangUp': { callSid: 'CA1' },
  'offscreen.mute': { muted: true, callSid: 'CA1' },
  'offscreen.sendDigits': { digits: '1', callSid: 'CA1' },
  'offscreen.chooseDevice': { kind: 'output', label: 'x' },
  'offscreen.forget': undefined,
};

const outcome = (answer) => (answer.ok ? 'ok' : answer.refusal);

test('every message has an example, and every example is accepted from each rightful sender', () => {
  assert.deepEqual(Object.keys(good).sort(), Object.keys(catalogue).sort());
  for (const [type, row] of Object.entries(catalogue)) {
    for (const from of row.from) {
      const sender = from === 'worker' ? worker : senders[from];
      assert.equal(outcome(accept({ type, payload: good[type] }, sender, home, row.to)), 'ok', `${type} from ${from}`);
    }
  }
});

test('no message is accepted from a sender the catalogue does not name, or by another receiver', () => {
  for (const [type, row] of Object.entries(catalogue)) {
    for (const [party, sender] of [...Object.entries(senders), ['worker', worker]]) {
      if (row.from.includes(party)) continue;
      assert.equal(outcome(accept({ type, payload: good[type] }, sender, home, row.to)), 'wrong_sender', `${type} from ${party}`);
    }
    const rightful = row.from[0] === 'worker' ? worker : senders[row.from[0]];
    for (const self of ['worker', 'offscreen', 'page', 'popup']) {
      if (self !== row.to) assert.equal(outcome(accept({ type, payload: good[type] }, rightful, home, self)), 'wrong_sender', `${type} at ${self}`);
    }
  }
});

test('forged senders are nobody', () => {
  const { page, popup, offscreen } = senders;
  const forged = {
    'another extension': { ...popup, id: 'theirs' },
    'another extension, in a tab at Flex': { ...page, id: 'theirs' },
    'no sender': undefined,
    'a frame in the page': { ...page, frameId: 3 },
    'another origin': { ...page, url: 'https://evil.example/', origin: 'https://evil.example' },
    'an origin that only starts like ours': { ...page, url: 'https://flex.twilio.com.evil.example/', origin: 'https://flex.twilio.com.evil.example' },
    'a subdomain': { ...page, url: 'https://x.flex.twilio.com/', origin: 'https://x.flex.twilio.com' },
    'plain http': { ...page, url: 'http://flex.twilio.com/', origin: 'http://flex.twilio.com' },
    'an opaque origin at our address': { ...page, origin: 'null' },
    'an address and an origin that disagree': { ...page, origin: 'https://flex.twilio.com', url: 'https://evil.example/' },
    'no tab': { ...page, tab: undefined },
    'another page of ours': { ...popup, url: 'chrome-extension://ours/popup/other.html' },
    'a longer path': { ...popup, url: 'chrome-extension://ours/popup/popup.html/x' },
    'the word popup in a query': { ...page, url: 'https://evil.example/?popup/popup.html', origin: 'https://evil.example' },
    'the popup in a frame': { ...popup, frameId: 2, tab: { id: 1 } },
    'the offscreen document in a tab': { ...offscreen, tab: { id: 1 } },
  };
  for (const [name, sender] of Object.entries(forged)) assert.equal(partyOf(sender, home), undefined, name);
});

test('bad payloads are refused, extra fields of our own messages too', () => {
  const bad = {
    VOICE_CLIENT_EXTENSION_CONFIGURE: [undefined, null, [], 'x', {}, { ...configuration, accountSid: 7 }],
    VOICE_CLIENT_EXTENSION_FLEX_TOKEN: [{ token: '' }, { token: 'a b' }, { token: 7 }, { token: 'x'.repeat(20_000) }],
    VOICE_CLIENT_EXTENSION_HANGUP_CALL: [{ callSid: '<img>' }, [], 'now'],
    VOICE_CLIENT_EXTENSION_SEND_DTMF_DIGITS: [{ digits: '' }, { digits: '1A' }, { digits: '1'.repeat(65) }, { digits: ['1'] }],
    VOICE_CLIENT_EXTENSION_SET_MUTED: [{ muted: 'yes' }, { muted: null }, {}, { muted: true, callSid: '<img>' }],
    VOICE_CLIENT_EXTENSION_ANSWER_CALL: [undefined, {}, { callSid: '' }, { callSid: '<img>' }],
    VOICE_CLIENT_EXTENSION_DECLINE_CALL: [undefined, {}, { callSid: 7 }],
    VOICE_CLIENT_EXTENSION_SET_AUDIO_DEVICE: [{ kind: 'camera', label: '' }, { kind: 'input', label: 7 }, { kind: 'input', label: 'x'.repeat(300) }],
    'popup.restart': [{ now: true }],
    'offscreen.callChanged': [{ call: { ...call, status: 'gone' }, onHold: [] }, { call: { ...call, token: 't' }, onHold: [] }, { call: null, onHold: [] }, { call }, { call, onHold: [{ ...call, token: 't' }] }],
  };
  for (const [type, payloads] of Object.entries(bad)) {
    const [from] = catalogue[type].from;
    for (const payload of payloads) {
      const answer = accept({ type, payload }, senders[from], home, catalogue[type].to);
      assert.equal(outcome(answer), 'bad_payload', `${type} ${JSON.stringify(payload)?.slice(0, 60)}`);
    }
  }
});

test('a newer plugin may say more: what is not known is dropped', () => {
  for (const type of Object.keys(good).filter((type) => catalogue[type].from.includes('page') && good[type])) {
    const answer = accept({ type, payload: { ...good[type], later: { than: 'this' } } }, senders.page, home, 'worker');
    assert.deepEqual(answer.ok && answer.message.payload, good[type], type);
  }
  const hangUp = accept({ type: 'VOICE_CLIENT_EXTENSION_HANGUP_CALL', payload: { later: true } }, senders.page, home, 'worker');
  assert.deepEqual(hangUp.ok && hangUp.message.payload, {});
});

test('what is not a message at all is refused', () => {
  for (const message of [undefined, null, 7, 'hangUp', [], {}, { type: 7 }, { type: 'popup.hangUp', extra: 1 }, { type: 'x'.repeat(65) }]) {
    assert.equal(outcome(accept(message, senders.popup, home, 'worker')), 'malformed', JSON.stringify(message));
  }
  for (const type of ['popup.explode', '__proto__', 'constructor', 'toString']) {
    assert.equal(outcome(accept({ type }, senders.popup, home, 'worker')), 'unknown_type', type);
  }
});

test('match patterns cover origins as Chromium reads them', () => {
  assert.ok(coversOrigin('https://flex.twilio.com/*', 'https://flex.twilio.com'));
  assert.ok(coversOrigin('https://*.example.com/*', 'https://flex.example.com'));
  assert.ok(coversOrigin('https://*.example.com/*', 'https://example.com'));
  assert.ok(coversOrigin('http://localhost/*', 'http://localhost:3000'), 'a pattern without a port has every port');
  assert.ok(!coversOrigin('https://*.example.com/*', 'https://badexample.com'));
  assert.ok(!coversOrigin('https://flex.twilio.com/*', 'https://flex.twilio.com.evil.example'));
  assert.ok(!coversOrigin('<all_urls>', 'https://flex.twilio.com'), 'unknown forms cover nothing');
});

test('the content script lets through exactly what the catalogue lets a page say and hear', () => {
  const source = readFileSync(new URL('../app/content/bridge.js', import.meta.url), 'utf8');
  const set = (name) => [...new RegExp(`${name} = new Set\\(\\[([^\\]]*)\\]`).exec(source)[1].matchAll(/'([^']+)'/g)].map((m) => m[1]).sort();
  const rows = Object.entries(catalogue).filter(([type]) => type.startsWith('VOICE_CLIENT_EXTENSION_'));
  assert.deepEqual(set('fromPage'), rows.filter(([, row]) => row.to === 'worker').map(([type]) => type).sort());
  assert.deepEqual(set('toPage'), rows.filter(([, row]) => row.to === 'page').map(([type]) => type).sort());
});
