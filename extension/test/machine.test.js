import assert from 'node:assert/strict';
import { test } from 'node:test';
import { always, call, callState, consentNeeded, initial as blank, isAllowedURL, isTokenURL, line, markOf, reduce } from '../app/background/machine.js';

const account = `AC${'0'.repeat(32)}`;
const otherAccount = `AC${'1'.repeat(32)}`;
const tokenURL = 'https://voice.example.com/generateToken';
const at = 1_000_000;
const agreed = `${account} https://voice.example.com`;
/** As it is with an agent who has agreed to this token server. */
const initial = () => ({ ...blank(), consents: [agreed] });
const hour = 3_600_000;

const ringing = { callSid: 'CA1', from: '+15550100', status: 'connecting', muted: false, direction: 'inbound', startedAt: null, quality: null };
const open = { ...ringing, status: 'open', startedAt: at };

/** Every event with a payload it could really have. */
const examples = {
  pageConnected: { page: 'page2' },
  pageClosed: { page: 'page1' },
  pageConfigured: { page: 'page1', account, tokenURL, prefix: 'ext_', resumed: false },
  holderDue: {},
  pageMisconfigured: { page: 'page1' },
  flexTokenGiven: { page: 'page1', account, token: 'flex-2', expiresAt: at + hour },
  tokenFetched: { number: 1, token: 'voice-2', identity: 'ext_alice', expiresAt: at + hour },
  tokenFetchFailed: { number: 1, reason: 'token_server_error' },
  refreshDue: {},
  reviveDue: {},
  lineRegistered: {},
  lineDropped: {},
  lineDead: {},
  lineRefused: {},
  networkReturned: {},
  callInvited: { callSid: 'CA2', connectToken: 'connect', from: '+15550101' },
  inviteGone: { callSid: 'CA1' },
  callChanged: { call: open, onHold: [] },
  callEnded: { callSid: 'CA1', reason: 'ended' },
  answerAsked: { page: 'page1', callSid: 'CA3' },
  declineAsked: { page: 'page1', callSid: 'CA3' },
  hangUpAsked: { page: 'page1' },
  muteAsked: { page: 'page1', muted: true },
  digitsAsked: { page: 'page1', digits: '1' },
  deviceAsked: { page: 'page1', kind: 'input', label: 'Headset' },
  documentConnected: { call: null, onHold: [], ended: null },
  documentGone: {},
  browserClosing: {},
  devicesChanged: { devices: { microphone: 'granted', inputs: [], outputs: [], chosen: { input: '', output: '', ringtone: '' } } },
  updateFound: { version: '2.0.0' },
  messageRefused: { refusal: 'bad_payload' },
  policyChanged: { policy: {} },
  loggedOut: { page: 'page1', account },
  leaveDue: {},
  fallbackDue: {},
  unheardDue: {},
  consentGiven: { key: agreed },
  restartAsked: {},
  welcomeAsked: {},
  workerStarted: { document: true },
  lifeBegan: {},
};

const sids = (list) => list.map(({ callSid }) => callSid);
const event = (name, more = {}) => ({ name, at, luck: 0.5, ...examples[name], ...more });
const acceptedPage = { standing: 'accepted', pluginVersion: null, reason: null, tab: 1 };

/** A state that could really be, for a line and a call. */
function stateOf(lineState, callStatus) {
  const configured = lineState !== 'unconfigured';
  const serving = ['registering', 'registered', 'offline'].includes(lineState);
  return {
    ...initial(),
    line: lineState,
    config: configured ? { account, tokenURL, prefix: 'ext_', worker: null } : null,
    holder: configured ? { tab: 1, until: null } : null,
    flexToken: configured && lineState !== 'wanting' ? { token: 'flex-1', expiresAt: at + hour, refused: false } : null,
    voiceToken: serving ? { token: 'voice-1', identity: 'ext_alice', issuedAt: at - hour / 4, expiresAt: at + hour } : null,
    identity: serving ? 'ext_alice' : null,
    fetch: { number: 1, failures: 0 },
    pages: configured ? { page1: acceptedPage } : {},
    document: configured ? 'ready' : 'none',
    call: callStatus === 'none' ? null : { ...(callStatus === 'connecting' ? ringing : open), status: callStatus },
  };
}

/** What may be beside the call. */
const besides = {
  alone: {},
  'another offered': { offers: [{ callSid: 'CA3', connectToken: 'connect', from: '+15550103', unheard: false }] },
  'another on hold': { onHold: [{ ...open, callSid: 'CA4' }] },
  'one offered and one on hold': { offers: [{ callSid: 'CA3', connectToken: 'connect', from: '+15550103', unheard: true }], onHold: [{ ...open, callSid: 'CA4' }] },
};

const pairs = Object.keys(line).flatMap((lineState) => Object.keys(call).map((callStatus) => [lineState, callStatus]));
const run = (state, name, more) => reduce(state, event(name, more));
const did = (step, effect) => step.effects.filter((e) => e.do === effect);

/** Runs events one after another and collects what they did. */
function story(state, ...events) {
  let effects = [];
  for (const [name, more] of events) ({ state, effects } = { ...run(state, name, more) });
  return { state, effects };
}

test('every state decides every event', () => {
  for (const [region, table] of [['line', line], ['call', call]]) {
    const events = [...new Set(Object.values(table).flatMap(Object.keys))].sort();
    for (const [state, row] of Object.entries(table)) {
      assert.deepEqual(Object.keys(row).sort(), events, `${region} ${state}`);
    }
  }
  const known = new Set([always, ...Object.values(line), ...Object.values(call)].flatMap(Object.keys));
  assert.deepEqual([...known].sort(), Object.keys(examples).sort(), 'an event without an example, or an example without an event');
});

test('no event in any state breaks what must always hold', () => {
  let steps = 0;
  for (const [lineState, callStatus] of pairs) for (const [company, beside] of Object.entries(besides)) {
    if (callStatus === 'none' && beside.onHold) continue;
    for (const name of Object.keys(examples)) {
      const before = structuredClone({ ...stateOf(lineState, callStatus), ...beside });
      const given = structuredClone(before);
      const { state, effects } = run(given, name);
      const where = `${lineState} + ${callStatus} + ${company} + ${name}`;
      steps++;
      assert.deepEqual(given, before, `${where} changed the state it was given`);
      assert.ok(state.line in line, `${where} led to the line ${state.line}`);
      assert.ok(callState(state) in call, `${where} led to the call ${callState(state)}`);
      assert.ok(effects.every((effect) => typeof effect.do === 'string'), where);
      assert.doesNotThrow(() => structuredClone(state), `${where} cannot be stored`);
      if (['registering', 'registered', 'offline'].includes(state.line)) assert.ok(state.voiceToken, `${where} without a token`);
      if (state.line === 'fetching') assert.ok(state.flexToken, `${where}: nothing to fetch with`);
      if (state.line === 'unconfigured') assert.equal(state.config, null, where);
      const all = sids([...(state.call ? [state.call] : []), ...state.onHold, ...state.offers]);
      assert.equal(new Set(all).size, all.length, `${where}: a call is in two places`);
      assert.ok(state.call || state.onHold.length === 0, `${where}: on hold, and the agent speaks with nobody`);
      if (beside.onHold && !['callChanged', 'documentConnected', 'documentGone', 'restartAsked'].includes(name) && !(name === 'workerStarted' && before.document === 'none')) {
        assert.ok(all.includes('CA4'), `${where} lost the call on hold`);
      }
      const over = ['declineAsked', 'restartAsked', 'loggedOut', 'unheardDue'];
      if (beside.offers && !over.includes(name) && !(name === 'policyChanged' && lineState === 'unconfigured')) {
        assert.ok(all.includes('CA3'), `${where} lost the call that is offered`);
      }
      // What a person asked for or did, or what the document says, is all that ends a call.
      const mayEnd = ['callEnded', 'documentConnected', 'documentGone', 'restartAsked', 'hangUpAsked', 'browserClosing'].includes(name) || (before.call?.status === 'connecting' && name === 'loggedOut');
      const nobodyHasIt = name === 'inviteGone' && before.document !== 'ready';
      if (before.call && !mayEnd && !nobodyHasIt) {
        assert.ok(all.includes('CA1'), `${where} lost the call`);
        assert.ok(name === 'answerAsked' || state.call.callSid === 'CA1', `${where}: the agent speaks with somebody else`);
        for (const effect of ['hangUp', 'closeDocument', 'reloadExtension']) {
          assert.ok(!effects.some((e) => e.do === effect), `${where} does ${effect}`);
        }
      }
      // A line that waits for something has a timer or an answer under way.
      if (state.line !== before.line && ['wanting', 'fetching', 'registering', 'offline'].includes(state.line)) {
        const moving = effects.some((e) => ['setTimer', 'fetchToken', 'register', 'answerPage'].includes(e.do));
        assert.ok(moving, `${where} -> ${state.line} would wait for ever`);
      }
    }
  }
  const companies = pairs.reduce((sum, [, callStatus]) => sum + (callStatus === 'none' ? 2 : 4), 0);
  assert.equal(steps, companies * Object.keys(examples).length);
});

