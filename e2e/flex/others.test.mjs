// The plugin beside others: an extension of the first generation, and a second tab of Flex. All in the real Flex UI.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { deafness, startFlex, until } from './world.mjs';

let flex, page, live;

const each = { timeout: 300_000 };
const on = (where, id) => where.locator(`[data-testid=${id}]`);
const part = (where, name) => where.locator(`[data-flexvc=${name}]`);
const badgeSays = (where, title) => until(`a badge that says ${title}`, async () => (await part(where, 'badge').locator('[role=status]').innerText()) === title);
const activeCall = (where) => flex.flexState(where, 'flex.phone.activeCall?.parameters.CallSid');
const stats = () => flex.stats(live.call_sid);

async function accepted(where) {
  const { sid } = await flex.offer();
  await on(where, 'accept-task').first().click();
  live = await flex.reservationIs(sid, 'accepted');
  await flex.endsWith(sid);
}

async function complete(where) {
  await flex.reservationIs(live.sid, 'wrapping');
  await on(where, 'end-task-button').filter({ hasText: 'Complete' }).click();
  await flex.reservationIs(live.sid, 'completed');
}

/** What Flex wrote to the worker after the request of that number. */
const writes = async (after) =>
  (await flex.flexOrder('requests', { after })).filter(({ method, url }) => method === 'POST' && url.endsWith(`/Workers/${flex.worker.sid}`)).map(({ params }) => params);

before(async () => {
  flex = await startFlex();
});
after(() => flex?.stop());

/** What a plugin may change of Flex, as far as it can be seen. */
async function shape() {
  page = await flex.openFlex({ script: () => {
    window.posted = [];
    addEventListener('message', ({ data }) => typeof data?.type === 'string' && data.type.startsWith('VOICE_') && window.posted.push(data.type));
  } });
  const asked = await writes(0);
  const seen = await page.evaluate(() => {
    const { Actions, Notifications, Manager } = Twilio.Flex;
    const manager = Manager.getInstance();
    const { audio } = manager.voiceClient;
    const listeners = ({ _events }) => Object.fromEntries(Object.entries(_events).map(([event, all]) => [event, [all].flat().length]).sort());
    const parts = ['MainHeader', 'CallCanvasActions', 'TaskCanvasHeader', 'TaskListButtons', 'CallCanvas', 'RootContainer'];
    return {
      actions: listeners(Actions.emitter),
      replaced: [...(Actions.replacedActions.keys?.() ?? Object.keys(Actions.replacedActions))],
      events: listeners(manager.events),
      parts: parts.map((part) => {
        const { registeredFragments, registeredWrappers, _removeRequests } = Twilio.Flex[part].Content;
        return [part, ...[registeredFragments, registeredWrappers, _removeRequests].map((all) => (all?.size ?? Object.keys(all ?? {}).length))];
      }),
      ours: document.querySelectorAll('[data-flexvc]').length + Object.keys(localStorage).filter((key) => key.startsWith('flexvc')).length,
      header: [...document.querySelectorAll('.Twilio-MainHeader [data-testid]')].map((element) => element.dataset.testid),
      strings: JSON.stringify(manager.strings),
      notifications: Notifications.registeredNotifications.size,
      audio: [audio, audio.speakerDevices, audio.ringtoneDevices].map((one) => Object.getOwnPropertyNames(one).filter((name) => typeof one[name] === 'function').sort()),
      posted: window.posted,
      activity: manager.store.getState().flex.worker.activity.name,
    };
  });
  await page.close();
  return { ...seen, asked };
}

test('for a worker who is not enabled Flex is what it is without the plugin', each, async () => {
  const without = await shape();
  const { strings, ...rest } = without;
  assert.ok(without.header.length > 3 && strings.length > 20_000 && without.notifications > 20 && Object.keys(without.actions).length > 0, JSON.stringify(rest));
  assert.deepEqual(without.posted, []);
  const { attributes } = await flex.workerNow();
  await flex.deployPlugin();
  assert.deepEqual(await shape(), without);
  assert.equal((await flex.workerNow()).attributes, attributes);
  await flex.enable(true);
  const enabled = await shape();
  // Or none of this would be seen.
  for (const part of ['actions', 'events', 'parts', 'ours', 'strings', 'notifications', 'audio', 'posted']) assert.notDeepEqual(enabled[part], without[part], part);
});

