import assert from 'node:assert/strict';
import { afterEach, before, test } from 'node:test';
import { Window } from 'happy-dom';
import React, { useState } from 'react';
import ReactDOM from 'react-dom';
import { act } from 'react-dom/test-utils';
import * as messages from '../../messages';
import { beat, call, connected, createWorld, oldBeat, settings, settle } from '../../test/world';
import { problems } from '../../strings';

let container: HTMLElement;

before(() => {
  const window = new Window();
  Object.assign(globalThis, { window, document: window.document, HTMLElement: window.HTMLElement, IS_REACT_ACT_ENVIRONMENT: true });
  container = window.document.body as unknown as HTMLElement;
});
afterEach(() => {
  ReactDOM.unmountComponentAtNode(container);
});

type World = Awaited<ReturnType<typeof connected>>;

function draw(world: Pick<World, 'header'>) {
  act(() => void ReactDOM.render(world.header.added.get('flexvc-badge').element, container));
}
const part = (name: string) => container.querySelector<HTMLElement>(`[data-flexvc="${name}"]`);
const mark = () => container.querySelector<HTMLButtonElement>('[aria-haspopup]')!;
const click = (element: HTMLElement | null) => act(() => element!.click());
const tell = (world: World, payload: object) => act(() => world.say(messages.HEARTBEAT, payload));

test('it stands at the end of the header, and speaks in words', async () => {
  const world = await connected();
  assert.deepEqual(world.header.added.get('flexvc-badge').options, { align: 'end', sortOrder: -1 });
  draw(world);
  assert.equal(mark().textContent, 'Voice ready');
  assert.equal(mark().getAttribute('aria-label'), 'Voice extension: Voice ready');
  assert.equal(part('badge')?.dataset.shape, 'ready');
  assert.equal(container.querySelector('[role=status]')?.textContent, 'Voice ready');
});

test('it follows the call', async () => {
  const world = await connected();
  draw(world);
  for (const [change, title, shape] of [
    [{}, 'In a call', 'call'],
    [{ muted: true }, 'Muted', 'muted'],
    [{ status: 'reconnecting' }, 'Reconnecting', 'busy'],
  ] as const) {
    tell(world, { ...beat, call: { ...call, ...change } });
    assert.equal(mark().textContent, title);
    assert.equal(part('badge')?.dataset.shape, shape);
    assert.equal(mark().querySelector('svg')?.dataset.shape, shape, 'told apart without colours');
  }
});

test('before the extension has spoken it waits, then it says what is wrong', () => {
  const world = createWorld();
  world.start();
  draw(world);
  assert.equal(mark().textContent, 'Voice connecting');
  act(() => world.clock.tick(4_000));
  assert.equal(mark().textContent, problems.no_extension.title);
  click(mark());
  assert.equal(part('text')?.textContent, problems.no_extension.text);
});

test('the menu mutes, sends digits and hangs up', async () => {
  const world = await connected({}, { ...beat, call });
  draw(world);
  click(mark());
  click(part('mute'));
  await settle();
  assert.deepEqual(world.sent(messages.SET_MUTED), [{ muted: true, callSid: call.callSid }]);
  assert.equal(part('mute')?.textContent, 'Mute');
  tell(world, { ...beat, call: { ...call, muted: true } });
  assert.equal(part('mute')?.textContent, 'Unmute');
  click(part('keypad'));
  click([...container.querySelectorAll('button')].find((button) => button.textContent === '#')!);
  assert.deepEqual(world.sent(messages.SEND_DTMF_DIGITS), [{ digits: '#', callSid: call.callSid }]);
  click(part('hang-up'));
  assert.deepEqual(world.sent(messages.HANGUP_CALL), [{ callSid: call.callSid }]);
});

