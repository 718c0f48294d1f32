import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Window } from 'happy-dom';
import ReactDOM from 'react-dom';
import { act } from 'react-dom/test-utils';
import type { Task } from '../../flex';
import * as messages from '../../messages';
import { beat, call, callSid, connected, createWorld, oldBeat, settle } from '../../test/world';
import type { Call } from '../../messages';
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
  assert.deepEqual(world.sent(messages.SET_MUTED), [{ muted: true, callSid }]);
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
  assert.deepEqual(world.sent(messages.SEND_DTMF_DIGITS), [{ digits: '5#', callSid }]);
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

test('a listening-in that Flex ends is gone from Flex at once, and from the extension when it says so', async () => {
  const world = await connected({}, inCall);
  world.state.supervisor = { callMonitoring: { status: 2 } };
  active(world)!.disconnect();
  assert.equal(active(world), undefined);
  assert.deepEqual(world.sent(messages.HANGUP_CALL), [{ callSid }]);
  world.say(messages.HEARTBEAT, inCall);
  assert.equal(active(world), undefined, 'while the extension still has it');
  // The extension did not hear it: the stop asks again.
  await world.flex.Actions.invokeAction('StopMonitoringCall');
  assert.equal(world.sent(messages.HANGUP_CALL).length, 2);
  world.say(messages.CALL, null);
  world.state.supervisor = { callMonitoring: { status: 0 } };
  world.say(messages.CALL, { ...call, callSid: 'CA2' });
  assert.equal(active(world)?.parameters.CallSid, 'CA2');
});

