// The Flex plugin in the real Flex UI, with the unpacked extension: Flex's own buttons act on a call that is not in the page.
// How long things took is printed, never asserted.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { deafness, startFlex, until } from './world.mjs';

let flex, page;

const each = { timeout: 300_000 };
const patience = 120_000;
const $ = (id) => page.locator(`[data-testid=${id}]`);
const part = (name) => page.locator(`[data-flexvc=${name}]`);
const waitUntil = (what, ask) => until(what, ask, patience);
const badgeSays = (title) => waitUntil(`a badge that says ${title}`, async () => (await part('badge').locator('[role=status]').innerText()) === title);
const activeCall = () => flex.flexState(page, 'flex.phone.activeCall?.parameters.CallSid');
const muteLabel = () => $('mute-call').getAttribute('aria-label');
const contactURI = async () => JSON.parse((await flex.workerNow()).attributes).contact_uri;

async function accepted() {
  const { sid } = await flex.offer();
  await $('accept-task').first().click({ timeout: patience });
  const reservation = await flex.reservationIs(sid, 'accepted');
  await flex.endsWith(sid);
  return reservation;
}

async function complete(sid) {
  await flex.reservationIs(sid, 'wrapping');
  await $('end-task-button').filter({ hasText: 'Complete' }).click({ timeout: patience });
  await flex.reservationIs(sid, 'completed');
}

before(async () => {
  flex = await startFlex();
  await flex.deployPlugin();
  await flex.enable(true);
});
after(() => flex?.stop());

test('the badge is ready, and contact_uri points at the extension', each, async () => {
  page = await flex.openFlex({ script: deafness });
  await badgeSays('Voice ready');
  await waitUntil('contact_uri', async () => (await contactURI()) === `client:${flex.identity}`);
  await flex.picture(page, 'plugin-1-ready');
  await part('badge').locator('button').first().click();
  await part('text').waitFor();
  await flex.picture(page, 'plugin-2-menu');
  await page.keyboard.press('Escape');
  await flex.setActivity(page, 'Available');
});

let live;

test('a call in the extension has all of Flex\'s controls', each, async (t) => {
  live = await accepted();
  await waitUntil('the call in Flex', async () => (await activeCall()) === live.call_sid);
  await badgeSays('In a call');
  await $('mute-call').waitFor();
  assert.equal(await $('join-call').count(), 0);
  for (const control of ['mute-call', 'call-transfer', 'dialpad', 'hangup-footer', 'hangup-task']) {
    await waitUntil(`${control} at work`, async () => (await $(control).first().getAttribute('aria-disabled')) !== 'true');
  }
  await flex.picture(page, 'plugin-3-call');

  for (const muted of [true, false]) {
    const took = await page.evaluate(async (wanted) => {
      const phone = () => Twilio.Flex.Manager.getInstance().store.getState().flex.phone;
      const start = performance.now();
      document.querySelector('[data-testid=mute-call]').click();
      while (phone().activeCall.isMuted() !== wanted) await new Promise((then) => setTimeout(then));
      return performance.now() - start;
    }, muted);
    t.diagnostic(`${muted ? 'mute' : 'unmute'} confirmed after ${Math.round(took)} ms`);
    await waitUntil('the label', async () => (await muteLabel()).startsWith(muted ? 'Unmute' : 'Mute'));
    if (muted) {
      await badgeSays('Muted');
      await flex.picture(page, 'plugin-4-muted');
    }
  }
});

test('digits of Flex\'s keypad reach the call', each, async () => {
  await $('dialpad').first().click();
  await page.locator('.Twilio-CallCanvasDialpad [class~="Twilio-Dialpad-Button-5"]').click();
  await waitUntil('a five', async () => JSON.stringify(await flex.stats(live.call_sid)).includes('"5"'));
  await flex.picture(page, 'plugin-5-keypad');
  await $('dialpad').first().click();
});

test('a reload in the call brings the controls back, and the call goes on', each, async (t) => {
  await page.reload();
  const booted = await flex.booted(page);
  await waitUntil('the call in Flex', async () => (await activeCall()) === live.call_sid);
  const attached = await page.evaluate(() => performance.now());
  t.diagnostic(`Flex took ${Math.round(booted)} ms; the call was seen back ${Math.round(attached)} ms after the page began to load`);
  assert.equal((await flex.stats(live.call_sid)).state, 'in-progress');
  await $('mute-call').waitFor();
  await flex.picture(page, 'plugin-6-reloaded');
});

test('Flex\'s hang-up ends the call', each, async () => {
  await $('hangup-footer').click();
  await waitUntil('no call in Flex', async () => (await activeCall()) === undefined);
  assert.equal((await flex.stats(live.call_sid)).reason, 'agent');
  await complete(live.sid);
  await badgeSays('Voice ready');
});