test('a second call opens the menu by itself: who it is, hold and answer, or decline; and it closes with the decision', async () => {
  const world = await connected({}, { ...beat, call });
  draw(world);
  assert.equal(part('offer'), null);
  const offered = { ...beat, call, onHold: [], offers: [{ callSid: 'CA2', from: '+15550102' }] };
  tell(world, offered);
  assert.equal(mark().textContent, 'Incoming call');
  assert.match(part('offer')!.textContent!, /Incoming call from \+15550102.*Hold and answer.*Decline/);
  click(part('answer'));
  click(part('decline'));
  assert.deepEqual(world.sent(messages.ANSWER_CALL), [{ callSid: 'CA2' }]);
  assert.deepEqual(world.sent(messages.DECLINE_CALL), [{ callSid: 'CA2' }]);
  click(mark());
  tell(world, offered);
  assert.equal(part('offer'), null, 'closed by the agent it stays closed');
  click(mark());
  tell(world, { ...beat, call: { ...call, callSid: 'CA2' }, onHold: [{ ...call, from: '+15550101' }], offers: [] });
  assert.equal(part('on-hold'), null, 'closed');
  assert.equal(mark().textContent, 'In a call, 1 on hold');
  click(mark());
  assert.match(part('on-hold')!.textContent!, /On hold: \+15550101/);
  click(part('resume'));
  assert.deepEqual(world.sent(messages.ANSWER_CALL).at(-1), { callSid: call.callSid });
  tell(world, { ...beat, offers: [{ callSid: 'CA3', from: '' }] });
  assert.match(part('offer')!.textContent!, /^Incoming callAnswer/, 'with nobody to hold');
});

test('devices are chosen by label; an unplugged one stays in the list', async () => {
  const devices = { ...beat.audioDevices, selected: { input: 'Old headset', output: '', ringtone: '' } };
  const world = await connected({}, { ...beat, audioDevices: devices });
  draw(world);
  click(mark());
  const input = part('input') as HTMLSelectElement;
  assert.deepEqual([...input.options].map(({ text }) => text), ['System default', 'Old headset', 'Headset', 'Built-in']);
  assert.equal(input.value, 'Old headset');
  act(() => {
    input.value = 'Built-in';
    input.dispatchEvent(new window.Event('change', { bubbles: true }));
  });
  assert.deepEqual(world.sent(messages.SET_AUDIO_DEVICE), [{ kind: 'input', label: 'Built-in' }]);
});

test('what an old extension cannot do is not offered', async () => {
  const world = await connected({}, oldBeat);
  world.setTask({ sid: 'WR1', status: 'accepted', taskChannelUniqueName: 'voice', conference: { participants: [{ isCurrentWorker: true, callSid: 'CA1' }] } });
  draw(world);
  click(mark());
  assert.equal(part('mute'), null);
  assert.equal(part('input'), null);
  assert.notEqual(part('hang-up'), null);
});

test('Escape and a click elsewhere close the menu', async () => {
  draw(await connected());
  click(mark());
  act(() => void document.dispatchEvent(new window.KeyboardEvent('keydown', { key: 'Escape' })));
  assert.equal(part('text'), null);
  click(mark());
  act(() => void document.dispatchEvent(new window.Event('pointerdown')));
  assert.equal(part('text'), null);
});

test('an agent who is turned off sees it no longer, even where Flex does not draw its header again', async () => {
  const world = await connected();
  draw(world);
  act(() => world.worker.become({ ...world.worker.attributes, extensionVoiceClientEnabled: false }));
  assert.equal(part('badge'), null);
});

test('the help page is linked only when it is one', async () => {
  for (const [helpURL, links] of [['https://help.example.com/voice', 1], ['javascript:alert(1)', 0]] as const) {
    draw(await connected({ settings: { ...settings, helpURL } }));
    click(mark());
    assert.equal(container.querySelectorAll('a').length, links);
    ReactDOM.unmountComponentAtNode(container);
  }
});

test('an Accept that was refused opens the menu with the reason', async () => {
  const broken = { ...beat, error: true, problem: 'microphone_denied' };
  const world = await connected({}, broken);
  draw(world);
  await act(async () => void (await world.flex.Actions.invokeAction('AcceptTask', { task: { sid: 'WR1', status: 'pending', taskChannelUniqueName: 'voice', attributes: { call_sid: 'CA-c' } } }).catch(() => {})));
  assert.match(part('refused')!.textContent!, /not accepted.*still in your list/);
  assert.equal(part('text')?.textContent, problems.microphone_denied.text);
  tell(world, beat);
  assert.equal(part('refused'), null);
});

test('a Flex without voice in the browser is named', async () => {
  const world = createWorld();
  world.state.config = { ...world.state.config, disableBrowserVoice: true } as typeof world.state.config;
  world.start();
  world.say(messages.HEARTBEAT, beat);
  draw(world);
  assert.equal(mark().textContent, problems.browser_voice_disabled.title);
});

