import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as messages from '../../messages';
import { beat, call, callSid, connected, createWorld, oldBeat, settle } from '../../test/world';
import type { ProxyCall } from './proxy-call';

const inCall = { ...beat, call };
const task = { sid: 'WR1', status: 'accepted', taskChannelUniqueName: 'voice', conference: { participants: [{ isCurrentWorker: true, callSid, status: 'joined' }] } };
const active = (world: { state: any }) => world.state.phone.activeCall as ProxyCall | undefined;

test('a call appears where Flex keeps its own, and goes away when it ends', async () => {
  const world = await connected();
  world.say(messages.CALL, call);
  assert.equal(active(world)?.parameters.CallSid, callSid);
  assert.equal(active(world)?.status(), 'open');
  const ended: unknown[] = [];
  const was = active(world)!;
  was.on('disconnect', (ended_) => ended.push(ended_));
  world.say(messages.CALL, null);
  assert.equal(active(world), undefined);
  assert.deepEqual(ended, [was]);
  assert.equal(was.status(), 'closed');
  assert.deepEqual(world.actions(), ['HideDirectory']);
});

test('a page reloaded in a call has it again with the first heartbeat', async () => {
  const world = createWorld();
  world.setTask(task);
  world.start();
  assert.equal(active(world), undefined);
  world.say(messages.HEARTBEAT, inCall);
  assert.equal(active(world)?.parameters.CallSid, callSid);
  assert.equal(world.reduced.has('PHONE_ADD_CALL'), true);
});

test('mute shows what the extension has confirmed, not what was clicked', async () => {
  const world = await connected({}, inCall);
  const proxy = active(world)!;
  const heard: unknown[] = [];
  proxy.on('mute', (muted, which) => heard.push([muted, which]));
  proxy.mute(!proxy.isMuted());
  assert.deepEqual(world.sent(messages.SET_MUTED), [{ muted: true }]);
  assert.equal(proxy.isMuted(), false);
  world.say(messages.CALL, { ...call, muted: true });
  assert.equal(proxy.isMuted(), true);
  assert.deepEqual(heard, [[true, proxy]]);
  assert.equal(world.reduced.has('PHONE_TOGGLE_MUTE'), true);
  world.say(messages.HEARTBEAT, { ...inCall, call: { ...call, muted: true } });
  assert.equal(heard.length, 1);
});

test('hang-up and digits go to the extension, which ends the call in its own time', async () => {
  const world = await connected({}, inCall);
  active(world)!.sendDigits('5#');
  active(world)!.disconnect();
  assert.deepEqual(world.sent(messages.SEND_DTMF_DIGITS), [{ digits: '5#' }]);
  assert.deepEqual(world.sent(messages.HANGUP_CALL), [{ callSid }]);
  assert.equal(active(world)?.status(), 'open');
});

test('a poor connection becomes one of Flex\'s quality warnings', async () => {
  const world = await connected({}, inCall);
  const heard: string[] = [];
  for (const event of ['warning', 'warning-cleared', 'reconnecting', 'reconnected']) active(world)!.on(event, () => heard.push(event));
  const quality = (level: string) => ({ level, mos: 2, rttMs: 1, jitterMs: 1, lossPercent: 9 });
  for (const level of ['good', 'poor', 'poor', 'fair']) world.say(messages.CALL, { ...call, quality: quality(level) });
  world.say(messages.CALL, { ...call, status: 'reconnecting' });
  world.say(messages.CALL, call);
  assert.deepEqual(heard, ['warning', 'warning-cleared', 'reconnecting', 'reconnected']);
});

test('the next call replaces the one before', async () => {
  const world = await connected({}, inCall);
  world.say(messages.CALL, { ...call, callSid: 'CA2' });
  assert.equal(active(world)?.parameters.CallSid, 'CA2');
  world.say(messages.CALL, null);
  assert.equal(active(world), undefined);
});

test('a call of the tab itself is left where it is', async () => {
  const world = await connected({}, inCall);
  const own = { parameters: { CallSid: 'CA9' } };
  world.state.phone = { ...world.state.phone, activeCall: own };
  world.say(messages.CALL, null);
  assert.equal(active(world), own);
});

test('the dialer closes when the call is there, as it does in Flex', async () => {
  const world = await connected();
  world.state.view.isOutboundDialerOpen = true;
  world.say(messages.CALL, call);
  assert.deepEqual(world.actions(), ['ToggleOutboundDialer']);
});