/** Lets the page hear of the extension, and the extension of the page, only what the first generation knew. */
function oldWords() {
  const prefix = 'VOICE_CLIENT_EXTENSION_';
  const since2 = ['CALL', 'SET_MUTED', 'SET_AUDIO_DEVICE'].map((name) => prefix + name);
  window.unknown = [];
  addEventListener('message', (event) => {
    const { type, payload } = event.data ?? {};
    if (since2.includes(type)) {
      window.unknown.push(type);
      return event.stopImmediatePropagation();
    }
    if (type !== `${prefix}HEARTBEAT` || payload.protocol === undefined) return;
    event.stopImmediatePropagation();
    postMessage({ type, payload: { voiceClientIdentity: payload.voiceClientIdentity, error: payload.error } }, location.origin);
  }, true);
}

test('an extension that knows the old messages only: Flex calls through it, and what it cannot do is hidden', each, async () => {
  page = await flex.openFlex({ script: oldWords });
  await badgeSays(page, 'Voice ready');
  await until('contact_uri', async () => JSON.parse((await flex.workerNow()).attributes).contact_uri === `client:${flex.identity}`);
  await flex.setActivity(page, 'Available');
  await accepted(page);
  assert.equal((await stats()).identity, flex.identity, 'who was rung');
  await until('the call in Flex', async () => (await activeCall(page)) === live.call_sid);
  await badgeSays(page, 'In a call');
  for (const control of ['hangup-footer', 'dialpad']) {
    await until(`${control} at work`, async () => (await on(page, control).first().getAttribute('aria-disabled')) !== 'true');
  }
  assert.equal(await on(page, 'mute-call').count(), 0);
  await part(page, 'badge').locator('button').first().click();
  await part(page, 'text').waitFor();
  for (const name of ['mute', 'input', 'output']) assert.equal(await part(page, name).count(), 0, name);
  await flex.picture(page, 'others-1-old-extension');
  await page.keyboard.press('Escape');
  await on(page, 'dialpad').first().click();
  await page.locator('.Twilio-CallCanvasDialpad [class~="Twilio-Dialpad-Button-7"]').click();
  await until('a seven', async () => (await stats()).digits?.some(({ key }) => key === '7'));
  await on(page, 'dialpad').first().click();
  await on(page, 'hangup-footer').click();
  await until('no call in Flex', async () => (await activeCall(page)) === undefined);
  assert.equal((await stats()).reason, 'agent');
  await complete(page);
  assert.deepEqual(await page.evaluate(() => window.unknown.filter((type) => !type.endsWith('_CALL'))), [], 'asked of it');
  await page.close();
});

test('a second tab of Flex: both show the call, either may end it, and they do not fight', each, async () => {
  page = await flex.openFlex();
  await badgeSays(page, 'Voice ready');
  const asked = (await flex.flexOrder('requests')).at(-1).number;
  const second = await flex.openFlex({ beside: true, script: deafness });
  await badgeSays(second, 'Voice ready');
  assert.deepEqual(await writes(asked), [], 'written to the worker when the second tab came');

  await accepted(page);
  for (const tab of [page, second]) await until('the call', async () => (await activeCall(tab)) === live.call_sid);
  await badgeSays(page, 'In a call');
  await badgeSays(second, 'In a call');
  // Only the tab that took the call opens it by itself.
  await second.bringToFront();
  await on(second, 'task-item').first().click();
  await on(second, 'mute-call').click();
  await badgeSays(second, 'Muted');
  await badgeSays(page, 'Muted');
  await flex.picture(second, 'others-2-second-tab');
  await on(second, 'hangup-footer').click();
  for (const tab of [page, second]) await until('no call', async () => (await activeCall(tab)) === undefined);
  assert.equal((await stats()).reason, 'agent');
  await page.bringToFront();
  await complete(page);

  // One of them loses sight of the extension, and finds it again.
  const before = (await flex.flexOrder('requests')).at(-1).number;
  await second.evaluate(() => (window.deaf = true));
  await until('out and back', async () => (await writes(before)).filter(({ ActivitySid }) => ActivitySid).length >= 2 && (await flex.workerNow()).activity === 'Available');
  await badgeSays(second, 'Voice extension gone');
  await badgeSays(page, 'Voice ready');
  await second.evaluate(() => (window.deaf = false));
  await badgeSays(second, 'Voice ready');
  const written = await writes(before);
  assert.equal(written.length, 2, JSON.stringify(written));
  await second.close();
  await badgeSays(page, 'Voice ready');
});

test('nothing went wrong on the pages', () => assert.deepEqual(flex.wrong(), []));
