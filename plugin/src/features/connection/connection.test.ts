import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as messages from '../../messages';
import { problemOf } from '../../state';
import { alive, beat, call, createWorld } from '../../test/world';
import { connection } from './connection';

function open() {
  const world = createWorld();
  const outside = world.outside();
  const { extension, stop } = connection(outside);
  return { ...world, board: outside.board, extension, stop, problem: () => problemOf(outside.board.get()) };
}

test('the extension is configured with the old fields and the new ones', () => {
  const { sent } = open();
  assert.deepEqual(sent(messages.CONFIGURE), [
    {
      accountSid: 'AC1',
      voiceClientTokenGeneratorUrl: 'https://tokens.example.com/generateToken',
      extensionVoiceClientPrefix: 'ext_',
      protocol: 3,
      pluginVersion: '1.4.0',
      sessionIdentifier: 'this-load',
      workerIdentity: 'alice',
    },
  ]);
});

test('the Flex token is given when it is asked for, and when Flex has a new one', () => {
  const { say, sent, events, state } = open();
  assert.deepEqual(sent(messages.FLEX_TOKEN), []);
  say(messages.CONFIGURED);
  state.session.ssoTokenPayload.token = 'a-newer-one';
  events.emit('tokenUpdated', {});
  assert.deepEqual(
    sent(messages.FLEX_TOKEN).map(({ token, accountSid }) => [token, accountSid]),
    [['flex-token', 'AC1'], ['a-newer-one', 'AC1']],
  );
});

test('"I logged out, and my phone answered a customer": the extension is told at once', async () => {
  const { sent, state, changed, flex } = open();
  assert.deepEqual(sent(messages.LOGGED_OUT), []);
  await flex.Actions.invokeAction('Logout');
  assert.deepEqual(sent(messages.LOGGED_OUT), [{ accountSid: 'AC1' }]);
  state.session.ssoTokenPayload = undefined as any;
  changed();
  changed();
  assert.equal(sent(messages.LOGGED_OUT).length, 2, 'also where Flex only drops its token, and once');
});

test('a frame or a foreign page that speaks as the extension is not heard', () => {
  const { say, board, sent } = open();
  say(messages.HEARTBEAT, beat, { source: {} });
  say(messages.HEARTBEAT, beat, { origin: 'https://evil.example' });
  say(messages.CONFIGURED, {}, { source: null });
  assert.equal(board.get().link, 'starting');
  assert.deepEqual(sent(messages.FLEX_TOKEN), []);
});

test('nonsense in a message of ours does no harm', () => {
  const { say, board } = open();
  for (const payload of [undefined, null, 7, 'text', [], { call: 3, audioDevices: 'x', voiceClientIdentity: {} }, { call: { callSid: {} } }]) {
    say(messages.HEARTBEAT, payload);
    say(messages.CALL, payload);
    say(messages.CONFIG_REJECTED, payload);
    say(messages.CONFIGURED, payload);
  }
  assert.equal(board.get().call, null);
  assert.equal(board.get().ready, false);
});

test('ready with an identity and a registered voice client', () => {
  const { say, board, problem } = open();
  say(messages.CONFIGURED);
  say(messages.HEARTBEAT, { ...beat, voiceClientIdentity: null, status: 'fetching' });
  assert.equal(board.get().ready, false);
  say(messages.HEARTBEAT, beat);
  assert.equal(board.get().ready, true);
  assert.equal(problem(), null);
});

test('an old heartbeat is enough to be ready', () => {
  const { say, board } = open();
  say(messages.HEARTBEAT, { voiceClientIdentity: 'ext_alice', error: null });
  assert.equal(board.get().ready, true);
  say(messages.HEARTBEAT, { voiceClientIdentity: 'ext_alice', error: true });
  assert.equal(board.get().ready, false);
});