test('an event nobody knows is a bug, not a silence', () => {
  assert.throws(() => reduce(initial(), { name: 'phoneExploded', at, luck: 0 }), /no decision/);
});

test('from the first word of the plugin to a registered line', () => {
  const page = { page: 'page1' };
  let step = story(initial(), ['pageConnected', page], ['pageConfigured', page]);
  assert.equal(step.state.line, 'wanting');
  assert.deepEqual(did(step, 'answerPage').map((e) => e.type), ['VOICE_CLIENT_EXTENSION_CONFIGURED']);
  assert.equal(did(step, 'ensureDocument').length, 1, 'the document is made before the first call');
  step = run(step.state, 'flexTokenGiven');
  assert.equal(step.state.line, 'fetching');
  assert.deepEqual(did(step, 'fetchToken'), [{ do: 'fetchToken', number: 1, url: tokenURL, prefix: 'ext_', flexToken: 'flex-2' }]);
  step = run(step.state, 'tokenFetched');
  assert.equal(step.state.line, 'registering');
  assert.equal(did(step, 'register')[0].token, 'voice-2');
  assert.equal(did(step, 'prepareDocument')[0].token, 'voice-2');
  step = run(step.state, 'lineRegistered');
  assert.equal(step.state.line, 'registered');
  assert.equal(step.state.identity, 'ext_alice');
});

test('the first plugin fixes the account; another account may configure nothing and command nothing', () => {
  const other = { page: 'page2', account: otherAccount };
  let step = story(stateOf('registered', 'open'), ['pageConnected', other], ['pageConfigured', other]);
  assert.deepEqual(did(step, 'answerPage')[0].payload, { reason: 'other_account' });
  for (const name of ['hangUpAsked', 'muteAsked', 'digitsAsked', 'deviceAsked', 'flexTokenGiven']) {
    step = run(step.state, name, { page: 'page2' });
    assert.deepEqual(step.effects, [], `${name} from another account did something`);
  }
  assert.equal(step.state.config.account, account);
});

test('a page that has not configured itself commands nothing', () => {
  const step = story(stateOf('registered', 'open'), ['pageConnected', { page: 'page9' }], ['hangUpAsked', { page: 'page9' }]);
  assert.deepEqual(step.effects, []);
});

test('a Flex token goes nowhere but to an allowed address', () => {
  const restricted = { ...initial(), policy: { tokenURLs: ['https://voice.example.com/*'] } };
  const evil = run(restricted, 'pageConfigured', { tokenURL: 'https://evil.example.com/generateToken' });
  assert.deepEqual(did(evil, 'answerPage')[0].payload, { reason: 'url_not_allowed' });
  assert.equal(evil.state.config, null);
  assert.equal(did(run(restricted, 'pageConfigured'), 'answerPage')[0].type, 'VOICE_CLIENT_EXTENSION_CONFIGURED');
  for (const url of ['http://voice.example.com/x', 'https://u:p@voice.example.com/x', 'javascript:alert(1)', 'voice', 'ws://localhost/']) {
    const step = run(initial(), 'pageConfigured', { tokenURL: url });
    assert.deepEqual(did(step, 'answerPage')[0].payload, { reason: 'bad_config' }, url);
  }
  for (const url of ['https://x.example/t', 'http://localhost:3001/t', 'http://127.0.0.1/t', 'http://[::1]:3/t']) assert.ok(isTokenURL(url), url);
});

test('the allow-list matches whole addresses, or a folder', () => {
  assert.ok(isAllowedURL('https://a.example/t?x=1', ['https://a.example/t']));
  assert.ok(isAllowedURL('https://a.example/deep/t', ['https://a.example/*']));
  assert.ok(!isAllowedURL('https://a.example/t2', ['https://a.example/t']));
  assert.ok(!isAllowedURL('https://a.example.evil.com/t', ['https://a.example/*']));
  assert.ok(!isAllowedURL('http://a.example/t', ['https://a.example/*']));
  assert.ok(!isAllowedURL('https://a.example/t', []), 'an empty list allows nothing');
});

test('the administrator may fix the account beforehand', () => {
  const step = run({ ...initial(), policy: { account: otherAccount } }, 'pageConfigured');
  assert.deepEqual(did(step, 'answerPage')[0].payload, { reason: 'other_account' });
});

test('a call is taken at once, and a second one is offered without touching the first', () => {
  const first = run(stateOf('registered', 'none'), 'callInvited', { callSid: 'CA1' });
  assert.deepEqual(did(first, 'takeCall').map((e) => e.callSid), ['CA1']);
  for (const status of ['connecting', 'open', 'reconnecting']) {
    const second = run(stateOf('registered', status), 'callInvited', { callSid: 'CA2' });
    assert.deepEqual([second.effects, sids(second.state.offers)], [[{ do: 'ring', on: true }], ['CA2']], status);
    assert.equal(second.state.call.callSid, 'CA1');
    const again = run(stateOf('registered', status), 'callInvited', { callSid: 'CA1' });
    assert.deepEqual([again.effects, again.state.offers], [[], []], 'the same call, invited again, is not a second call');
  }
});

test('a call that cannot be handed over is refused rather than left ringing', () => {
  const step = run(stateOf('registered', 'none'), 'callInvited', { connectToken: undefined });
  assert.deepEqual(step.effects, [{ do: 'rejectInvite', callSid: 'CA2' }]);
  assert.equal(step.state.call, null);
});

test('an expired Flex token asks the plugin for a new one and leaves line and call alone', () => {
  const step = run(stateOf('registered', 'open'), 'tokenFetchFailed', { reason: 'flex_token_refused' });
  assert.equal(step.state.line, 'registered');
  assert.equal(step.state.call.callSid, 'CA1');
  assert.deepEqual(did(step, 'answerPage').map((e) => e.type), ['VOICE_CLIENT_EXTENSION_CONFIGURED']);
  const given = run(step.state, 'flexTokenGiven');
  assert.equal(did(given, 'fetchToken')[0].flexToken, 'flex-2');
  const renewed = run(given.state, 'tokenFetched', { number: given.state.fetch.number });
  assert.deepEqual(did(renewed, 'updateToken'), [{ do: 'updateToken', token: 'voice-2' }]);
  assert.equal(renewed.state.problem, null);
});

