// Calls that more than one agent is in, in two real Flex UIs: this agent's with the extension, and a colleague's whose voice
// client is in the tab.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startFlex, until } from './world.mjs';

let flex, page, other, live;

const each = { timeout: 300_000 };
const on = (where, id) => where.locator(`[data-testid=${id}]`);
const $ = (id) => on(page, id);
const badgeSays = (title) => until(`a badge that says ${title}`, async () => (await page.locator('[data-flexvc=badge] [role=status]').innerText()) === title);
const activeCall = (where) => flex.flexState(where, 'flex.phone.activeCall?.parameters.CallSid');
const stats = ({ call_sid }) => flex.stats(call_sid);

async function complete(where, { sid }) {
  await flex.reservationIs(sid, 'wrapping');
  await on(where, 'end-task-button').filter({ hasText: 'Complete' }).click();
  await flex.reservationIs(sid, 'completed');
  await on(where, 'no-task-heading').waitFor();
}

async function accepted() {
  const { sid } = await flex.offer();
  await $('accept-task').first().click();
  live = await flex.reservationIs(sid, 'accepted');
  await until('the call in Flex', async () => (await activeCall(page)) === live.call_sid);
  await flex.endsWith(sid);
}

/** Offers the call to the colleague by the buttons of Flex's directory, and answers with the reservation that this makes. */
async function transfer(mode) {
  const asked = (await flex.flexOrder('requests')).at(-1).number;
  await $('call-transfer').click();
  const { full_name } = JSON.parse(other.worker.attributes);
  const row = page.locator('.Twilio-WorkerDirectory-Worker', { hasText: full_name });
  await row.hover();
  await row.locator('.Twilio-WorkerDirectory-ButtonContainer button').nth(mode === 'WARM' ? 0 : 1).click();
  const { params } = await until('the transfer', async () =>
    (await flex.flexOrder('requests', { after: asked })).find(({ method, url }) => method === 'POST' && url.endsWith('/Transfers')));
  assert.equal(params.Mode, mode);
  assert.equal(params.To, other.worker.sid);
  // What Flex reads in the answer, it takes for newer than what it is told meanwhile.
  if (mode === 'WARM') {
    await until('the transfer in Flex', () => flex.flexState(page, "[...flex.worker.tasks.values()][0].outgoingTransferObject?.status === 'initiated'"));
  }
  return flex.pendingFor(other.worker);
}

/** The colleague takes the call, in the tab. */
async function taken({ sid }) {
  await on(other.page, 'accept-task').first().click();
  const theirs = await flex.reservationIs(sid, 'accepted');
  assert.equal((await stats(theirs)).identity, JSON.parse(other.worker.attributes).contact_uri.replace('client:', ''), 'who was rung');
  await until('the call in the colleague\'s tab', async () => (await activeCall(other.page)) === theirs.call_sid);
  return theirs;
}

/** The colleague and this agent are both in the call, and whoever of them leaves leaves the other in it. */
async function both(theirs) {
  await until('two agents in the call', async () => (await agents()) === 2);
  await flex.endsWith(live.sid, false);
  await flex.endsWith(theirs.sid, false);
}

const agents = () => flex.flexState(page, "[...flex.worker.tasks.values()][0]?.conference?.participants.filter((p) => p.participantType === 'worker' && p.status === 'joined').length");

before(async () => {
  flex = await startFlex();
  await flex.deployPlugin();
  await flex.enable(true);
  page = await flex.openFlex();
  await badgeSays('Voice ready');
  other = await flex.openColleague();
  await flex.setActivity(page, 'Available');
  await flex.setActivity(other.page, 'Available');
});
after(() => flex?.stop());

test('a call is handed over warm: both agents are in it, and it goes on without the first', each, async () => {
  await accepted();
  const theirs = await taken(await transfer('WARM'));
  await both(theirs);
  assert.equal((await stats(live)).state, 'in-progress');
  assert.equal(await $('join-call').count(), 0);
  await flex.picture(page, 'transfer-1-warm');

  await $('mute-call').click();
  await badgeSays('Muted');
  await $('mute-call').click();
  await badgeSays('In a call');

  await $('hangup-footer').click();
  await until('no call in Flex', async () => (await activeCall(page)) === undefined);
  assert.equal((await stats(live)).reason, 'agent');
  assert.equal((await stats(theirs)).state, 'in-progress');
  await flex.endsWith(theirs.sid);
  await complete(page, live);
  await on(other.page, 'hangup-footer').click();
  await complete(other.page, theirs);
});

test('a call is handed over cold: the extension\'s call ends at once, and the colleague has the customer', each, async () => {
  await accepted();
  const theirs = await transfer('COLD');
  await flex.reservationIs(live.sid, 'wrapping');
  await until('no call in Flex', async () => (await activeCall(page)) === undefined);
  assert.equal((await stats(live)).state, 'ended');
  await badgeSays('Voice ready');
  await flex.picture(page, 'transfer-2-cold');
  await taken(theirs);
  await flex.endsWith(theirs.sid);
  await complete(page, live);
  await on(other.page, 'hangup-footer').click();
  await complete(other.page, theirs);
});

test('a colleague is taken out of the call, and a transfer is called off', each, async () => {
  await accepted();
  const theirs = await taken(await transfer('WARM'));
  await both(theirs);
  await page.evaluate((targetSid) => {
    const [task] = Twilio.Flex.Manager.getInstance().store.getState().flex.worker.tasks.values();
    return Twilio.Flex.Actions.invokeAction('KickParticipant', { task, targetSid });
  }, other.worker.sid);
  await complete(other.page, theirs);
  await until('one agent in the call', async () => (await agents()) === 1);
  await flex.endsWith(live.sid);
  assert.equal((await stats(live)).state, 'in-progress');

  const second = await transfer('WARM');
  await page.evaluate(() => {
    const [task] = Twilio.Flex.Manager.getInstance().store.getState().flex.worker.tasks.values();
    return Twilio.Flex.Actions.invokeAction('CancelTransfer', { task });
  });
  await flex.reservationIs(second.sid, 'canceled');
  assert.equal((await stats(live)).state, 'in-progress');
  await $('hangup-footer').click();
  await complete(page, live);
});

test('a call is handed over to the agent on the extension', each, async () => {
  const { sid } = await flex.offer({ worker: other.worker.sid });
  await on(other.page, 'accept-task').first().click();
  const theirs = await flex.reservationIs(sid, 'accepted');
  await until('the call in the colleague\'s tab', async () => (await activeCall(other.page)) === theirs.call_sid);
  await flex.endsWith(theirs.sid);
  await other.page.evaluate((targetSid) => {
    const [task] = Twilio.Flex.Manager.getInstance().store.getState().flex.worker.tasks.values();
    return Twilio.Flex.Actions.invokeAction('TransferTask', { task, targetSid, options: { mode: 'COLD' } });
  }, flex.worker.sid);
  const offered = await flex.pendingFor(flex.worker);
  await $('accept-task').first().click();
  live = await flex.reservationIs(offered.sid, 'accepted');
  assert.equal((await stats(live)).identity, flex.identity, 'who was rung');
  await until('the call in Flex', async () => (await activeCall(page)) === live.call_sid);
  await flex.endsWith(live.sid);
  await $('hangup-footer').click();
  await complete(page, live);
  await complete(other.page, theirs);
});

test('nothing went wrong on the pages', () => assert.deepEqual(flex.wrong(), []));
