// Two calls in the real Flex UI: an agent whose Flex lets them accept a second one, as plugins for several calls do.
import assert from 'node:assert/strict';
import { after, before, test as plain } from 'node:test';
import { startFlex, until } from './world.mjs';

let flex, page;

/** Each begins where the one before has ended. */
let failed = false;
const test = (name, run) => plain(name, { timeout: 300_000 }, async (t) => {
  if (failed) return t.skip('a test before it failed');
  failed = true;
  await run(t);
  failed = false;
});
const patience = 120_000;
const waitUntil = (what, ask) => until(what, ask, patience);
const inFlex = () => flex.flexState(page, 'flex.phone.activeCall?.parameters.CallSid');
/** The row of a task, by the customer's name. */
const row = (name) => page.locator('[data-testid=task-item]', { hasText: name });
const muted = async (sid) => (await calls()).find(({ callSid }) => callSid === sid)?.muted;
const calls = () => page.evaluate(() => {
  const { call, onHold } = window.heartbeat;
  return call ? [call, ...onHold] : [];
});
const speaksIn = async (sid, ...onHold) =>
  waitUntil(`an agent who speaks in ${sid}`, async () => JSON.stringify((await calls()).map(({ callSid }) => callSid)) === JSON.stringify([sid, ...onHold]));

/** Accepts an offer with Flex's own button. */
async function accept(name) {
  const { sid } = await flex.offer({ attributes: { name } });
  await row(name).locator('[data-testid=accept-task]').click({ timeout: patience });
  const reservation = await flex.reservationIs(sid, 'accepted');
  await flex.endsWith(sid);
  return reservation;
}

async function complete(name, sid) {
  await flex.reservationIs(sid, 'wrapping');
  await row(name).click();
  await page.locator('[data-testid=end-task-button]').filter({ hasText: 'Complete' }).click({ timeout: patience });
  await flex.reservationIs(sid, 'completed');
}

before(async () => {
  flex = await startFlex();
  await flex.flexOrder('settings', { voice_tasks: 2 });
  await flex.deployPlugin();
  await flex.enable(true);
  page = await flex.openFlex({
    script: () => addEventListener('message', ({ data }) => {
      if (data?.type === 'VOICE_CLIENT_EXTENSION_HEARTBEAT' || data?.type === 'VOICE_CLIENT_EXTENSION_CALLS') window.heartbeat = { ...window.heartbeat, ...data.payload };
    }),
  });
  await page.locator('[data-flexvc=badge] [role=status]', { hasText: 'Voice ready' }).waitFor({ timeout: patience });
  await flex.setActivity(page, 'Available');
});
after(() => flex?.stop());

let first, second;

test('"I accepted a second call": the first is on hold, and Flex\'s buttons are those of the task that is open', async () => {
  first = await accept('First customer');
  await speaksIn(first.call_sid);
  second = await accept('Second customer');
  await speaksIn(second.call_sid, first.call_sid);
  for (const [name, { call_sid }] of [['First customer', first], ['Second customer', second], ['First customer', first]]) {
    await row(name).click();
    await waitUntil(`the call of the ${name} in Flex`, async () => (await inFlex()) === call_sid);
  }
  await flex.picture(page, 'second-1-on-hold');
  await page.locator('[data-testid=mute-call]').click();
  await waitUntil('a first call that is muted', () => muted(first.call_sid));
  assert.equal(await muted(second.call_sid), false);
  await page.locator('[data-testid=mute-call]').click();
  await waitUntil('a first call that is not muted', async () => (await muted(first.call_sid)) === false);
});

test('"I went back to the first": in its task, and to the second in that of the second', async () => {
  for (const [name, { call_sid }, other] of [['First customer', first, second], ['Second customer', second, first]]) {
    await row(name).click();
    await page.locator('[data-flexvc=resume-task]').waitFor({ timeout: patience });
    await flex.picture(page, 'second-2-resume');
    await page.locator('[data-flexvc=resume-task]').click();
    await speaksIn(call_sid, other.call_sid);
    await page.locator('[data-flexvc=resume-task]').waitFor({ state: 'detached' });
  }
});

test('"I took the first customer off hold": the agent speaks with that one', async () => {
  const task = (sid) => `Twilio.Flex.Manager.getInstance().store.getState().flex.worker.tasks.get('${sid}')`;
  await page.evaluate(`Twilio.Flex.Actions.invokeAction('HoldCall', { task: ${task(first.sid)} })`);
  await page.evaluate(`Twilio.Flex.Actions.invokeAction('UnholdCall', { task: ${task(first.sid)} })`);
  await speaksIn(first.call_sid, second.call_sid);
});

test('"I reloaded with two calls": both are there, with Flex\'s buttons', async () => {
  await page.reload();
  await flex.booted(page);
  await waitUntil('a heartbeat', () => page.evaluate(() => Boolean(window.heartbeat)));
  await speaksIn(first.call_sid, second.call_sid);
  await row('Second customer').click();
  await waitUntil('the second call in Flex', async () => (await inFlex()) === second.call_sid);
});

test('"I hung up in the row of the other task": that call ends, and no other', async () => {
  await row('Second customer').click();
  await row('First customer').locator('[data-testid=hangup-task]').click({ timeout: patience });
  await waitUntil('the end of the first', async () => (await flex.stats(first.call_sid)).reason === 'agent');
  await speaksIn(second.call_sid);
  assert.equal((await flex.stats(second.call_sid)).state, 'in-progress');
  await complete('First customer', first.sid);
});

test('"somebody called whom I had not accepted here": the badge says who, and holds and answers', async () => {
  // As it is where Flex names no session, or for a call that reaches the agent on another way.
  const sid = await flex.order('call', { identity: flex.identity, from: '+15550103' });
  const offer = page.locator('[data-flexvc=offer]');
  await offer.getByText('+15550103').waitFor({ timeout: patience });
  await flex.picture(page, 'second-3-offered');
  await speaksIn(second.call_sid);
  await offer.locator('[data-flexvc=answer]').click();
  await speaksIn(sid, second.call_sid);
  await flex.order('hangup', { sid });
  await speaksIn(second.call_sid);
  const declined = await flex.order('call', { identity: flex.identity, from: '+15550104' });
  await offer.locator('[data-flexvc=decline]').click({ timeout: patience });
  await waitUntil('a caller who hears busy', async () => (await flex.stats(declined)).reason === 'busy');
  await speaksIn(second.call_sid);
  await row('Second customer').click();
  await page.locator('[data-testid=hangup-footer]').click({ timeout: patience });
  await complete('Second customer', second.sid);
  assert.deepEqual(flex.wrong(), []);
});