test('with no tab to ask, asking goes on until there is one', () => {
  let { state } = run({ ...stateOf('fetching', 'none'), pages: {} }, 'tokenFetchFailed', { reason: 'flex_token_refused' });
  for (let i = 0; i < 5; i++) {
    const step = story(state, ['refreshDue', {}], ['tokenFetchFailed', { reason: 'flex_token_refused', number: state.fetch.number + 1 }]);
    assert.equal(did(step, 'setTimer').length, 1);
    assert.equal(step.state.line, 'wanting');
    state = step.state;
  }
  const back = story(state, ['pageConnected', { page: 'page1' }], ['pageConfigured', { resumed: true }]);
  assert.equal(did(back, 'answerPage')[0].type, 'VOICE_CLIENT_EXTENSION_CONFIGURED');
});

test('a token endpoint that is down is asked again for ever', () => {
  let state = stateOf('fetching', 'none');
  for (let i = 0; i < 100; i++) {
    const failed = run(state, 'tokenFetchFailed', { number: state.fetch.number });
    const [timer] = did(failed, 'setTimer');
    assert.ok(timer.ms > 0 && timer.ms <= 33_000, `attempt ${i}: ${timer.ms} ms`);
    const due = run(failed.state, 'refreshDue');
    assert.equal(did(due, 'fetchToken').length, 1);
    state = due.state;
  }
});

test('an answer to an earlier fetch changes nothing', () => {
  const { state } = run(stateOf('registered', 'none'), 'refreshDue');
  assert.deepEqual(run(state, 'tokenFetched', { number: 1 }).effects, []);
  assert.deepEqual(run(state, 'tokenFetchFailed', { number: 1 }).effects, []);
});

test('a refused voice token is replaced at once, then with growing patience', () => {
  let step = run(stateOf('registered', 'open'), 'lineRefused');
  assert.equal(step.state.line, 'fetching');
  assert.equal(did(step, 'fetchToken').length, 1);
  step = run(step.state, 'tokenFetched', { number: step.state.fetch.number });
  step = run(step.state, 'lineRefused');
  assert.equal(did(step, 'fetchToken').length, 0, 'no tight loop between the token server and Twilio');
  assert.equal(did(step, 'setTimer').length, 1);
});

test('"Twilio refused everybody for four seconds, and my phone was away for half a minute": it is tried every two seconds at first', () => {
  let state = stateOf('registered', 'none');
  const waits = [];
  for (let i = 0; i < 14; i += 1) {
    const refused = run(state, 'lineRefused');
    waits.push(did(refused, 'fetchToken').length ? 0 : did(refused, 'setTimer').at(-1).ms);
    // A page that has a new Flex token each time does not make it any faster.
    const given = run(refused.state, 'flexTokenGiven', { token: `flex-${i}` });
    assert.equal(did(given, 'fetchToken').length, i === 0 ? 1 : 0);
    assert.equal(given.state.flexToken.token, `flex-${i}`, 'it is the one to ask with');
    const fetching = i === 0 ? given : run(given.state, 'refreshDue');
    state = run(fetching.state, 'tokenFetched', { number: fetching.state.fetch.number }).state;
  }
  assert.equal(waits[0], 0);
  for (const wait of waits.slice(1, 10)) assert.ok(wait >= 1_800 && wait <= 2_200, waits.join());
  assert.ok(waits.at(-1) > 20_000, waits.join());
});

test('another agent on the same account gets a line of their own', () => {
  const { state } = run(stateOf('registered', 'none'), 'flexTokenGiven');
  const step = run(state, 'tokenFetched', { number: state.fetch.number, identity: 'ext_bob' });
  assert.equal(did(step, 'register').length, 1);
  assert.equal(did(step, 'updateToken').length, 0);
});

test('a woken worker registers again and believes the document about the call', () => {
  const state = stateOf('registered', 'open');
  const woken = run(state, 'workerStarted', { document: true });
  assert.equal(did(woken, 'register')[0].token, 'voice-1');
  assert.equal(did(woken, 'setTimer').length, 2, 'both timers died with the worker');
  assert.equal(run(woken.state, 'documentConnected', { call: open }).state.call.callSid, 'CA1');
  assert.equal(run(woken.state, 'documentConnected', { call: null }).state.call, null);
  const alone = run(state, 'workerStarted', { document: false });
  assert.equal(alone.state.call, null);
  assert.equal(did(alone, 'ensureDocument').length, 1);
});

// The worker died with an invite in its hands; what it had saved by then, and what the document says when it is asked.
const handOvers = {
  'never reached the document': { saved: 'connecting', truth: { call: null, ended: null }, becomes: 'none', because: 'lost' },
  'never reached it, and a call before had ended there': { saved: 'connecting', truth: { call: null, ended: { callSid: 'CA0', reason: 'hung_up' } }, becomes: 'none', because: 'lost' },
  'was taken and is over': { saved: 'connecting', truth: { call: null, ended: { callSid: 'CA1', reason: 'not_answered' } }, becomes: 'none', because: 'not_answered' },
  'is being taken': { saved: 'connecting', truth: { call: ringing, ended: null }, becomes: 'connecting', because: null },
  'was taken': { saved: 'connecting', truth: { call: open, ended: null }, becomes: 'open', because: null },
  'was taken, and nothing was saved': { saved: 'none', truth: { call: open, ended: null }, becomes: 'open', because: null },
  'was taken and is over, and nothing was saved': { saved: 'none', truth: { call: null, ended: { callSid: 'CA1', reason: 'ended' } }, becomes: 'none', because: 'ended' },
};

for (const [what, { saved, truth, becomes, because }] of Object.entries(handOvers)) {
  for (const document of ['ready', 'starting']) {
    test(`the worker dies in the hand-over of a call that ${what}; the document was ${document}`, () => {
      const before = { ...stateOf('registered', saved), document };
      const { state, effects } = story(before, ['workerStarted', { document: true }], ['documentConnected', truth]);
      assert.equal(callState(state), becomes);
      assert.equal(state.lastEnd, because);
      const given = effects.filter((e) => e.do === 'rejectInvite').map((e) => e.callSid);
      assert.deepEqual(given, saved === 'connecting' && becomes === 'none' ? ['CA1'] : [], 'what was not taken does not ring on');
      const after = run(state, 'callInvited');
      assert.equal(did(after, 'takeCall').length + after.state.offers.length, 1, 'the next call is answered, or offered');
    });
  }
}

test('the worker dies in the hand-over, and the document with it: ready again', () => {
  const { state, effects } = run(stateOf('registered', 'connecting'), 'workerStarted', { document: false });
  assert.equal(state.call, null);
  assert.deepEqual(effects.filter((e) => ['rejectInvite', 'ensureDocument', 'register'].includes(e.do)).map((e) => e.do), ['register', 'rejectInvite', 'ensureDocument']);
});

test('a new life of the extension listens to no page of the life before, and brings open tabs over', () => {
  const { state, effects } = run(stateOf('wanting', 'none'), 'lifeBegan');
  assert.deepEqual(state.pages, {});
  assert.deepEqual(effects, [{ do: 'reconnectPages' }, { do: 'bridgeTabs' }]);
});

test('a woken worker with an expired voice token fetches one', () => {
  const state = { ...stateOf('registered', 'none'), voiceToken: { token: 'old', identity: 'ext_alice', issuedAt: 0, expiresAt: at - 1 } };
  const woken = run(state, 'workerStarted');
  assert.equal(woken.state.line, 'fetching');
  assert.equal(did(woken, 'fetchToken').length, 1);
});

