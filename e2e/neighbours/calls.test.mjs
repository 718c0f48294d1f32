// Calls beside plugins that watch and steer them: what the agent and the customer get, and what the others hear.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { deafness, played, until } from '../flex/world.mjs';
import { agentAutomation, callback, desk, hangUpBy, multiCall, pauseRecording, ringNotification, startNeighbourhood, twoCalls } from './neighbours.mjs';

let flex;

const each = { timeout: 300_000 };
/** What each of them says. */
const hz = { agent: 500, first: 1100, second: 1900 };
/** dB above which a tone is heard: here they are at -12, or below -60. */
const audible = -40;

before(async () => {
  flex = await startNeighbourhood({ tone: hz.agent });
});
after(() => flex?.stop());

async function open(neighbours, { calls = 1 } = {}) {
  await flex.flexOrder('settings', { voice_tasks: calls });
  await flex.deployPlugin();
  for (const init of neighbours) await flex.moveIn(init.name, init);
  const at = desk(flex, await flex.openFlex({ script: deafness }));
  await at.badgeSays('Voice ready');
  if ((await flex.workerNow()).activity !== 'Available') await flex.setActivity(at.page, 'Available');
  return at;
}

async function leave({ page }) {
  assert.deepEqual(flex.wrong(), []);
  await page.close();
  await flex.leave();
}

/** The customer and the agent hear each other for another half a second. */
async function speech(sid) {
  const { heard, said } = await flex.stats(sid);
  await until('speech both ways', async () => {
    const now = await flex.stats(sid);
    return now.state === 'in-progress' && now.heard.packets > heard.packets + 25 && now.said.packets > said.packets + 25;
  });
}

test('"Retry Later" of a callback leaves the customer on the line who was called for it', each, async () => {
  const at = await open([callback], { calls: 2 });
  const { sid } = await flex.offer({ attributes: { taskType: 'callback', direction: 'inbound', call_sid: null } });
  await at.$('accept-task').first().click();
  await flex.reservationIs(sid, 'accepted');
  await at.page.evaluate(() => window.callback.placeCallNow());
  const live = await until('an outbound task', async () => (await flex.flexOrder('reservations')).find((r) => r.outbound && r.status === 'accepted'));
  await until('the call in Flex', async () => (await at.activeCall()) === live.call_sid);
  await flex.endsWith(live.sid);
  await at.page.evaluate(() => window.callback.retryLater());
  await flex.reservationIs(sid, 'completed');
  await speech(live.call_sid);
  await at.page.evaluate((sid) => Twilio.Flex.Actions.invokeAction('SelectTask', { sid }), live.sid);
  await at.$('hangup-footer').click();
  await at.complete(live.sid);
  assert.equal((await flex.stats(live.call_sid)).reason, 'agent');
  await leave(at);
});

test('mute, keys and hang-up of the badge are heard by the plugins that record them', each, async () => {
  const at = await open([hangUpBy, pauseRecording, multiCall]);
  const live = await at.accepted();
  await at.badgeSays('In a call');
  await at.part('badge').locator('button').first().click();
  const menu = at.part('badge').locator('[role=dialog]');
  await menu.locator('[data-flexvc=mute]').click();
  await at.badgeSays('Muted');
  await menu.locator('[data-flexvc=mute]').click();
  await at.badgeSays('In a call');
  await menu.locator('[data-flexvc=keypad]').click();
  await menu.locator('button', { hasText: /^5$/ }).click();
  await until('a five', async () => (await flex.stats(live.call_sid)).digits?.some(({ key }) => key === '5'));
  await menu.locator('[data-flexvc=hang-up]').click();
  await at.complete(live.sid);
  assert.equal((await flex.stats(live.call_sid)).reason, 'agent');
  assert.deepEqual(await at.page.evaluate(() => window.hungUpBy), ['Agent']);
  assert.deepEqual(await at.page.evaluate(() => window.paused), ['mute', 'mute', '5']);
  assert.deepEqual(await at.page.evaluate(() => window.calls.filter((what) => what !== null)), [live.call_sid, 'disconnect']);

  const next = await at.accepted();
  await flex.flexOrder('hangup', { reservation: next.sid });
  await at.complete(next.sid);
  assert.deepEqual(await at.page.evaluate(() => window.hungUpBy), ['Agent', 'Customer']);
  await leave(at);
});

test('a plugin that accepts and completes by itself, and one that rings: the agent only talks', each, async () => {
  const at = await open([agentAutomation, ringNotification]);
  const { sid } = await flex.offer();
  const live = await flex.reservationIs(sid, 'accepted');
  await until('the call in Flex', async () => (await at.activeCall()) === live.call_sid);
  await speech(live.call_sid);
  assert.deepEqual(await at.page.evaluate(() => window.rings), ['ring', 'accepted']);
  await flex.endsWith(sid);
  await at.page.evaluate((sid) => Twilio.Flex.Actions.invokeAction('SelectTask', { sid }), sid);
  await at.$('hangup-footer').click();
  await flex.reservationIs(sid, 'completed');
  assert.equal((await flex.stats(live.call_sid)).reason, 'agent');
  await leave(at);
});

