// What others may try while a call is up: the page with nonsense, frames and windows that pretend to be the page, another
// extension, another account. All of it is refused, what reaches the extension is counted, and nothing comes of it.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { plays, startWorld, until } from './world.mjs';

let world, page, sid;

before(async () => {
  world = await startWorld({ audited: true, neighbour: true });
  page = await world.openFlex();
  await world.registered(page);
  sid = await world.answered(page);
});

after(() => world?.stop());

// The call is as it was: up, heard, not muted, no key pressed; and no device was chosen.
const play = plays(async () => {
  const s = await world.heardMore(sid);
  assert.equal(s.state, 'in-progress');
  assert.equal(s.heard.lost, 0);
  assert.deepEqual(s.digits ?? [], []);
  await world.registered(page);
  const { call, audioDevices } = await world.beat(page);
  assert.equal(call.muted, false);
  assert.deepEqual(audioDevices.selected, { input: '', output: '', ringtone: '' });
});

/** Waits until so many more were counted for each reason, and no others. */
async function counts(what, more) {
  const before = await world.refused();
  await what();
  const wanted = { ...before };
  for (const [reason, count] of Object.entries(more)) wanted[reason] = (before[reason] ?? 0) + count;
  await until(`refused: ${JSON.stringify(wanted)}`, async () => {
    const now = await world.refused();
    return Object.keys(wanted).every((reason) => (now[reason] ?? 0) >= wanted[reason]);
  });
  // What was sent before an answered question has arrived before it.
  await world.say(page, 'SET_MUTED', { muted: true });
  await world.waitForPage(page, 'muted', () => window.latest.CALL?.muted);
  await world.say(page, 'SET_MUTED', { muted: false });
  await world.waitForPage(page, 'not muted', () => window.latest.CALL?.muted === false);
  assert.deepEqual(await world.refused(), wanted);
}

// What ends a call, presses a key, mutes, moves the sound or takes the tokens, if it is believed.
const commands = [
  ['HANGUP_CALL'],
  ['SEND_DTMF_DIGITS', { digits: '5' }],
  ['SET_MUTED', { muted: true }],
  ['SET_AUDIO_DEVICE', { kind: 'output', label: 'Fake Audio Output 2' }],
  ['FLEX_TOKEN', { token: 'made-up' }],
].map(([type, payload]) => ({ type: `VOICE_CLIENT_EXTENSION_${type}`, payload }));

play('a page with payloads that cannot be', async () => {
  const bad = [
    ['HANGUP_CALL', { callSid: '<img src=x>' }],
    ['HANGUP_CALL', 'now'],
    ['SEND_DTMF_DIGITS', { digits: '5; drop' }],
    ['SEND_DTMF_DIGITS', { digits: '5'.repeat(65) }],
    ['SEND_DTMF_DIGITS', { digits: ['5'] }],
    ['SET_MUTED', { muted: 'yes' }],
    ['SET_AUDIO_DEVICE', { kind: 'camera', label: 'Fake Audio Output 2' }],
    ['FLEX_TOKEN', { token: 'x'.repeat(20_000) }],
    ['FLEX_TOKEN', null],
  ];
  await counts(() => page.evaluate((bad) => bad.forEach(([type, payload]) => window.say(type, payload)), bad), { bad_payload: bad.length });
});

play('a page that speaks as a part of the extension, or says what nobody knows', async () => {
  const types = ['popup.hangUp', 'popup.restart', 'offscreen.callEnded', 'offscreen.hangUp', 'page.resumed', 'VOICE_CLIENT_EXTENSION_EXPLODE', '__proto__'];
  await counts(() => page.evaluate((types) => types.forEach((type) => postMessage({ type, payload: {} }, location.origin)), types), {});
});

play('a page that plays the content script of another version', async () => {
  await counts(() => page.evaluate(() => {
    document.body.append(Object.assign(document.createElement('i'), { id: 'flexvcBridge' }));
    dispatchEvent(new CustomEvent('flexvc.bridge.arrival'));
    dispatchEvent(new CustomEvent('flexvc.bridge.legacy', { detail: { accountSid: `AC${'1'.repeat(32)}` } }));
  }), {});
  assert.equal(await page.evaluate(() => window.changes.some(({ type }) => type === 'DISCONNECTED')), false, 'ours stays');
});

play('a frame of another origin in the Flex page', async () => {
  await counts(() => page.evaluate(async (commands) => {
    const frame = document.createElement('iframe');
    frame.sandbox = 'allow-scripts';
    frame.srcdoc = `<script>for (const message of ${JSON.stringify(commands)}) parent.postMessage(message, '*')</script>`;
    document.body.append(frame);
    await new Promise((resolve) => frame.addEventListener('load', resolve));
  }, commands), { wrong_sender: commands.length });
});