test('the end of a listening-in is not that of the customer whom Flex shows', async () => {
  const other = 'CA2';
  const world = await connected({}, inCall);
  world.setTask({ ...task, sid: 'WR2', conference: { participants: [{ isCurrentWorker: true, callSid: other, status: 'joined' }] } });
  world.state.supervisor = { callMonitoring: { status: 2 } };
  world.state.phone = { ...world.state.phone, activeCall: { parameters: { CallSid: other } } };
  await world.flex.Actions.invokeAction('StopMonitoringCall').catch(() => {});
  assert.deepEqual(world.sent(messages.HANGUP_CALL), [{ callSid }]);
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

// Two calls ----------------------------------------------------------------------------------------------------

const other = { ...call, callSid: 'CA2', from: '+15550102' };
const held = { ...call, from: '+15550101' };
const otherTask = { ...task, sid: 'WR2', conference: { participants: [{ isCurrentWorker: true, callSid: 'CA2', status: 'joined' }] } };

/** The agent speaks in CA2, and CA1 is on hold. */
async function withTwo(options = {}) {
  const world = await connected(options, inCall);
  world.setTask(task);
  world.state.worker.tasks.set('WR2', otherTask);
  const ended: unknown[] = [];
  active(world)?.on('disconnect', (call: ProxyCall) => ended.push(call.parameters.CallSid));
  world.say(messages.CALLS, { call: other, onHold: [held], offers: [] });
  world.say(messages.CALL, other);
  const select = (sid: string | undefined) => {
    world.state.view.selectedTaskSid = sid;
    world.changed();
  };
  return { ...world, ended, select };
}

test('a call that is put on hold for another has not ended', async () => {
  const world = await withTwo();
  assert.deepEqual(world.ended, []);
  assert.equal(active(world)?.parameters.CallSid, 'CA2');
  assert.deepEqual(world.actions(), [], 'the transfer directory stays open');
});

test('Flex\'s buttons are those of the task the agent looks at, and of the call spoken in beside any other', async () => {
  const world = await withTwo();
  for (const [sid, shown] of [['WR1', 'CA1'], ['WR2', 'CA2'], ['WR1', 'CA1'], ['WR-chat', 'CA2'], [undefined, 'CA2']] as const) {
    world.select(sid);
    assert.equal(active(world)?.parameters.CallSid, shown);
  }
  world.select('WR1');
  active(world)!.mute(true);
  active(world)!.sendDigits('1');
  assert.deepEqual(world.sent(messages.SET_MUTED), [{ muted: true, callSid: 'CA1' }]);
  assert.deepEqual(world.sent(messages.SEND_DTMF_DIGITS), [{ digits: '1', callSid: 'CA1' }]);
  world.say(messages.CALLS, { call: other, onHold: [{ ...held, muted: true }], offers: [] });
  assert.equal(active(world)!.isMuted(), true);
  world.select('WR2');
  assert.equal(active(world)!.isMuted(), false);
});

test('the hang-up of a task\'s own row ends that task\'s call, whichever task is open', async () => {
  const world = await withTwo();
  world.select('WR2');
  await assert.rejects(world.flex.Actions.invokeAction('HangupCall', { task }), /cancelled/);
  assert.deepEqual(world.sent(messages.HANGUP_CALL), [{ callSid: 'CA1' }]);
  await assert.rejects(world.flex.Actions.invokeAction('SendDTMFDigits', { task, digits: '7' }), /cancelled/);
  assert.deepEqual(world.sent(messages.SEND_DTMF_DIGITS), [{ digits: '7', callSid: 'CA1' }]);
  // Flex itself acts on the call it has, and that is the right one.
  await world.flex.Actions.invokeAction('HangupCall', { task: otherTask });
  await world.flex.Actions.invokeAction('ToggleMute', {});
  assert.deepEqual(world.sent(messages.HANGUP_CALL), [{ callSid: 'CA1' }, { callSid: 'CA2' }]);
  assert.deepEqual(world.sent(messages.SET_MUTED), [{ muted: true, callSid: 'CA2' }]);
});

test('wrapping up either task ends its own call', async () => {
  for (const [wrapped, callSid] of [[task, 'CA1'], [otherTask, 'CA2']] as const) {
    const world = await withTwo();
    await world.flex.Actions.invokeAction('WrapupTask', { sid: wrapped.sid });
    assert.deepEqual(world.sent(messages.HANGUP_CALL), [{ callSid }]);
  }
  const world = await withTwo();
  await world.flex.Actions.invokeAction('WrapupTask', { task: { ...task, conference: undefined } });
  assert.deepEqual(world.sent(messages.HANGUP_CALL), [], 'nobody knows which of the two it is');
});

test('taking a customer off hold in Flex is to speak with that one', async () => {
  const world = await withTwo();
  await world.flex.Actions.invokeAction('UnholdCall', { task: otherTask });
  assert.deepEqual(world.sent(messages.ANSWER_CALL), [], 'the agent speaks with that one already');
  await world.flex.Actions.invokeAction('UnholdCall', { task });
  assert.deepEqual(world.sent(messages.ANSWER_CALL), [{ callSid: 'CA1' }]);
});

test('the task of a call on hold has a button that brings it back, and the other has none', async () => {
  const world = await withTwo();
  const window = new Window();
  Object.assign(globalThis, { window, document: window.document, IS_REACT_ACT_ENVIRONMENT: true });
  const body = window.document.body as unknown as HTMLElement;
  act(() => void ReactDOM.render(world.canvas.added.get('flexvc-resume').element, body));
  const button = () => body.querySelector<HTMLElement>('[data-flexvc="resume-task"]');
  for (const [sid, there] of [['WR2', false], ['WR1', true], [undefined, false], ['WR1', true]] as const) {
    act(() => world.select(sid));
    assert.equal(button() !== null, there, sid);
  }
  act(() => button()!.click());
  assert.deepEqual(world.sent(messages.ANSWER_CALL), [{ callSid: 'CA1' }]);
  act(() => void world.say(messages.CALLS, { call, onHold: [{ ...other }], offers: [] }));
  assert.equal(button(), null);
});

test('the end of one call leaves the other in Flex', async () => {
  const world = await withTwo();
  world.say(messages.CALLS, { call, onHold: [], offers: [] });
  assert.equal(active(world)?.parameters.CallSid, 'CA1');
  world.say(messages.CALLS, { call: other, onHold: [held], offers: [] });
  world.select('WR1');
  world.say(messages.CALLS, { call: other, onHold: [], offers: [] });
  assert.equal(active(world)?.parameters.CallSid, 'CA2', 'the one whose task was open has ended');
  world.say(messages.CALLS, { call: null, onHold: [], offers: [] });
  assert.equal(active(world), undefined);
});

test('a page that loads with two calls has both', async () => {
  const world = await connected({}, { ...beat, call: other, onHold: [held], offers: [] });
  world.setTask(task);
  world.state.view.selectedTaskSid = 'WR1';
  world.changed();
  assert.equal(active(world)?.parameters.CallSid, 'CA1');
});

test('with buttons of our own, Flex\'s actions reach the call of their task too', async () => {
  const world = await withTwo({ withoutPhone: true });
  await assert.rejects(world.flex.Actions.invokeAction('HangupCall', { task }), /cancelled/);
  await assert.rejects(world.flex.Actions.invokeAction('ToggleMute'), /cancelled/);
  assert.deepEqual(world.sent(messages.HANGUP_CALL), [{ callSid: 'CA1' }]);
  assert.deepEqual(world.sent(messages.SET_MUTED), [{ muted: true, callSid: 'CA2' }]);
});

// An extension of the first generation -------------------------------------------------------------------------

test('an old extension\'s call is the one of which Flex knows: it hangs up and sends digits', async () => {
  const world = await connected({}, oldBeat);
  world.setTask(task);
  active(world)!.disconnect();
  active(world)!.sendDigits('1');
  assert.deepEqual(world.sent(messages.HANGUP_CALL), [{ callSid }]);
  assert.deepEqual(world.sent(messages.SEND_DTMF_DIGITS), [{ digits: '1', callSid }]);
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

/** Draws what is in the canvas once, as Flex does, and answers with which of our buttons are there. */
function drawn(world: { canvas: { added: Map<string, any> } }) {
  const body = new Window().document.body as any;
  const { element, options } = world.canvas.added.get('flexvc-buttons');
  assert.equal(options.if, undefined, 'Flex would look at it only when it draws anew');
  act(() => void ReactDOM.render(element, body));
  return () => [...body.querySelectorAll('button')].map((button: any) => button.dataset.flexvc as string);
}

test('own buttons stand in when Flex no longer takes the call, and the log says so', async () => {
  const world = await connected(without, beat);
  const standIns = drawn(world);
  assert.deepEqual(standIns(), []);
  act(() => world.say(messages.CALL, call));
  assert.deepEqual(standIns(), ['mute', 'keypad', 'hang-up']);
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
  assert.deepEqual(world.sent(messages.SET_MUTED), [{ muted: true, callSid }]);
  assert.deepEqual(world.sent(messages.SEND_DTMF_DIGITS), [{ digits: '7', callSid }]);
});

test('without a call of the extension every action is Flex\'s own', async () => {
  const world = await connected(without);
  for (const action of ['HangupCall', 'ToggleMute', 'SendDTMFDigits', 'StopMonitoringCall', 'WrapupTask']) await world.flex.Actions.invokeAction(action, { task }).catch(({ message }) => assert.equal(message, 'no active call'));
  assert.equal(world.actions().length, 5);
  await settle();
  assert.deepEqual(world.sent(messages.HANGUP_CALL), []);
});

// Only the call is hung up -------------------------------------------------------------------------------------

const leg = (callSid: string, status = 'joined') => ({ isCurrentWorker: true, callSid, status });
const somebody = (callSid: string) => ({ callSid, status: 'joined' });
const voiceTask = (sid: string, attributes: object, ...participants: object[]) =>
  ({ sid, status: 'accepted', taskChannelUniqueName: 'voice', attributes, ...(participants.length ? { conference: { participants } } : {}) }) as Task;

/** Beside each is a live call, CA1, which is an outbound task's unless the row's own task has it. */
const live = voiceTask('WR-live', { direction: 'outbound', outbound_to: '+1555' }, leg('CA1'));
const rows: [string, Task, { others?: Task[]; calls?: object[]; ends: string | null }][] = [
  ['inbound', voiceTask('WR1', { direction: 'inbound', call_sid: 'CA-c' }, leg('CA1'), somebody('CA-c')), { ends: 'CA1' }],
  ['inbound, before Flex has the conference', voiceTask('WR1', { direction: 'inbound', call_sid: 'CA-c' }), { ends: 'CA1' }],
  ['inbound, with the conference in the task only', voiceTask('WR1', { call_sid: 'CA-c', conference: { participants: { worker: 'CA1' } } }), { ends: 'CA1' }],
  ['inbound, left and joined again', voiceTask('WR1', { call_sid: 'CA-c' }, leg('CA0', 'left'), leg('CA1')), { ends: 'CA1' }],
  ['inbound, already left', voiceTask('WR1', { call_sid: 'CA-c' }, leg('CA0', 'left')), { others: [live], ends: null }],
  ['outbound', live, { ends: 'CA1' }],
  ['outbound, before Flex has the conference', voiceTask('WR1', { direction: 'outbound' }), { ends: 'CA1' }],
  ['callback', voiceTask('WR1', { taskType: 'callback', direction: 'inbound' }), { others: [live], ends: null }],
  ['callback, while the outbound call has no conference yet', voiceTask('WR1', { taskType: 'callback' }), { others: [voiceTask('WR2', { direction: 'outbound' })], ends: null }],
  ['voicemail', voiceTask('WR1', { taskType: 'voicemail' }), { others: [live], ends: null }],
  ['voicemail that names the call it came by', voiceTask('WR1', { taskType: 'voicemail', call_sid: 'CA-old' }), { others: [live], ends: null }],
  ['transfer target, before Flex has the conference', voiceTask('WR1', { call_sid: 'CA-c', conference: { participants: { worker: 'CA-other' } } }), { ends: 'CA1' }],
  ['transfer target', voiceTask('WR1', { call_sid: 'CA-c', conference: { participants: { worker: 'CA-other' } } }, leg('CA1'), somebody('CA-other')), { ends: 'CA1' }],
  ['internal', voiceTask('WR1', { client_call: true }, leg('CA1'), somebody('CA-colleague')), { ends: 'CA1' }],
  ['multi-party', voiceTask('WR1', { call_sid: 'CA-c' }, somebody('CA-c'), somebody('CA-x'), leg('CA1'), somebody('CA-y')), { ends: 'CA1' }],
  ['second call, on hold', voiceTask('WR1', { call_sid: 'CA-c' }, leg('CA2')), { others: [live], calls: [{ ...call, callSid: 'CA2', from: '' }], ends: 'CA2' }],
  ['call of a desk phone', voiceTask('WR1', { call_sid: 'CA-c' }, leg('CA-phone')), { others: [live], ends: null }],
];

for (const [name, subject, { others = [], calls = [], ends }] of rows) {
  for (const [action, options] of [['WrapupTask', {}], ['HangupCall', {}], ['HangupCall', { withoutPhone: true }]] as const) {
    test(`${action} of a task that is ${name} ends ${ends ?? 'no call'}${'withoutPhone' in options ? ', with buttons of our own' : ''}`, async () => {
      const world = await connected(options, inCall);
      world.setTasks(subject, ...others);
      world.state.view.selectedTaskSid = subject.sid;
      world.say(messages.CALLS, { call, onHold: calls, offers: [] });
      await world.flex.Actions.invokeAction(action, { task: subject, sid: subject.sid }).catch(() => {});
      const ended = world.sent(messages.HANGUP_CALL).map((payload: { callSid: string }) => payload.callSid);
      assert.deepEqual(ended, ends ? [ends] : []);
    });
  }
}

test('a wrap-up that another plugin refuses does not end the call', async () => {
  const world = await connected({}, inCall);
  world.setTask(task);
  world.flex.Actions.addListener('beforeWrapupTask', (_, abort) => abort());
  await assert.rejects(world.flex.Actions.invokeAction('WrapupTask', { task }), /cancelled/);
  assert.deepEqual(world.sent(messages.HANGUP_CALL), []);
});

test('the end of listening in ends no call of a task', async () => {
  const world = await connected(without, inCall);
  world.setTask(task);
  await world.flex.Actions.invokeAction('StopMonitoringCall');
  assert.deepEqual(world.sent(messages.HANGUP_CALL), []);
});

// By way of Flex's actions -------------------------------------------------------------------------------------

for (const options of [{}, without]) {
  test(`other plugins hear of our buttons, and may refuse them${'withoutPhone' in options ? ', also where Flex has no call' : ''}`, async () => {
    const world = await connected(options, inCall);
    world.setTask(task);
    const heard: string[] = [];
    let refuses = false;
    for (const action of ['HangupCall', 'ToggleMute', 'SendDTMFDigits'])
      world.flex.Actions.addListener(`before${action}`, (_, abort) => {
        heard.push(action);
        if (refuses) abort();
      });
    const { controls } = world.badge();
    const press = async () => {
      controls.toggleMute(call as Call);
      controls.sendDigits('7', call as Call);
      controls.hangUp(call as Call);
      await settle();
    };
    await press();
    assert.deepEqual(heard, ['ToggleMute', 'SendDTMFDigits', 'HangupCall']);
    assert.deepEqual(world.sent(messages.SET_MUTED), [{ muted: true, callSid }]);
    assert.deepEqual(world.sent(messages.SEND_DTMF_DIGITS), [{ digits: '7', callSid }]);
    assert.deepEqual(world.sent(messages.HANGUP_CALL), [{ callSid }]);
    if ('withoutPhone' in options) return;
    refuses = true;
    await press();
    assert.equal(world.sent(messages.HANGUP_CALL).length, 1);
    assert.equal(heard.length, 6);
  });
}

test('accept is refused while the call would not arrive, and the task stays; a callback needs no call', async () => {
  const world = await connected({}, { ...beat, error: true });
  const offered = voiceTask('WR1', { call_sid: 'CA-c' });
  const accept = (task: Task) => world.flex.Actions.invokeAction('AcceptTask', { task, sid: task.sid });
  await assert.rejects(accept(offered), /cancelled/);
  assert.equal(world.badge().board.get().acceptRefused, 1);
  await accept(voiceTask('WR2', { taskType: 'callback' }));
  await accept({ ...offered, taskChannelUniqueName: 'chat' });
  world.say(messages.HEARTBEAT, beat);
  await accept(offered);
});

// Join Call ----------------------------------------------------------------------------------------------------

for (const first of ['the call', 'the conference']) {
  test(`where Flex has not the call it does not offer to join it: ${first} is known first`, async () => {
    const world = await connected(without, beat);
    const [, given] = world.taskHeader.removed.find(([key]) => key === 'actions')!;
    const steps = [() => world.say(messages.CALLS, { call, onHold: [], offers: [] }), () => world.setTask(task)];
    const standIns = drawn(world);
    for (const step of first === 'the call' ? steps : steps.reverse()) {
      act(step);
      if (world.state.worker.tasks.size) assert.equal(given!.if({ task }), true, 'also before the extension has told of its call');
    }
    assert.equal(given!.if({ task }), true);
    assert.equal(given!.if({ task: { ...task, sid: 'WR-chat', taskChannelUniqueName: 'chat' } }), false);
    assert.equal(given!.if({ task: { ...task, status: 'wrapping' } }), false);
    assert.deepEqual(standIns(), ['mute', 'keypad', 'hang-up']);
    const normal = await connected({}, inCall);
    normal.setTask(task);
    const [, usual] = normal.taskHeader.removed.find(([key]) => key === 'actions')!;
    assert.equal(usual!.if({ task }), false, 'there it is Hang Up');
  });
}

test('a call that is nowhere near the extension can be joined', async () => {
  const world = await connected({}, beat);
  world.setTask(task);
  const [, given] = world.taskHeader.removed.find(([key]) => key === 'actions')!;
  assert.equal(given!.if({ task: { ...task, conference: undefined } }), false, 'a callback keeps its buttons');
  assert.equal(given!.if({ task }), true);
  world.clock.tick(3_000);
  assert.equal(given!.if({ task }), false);
});

test('a call that Flex lets go of while it goes on is given back', async () => {
  const world = await connected({}, inCall);
  world.state.phone = { ...world.state.phone, activeCall: undefined };
  world.changed();
  assert.equal(active(world)?.parameters.CallSid, callSid);
});
