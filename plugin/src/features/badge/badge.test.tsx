import assert from 'node:assert/strict';
import { afterEach, before, test } from 'node:test';
import { Window } from 'happy-dom';
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
  assert.equal(part('badge')?.dataset.tone, 'good');
});

test('it follows the call', async () => {
  const world = await connected();
  draw(world);
  for (const [change, title, tone] of [
    [{}, 'In a call', 'call'],
    [{ muted: true }, 'Muted', 'call'],
    [{ status: 'reconnecting' }, 'Reconnecting', 'busy'],
  ] as const) {
    tell(world, { ...beat, call: { ...call, ...change } });
    assert.equal(mark().textContent, title);
    assert.equal(part('badge')?.dataset.tone, tone);
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