test('Accept while the extension is away is refused with the reason, and the task is still there afterwards', each, async () => {
  const at = await open([ringNotification]);
  const { sid } = await flex.offer();
  await at.$('accept-task').first().waitFor();
  await at.page.evaluate(() => postMessage({ type: 'VOICE_CLIENT_EXTENSION_CONFIG_REJECTED', payload: { reason: 'other_account' } }, location.origin));
  await at.page.evaluate(() => (window.deaf = true));
  await at.badgeSays('Wrong account');
  await at.$('accept-task').first().click();
  await at.part('refused').waitFor();
  assert.match(await at.part('refused').innerText(), /not accepted.*still in your list/);
  assert.match(await at.part('text').innerText(), /serving another Twilio account/);
  await flex.picture(at.page, 'neighbours-2-accept-refused');
  assert.equal((await flex.reservation(sid)).status, 'pending');
  await at.page.evaluate(() => (window.deaf = false));
  await at.badgeSays('Voice ready');
  await at.page.keyboard.press('Escape');
  await at.$('accept-task').first().click();
  const live = await flex.reservationIs(sid, 'accepted');
  await until('the call in Flex', async () => (await at.activeCall()) === live.call_sid);
  await flex.endsWith(sid);
  await at.$('hangup-footer').click();
  await at.complete(sid);
  await leave(at);
});

/** Whom the agent hears in the headset, and which customers hear the agent. */
async function hearing(calls) {
  const agent = (await played(flex.devtools, [hz.first, hz.second])).map((db, i) => db > audible && ['first', 'second'][i]).filter(Boolean);
  const by = [];
  for (const [name, { attributes, sid }] of Object.entries(calls)) {
    if (!(await flex.reservation(sid)).live) continue;
    const { heard } = await flex.order('tones', { sid: attributes.call_sid, hz: [hz.agent] });
    if (heard[0] > audible) by.push(name);
  }
  return `the agent hears ${agent.join(' and ') || 'nobody'}, and is heard by ${by.join(' and ') || 'nobody'}`;
}

const onlyWith = (name) => `the agent hears ${name}, and is heard by ${name}`;

async function hears(calls, wanted) {
  let now;
  await until(wanted, async () => (now = await hearing(calls)) === wanted).catch((error) => {
    throw new Error(`${error.message}; ${now}`);
  });
  assert.equal(await hearing(calls), wanted);
}

test('two calls with a plugin for several: the agent speaks with the customer whose turn it is, and with no other', each, async () => {
  const at = await open([twoCalls], { calls: 2 });
  const row = (name) => at.page.locator('[data-testid=task-item]', { hasText: name });
  const accept = async (name, tone) => {
    const { sid } = await flex.offer({ tone, attributes: { name } });
    await row(name).locator('[data-testid=accept-task]').click();
    const live = await flex.reservationIs(sid, 'accepted');
    await flex.endsWith(sid);
    return live;
  };
  const calls = { first: await accept('First customer', hz.first) };
  await hears(calls, onlyWith('first'));
  calls.second = await accept('Second customer', hz.second);
  await hears(calls, onlyWith('second'));
  assert.equal((await flex.reservation(calls.first.sid)).hold, true, 'the first customer hears the music');

  await row('First customer').click();
  await until('the first call in Flex', async () => (await at.activeCall()) === calls.first.call_sid);
  assert.equal(await at.invoke('UnholdCall', { sid: calls.first.sid }), 'done');
  await hears(calls, onlyWith('first'));
  assert.equal((await flex.reservation(calls.second.sid)).hold, true, 'the second customer hears the music');
  await flex.picture(at.page, 'neighbours-3-two-calls');

  await at.$('hangup-footer').click();
  await until('the end of the first call', async () => (await flex.stats(calls.first.call_sid)).reason === 'agent');
  assert.equal((await flex.stats(calls.second.call_sid)).state, 'in-progress');
  await at.complete(calls.first.sid);
  await row('Second customer').click();
  assert.equal(await at.invoke('UnholdCall', { sid: calls.second.sid }), 'done');
  await hears({ second: calls.second }, onlyWith('second'));
  await at.$('hangup-footer').click();
  await at.complete(calls.second.sid);
  assert.equal((await flex.stats(calls.second.call_sid)).reason, 'agent');
  await leave(at);
});

test('Accept in a browser without the extension, while another has it: it is refused there, and taken here', each, async () => {
  const at = await open([]);
  const beside = await flex.openColleague(flex.worker);
  const there = desk(flex, beside.page);
  await there.badgeSays('No voice extension');
  const rung = async () => (await flex.order('events')).filter(({ kind }) => kind === 'call.ringing').length;
  const before = await rung();
  const { sid } = await flex.offer({ tone: hz.first });
  await there.$('accept-task').first().click();
  await there.part('refused').waitFor();
  await flex.picture(beside.page, 'neighbours-4-accept-elsewhere');
  assert.equal((await flex.reservation(sid)).status, 'pending');
  assert.equal(await rung(), before, 'nobody was rung');
  await at.page.bringToFront();
  await at.$('accept-task').first().click();
  const live = await flex.reservationIs(sid, 'accepted');
  assert.equal((await flex.stats(live.call_sid)).identity, flex.identity, 'who was rung');
  await flex.endsWith(sid);
  await hears({ first: live }, onlyWith('first'));
  await at.$('hangup-footer').click();
  await at.complete(sid);
  await beside.close();
  await leave(at);
});