test('an update waits for the end of the call', () => {
  for (const status of ['connecting', 'open', 'reconnecting']) {
    const found = run(stateOf('registered', status), 'updateFound');
    assert.equal(did(found, 'reloadExtension').length, 0, status);
    const ended = run(found.state, 'callEnded');
    assert.equal(did(ended, 'reloadExtension').length, 1, status);
  }
  assert.equal(did(run(stateOf('registered', 'none'), 'updateFound'), 'reloadExtension').length, 1);
});

test('the network coming back is not waited out', () => {
  assert.equal(did(run(stateOf('offline', 'open'), 'networkReturned'), 'register').length, 1);
  assert.equal(did(run(stateOf('fetching', 'none'), 'networkReturned'), 'fetchToken').length, 1);
});

test('a hang-up for a call that is over does not end the next one', () => {
  assert.deepEqual(run(stateOf('registered', 'open'), 'hangUpAsked', { callSid: 'CA0' }).effects, []);
  assert.deepEqual(run(stateOf('registered', 'open'), 'hangUpAsked', { callSid: 'CA1' }).effects, [{ do: 'hangUp', callSid: 'CA1' }]);
});

test('"I hung up, and the customer was still there": a hang-up that died with the worker is said by the next one', () => {
  const asked = run(stateOf('registered', 'open'), 'hangUpAsked');
  const call = asked.state.call;
  const woken = story(asked.state, ['workerStarted', { document: true }], ['documentConnected', { call }]);
  assert.equal(woken.effects.filter((e) => e.do === 'hangUp').length, 1);
  const another = story(asked.state, ['workerStarted', { document: true }], ['documentConnected', { call: { ...call, callSid: 'CA2' } }]);
  assert.deepEqual(another.effects.filter((e) => e.do === 'hangUp'), []);
});

test('a call that could not be taken is given back', () => {
  const step = run(stateOf('registered', 'connecting'), 'callEnded', { reason: 'microphone_missing' });
  assert.deepEqual(did(step, 'rejectInvite'), [{ do: 'rejectInvite', callSid: 'CA1' }]);
  assert.deepEqual(did(run(stateOf('registered', 'open'), 'callEnded'), 'rejectInvite'), []);
});

const invite = { callSid: 'CA1', connectToken: 'connect', from: '+15550100', at };
const rings = (document) => ({ ...stateOf('registered', 'connecting'), invite, document });

test('a call that comes before the document can be told of it waits for it', () => {
  for (const document of ['none', 'starting']) {
    const invited = run({ ...stateOf('registered', 'none'), document }, 'callInvited', { callSid: 'CA1' });
    assert.deepEqual(did(invited, 'takeCall'), []);
    assert.equal(did(invited, 'ensureDocument').length, 1);
    const step = run(invited.state, 'documentConnected');
    assert.deepEqual(did(step, 'takeCall').map((e) => e.callSid), ['CA1']);
    assert.deepEqual(did(step, 'rejectInvite'), [], 'the customer does not hear busy');
    assert.equal(step.state.call.callSid, 'CA1');
  }
});

test('the worker was woken a moment before the call, and its document has not reported yet: the call is answered', () => {
  const { state, effects } = story(stateOf('registered', 'none'), ['workerStarted', { document: true }], ['lineRegistered'], ['callInvited', { callSid: 'CA1' }], ['documentConnected']);
  assert.equal(state.call.callSid, 'CA1');
  assert.deepEqual(effects.filter((e) => ['takeCall', 'rejectInvite'].includes(e.do)).map((e) => e.do), ['takeCall']);
});

test('a document that missed the call, or crashed while it took it, is given it again as long as it rings', () => {
  const again = run(rings('ready'), 'documentConnected');
  assert.equal(did(again, 'takeCall').length, 1);
  const crashed = run(rings('ready'), 'documentGone');
  assert.equal(did(crashed, 'rejectInvite').length, 0);
  assert.equal(did(run(crashed.state, 'documentConnected'), 'takeCall').length, 1);
  const withdrawn = run(crashed.state, 'inviteGone');
  assert.equal(withdrawn.state.call, null, 'the customer gave up meanwhile');
  assert.equal(did(run(rings('ready'), 'documentConnected', { ended: { callSid: 'CA1', reason: 'not_answered' } }), 'takeCall').length, 0, 'it has tried');
});

test('"I was called, and it rang into nothing": what rang when the worker died is taken by the next one, as long as it rings', () => {
  for (const document of [true, false]) {
    const woken = run(rings('starting'), 'workerStarted', { document });
    assert.deepEqual(did(woken, 'rejectInvite'), []);
    assert.deepEqual(did(run(woken.state, 'documentConnected'), 'takeCall'), [{ do: 'takeCall', callSid: 'CA1', connectToken: 'connect', from: '+15550100' }]);
    const late = run({ ...rings('starting'), invite: { ...invite, at: at - 30_000 } }, 'workerStarted', { document });
    assert.deepEqual(did(run(late.state, 'documentConnected'), 'takeCall'), []);
    assert.equal(run(late.state, 'documentConnected').state.call, null);
  }
  const waiting = { ...stateOf('registered', 'none'), held: [invite, { ...invite, callSid: 'CA2', at: at - 30_000 }] };
  const woken = run(waiting, 'workerStarted', { document: true });
  assert.deepEqual(woken.state.held, [invite], 'what the other browser does not answer is still ours');
  assert.equal(woken.effects.filter(({ timer }) => timer === 'fallback').length, 1);
});

test('a registration that no longer answers is made anew at once, and says so until it is', () => {
  const step = run(stateOf('registered', 'open'), 'lineDead');
  assert.deepEqual(did(step, 'register'), [{ do: 'register', token: 'voice-1', edge: 'roaming' }]);
  assert.deepEqual([step.state.line, step.state.problem], ['registering', 'signalling_lost']);
  assert.equal(run(step.state, 'lineRegistered').state.problem, null);
});

test('a dead edge costs three seconds, and a slow network is not chased from edge to edge', () => {
  let state = { ...stateOf('registering', 'none') };
  const waits = [];
  for (let i = 0; i < 5; i += 1) {
    const step = run(state, 'reviveDue');
    waits.push(did(step, 'setTimer').find(({ timer }) => timer === 'revive').ms);
    state = step.state;
  }
  assert.deepEqual(waits, [6_000, 12_000, 20_000, 20_000, 20_000]);
  assert.equal(did(run(stateOf('registered', 'none'), 'lineDropped'), 'setTimer')[0].ms, 3_000);
  assert.equal(run(state, 'lineRegistered').state.revivals, 0);
});

test('a token is tried again within four seconds while a call is reconnecting, unless the server asks for more', () => {
  const state = { ...stateOf('fetching', 'reconnecting'), fetch: { number: 1, failures: 9 } };
  const wait = (more) => did(run(state, 'tokenFetchFailed', more), 'setTimer')[0].ms;
  assert.equal(wait({}), 4_000);
  assert.equal(wait({ retryAfterMs: 60_000 }), 60_000);
  const idle = { ...state, call: null };
  assert.ok(did(run(idle, 'tokenFetchFailed'), 'setTimer')[0].ms > 20_000);
});

test('a call that somebody took is never refused', () => {
  for (const reason of ['answered_elsewhere', 'ended', 'connection_lost']) {
    const step = run(rings('ready'), 'callEnded', { reason });
    assert.deepEqual(did(step, 'rejectInvite'), [], reason);
    assert.equal(step.state.lastEnd, reason);
    assert.deepEqual(did(run(rings('ready'), 'documentConnected', { ended: { callSid: 'CA1', reason } }), 'rejectInvite'), [], reason);
  }
});

