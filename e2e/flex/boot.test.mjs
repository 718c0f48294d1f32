// The real Flex UI on the emulator, with the unpacked extension: it starts, the agent takes calls, and what is asserted
// is what became of the task, the call and its packets. How long things took is printed.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { pictures, startFlex, until } from './world.mjs';

let flex, page;

/** For a machine that does ten other things; alone, all of it takes a minute. */
const each = { timeout: 300_000 };
const $ = (id) => page.locator(`[data-testid=${id}]`);

before(async () => {
  flex = await startFlex();
  const configuration = { voiceClientTokenGeneratorUrl: flex.tokens.url, extensionVoiceClientPrefix: 'ext_', protocol: 2, pluginVersion: '0.0.0' };
  const source = await readFile(new URL('stand-in-plugin.js', import.meta.url), 'utf8');
  await flex.flexOrder('plugin', { name: 'stand-in', version: '0.0.0', source: source.replace('__CONFIGURATION__', JSON.stringify(configuration)) });
});

after(() => flex?.stop());

const extension = (what) => page.evaluate(`((extension) => (${what}))(window.extension)`);
const registered = () => until('a registered extension', () => extension('extension.beat?.status === "registered"'));

async function offered(more) {
  const reservation = await flex.offer(more);
  await $('accept-task').first().waitFor();
  return reservation;
}

async function accepted(more) {
  const { sid } = await offered(more);
  await $('accept-task').first().click();
  const reservation = await flex.reservationIs(sid, 'accepted');
  await $('participant-container').first().waitFor();
  await flex.endsWith(sid);
  return reservation;
}

/** Ends the call that goes on, as the customer, and the task after it. */
async function completed({ sid }) {
  await flex.flexOrder('hangup', { reservation: sid });
  await complete(sid);
}

async function complete(sid) {
  await flex.reservationIs(sid, 'wrapping');
  const button = $('end-task-button').filter({ hasText: 'Complete' });
  await button.waitFor();
  await button.click();
  await flex.reservationIs(sid, 'completed');
  await $('no-task-heading').waitFor();
}

test('Flex starts, whole', each, async (t) => {
  page = await flex.openFlex();
  t.diagnostic(`Flex took ${Math.round(await page.evaluate('window.__booted'))} ms; pictures in ${pictures}`);
  const broken = await flex.flexState(page, 'Object.entries(flex.flexErrors.degradeMap).filter(([, broken]) => broken)');
  assert.deepEqual(broken, []);
  assert.equal(await flex.flexState(page, 'flex.config.sso.accountSid'), flex.accountSid);
  await flex.picture(page, '01-started');
});

test('a plugin is loaded and turns contact_uri to the extension', each, async () => {
  await registered();
  await until('contact_uri in the account', async () => JSON.parse((await flex.workerNow()).attributes).contact_uri === `client:${flex.identity}`);
  await until('contact_uri in Flex', async () => (await flex.flexState(page, 'flex.worker.attributes.contact_uri')) === `client:${flex.identity}`);
  // Attributes are replaced whole: what Flex did not know of must be there still.
  const before = JSON.parse(flex.worker.attributes);
  assert.deepEqual(JSON.parse((await flex.workerNow()).attributes), { ...before, contact_uri: `client:${flex.identity}` });
});

test('an activity chosen in Flex is the account\'s, and one set by somebody else shows in Flex', each, async () => {
  await flex.setActivity(page, 'Break');
  assert.equal((await flex.workerNow()).activity, 'Break');
  await flex.setActivity(page, 'Available');
  assert.equal((await flex.workerNow()).activity, 'Available');

  const { attributes } = await flex.workerNow();
  await flex.control('edit', { worker: flex.worker.sid, attributes: JSON.stringify({ ...JSON.parse(attributes), team_name: 'changed elsewhere' }) });
  await until('the change in Flex', async () => (await flex.flexState(page, 'flex.worker.attributes.team_name')) === 'changed elsewhere');
});