const focused = () => container.ownerDocument.activeElement as HTMLElement;
const press = (key: string, more: object = {}) => act(() => void focused().dispatchEvent(new window.KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more })));
const menu = () => container.querySelector<HTMLElement>('[role=dialog]');

test('whoever opens the menu is in it, goes around in it, and is back at the badge with Escape', async () => {
  draw(await connected());
  click(mark());
  assert.equal(focused(), menu());
  assert.equal(document.getElementById(menu()!.getAttribute('aria-labelledby')!)?.textContent, 'Voice ready');
  const buttons = [...menu()!.querySelectorAll<HTMLElement>('button, select')];
  press('Tab', { shiftKey: true });
  assert.equal(focused(), buttons.at(-1));
  press('Tab');
  assert.equal(focused(), buttons[0]);
  press('Escape');
  assert.equal(menu(), null);
  assert.equal(focused(), mark());
});

test('a menu that opens by itself leaves the focus with what the agent is writing', async () => {
  const world = await connected({}, { ...beat, call });
  draw(world);
  const draft = document.createElement('textarea');
  container.append(draft);
  draft.focus();
  tell(world, { ...beat, call, onHold: [], offers: [{ callSid: 'CA2', from: '+15550102' }] });
  assert.notEqual(menu(), null);
  assert.equal(focused(), draft);
  draft.remove();
});

test('a button that goes with what it did leaves the focus in the menu', async () => {
  const world = await connected({}, { ...beat, call });
  draw(world);
  click(mark());
  part('hang-up')!.focus();
  tell(world, beat);
  assert.equal(part('hang-up'), null);
  assert.equal(focused(), menu());
});

test('the menu says whom the agent talks to, and who waits', async () => {
  const world = await connected({}, { ...beat, call });
  world.setTask({ sid: 'WR1', status: 'accepted', taskChannelUniqueName: 'voice', attributes: { name: 'Anna Vogt' }, conference: { participants: [{ isCurrentWorker: true, callSid: call.callSid }] } });
  draw(world);
  click(mark());
  assert.equal(part('caller')?.textContent, 'With Anna Vogt');
  tell(world, { ...beat, call: { ...call, callSid: 'CA2' }, onHold: [{ ...call, callSid: 'CA3', from: 'client:bob_40example_2Ecom' }], offers: [] });
  assert.match(part('on-hold')!.textContent!, /On hold: bob@example\.com/);
});

test('the keypad shows what was sent, by mouse and by keyboard, and starts anew with the next call', async () => {
  const world = await connected({}, { ...beat, call });
  draw(world);
  click(mark());
  click(part('keypad'));
  click(focused());
  press('5');
  press('#');
  press('5', { ctrlKey: true });
  press('a');
  assert.equal(part('typed')?.textContent, '15#');
  assert.deepEqual(world.sent(messages.SEND_DTMF_DIGITS).map(({ digits }) => digits), ['1', '5', '#']);
  tell(world, { ...beat, call: { ...call, callSid: 'CA2' } });
  assert.equal(part('typed')?.textContent, '');
});

test('with a caller on hold and nobody to talk to, it does not say that all is well', async () => {
  const world = await connected({}, { ...beat, call: null, onHold: [{ ...call, from: '+15550101' }], offers: [] });
  draw(world);
  assert.equal(mark().textContent, 'On hold');
});

test('it is drawn in Flex\'s theme, and again when that changes', async () => {
  const world = createWorld();
  let become = (_: string) => {};
  world.flex.withTheme = (Component) => (props) => {
    const [colorBackgroundBody, set] = useState('rgb(1, 2, 3)');
    become = set;
    return <Component {...props} theme={{ tokens: { backgroundColors: { colorBackgroundBody } } }} />;
  };
  world.start();
  world.say(messages.HEARTBEAT, beat);
  draw(world);
  click(mark());
  assert.equal(menu()!.style.background, 'rgb(1, 2, 3)');
  act(() => become('rgb(4, 5, 6)'));
  assert.equal(menu()!.style.background, 'rgb(4, 5, 6)');
});

test('what somebody has put into Flex\'s strings is what the agent reads, whenever it came', async () => {
  const world = await connected();
  world.strings['flexvc.badge.ready'] = 'On the phone';
  draw(world);
  assert.equal(mark().textContent, 'On the phone');
});