test('the welcome page opens once, and only when the microphone is really missing', () => {
  const devices = (microphone) => ({ devices: { ...examples.devicesChanged.devices, microphone } });
  const asked = run(stateOf('registered', 'none'), 'devicesChanged', devices('prompt'));
  assert.equal(did(asked, 'openWelcome').length, 1);
  assert.equal(did(run(asked.state, 'devicesChanged', devices('prompt')), 'openWelcome').length, 0);
  for (const state of ['granted', 'denied', 'missing', 'unknown']) {
    assert.equal(did(run(stateOf('registered', 'none'), 'devicesChanged', devices(state)), 'openWelcome').length, 0, state);
  }
});

const page2 = { page: 'page2', tab: 2 };

test('"a second tab took my phone": while the first is open, another changes neither address nor prefix nor agent', () => {
  const first = run(stateOf('registered', 'none'), 'pageConfigured', { worker: 'alice' }).state;
  for (const change of [{ tokenURL: 'https://voice.example.com/other' }, { prefix: 'evil_' }, { worker: 'mallory' }, { tokenURL: 'https://evil.example.com/generateToken' }]) {
    const second = story(first, ['pageConnected', page2], ['pageConfigured', { ...page2, worker: 'alice', ...change }]);
    assert.deepEqual(did(second, 'answerPage')[0].payload, { reason: 'other_account' }, JSON.stringify(change));
    assert.deepEqual([second.state.config, second.state.flexToken, second.state.line], [first.config, first.flexToken, 'registered']);
    assert.deepEqual(run(second.state, 'flexTokenGiven', page2).effects, [], 'nor does its token count');
  }
  const same = story(first, ['pageConnected', page2], ['pageConfigured', { ...page2, worker: 'alice' }]);
  assert.equal(same.state.pages.page2.standing, 'accepted', 'the same settings are no change');
});

test('a reload is the same page, a tab that is gone for good holds nothing', () => {
  const changed = { tokenURL: 'https://voice.example.com/other' };
  const closed = run(stateOf('registered', 'none'), 'pageClosed').state;
  const reloaded = story(closed, ['pageConnected', { page: 'page3', tab: 1 }], ['pageConfigured', { page: 'page3', ...changed }]);
  assert.equal(reloaded.state.config.tokenURL, changed.tokenURL);
  const other = story(closed, ['pageConnected', page2], ['pageConfigured', { ...page2, ...changed }]);
  assert.equal(other.state.pages.page2.standing, 'rejected', 'nobody slips in while it reloads');
  const later = run(other.state, 'pageConfigured', { ...page2, ...changed, at: at + 10_000 });
  assert.equal(later.state.config.tokenURL, changed.tokenURL);
  const woken = story(stateOf('registered', 'none'), ['workerStarted', {}], ['pageConnected', page2], ['pageConfigured', { ...page2, ...changed }]);
  assert.equal(woken.state.pages.page2.standing, 'rejected', 'nor while the worker wakes');
});

test('another agent in the same tab gets nothing of the one before', () => {
  const alice = run(stateOf('registered', 'none'), 'pageConfigured', { worker: 'alice' }).state;
  const step = run(alice, 'pageConfigured', { worker: 'bob' });
  assert.deepEqual([step.state.flexToken, step.state.voiceToken, step.state.identity, step.state.line], [null, null, null, 'wanting']);
  assert.equal(did(step, 'unregister').length, 1);
});

test('without an administrator the agent confirms once, before the first Flex token leaves', () => {
  let step = story(blank(), ['pageConnected', { page: 'page1' }], ['pageConfigured', {}]);
  assert.deepEqual(step.effects.map((e) => e.do).filter((name) => ['answerPage', 'openConsent', 'fetchToken'].includes(name)), ['openConsent']);
  assert.deepEqual(consentNeeded(step.state), { key: agreed, account, host: 'voice.example.com' });
  step = run(step.state, 'flexTokenGiven');
  assert.deepEqual([step.effects, step.state.flexToken], [[], null], 'a token that comes all the same is not kept');
  assert.deepEqual(run(step.state, 'pageConfigured').effects.filter((e) => e.do === 'openConsent'), [], 'asked once');
  assert.equal(consentNeeded(run(step.state, 'consentGiven', { key: `${account} https://evil.example.com` }).state)?.key, agreed, 'a click on another question');
  step = run(step.state, 'consentGiven');
  assert.deepEqual(did(step, 'rememberConsents')[0].consents, [agreed]);
  assert.equal(did(step, 'answerPage')[0].type, 'VOICE_CLIENT_EXTENSION_CONFIGURED');
  assert.equal(did(run(step.state, 'flexTokenGiven'), 'fetchToken').length, 1);

  const managed = run({ ...blank(), policy: { tokenURLs: [tokenURL] } }, 'pageConfigured');
  assert.deepEqual(did(managed, 'openConsent'), [], "pack's policy speaks for the agent");
  assert.equal(consentNeeded({ ...stateOf('registered', 'none'), consents: [], config: { account, tokenURL: 'http://127.0.0.1:3001/t', prefix: '', worker: null } }), null, 'nothing leaves this machine');
});

test('an address that the agent has not agreed to gets nothing of what is there', () => {
  const moved = run(stateOf('registered', 'none'), 'pageConfigured', { tokenURL: 'https://evil.example.com/generateToken' });
  assert.deepEqual([moved.state.flexToken, moved.state.voiceToken, moved.state.line], [null, null, 'wanting']);
  assert.deepEqual(did(moved, 'fetchToken'), []);
  assert.equal(did(moved, 'unregister').length, 1);
});

test('a restart gives the phone to the tab that the agent looks at, not to the fastest', () => {
  const two = story(stateOf('registered', 'none'), ['pageConnected', page2], ['pageConfigured', { ...page2, account: otherAccount }]).state;
  const { state } = run(two, 'restartAsked', { tab: 2 });
  const other = { page: 'page1', tab: 1 };
  const fast = story(state, ['pageConnected', other], ['pageConfigured', other]);
  assert.deepEqual([did(fast, 'answerPage'), fast.state.config], [[], null]);
  const chosen = story(fast.state, ['pageConnected', page2], ['pageConfigured', { ...page2, account: otherAccount }]);
  assert.equal(chosen.state.config.account, otherAccount);
  assert.deepEqual(did(chosen, 'answerPage').map(({ page, payload }) => [page, payload?.reason]), [['page1', 'other_account']]);
  assert.ok(Object.values(chosen.state.pages).every((page) => !('early' in page)));
  const gone = run(fast.state, 'holderDue');
  assert.equal(gone.state.config.account, account, 'unless it never comes');
  assert.equal(run(two, 'restartAsked', { tab: 7 }).state.holder, null, 'a tab without our plugin keeps nobody waiting');
  const again = run(fast.state, 'restartAsked', { tab: 2 });
  assert.ok(did(again, 'clearTimer').some(({ timer }) => timer === 'holder'), 'restarted again: the time of the first is over');
});

test('"I restarted it, and the other tab would not hang up": the other tab of the same agent is heard as soon as the one in front is', () => {
  const { state } = run(story(stateOf('registered', 'none'), ['pageConnected', page2], ['pageConfigured', page2]).state, 'restartAsked', { tab: 2 });
  const other = { page: 'page1', tab: 1 };
  const both = story(state, ['pageConnected', other], ['pageConfigured', other], ['pageConnected', page2], ['pageConfigured', page2]);
  assert.deepEqual(Object.values(both.state.pages).map(({ standing }) => standing), ['accepted', 'accepted']);
  assert.deepEqual(did(both, 'answerPage').map(({ type }) => type), Array(2).fill('VOICE_CLIENT_EXTENSION_CONFIGURED'));
  assert.equal(both.state.holder.tab, 2);
});