test('no extension: the agent is told, and it is configured as soon as it is there', () => {
  const { clock, say, sent, problem, board } = open();
  clock.tick(3_000);
  assert.equal(problem(), null);
  clock.tick(1_000);
  assert.equal(problem(), 'no_extension');
  assert.equal(board.get().away, true);
  const asked = sent(messages.CONFIGURE).length;
  clock.tick(4_000);
  assert.equal(sent(messages.CONFIGURE).length, asked + 2);
  say(messages.CONFIGURED);
  say(messages.HEARTBEAT, beat);
  assert.equal(problem(), null);
  assert.equal(board.get().away, false);
});

test('an extension that is reloaded says so, and comes back without a reload of the page', () => {
  const { say, problem, clock, sent, board } = open();
  say(messages.CONFIGURED);
  say(messages.HEARTBEAT, { ...beat, call });
  say(messages.DISCONNECTED);
  assert.equal(problem(), 'lost');
  assert.equal(board.get().call, null);
  const asked = sent(messages.CONFIGURE).length;
  clock.tick(2_000);
  assert.equal(sent(messages.CONFIGURE).length, asked + 1);
  say(messages.HEARTBEAT, beat);
  assert.equal(board.get().ready, true);
});

test('a page that slept does not take the extension for dead', () => {
  const { say, problem, clock } = open();
  say(messages.HEARTBEAT, beat);
  clock.leap(60_000);
  assert.equal(problem(), null);
  say(messages.HEARTBEAT, beat);
  clock.tick(3_000);
  assert.equal(problem(), null);
  clock.tick(1_000);
  assert.equal(problem(), 'lost');
});

for (const [slow, ms] of [['a busy machine', 2_200], ['a tab that has been hidden for long', 60_000]] as const) {
  test(`an extension that is gone is missed on ${slow}, too, and one that answers is not`, () => {
    const { clock, say, board } = open();
    for (let turn = 0; turn < 10; turn += 1) {
      say(messages.HEARTBEAT, beat);
      clock.leap(ms);
      assert.equal(board.get().link, 'up', `turn ${turn}`);
    }
    say(messages.HEARTBEAT, beat);
    for (let turn = 0; turn < 3; turn += 1) clock.leap(ms);
    assert.equal(board.get().link, 'silent');
    assert.equal(board.get().away, true);
  });
}

test('a page that wakes up for a moment now and then hears what waited before it judges', () => {
  const { clock, say, board } = open();
  say(messages.HEARTBEAT, beat);
  for (let turn = 0; turn < 5; turn += 1) {
    clock.leap(60_000);
    assert.equal(board.get().link, 'up', `turn ${turn}`);
    say(messages.HEARTBEAT, beat);
  }
});

test('a short dip is not away', async () => {
  const world = open();
  world.say(messages.HEARTBEAT, beat);
  await alive(world, 2, { ...beat, status: 'registering' });
  assert.deepEqual([world.board.get().ready, world.board.get().away], [false, false]);
  await alive(world, 2, { ...beat, status: 'registering' });
  assert.equal(world.board.get().away, true);
});

for (const reason of ['other_account', 'url_not_allowed', 'bad_config'] as const) {
  test(`a configuration that is refused: ${reason}`, () => {
    const { say, problem, board, clock } = open();
    for (let second = 0; second < 4; second++) {
      say(messages.CONFIG_REJECTED, { reason });
      assert.equal(problem(), reason);
      clock.tick(1_000);
    }
    assert.equal(board.get().away, true);
    say(messages.CONFIGURED);
    assert.equal(problem(), null);
  });
}

const broken = { microphone: 'registered', flex_token: 'wanting', token_service: 'fetching', signalling: 'offline' };
for (const [wanted, status] of Object.entries(broken)) {
  test(`an extension that reports an error while ${status}: ${wanted}`, () => {
    const { say, problem } = open();
    say(messages.HEARTBEAT, { ...beat, status, error: true });
    assert.equal(problem(), wanted);
  });
}