test('wrapping up a task ends the audio too', async () => {
  const world = await connected({}, inCall);
  await world.flex.Actions.invokeAction('WrapupTask', { task });
  assert.deepEqual(world.sent(messages.HANGUP_CALL), [{ callSid }]);
});

test('wrapping up a chat, or another call, leaves the call alone', async () => {
  const world = await connected({}, inCall);
  await world.flex.Actions.invokeAction('WrapupTask', { task: { ...task, taskChannelUniqueName: 'chat' } });
  await world.flex.Actions.invokeAction('WrapupTask', { task: { ...task, conference: { participants: [{ isCurrentWorker: true, callSid: 'CA2' }] } } });
  assert.deepEqual(world.sent(messages.HANGUP_CALL), []);
});

test('a supervisor who stops listening: Flex ends the call itself', async () => {
  const world = await connected({}, inCall);
  await world.flex.Actions.invokeAction('StopMonitoringCall', {});
  assert.deepEqual(world.actions(), ['StopMonitoringCall']);
  assert.deepEqual(world.sent(messages.HANGUP_CALL), []);
});

test('calling out needs a voice client, and the extension\'s microphone is enough', async () => {
  const world = await connected({}, { ...beat, error: true });
  await assert.rejects(world.flex.Actions.invokeAction('StartOutboundCall', {}), /cancelled/);
  assert.match(world.shown.join(), /outbound_refused/);
  assert.equal(world.state.phone.listener?.microphoneID, undefined);
  world.say(messages.HEARTBEAT, beat);
  await world.flex.Actions.invokeAction('StartOutboundCall', {});
  assert.equal(world.state.phone.listener?.microphoneID, 'default');
});

// An extension of the first generation -------------------------------------------------------------------------

test('an old extension\'s call is the one of which Flex knows: it hangs up and sends digits', async () => {
  const world = await connected({}, oldBeat);
  world.setTask(task);
  active(world)!.disconnect();
  active(world)!.sendDigits('1');
  assert.deepEqual(world.sent(messages.HANGUP_CALL), [{ callSid }]);
  assert.deepEqual(world.sent(messages.SEND_DTMF_DIGITS), [{ digits: '1' }]);
  world.say(messages.HEARTBEAT, oldBeat);
  assert.equal(active(world)?.parameters.CallSid, callSid);
  world.setTask({ ...task, status: 'wrapping' });
  assert.equal(active(world), undefined);
});

test('mute is hidden where the extension does not know it', async () => {
  for (const [first, hidden] of [[oldBeat, true], [beat, false]] as const) {
    const world = await connected({}, first);
    world.setTask(task);
    const [key, options] = world.canvas.removed[0]!;
    assert.equal(key, 'toggleMute');
    assert.equal(options?.if(), hidden);
  }
});

// A release of Flex that takes no foreign call -----------------------------------------------------------------

const without = { withoutPhone: true };

test('own buttons stand in when Flex no longer takes the call, and the log says so', async () => {
  const world = await connected(without, beat);
  const { options } = world.canvas.added.get('flexvc-buttons');
  assert.equal(options.if(), false);
  world.say(messages.CALL, call);
  assert.equal(options.if(), true);
  assert.match(world.logged.join(), /no longer takes the extension's call/);
  const hidden = world.canvas.removed.filter(([, given]) => given?.if()).map(([key]) => key);
  assert.deepEqual(hidden, ['toggleMute', 'dialpad', 'hangup']);
});

test('Flex\'s actions reach the extension then too', async () => {
  const world = await connected(without, inCall);
  const { invokeAction } = world.flex.Actions;
  await assert.rejects(invokeAction('HangupCall', { task }), /cancelled/);
  await assert.rejects(invokeAction('ToggleMute'), /cancelled/);
  await assert.rejects(invokeAction('SendDTMFDigits', { task, digits: '7' }), /cancelled/);
  await invokeAction('StopMonitoringCall');
  assert.deepEqual(world.sent(messages.HANGUP_CALL), [{ callSid }, { callSid }]);
  assert.deepEqual(world.sent(messages.SET_MUTED), [{ muted: true }]);
  assert.deepEqual(world.sent(messages.SEND_DTMF_DIGITS), [{ digits: '7' }]);
});

test('without a call of the extension every action is Flex\'s own', async () => {
  const world = await connected(without);
  for (const action of ['HangupCall', 'ToggleMute', 'SendDTMFDigits', 'StopMonitoringCall', 'WrapupTask']) await world.flex.Actions.invokeAction(action, { task });
  assert.equal(world.actions().length, 5);
  await settle();
  assert.deepEqual(world.sent(messages.HANGUP_CALL), []);
});