test('the browser that accepts is the one that answers', () => {
  const here = run(stateOf('registered', 'none'), 'pageConfigured', { session: 'here' }).state;
  const taken = (state, session) => did(run(state, 'callInvited', { session }), 'takeCall').length === 1;
  assert.ok(taken(here, 'here') && taken(here, null), 'this one accepted, or nobody in particular');
  const reloaded = run(here, 'pageConfigured', { session: 'reloaded' }).state;
  assert.ok(taken(reloaded, 'here'), 'accepted, and reloaded before the call came');
  assert.ok(taken(stateOf('registered', 'none'), 'elsewhere'), 'the page of an old plugin has no name');
  const busy = run({ ...here, call: open }, 'callInvited', { session: 'elsewhere' });
  assert.deepEqual(did(busy, 'rejectInvite'), [], 'refusing it would refuse it for the browser that accepted');
  assert.deepEqual([busy.state.offers, sids(run(busy.state, 'fallbackDue').state.offers)], [[], ['CA2']], 'the other one does not answer: offered');

  const invited = run(here, 'callInvited', { callSid: 'CA7', session: 'elsewhere' });
  assert.deepEqual(invited.effects, [{ do: 'setTimer', timer: 'fallback', ms: 5_000 }]);
  assert.equal(did(run(invited.state, 'fallbackDue'), 'takeCall')[0].callSid, 'CA7', 'the other one does not answer');
  const answered = run(invited.state, 'inviteGone', { callSid: 'CA7' });
  assert.deepEqual(run(answered.state, 'fallbackDue').effects, []);
});

test('a browser without a Flex page never answers what another session accepted', () => {
  const closed = run(stateOf('registered', 'none'), 'pageClosed').state;
  const invited = run(closed, 'callInvited', { callSid: 'CA7', session: 'elsewhere' });
  assert.deepEqual(did(invited, 'takeCall'), []);
  assert.deepEqual(did(run(invited.state, 'fallbackDue'), 'takeCall'), []);
});

test('logging out ends the phone: nothing registered, no token, nothing answered, and the same token is not taken again', () => {
  for (const where of Object.keys(line)) {
    const step = run(stateOf(where, 'none'), 'loggedOut');
    if (where === 'unconfigured') continue;
    assert.deepEqual([step.state.line, step.state.flexToken, step.state.voiceToken, step.state.identity], ['unconfigured', null, null, null], where);
    assert.ok(['unregister', 'closeDocument'].every((name) => did(step, name).length === 1), where);
    assert.doesNotMatch(JSON.stringify(step.state), /flex-1|voice-1/, where);
  }
  const out = run(stateOf('registered', 'none'), 'loggedOut').state;
  assert.equal(out.loggedOut, markOf('flex-1'));
  const again = story(out, ['pageConfigured', {}], ['flexTokenGiven', { token: 'flex-1' }]);
  assert.deepEqual(again.effects, [], 'another tab of the session that has ended');
  assert.equal(did(run(again.state, 'flexTokenGiven', { token: 'flex-2' }), 'fetchToken').length, 1, 'whoever logs in next');
  assert.equal(run(stateOf('registered', 'none'), 'loggedOut', { page: 'page9' }).state.line, 'registered', 'a page that is not ours logs nobody out');
  const woken = (tab) => ({ ...stateOf('registered', 'none'), holder: { tab: 7, until: null }, pages: { page9: { standing: 'new', pluginVersion: null, reason: null, tab } } });
  assert.equal(run(woken(7), 'loggedOut', { page: 'page9' }).state.line, 'unconfigured', 'the first page, said while the worker was away');
  assert.equal(run(woken(8), 'loggedOut', { page: 'page9' }).state.line, 'registered');
});

test('logging out does not cut off the customer on the line; the document goes when they have hung up', () => {
  const out = run(stateOf('registered', 'open'), 'loggedOut');
  assert.equal(out.state.call.callSid, 'CA1');
  assert.deepEqual(did(out, 'closeDocument'), []);
  assert.equal(did(run(out.state, 'callEnded'), 'closeDocument').length, 1);
  const ringing = run(stateOf('registered', 'connecting'), 'loggedOut');
  assert.equal(ringing.state.call, null, 'a call that nobody has answered is not answered any more');
  assert.equal(did(ringing, 'closeDocument').length, 1);
});

// A second call ------------------------------------------------------------------------------------------------

const rung = (more) => run(stateOf('registered', 'open'), 'callInvited', more);
const second = { ...ringing, callSid: 'CA2' };
const answering = () => run(rung().state, 'answerAsked', { callSid: 'CA2' });
const talking = () => run(answering().state, 'callChanged', { call: { ...second, status: 'open', startedAt: at }, onHold: [open] }).state;

test('accepted in this browser\'s Flex, a second call is answered and the first put on hold; nobody else answers unasked', () => {
  const here = run(stateOf('registered', 'open'), 'pageConfigured', { session: 'here' }).state;
  const accepted = run(here, 'callInvited', { session: 'here' });
  assert.deepEqual(did(accepted, 'takeCall').map((e) => e.callSid), ['CA2']);
  assert.deepEqual([accepted.state.call.callSid, sids(accepted.state.onHold)], ['CA2', ['CA1']]);
  for (const session of [null, undefined]) {
    const asked = run(here, 'callInvited', { session });
    assert.deepEqual([did(asked, 'takeCall'), sids(asked.state.offers)], [[], ['CA2']], String(session));
  }
  const old = rung({ session: 'a page that an old plugin does not name' });
  assert.deepEqual(sids(old.state.offers), ['CA2']);
});

test('hold and answer: the document is told once, and an answer that does not come brings the first back', () => {
  const step = answering();
  assert.deepEqual(did(step, 'takeCall'), [{ do: 'takeCall', callSid: 'CA2', connectToken: 'connect', from: '+15550101' }]);
  assert.deepEqual([step.state.call.callSid, sids(step.state.onHold), step.state.offers], ['CA2', ['CA1'], []]);
  assert.deepEqual(run(step.state, 'answerAsked', { callSid: 'CA2' }).effects, [], 'clicked twice');
  for (const [reason, refused] of [['microphone_missing', 1], ['not_answered', 1], ['answered_elsewhere', 0]]) {
    const failed = run(step.state, 'callEnded', { callSid: 'CA2', reason });
    assert.equal(did(failed, 'rejectInvite').length, refused, reason);
    assert.deepEqual([failed.state.call.callSid, failed.state.onHold], ['CA1', []]);
  }
});

test('answered after a minute of ringing, and the worker dies just then: it is still for the document', () => {
  const late = reduce(rung().state, { ...event('answerAsked', { callSid: 'CA2' }), at: at + 60_000 });
  const woken = reduce(late.state, { ...event('workerStarted', { document: true }), at: at + 61_000 });
  const step = run(woken.state, 'documentConnected', { call: open });
  assert.deepEqual([sids(did(step, 'takeCall')), step.state.call.callSid], [['CA2'], 'CA2']);
});

test('declined, or given up by the caller: the first call does not notice', () => {
  const declined = run(rung().state, 'declineAsked', { callSid: 'CA2' });
  const silence = { do: 'ring', on: false };
  assert.deepEqual(declined.effects, [{ do: 'rejectInvite', callSid: 'CA2' }, silence]);
  assert.deepEqual(run(rung().state, 'hangUpAsked', { callSid: 'CA2' }).effects, declined.effects, 'hung up before it was answered');
  const gone = run(rung().state, 'inviteGone', { callSid: 'CA2' });
  assert.deepEqual(gone.effects, [silence]);
  for (const { state } of [declined, gone]) assert.deepEqual([state.call.callSid, state.offers], ['CA1', []]);
  assert.deepEqual(run(gone.state, 'answerAsked', { callSid: 'CA2' }).effects, [], 'answered too late');
});