const troubles = {
  microphone_denied: 'microphone_denied',
  microphone_missing: 'microphone_missing',
  microphone_prompt: 'microphone_prompt',
  flex_token_refused: 'flex_token',
  token_server_unreachable: 'token_service',
  token_server_error: 'token_service',
  token_server_nonsense: 'token_service',
  voice_token_refused: 'token_service',
  signalling_lost: 'signalling',
};
for (const [trouble, wanted] of Object.entries(troubles)) {
  test(`an extension that says ${trouble} is believed, whatever its status: ${wanted}`, () => {
    const { say, problem } = open();
    for (const status of Object.values(broken)) {
      say(messages.HEARTBEAT, { ...beat, status, error: true, problem: trouble });
      assert.equal(problem(), wanted);
    }
  });
}

test('a trouble this plugin does not know is told by the status', () => {
  const { say, problem, board } = open();
  for (const nonsense of ['sunspots', 7, {}, null]) {
    say(messages.HEARTBEAT, { ...beat, status: 'fetching', error: true, problem: nonsense, microphone: nonsense });
    assert.equal(problem(), 'token_service');
    assert.equal(board.get().beat?.microphone, 'unknown');
  }
});

test('the state of the microphone is read', () => {
  const { say, board } = open();
  say(messages.HEARTBEAT, { ...beat, microphone: 'denied' });
  assert.equal(board.get().beat?.microphone, 'denied');
});

test('a Flex token past its time is a problem until Flex has a new one', () => {
  const { say, problem, events, state, clock } = open();
  say(messages.HEARTBEAT, beat);
  events.emit('tokenExpired');
  assert.equal(problem(), 'flex_token');
  state.session.ssoTokenPayload.expiration = new Date(clock.now() + 1_000).toISOString();
  events.emit('tokenUpdated');
  assert.equal(problem(), null);
});

test('an extension signed in as another agent is not ready', () => {
  const { say, problem, board } = open();
  say(messages.HEARTBEAT, { ...beat, voiceClientIdentity: 'ext_bob' });
  assert.equal(problem(), 'other_agent');
  assert.equal(board.get().ready, false);
});

test('all calls are known from either message; what is not one is left out', () => {
  const { say, board } = open();
  const calls = { call: { callSid: 'CA1', status: 'open' }, onHold: [{ callSid: 'CA2', from: '+1', status: 'open' }, null, { status: 'open' }], offers: [{ callSid: 'CA3' }, 7, {}] };
  const seen = () => [board.get().call?.callSid, board.get().onHold.map(({ callSid, from }) => [callSid, from]), board.get().offers];
  const told = ['CA1', [['CA2', '+1']], [{ callSid: 'CA3', from: '' }]];
  say(messages.CALLS, calls);
  assert.deepEqual(seen(), told);
  say(messages.HEARTBEAT, { ...beat, call: null });
  assert.deepEqual(seen(), [undefined, [], []]);
  say(messages.HEARTBEAT, { ...beat, ...calls });
  assert.deepEqual(seen(), told);
  say(messages.CALLS, { onHold: 'none', offers: {} });
  assert.deepEqual(seen(), [undefined, [], []]);
  say(messages.CALLS, calls);
  say(messages.DISCONNECTED);
  assert.deepEqual(seen(), [undefined, [], []]);
});

test('commands have the fields that old and new extensions know', () => {
  const { extension, sent } = open();
  extension.hangUp('CA1');
  extension.sendDigits('5', 'CA1');
  extension.setMuted(true, 'CA1');
  extension.answer('CA2');
  extension.decline('CA3');
  extension.chooseDevice('output', 'Headset');
  assert.deepEqual(sent(messages.HANGUP_CALL), [{ callSid: 'CA1' }]);
  assert.deepEqual(sent(messages.SEND_DTMF_DIGITS), [{ digits: '5', callSid: 'CA1' }]);
  assert.deepEqual(sent(messages.SET_MUTED), [{ muted: true, callSid: 'CA1' }]);
  assert.deepEqual(sent(messages.ANSWER_CALL), [{ callSid: 'CA2' }]);
  assert.deepEqual(sent(messages.DECLINE_CALL), [{ callSid: 'CA3' }]);
  assert.deepEqual(sent(messages.SET_AUDIO_DEVICE), [{ kind: 'output', label: 'Headset' }]);
});
