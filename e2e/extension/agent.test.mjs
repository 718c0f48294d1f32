// What the agent and the administrator decide: whether there is a microphone, which devices, and what the extension may do.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setPolicy } from './policy.mjs';
import { plays, startWorld, until } from './world.mjs';

let world, page, popup;

before(async () => {
  world = await startWorld({ audited: true, asksForMicrophone: true });
});

after(() => world?.stop());

const play = plays(() => world.atRest(page));

const icon = (title) => until(`the icon says ${title}`, async () => (await world.icon()) === `flexvc: ${title}`);
const error = (wanted) => world.waitForPage(page, `a heartbeat with error ${wanted}`, (wanted) => window.latest.HEARTBEAT?.error === wanted, wanted);
const problem = (wanted, microphone) =>
  world.waitForPage(page, `a heartbeat that says ${wanted}`, ([wanted, microphone]) => window.latest.HEARTBEAT?.problem === wanted && window.latest.HEARTBEAT.microphone === microphone, [wanted, microphone]);
const popupSays = (name) => popup.getByRole('heading', { name, exact: true }).waitFor();

play('the microphone was never prompted for: nothing is green until the agent has allowed it on the welcome page', async () => {
  popup = await world.openPopup();
  await icon('waiting for Flex');
  const opening = world.context.waitForEvent('page', (tab) => tab.url().startsWith(world.base) || tab.waitForURL(`${world.base}welcome/*`).then(() => true));
  const opened = world.openFlex();
  const welcome = await opening;
  page = await opened;
  await world.registered(page);
  await welcome.getByRole('button', { name: 'Allow the microphone' }).waitFor();
  await error(true);
  await problem('microphone_prompt', 'prompt');
  await icon('needs attention');
  await popupSays('Microphone not allowed yet');
  // Nobody can press the button of Chromium's own question here; this is what it sets.
  await world.setMicrophone('allow');
  await welcome.locator('#result[data-tone=ok]').waitFor();
  await welcome.close();
  await error(null);
  await problem(null, 'granted');
  await icon('ready for calls');
  await popupSays('Ready for calls');
  await world.hangUp(page, await world.answered(page));
});

play('the microphone is taken away and given back: calls are given back, then taken', async () => {
  await world.setMicrophone('block');
  await error(true);
  await problem('microphone_denied', 'denied');
  await icon('needs attention');
  await popupSays('Microphone blocked');
  const sid = await world.ring();
  const { reason } = await world.inState(sid, 'ended');
  assert.notEqual(reason, 'customer');
  await world.atRest(page);
  await popup.getByText('This browser keeps flexvc from using the microphone').waitFor();
  await world.setMicrophone('allow');
  await error(null);
  await icon('ready for calls');
  await world.hangUp(page, await world.answered(page));
  assert.deepEqual(world.context.pages().filter((tab) => tab.url().includes('/welcome/')), [], 'it asks once');
});

play('devices are changed in a call, and one of them is pulled out', async () => {
  const sid = await world.answered(page);
  // The labels of the microphones that are open, as the document has them.
  await world.inDocument(`(() => {
    globalThis.senders = new Set();
    const get = RTCPeerConnection.prototype.getStats;
    RTCPeerConnection.prototype.getStats = function (...args) { for (const s of this.getSenders()) senders.add(s); return get.apply(this, args); };
  })()`);
  const speaksThrough = (label) => until(`speaking through ${label}`, async () => {
    const found = await world.inDocument(`[...senders].map(({ track }) => track?.readyState === 'live' ? track.label : '')`);
    return found.length === 1 && found[0] === label;
  });
  const chosen = (kind, label) => world.waitForPage(page, `${kind}: ${label}`, ([kind, label]) => window.latest.HEARTBEAT?.audioDevices.selected[kind] === label, [kind, label]);
  const choose = async (kind, label) => {
    await world.say(page, 'SET_AUDIO_DEVICE', { kind, label });
    await chosen(kind, label);
  };

  await choose('input', 'Fake Audio Input 2');
  await speaksThrough('Fake Audio Input 2');
  await choose('output', 'Fake Audio Output 1');
  await world.heardMore(sid);

  // In the popup the same list, and the same choice.
  await popup.getByRole('tab', { name: 'Sound' }).click();
  assert.equal(await popup.getByLabel('Microphone', { exact: true }).inputValue(), 'Fake Audio Input 2');
  await popup.getByLabel('Microphone', { exact: true }).selectOption('Fake Audio Input 1');
  await chosen('input', 'Fake Audio Input 1');
  await speaksThrough('Fake Audio Input 1');

  const plugged = async (isThere) => world.inDocument(`(() => {
    const list = MediaDevices.prototype.enumerateDevices;
    navigator.mediaDevices.enumerateDevices = ${isThere} ? list : async () => (await list.call(navigator.mediaDevices)).filter(({ label }) => label !== 'Fake Audio Input 1');
    navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
  })()`);
  await plugged(false);
  await speaksThrough('Fake Default Audio Input');
  await popup.getByText('Not plugged in: Fake Audio Input 1').waitFor({ state: 'attached' });
  await plugged(true);
  await speaksThrough('Fake Audio Input 1');
  const s = await world.heardMore(sid, 50);
  assert.equal(s.heard.lost, 0);
  await world.hangUp(page, sid);
  for (const kind of ['input', 'output']) await choose(kind, '');
});

test('the administrator fixes account, token server and devices', { timeout: 120_000, skip: setPolicy.impossible }, async () => {
  // Known before the world is: which port it is at is not.
  const policy = { account: `AC${'1'.repeat(32)}`, tokenURLs: ['https://voice.example.com/generateToken'], inputDevice: 'Fake Audio Input 2', edges: ['ashburn'] };
  const settings = await setPolicy();
  let managed;
  try {
    managed = await startWorld({ policy: (id) => settings.write(id, policy) });
    const flex = await managed.openFlex();
    const reason = (wanted) => managed.waitForPage(flex, wanted, (wanted) => window.latest.CONFIG_REJECTED?.reason === wanted, wanted);
    const allow = async (more) => {
      await settings.write(managed.id, Object.assign(policy, more));
      await until('the new settings', async () => {
        const worker = await managed.background();
        const { account, tokenURLs } = await worker.evaluate(() => chrome.storage.managed.get());
        return account === policy.account && String(tokenURLs) === String(policy.tokenURLs);
      });
      await flex.reload();
    };
    await reason('other_account');
    await allow({ account: managed.accountSid });
    await reason('url_not_allowed');
    assert.equal(managed.tokens.asked, 0, 'no Flex token went to a server that is not on the list');
    await allow({ tokenURLs: [managed.tokens.url] });
    await managed.registered(flex);
    assert.equal((await managed.beat(flex)).audioDevices.selected.input, 'Fake Audio Input 2');
    await managed.hangUp(flex, await managed.answered(flex));
  } finally {
    await managed?.stop();
    await settings.remove();
  }
});