test('the first call ends while the second is offered: it rings on, until the agent decides', () => {
  const over = run({ ...rung().state, update: '2.0.0' }, 'callEnded');
  assert.deepEqual([over.state.call, sids(over.state.offers)], [null, ['CA2']]);
  assert.deepEqual(did(over, 'reloadExtension'), [], 'an update would silence it');
  assert.equal(did(run(over.state, 'answerAsked', { callSid: 'CA2' }), 'takeCall').length, 1);
  assert.equal(did(run(over.state, 'inviteGone', { callSid: 'CA2' }), 'reloadExtension').length, 1);
  const declined = run(over.state, 'declineAsked', { callSid: 'CA2' });
  assert.deepEqual(declined.effects.slice(0, 2).map((e) => e.do), ['rejectInvite', 'reloadExtension']);
});

test('back and forth between two calls is for the document to do', () => {
  const back = run(talking(), 'answerAsked', { callSid: 'CA1' });
  assert.deepEqual([back.effects, back.state.call.callSid], [[{ do: 'resume', callSid: 'CA1' }], 'CA2']);
  const done = run(back.state, 'callChanged', { call: open, onHold: [{ ...second, status: 'open' }] });
  assert.deepEqual([done.state.call.callSid, sids(done.state.onHold)], ['CA1', ['CA2']]);
  assert.deepEqual(run(talking(), 'answerAsked', { callSid: 'CA2' }).effects, [], 'the agent speaks there already');
  assert.deepEqual(run(talking(), 'answerAsked', { callSid: 'CA9' }).effects, []);
});

test('hang-up, mute and keys are for the call that is named, or for the one the agent speaks in', () => {
  for (const [name, effect] of [['hangUpAsked', 'hangUp'], ['muteAsked', 'mute'], ['digitsAsked', 'sendDigits']]) {
    for (const [callSid, meant] of [[undefined, ['CA2']], ['CA1', ['CA1']], ['CA2', ['CA2']], ['CA9', []]]) {
      assert.deepEqual(sids(did(run(talking(), name, { callSid }), effect)), meant, `${name} ${callSid}`);
    }
    assert.deepEqual(run(talking(), name, { page: 'page9', callSid: 'CA1' }).effects, [], `${name} from a page that is not ours`);
  }
  assert.deepEqual(run(talking(), 'answerAsked', { page: 'page9', callSid: 'CA1' }).effects, []);
  assert.deepEqual(run(rung().state, 'declineAsked', { page: 'page9', callSid: 'CA2' }).effects, []);
});

test('the end of one call is the end of that one', () => {
  const active = run(talking(), 'callEnded', { callSid: 'CA2' });
  assert.deepEqual([active.state.call.callSid, active.state.onHold], ['CA1', []]);
  const held = run(talking(), 'callEnded', { callSid: 'CA1' });
  assert.deepEqual([held.state.call.callSid, held.state.onHold], ['CA2', []]);
  for (const { effects } of [active, held]) assert.deepEqual(effects, [], 'neither closes nor reloads');
});

test('two calls that come before the document is there: one is for it, the other rings until it is', () => {
  const here = run({ ...stateOf('registered', 'none'), document: 'starting' }, 'pageConfigured', { session: 'here' }).state;
  const { state } = story(here, ['callInvited', { callSid: 'CA1', session: 'here' }], ['callInvited', { callSid: 'CA2', session: 'here' }], ['answerAsked', { callSid: 'CA2' }]);
  assert.deepEqual([state.call.callSid, state.onHold, sids(state.offers)], ['CA1', [], ['CA2']]);
  const ready = run(state, 'documentConnected');
  assert.deepEqual(sids(did(ready, 'takeCall')), ['CA1']);
  assert.deepEqual(sids(did(run(ready.state, 'answerAsked', { callSid: 'CA2' }), 'takeCall')), ['CA2']);
});

test('a document that knows of neither call is told of the one, and the other does not ring on', () => {
  const both = { ...answering().state, onHold: [{ ...ringing, callSid: 'CA1' }] };
  const { state, effects } = run(both, 'documentConnected');
  assert.deepEqual([state.call.callSid, state.onHold], ['CA2', []]);
  assert.deepEqual(effects.filter((e) => ['takeCall', 'rejectInvite'].includes(e.do)).map((e) => [e.do, e.callSid]), [['rejectInvite', 'CA1'], ['takeCall', 'CA2']]);
});

test('the document speaks of the first call while it is handed the second', () => {
  const { state } = run(answering().state, 'callChanged', { call: { ...open, muted: true }, onHold: [] });
  assert.deepEqual([state.call.callSid, state.onHold[0].muted], ['CA2', true]);
  assert.equal(did(run(state, 'inviteGone', { callSid: 'CA2' }), 'inviteGone').length, 1, 'and a caller who gives up just then is not forgotten');
});

// The worker dies in the hand-over of the second call; what the document says when it is asked.
for (const [what, { truth, speaks, waits, told }] of Object.entries({
  'never reached the document': { truth: { call: open, onHold: [] }, speaks: 'CA2', waits: ['CA1'], told: 1 },
  'is being taken': { truth: { call: second, onHold: [open] }, speaks: 'CA2', waits: ['CA1'], told: 0 },
  'was taken, and the first has ended': { truth: { call: { ...second, status: 'open' }, onHold: [] }, speaks: 'CA2', waits: [], told: 0 },
  'was tried in vain': { truth: { call: open, onHold: [], ended: { callSid: 'CA2', reason: 'not_answered' } }, speaks: 'CA1', waits: [], told: 0 },
  'is over, as is the first': { truth: { call: null, onHold: [], ended: { callSid: 'CA1', reason: 'ended' } }, speaks: 'CA2', waits: [], told: 1 },
})) {
  test(`the worker dies when the second call ${what}: nothing is lost`, () => {
    const { state, effects } = story(answering().state, ['workerStarted', { document: true }], ['documentConnected', truth]);
    assert.deepEqual([state.call.callSid, sids(state.onHold)], [speaks, waits]);
    assert.deepEqual(sids(effects.filter((e) => e.do === 'takeCall')), told ? ['CA2'] : []);
  });
}

test('the document crashes: the calls in it are lost, one that still rings is for the next', () => {
  const lost = run(talking(), 'documentGone');
  assert.deepEqual([lost.state.call, lost.state.onHold, lost.state.lastEnd], [null, [], 'lost']);
  const ringing = run(answering().state, 'documentGone');
  assert.deepEqual([ringing.state.call.callSid, ringing.state.onHold], ['CA2', []]);
  assert.equal(did(run(ringing.state, 'documentConnected'), 'takeCall').length, 1);
  const rings = run(rung().state, 'documentGone');
  assert.deepEqual(sids(rings.state.offers), ['CA2'], 'the other one rings on');
  assert.deepEqual(did(run(rings.state, 'documentConnected'), 'ring'), [{ do: 'ring', on: true }], 'and is heard again');
});

test('an offer whose line is gone can be answered, and does not stay for ever', () => {
  for (const [name, more] of [['workerStarted', { document: true }], ['lineDead', {}], ['lineDropped', {}]]) {
    const step = run(rung().state, name, more);
    assert.deepEqual(step.effects.filter((e) => e.timer === 'unheard').at(-1), { do: 'setTimer', timer: 'unheard', ms: 30_000 }, name);
    assert.equal(run(step.state, 'reviveDue').effects.filter((e) => e.timer === 'unheard').length, 0, 'trying again gives no more time');
    assert.equal(did(run(step.state, 'answerAsked', { page: undefined, callSid: 'CA2' }), name === 'workerStarted' ? 'ensureDocument' : 'takeCall').length, 1, name);
    assert.deepEqual(run(step.state, 'unheardDue').state.offers, [], name);
    const again = run(step.state, 'callInvited');
    assert.deepEqual(sids(again.state.offers), ['CA2'], 'once');
    assert.deepEqual(sids(run(again.state, 'unheardDue').state.offers), ['CA2'], 'it rings on the new line too');
  }
  assert.deepEqual(sids(run(rung().state, 'unheardDue').state.offers), ['CA2']);
});