play('a frame of Flex\'s own origin: only the tab itself speaks', async () => {
  await counts(() => page.evaluate(async (commands) => {
    const frame = document.createElement('iframe');
    frame.src = '/agent-desktop/frame';
    document.body.append(frame);
    await new Promise((resolve) => frame.addEventListener('load', resolve));
    for (const message of commands) frame.contentWindow.postMessage(message, location.origin);
    frame.contentWindow.eval(`for (const message of ${JSON.stringify(commands)}) parent.postMessage(message, location.origin)`);
    frame.remove();
    // The page in the frame configures itself too, as the plugin does; to itself, where no script of ours listens.
  }, commands), { wrong_sender: commands.length });
});

play('a site that opens Flex in a window of its own', async () => {
  const site = await world.context.newPage();
  await site.goto(new URL('/', world.tokens.url).href);
  const opening = world.context.waitForEvent('page');
  await site.evaluate(() => void (window.flex = window.open('https://flex.twilio.com/agent-desktop')));
  const opened = await opening;
  await world.callIs(opened, 'open');
  await counts(() => site.evaluate((commands) => commands.forEach((message) => window.flex.postMessage(message, '*')), commands), { wrong_sender: commands.length });
  assert.equal(await site.evaluate(() => typeof chrome.runtime), 'undefined', 'it cannot speak with the extension itself');
  await opened.close();
  await site.close();
});

play('a page of the extension in a frame of the Flex page', async () => {
  await page.evaluate(async (url) => {
    const frame = document.createElement('iframe');
    frame.src = url;
    document.body.append(frame);
    await new Promise((resolve) => frame.addEventListener('load', resolve));
  }, `${world.base}popup/popup.html`);
  assert.deepEqual(page.frames().filter((frame) => frame.url().startsWith(world.base)), [], 'Chromium does not load it');
});

play('another extension', async () => {
  const neighbour = await world.background('neighbour.js');
  const answers = await neighbour.evaluate(async ([id, commands]) => {
    const messages = [...commands, { type: 'popup.hangUp' }, { type: 'popup.restart' }, { type: 'offscreen.callEnded', payload: { callSid: 'CA1', reason: 'ended' } }];
    const sent = await Promise.all(messages.map((message) => chrome.runtime.sendMessage(id, message).then(() => 'heard', (error) => error.message)));
    const ports = ['page', 'popup', 'offscreen'].map((name) => new Promise((resolve) => {
      const port = chrome.runtime.connect(id, { name });
      port.onMessage.addListener(() => resolve('heard'));
      port.onDisconnect.addListener(() => resolve(chrome.runtime.lastError?.message));
      for (const message of messages) port.postMessage(message);
    }));
    return [...sent, ...(await Promise.all(ports))];
  }, [world.id, commands]);
  assert.deepEqual(new Set(answers), new Set(['Could not establish connection. Receiving end does not exist.']), 'Chromium has no door for it');
});

play('a tab of another account hears nothing and commands nothing', async () => {
  const other = await world.openFlex();
  await world.callIs(other, 'open');
  await world.say(other, 'CONFIGURE', { accountSid: `AC${'1'.repeat(32)}`, voiceClientTokenGeneratorUrl: world.tokens.url, extensionVoiceClientPrefix: 'ext_' });
  await world.waitForPage(other, 'rejected', () => window.latest.CONFIG_REJECTED?.reason === 'other_account');
  await other.evaluate((commands) => {
    window.latest = {};
    for (const message of commands) postMessage(message, location.origin);
  }, commands);
  // Two heartbeats of ours later, theirs would have come.
  for (let i = 0; i < 2; i += 1) {
    await page.evaluate(() => delete window.latest.HEARTBEAT);
    await world.registered(page);
  }
  assert.deepEqual(await other.evaluate(() => ['HEARTBEAT', 'CALL', 'CONFIGURED'].filter((type) => type in window.latest)), []);
  await other.close();
});

play('a newer plugin that says more than this extension knows of', async () => {
  await page.evaluate(async (configuration) => {
    window.answers = false;
    window.say('CONFIGURE', { ...configuration, protocol: 3, theme: { colour: 'blue' } });
    window.say('FLEX_TOKEN', { ...(await (await fetch('/session')).json()), scope: ['voice'] });
  }, { accountSid: world.accountSid, voiceClientTokenGeneratorUrl: world.tokens.url, extensionVoiceClientPrefix: 'ext_', pluginVersion: '99.0.0' });
  const popup = await world.openPopup();
  await popup.getByRole('tab', { name: 'Info' }).click();
  await popup.locator('#facts').getByText('99.0.0').waitFor();
  await popup.close();
});