test('a call is offered, accepted and talked through the extension, put on hold, survives a reload, and is wrapped up', each, async (t) => {
  const { sid } = await offered({ from: '+15551239876' });
  assert.match(await $('task-item').innerText(), /555-123-9876/);
  await flex.picture(page, '02-offered');
  await $('accept-task').first().click();
  const reservation = await flex.reservationIs(sid, 'accepted');
  const call = await flex.stats(reservation.call_sid);
  assert.equal(call.identity, flex.identity, 'who was rung');
  await until('the call in the extension', () => extension('extension.call?.status === "open"'));
  const both = await until('a second of speech both ways', async () => {
    const s = await flex.stats(reservation.call_sid);
    return s.heard.packets > 50 && s.said.packets > 50 && s;
  });
  assert.equal(both.heard.lost, 0);
  await $('participant-container').first().waitFor();
  await flex.picture(page, '03-accepted');

  await $('hold-participant').click();
  await until('a customer on hold', async () => (await flex.reservation(sid)).hold);
  await until('hold in Flex', () => inConference('customer', 'onHold'));
  await flex.picture(page, '04-on-hold');
  await $('hold-participant').click();
  await until('a customer back', async () => !(await flex.reservation(sid)).hold);
  await until('no hold in Flex', async () => !(await inConference('customer', 'onHold')));

  const { age } = await flex.stats(reservation.call_sid);
  await page.reload();
  t.diagnostic(`reloaded in the call, Flex took ${Math.round(await flex.booted(page))} ms`);
  await $('participant-container').first().waitFor();
  assert.equal(await flex.flexState(page, 'flex.worker.tasks.size'), 1);
  await until('the extension to answer the new page', () => extension('extension.call?.status === "open"'));
  const after = await flex.stats(reservation.call_sid);
  const heard = await flex.order('heard', { sid: reservation.call_sid, start: age, end: after.age });
  assert.equal(after.state, 'in-progress');
  assert.equal(heard.lost, 0);
  t.diagnostic(`meanwhile ${heard.packets} packets, longest gap ${Math.round(heard.longest_gap / 1e6)} ms`);
  await flex.picture(page, '05-reloaded');

  await extension("extension.say('HANGUP_CALL')");
  await flex.reservationIs(sid, 'wrapping');
  assert.equal((await flex.stats(reservation.call_sid)).reason, 'agent');
  await $('end-task-button').filter({ hasText: 'Complete' }).waitFor();
  await flex.picture(page, '06-wrap-up');
  await complete(sid);
  await flex.picture(page, '07-completed');
});

const inConference = (kind, what) =>
  flex.flexState(page, `[...flex.worker.tasks.values()][0]?.conference?.participants.find((p) => p.participantType === '${kind}')?.${what}`);

test('a customer who hangs up, in the call and before it', each, async () => {
  const live = await accepted();
  await completed(live);
  assert.equal((await flex.stats(live.call_sid)).reason, 'customer');

  const { sid } = await offered();
  await flex.flexOrder('hangup', { reservation: sid });
  assert.equal((await flex.reservation(sid)).status, 'canceled');
  await $('no-task-heading').waitFor();
});

test('a call is rejected', each, async () => {
  const { sid } = await offered();
  await $('reject-task').first().click();
  await flex.reservationIs(sid, 'rejected');
  await $('no-task-heading').waitFor();
});

test('the agent calls out', each, async () => {
  await page.evaluate(() => Twilio.Flex.Actions.invokeAction('StartOutboundCall', { destination: '+15557654321' }));
  const { sid, call_sid } = await until('an accepted outbound task', async () => (await flex.flexOrder('reservations')).find((r) => r.outbound && r.status === 'accepted'));
  assert.equal((await flex.stats(call_sid)).identity, flex.identity);
  await $('participant-container').first().waitFor();
  await flex.picture(page, '08-outbound');
  await completed({ sid });
});

test('the transfer directory lists the other agents', each, async () => {
  // Without a call in the page Flex keeps the button shut while several tabs are supported.
  const features = [{ id: 'device-manager-beta', enabled: true }];
  await flex.flexOrder('settings', { features });
  await page.reload();
  await flex.booted(page);
  await registered();
  const live = await accepted();
  await $('call-transfer').click();
  const names = await until('the directory', async () => {
    const text = await page.locator('.Twilio-WorkerDirectory').innerText();
    return /Offline|Unavailable|Break|Available/.test(text) && text;
  });
  const others = (await flex.control('state')).workers.filter(({ sid }) => sid !== flex.worker.sid);
  for (const other of others) assert.ok(names.includes(JSON.parse(other.attributes).full_name), other.friendly_name);
  await flex.picture(page, '09-directory');
  await $('close-worker-directory').click();
  await completed(live);
});

test('a Flex token that is about to expire is refreshed', each, async () => {
  await page.close();
  page = await flex.openFlex({ ttl: '150s' });
  const token = () => flex.flexState(page, 'flex.session.ssoTokenPayload.token');
  const first = await token();
  await until('another token', async () => (await token()) !== first, 180_000);
  await registered();
  const live = await accepted();
  await completed(live);
});

test('nothing else went wrong on the page', () => {
  assert.deepEqual(flex.wrong(), []);
});