test('logging out with two calls: both are finished; one that was being answered is given up, and the other comes back', () => {
  const both = run(talking(), 'loggedOut');
  assert.deepEqual([both.state.call.callSid, sids(both.state.onHold), did(both, 'closeDocument')], ['CA2', ['CA1'], []]);
  const one = run(answering().state, 'loggedOut');
  assert.deepEqual([one.state.call.callSid, did(one, 'hangUp'), did(one, 'closeDocument')], ['CA1', [{ do: 'hangUp', callSid: 'CA2' }], []]);
  assert.deepEqual(run(rung().state, 'loggedOut').state.offers, []);
});

test('three wait for another browser that does not answer: one is taken, the others offered', () => {
  const here = run(stateOf('registered', 'none'), 'pageConfigured', { session: 'here' }).state;
  const waiting = ['CA5', 'CA6', 'CA7'].reduce((state, callSid) => run(state, 'callInvited', { callSid, session: 'elsewhere' }).state, here);
  const { state } = run(waiting, 'fallbackDue');
  assert.deepEqual([state.call.callSid, sids(state.offers), state.held], ['CA5', ['CA6', 'CA7'], []]);
});

test('a tab closed for good ends the phone after what the policy says, a reload does not', () => {
  const closed = run(stateOf('registered', 'none'), 'pageClosed');
  assert.deepEqual(did(closed, 'setTimer'), [{ do: 'setTimer', timer: 'leave', ms: 60_000 }]);
  assert.equal(run(closed.state, 'leaveDue').state.line, 'unconfigured');
  const back = story(closed.state, ['pageConnected', { page: 'page2' }], ['pageConfigured', { page: 'page2', resumed: true }]);
  assert.ok(back.effects.some((e) => e.do === 'clearTimer' && e.timer === 'leave') || did(run(closed.state, 'pageConfigured', { page: 'page2' }), 'clearTimer').length === 1);
  assert.equal(run(back.state, 'leaveDue').state.line, 'registered');
  assert.equal(did(run({ ...stateOf('registered', 'none'), policy: { leaveAfterSeconds: 7 } }, 'pageClosed'), 'setTimer')[0].ms, 7_000);
  const talking = run(stateOf('registered', 'open'), 'pageClosed');
  assert.deepEqual(did(talking, 'setTimer'), [], 'not in a call');
  assert.equal(did(run(talking.state, 'callEnded'), 'setTimer').length, 1, 'after it');
  assert.equal(did(run(stateOf('registered', 'none'), 'workerStarted'), 'setTimer').filter((e) => e.timer === 'leave').length, 1, 'also when the worker died meanwhile');
});

test('what the administrator has just forbidden gets no Flex token any more', () => {
  const step = run(stateOf('registered', 'open'), 'policyChanged', { policy: { tokenURLs: ['https://only.example.com/t'] } });
  assert.deepEqual([step.state.flexToken, step.state.voiceToken, step.state.line], [null, null, 'unconfigured']);
  assert.deepEqual(did(step, 'answerPage')[0].payload, { reason: 'url_not_allowed' });
  assert.equal(step.state.call.callSid, 'CA1', 'the customer on the line is not cut off');
  const same = run(stateOf('registered', 'none'), 'policyChanged', { policy: { tokenURLs: [tokenURL] } });
  assert.equal(same.state.line, 'registered');
});

test('restart forgets the account and every token', () => {
  const { state, effects } = run({ ...stateOf('registered', 'open'), refusal: { status: 403, code: 'role-missing', message: null, requestId: null } }, 'restartAsked');
  assert.deepEqual([state.config, state.flexToken, state.voiceToken, state.call, state.refusal], [null, null, null, null, null]);
  // A tab that has no content script gets one: it may be why somebody restarts.
  assert.ok(['unregister', 'closeDocument', 'reconnectPages', 'bridgeTabs'].every((name) => effects.some((e) => e.do === name)));
});

test('what the token server said is known until it gives a token', () => {
  const refusal = { status: 403, code: 'role-missing', message: null, requestId: 'RQ1' };
  const refused = run(stateOf('fetching', 'none'), 'tokenFetchFailed', { reason: 'flex_token_refused', refusal }).state;
  assert.deepEqual([refused.line, refused.refusal], ['wanting', refusal]);
  const unreachable = run({ ...stateOf('registered', 'none'), refusal }, 'tokenFetchFailed', { reason: 'token_server_unreachable' }).state;
  assert.equal(unreachable.refusal, null, 'another failure has nothing to do with it');
  assert.equal(run({ ...stateOf('fetching', 'none'), refusal }, 'tokenFetched').state.refusal, null);
});

test('a plugin that was mended is tried at once, though the Flex token is the one that was refused', () => {
  const state = { ...stateOf('wanting', 'none'), flexToken: { token: 'flex-1', expiresAt: null, refused: true } };
  const mended = run(state, 'pageConfigured', { prefix: 'agent_' });
  assert.equal(mended.state.line, 'fetching', 'or the answer would be for nobody');
  assert.equal(did(mended, 'fetchToken')[0].prefix, 'agent_');
  assert.equal(run(mended.state, 'tokenFetched', { number: mended.state.fetch.number }).state.line, 'registering');
});

test('the first document is known to be on its way', () => {
  const { state } = story(initial(), ['pageConnected', { page: 'page1' }], ['pageConfigured', {}]);
  assert.equal(state.document, 'starting');
  assert.equal(run(state, 'documentGone').state.document, 'starting');
  assert.equal(run(state, 'documentConnected').state.document, 'ready');
});

test('an edge that does not answer is left for the next, round and round', () => {
  let state = { ...stateOf('registering', 'none'), policy: { edges: ['dublin', 'frankfurt'] } };
  const edges = [];
  for (let i = 0; i < 3; i++) {
    const step = run(state, 'reviveDue');
    edges.push(did(step, 'register')[0].edge);
    assert.equal(did(step, 'prepareDocument')[0].edge, edges.at(-1), 'both clients move');
    state = step.state;
  }
  assert.deepEqual(edges, ['frankfurt', 'dublin', 'frankfurt']);
  assert.equal(did(run(stateOf('offline', 'none'), 'networkReturned'), 'register')[0].edge, 'roaming', 'the network was at fault, not the edge');
  assert.equal(did(run({ ...stateOf('offline', 'none'), policy: { edges: [] } }, 'networkReturned'), 'register')[0].edge, 'roaming');
});

test('a plugin that can only repeat a refused token does not make us hammer the token server', () => {
  let step = run(stateOf('fetching', 'none'), 'tokenFetchFailed', { reason: 'flex_token_refused' });
  assert.equal(did(step, 'answerPage').length, 1, 'asked');
  step = run(step.state, 'flexTokenGiven', { token: 'flex-1' });
  assert.deepEqual(step.effects, [], 'the same token again is no reason to fetch');
  step = run(step.state, 'refreshDue');
  assert.equal(did(step, 'fetchToken').length, 1, 'but in time it is tried again: the refusal may have been the mistake');
  step = run(step.state, 'tokenFetched', { number: step.state.fetch.number });
  assert.equal(step.state.line, 'registering');
});