test('the agent calls out, from a page that has no microphone', each, async () => {
  await page.evaluate(() => (Twilio.Flex.Manager.getInstance().store.getState().flex.phone.listener.microphoneID = undefined));
  await page.evaluate(() => Twilio.Flex.Actions.invokeAction('StartOutboundCall', { destination: '+15557654321' }));
  const { sid, call_sid } = await waitUntil('an outbound task', async () => (await flex.flexOrder('reservations')).find((r) => r.outbound && r.status === 'accepted'));
  await waitUntil('the call in Flex', async () => (await activeCall()) === call_sid);
  await $('hangup-footer').click({ timeout: patience });
  await complete(sid);
});

test('while the extension is gone the agent is out of the queue, and back with it', each, async () => {
  await page.evaluate(() => {
    const { store } = Twilio.Flex.Manager.getInstance();
    const now = () => store.getState().flex.worker.activity.name;
    window.activities = [now()];
    store.subscribe(() => now() === window.activities.at(-1) || window.activities.push(now()));
    window.deaf = true;
  });
  await waitUntil('the offline activity', () => page.evaluate(() => window.activities.length > 1));
  await page.evaluate(() => (window.deaf = false));
  await waitUntil('the activity before', () => page.evaluate(() => window.activities.length > 2));
  assert.deepEqual(await page.evaluate(() => window.activities), ['Available', 'Unavailable', 'Available']);
  await waitUntil('the activity before, at Twilio', async () => (await flex.workerNow()).activity === 'Available');
});

test('a disconnection that a heartbeat follows leaves the agent available', each, async () => {
  await page.evaluate(async () => {
    for (let round = 0; round < 5; round += 1) {
      postMessage({ type: 'VOICE_CLIENT_EXTENSION_DISCONNECTED' }, location.origin);
      await new Promise((then) => setTimeout(then, 1_000));
    }
  });
  await badgeSays('Voice ready');
  assert.deepEqual(await page.evaluate(() => window.activities), ['Available', 'Unavailable', 'Available']);
});

test('the offline activity cannot be chosen by hand', each, async () => {
  await $('activity-dropdown-button').click();
  await $('activity-menu').locator('[role=menuitem]', { hasText: /^Unavailable$/ }).click();
  await page.locator('[data-testid=notification-message]', { hasText: 'This activity is set automatically' }).waitFor();
  await flex.picture(page, 'plugin-7-notice');
  assert.equal((await flex.workerNow()).activity, 'Available');
  assert.deepEqual(await page.evaluate(() => window.activities), ['Available', 'Unavailable', 'Available']);
});

test('a wrap-up that some other plugin begins ends the audio too', each, async () => {
  const { sid, call_sid } = await accepted();
  await waitUntil('the call in Flex', async () => (await activeCall()) === call_sid);
  await page.evaluate(() => {
    const [task] = Twilio.Flex.Manager.getInstance().store.getState().flex.worker.tasks.values();
    return Twilio.Flex.Actions.invokeAction('WrapupTask', { task, sid: task.sid });
  });
  await waitUntil('the end of the audio', async () => (await flex.stats(call_sid)).reason === 'agent');
  await complete(sid);
});

test('Flex\'s device menu chooses for the extension', each, async () => {
  await page.evaluate(() => {
    window.chosen = [];
    addEventListener('message', ({ data }) => data?.type === 'VOICE_CLIENT_EXTENSION_SET_AUDIO_DEVICE' && window.chosen.push(data.payload));
  });
  await $('device-manager-button').click();
  const device = $('device-manager-menu').getByRole('menuitemradio').or($('device-manager-menu').getByRole('menuitem')).nth(1);
  await device.click();
  const [{ kind, label }] = await waitUntil('a choice', () => page.evaluate(() => window.chosen.length && window.chosen));
  assert.match(kind, /^(input|output)$/);
  assert.match(label, /^Fake Audio/);
  await page.keyboard.press('Escape');
});

test('buttons of our own stand in where Flex takes no foreign call', each, async () => {
  await page.evaluate(() => {
    const { store } = Twilio.Flex.Manager.getInstance();
    const { dispatch } = store;
    store.dispatch = (action) => (/^PHONE_(ADD|TOGGLE)/.test(action?.type) ? action : dispatch(action));
  });
  const { sid, call_sid } = await accepted();
  await badgeSays('In a call');
  await part('mute').waitFor();
  assert.equal(await $('join-call').count(), 0, 'it would ring the agent a second time');
  await part('mute').click();
  await badgeSays('Muted');
  assert.equal(await $('join-call').count(), 0);
  await flex.picture(page, 'plugin-8-own-buttons');
  await part('hang-up').click();
  await complete(sid);
  assert.equal((await flex.stats(call_sid)).reason, 'agent');
});

test('an agent who is turned off has the tab again, and no trace of the plugin', each, async () => {
  await flex.enable(false);
  await waitUntil('contact_uri of the tab', async () => (await contactURI()) === `client:${flex.identity.replace('ext_', '')}`);
  await waitUntil('no badge', async () => (await part('badge').count()) === 0);
  await page.reload();
  await flex.booted(page);
  assert.equal(await part('badge').count(), 0);
});

test('nothing went wrong on the page', () => assert.deepEqual(flex.wrong(), []));
