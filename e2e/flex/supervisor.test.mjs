// A supervisor listens in, coaches and barges in, in Flex's own Teams view and with a voice client in the extension of a second
// browser. Each of the three says a tone of its own, and each is asked which ones it hears.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { played, startFlex, until } from './world.mjs';

const each = { timeout: 300_000 };
const hz = { agent: 500, customer: 1100, supervisor: 1900 };
const says = Object.keys(hz);
/** dB above which a tone is heard: those here are at -12 where they are heard, and at -60 and less where they are not. */
const audible = -40;

let flex, agent, live, boss, identity;

const on = (where, id) => where.locator(`[data-testid=${id}]`);
const badgeSays = (where, title) => until(`a badge that says ${title}`, async () => (await where.locator('[data-flexvc=badge] [role=status]').innerText()) === title);
const activeCall = (where) => flex.flexState(where, 'flex.phone.activeCall?.parameters.CallSid');
const loud = (levels) => says.filter((_, i) => levels[i] > audible);

/** Who hears whom, in words: the customer at the emulator, the other two in their headsets. */
async function hearing() {
  const [customer, forAgent, forBoss] = await Promise.all([
    flex.order('tones', { sid: live.attributes.call_sid, hz: Object.values(hz) }).then(({ heard }) => loud(heard)),
    played(flex.devtools, Object.values(hz)).then(loud),
    played(boss.devtools, Object.values(hz)).then(loud),
  ]);
  return { customer, agent: forAgent, supervisor: forBoss };
}

/** Waits until they hear each other so, and then that it stays so. */
async function hears(wanted) {
  const same = (now) => JSON.stringify(now) === JSON.stringify(wanted);
  let now;
  await until(`to hear ${JSON.stringify(wanted)}`, async () => same((now = await hearing()))).catch((error) => {
    throw new Error(`${error.message}; heard ${JSON.stringify(now)}`);
  });
  assert.deepEqual(await hearing(), wanted);
}

const alone = { customer: ['agent'], agent: ['customer'], supervisor: [] };
const monitored = { ...alone, supervisor: ['agent', 'customer'] };

/** The supervisor's call, as the agent's conference has it. */
async function leg() {
  const calls = await until('the supervisor\'s call', async () => {
    const sids = (await flex.order('events')).filter(({ kind, identity: who }) => kind === 'call.in-progress' && who === identity).map(({ call_sid }) => call_sid);
    return sids.length && sids;
  });
  return calls.at(-1);
}

const api = async (path, body) => {
  const { account_sid, auth_token } = await flex.control('account');
  const answer = await fetch(`${flex.url}/api.twilio.com/2010-04-01/Accounts/${account_sid}/Conferences/${path}.json`, {
    method: body ? 'POST' : 'GET', body: body && new URLSearchParams(body), headers: { Authorization: `Basic ${btoa(`${account_sid}:${auth_token}`)}` },
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.json();
};

/**
 * supervisor-barge-coach, as its installations have it: it finds the two calls in Flex's conference and has a function change the
 * supervisor's with the account's credentials. The function is played here.
 */
function bargeCoach(flex, manager) {
  const change = async (changes) => {
    const { task } = manager.store.getState().flex.supervisor.callMonitoring;
    const { conferenceSid, source } = manager.store.getState().flex.conferences.states.get(task.taskSid).source;
    const joined = source.channelParticipants.filter(({ mediaProperties }) => mediaProperties.status === 'joined');
    const own = joined.find(({ type, routingProperties }) => type === 'supervisor' && routingProperties.workerSid === manager.workerClient.sid);
    const agent = joined.find(({ type }) => type === 'worker');
    await window.changeParticipant(`${conferenceSid}/Participants/${own.mediaProperties.callSid}`, changes(agent.mediaProperties.callSid));
  };
  window.coach = () => change((callSid) => ({ Muted: 'false', Coaching: 'true', CallSidToCoach: callSid }));
  window.barge = () => change(() => ({ Muted: 'false', Coaching: 'false' }));
  window.listen = () => change(() => ({ Muted: 'true', Coaching: 'false' }));
}

before(async () => {
  flex = await startFlex({ tone: hz.agent });
  await flex.deployPlugin();
  await flex.enable(true);
  const init = `Twilio.Flex.Plugins.init(class { constructor() { this.name = 'barge-coach'; } init(flex, manager) { (${bargeCoach})(flex, manager); } });`;
  await flex.flexOrder('plugin', { name: 'barge-coach', version: '1.0.0', source: init, phase: 3 });
  const worker = (await flex.control('state')).workers.findLast(({ sid }) => sid !== flex.worker.sid);
  const attributes = { roles: ['supervisor'], full_name: 'Sue Marsh', contact_uri: 'client:sue', extensionVoiceClientEnabled: true };
  await flex.control('edit', { worker: worker.sid, attributes: JSON.stringify(attributes) });
  agent = await flex.openFlex();
  await badgeSays(agent, 'Voice ready');
  await flex.setActivity(agent, 'Available');
  boss = await flex.openExtended(worker, { tone: hz.supervisor });
  await boss.page.exposeFunction('changeParticipant', api);
  await badgeSays(boss.page, 'Voice ready');
  await flex.setActivity(boss.page, 'Break');
  identity = await until('the supervisor\'s contact_uri', async () => {
    const { attributes } = (await flex.control('state')).workers.find(({ sid }) => sid === worker.sid);
    return /^client:(ext_.*)$/.exec(JSON.parse(attributes).contact_uri)?.[1];
  });
});
after(() => flex?.stop());

async function accepted() {
  const { sid } = await flex.offer({ tone: hz.customer });
  await agent.bringToFront();
  await on(agent, 'accept-task').first().click();
  live = await flex.reservationIs(sid, 'accepted');
  await until('the call in Flex', async () => (await activeCall(agent)) === live.call_sid);
  await flex.endsWith(sid);
}

/** Opens the agent's call in the Teams view. */
async function openTask() {
  await boss.page.locator('button[aria-label=Teams]').click();
  await boss.page.locator('button.Twilio-TaskCard').first().click();
}

const monitorButton = () => boss.page.locator('.Twilio-SupervisorTaskOverviewActions-MonitorButton');
const monitoring = () => flex.flexState(boss.page, 'flex.supervisor.callMonitoring.status');

test('"let me listen in": the supervisor hears both, and neither hears the supervisor', each, async () => {
  await accepted();
  await hears(alone);
  await openTask();
  await monitorButton().click();
  await until('monitoring', async () => (await monitoring()) === 2);
  const sid = await leg();
  assert.equal((await flex.stats(sid)).identity, identity, 'who was rung');
  await until('the call in Flex', async () => (await activeCall(boss.page)) === sid);
  await badgeSays(boss.page, 'In a call');
  await hears(monitored);
  await flex.picture(boss.page, 'supervisor-1-monitoring');
});

test('"say that the refund takes a week": the supervisor coaches, and the agent alone hears it', each, async () => {
  await boss.page.evaluate(() => window.coach());
  await hears({ customer: ['agent'], agent: ['customer', 'supervisor'], supervisor: ['agent', 'customer'] });
});

test('"hello, this is her supervisor": the supervisor barges in, and everybody hears it', each, async () => {
  await boss.page.evaluate(() => window.barge());
  await hears({ customer: ['agent', 'supervisor'], agent: ['customer', 'supervisor'], supervisor: ['agent', 'customer'] });
  await flex.picture(boss.page, 'supervisor-2-barging');
  await boss.page.evaluate(() => window.listen());
  await hears(monitored);
});

test('"I have heard enough": the stop ends the supervisor\'s call, and no other', each, async () => {
  const sid = await leg();
  await monitorButton().click();
  await until('the end of the supervisor\'s call', async () => (await flex.stats(sid)).reason === 'agent');
  await until('no monitoring', async () => (await monitoring()) === 0);
  await badgeSays(boss.page, 'Voice ready');
  await hears(alone);
  assert.equal((await flex.stats(live.call_sid)).state, 'in-progress');
  assert.equal((await flex.reservation(live.sid)).status, 'accepted');
});

/** Listens in anew. */
async function listenIn() {
  await monitorButton().click();
  await until('monitoring', async () => (await monitoring()) === 2);
  const sid = await leg();
  await until('the call in Flex', async () => (await activeCall(boss.page)) === sid);
  return sid;
}

test('"I reloaded Flex while I listened": the call goes on, the badge ends it, and one may listen again', each, async () => {
  const sid = await listenIn();
  await boss.page.reload();
  await flex.booted(boss.page);
  await badgeSays(boss.page, 'In a call');
  await until('the call in Flex', async () => (await activeCall(boss.page)) === sid);
  assert.equal((await flex.stats(sid)).state, 'in-progress');
  await boss.page.locator('[data-flexvc=badge] button').first().click();
  await boss.page.locator('[data-flexvc=hang-up]').click();
  await until('the end of the supervisor\'s call', async () => (await flex.stats(sid)).reason === 'agent');
  await badgeSays(boss.page, 'Voice ready');
  await hears(alone);
  await boss.page.keyboard.press('Escape');
  await openTask();
  assert.notEqual(await listenIn(), sid);
});

test('"my agent hung up": the supervisor\'s call is over too, and the customer is not left alone with the supervisor', each, async () => {
  const sid = await leg();
  await agent.bringToFront();
  await on(agent, 'hangup-footer').click();
  await flex.reservationIs(live.sid, 'wrapping');
  await until('the end of the supervisor\'s call', async () => (await flex.stats(sid)).state === 'ended');
  assert.equal((await flex.stats(live.call_sid)).reason, 'agent');
  await badgeSays(boss.page, 'Voice ready');
  await until('no monitoring', async () => (await monitoring()) === 0);
  await on(agent, 'end-task-button').filter({ hasText: 'Complete' }).click();
  await flex.reservationIs(live.sid, 'completed');
});

test('"a customer came while I listened": the supervisor takes the call, and listens no longer', each, async () => {
  await accepted();
  await openTask();
  const sid = await listenIn();
  await boss.page.locator('button[aria-label="Agent Desktop"]').click();
  await flex.setActivity(boss.page, 'Available');
  const offered = await flex.flexOrder('offer', { worker: boss.worker.sid, from: '+15550001111' });
  await on(boss.page, 'accept-task').first().click();
  const own = await flex.reservationIs(offered.sid, 'accepted');
  await until('the end of the listening', async () => (await flex.stats(sid)).reason === 'agent');
  await until('the call in Flex', async () => (await activeCall(boss.page)) === own.call_sid);
  await badgeSays(boss.page, 'In a call');
  assert.equal((await flex.stats(own.call_sid)).state, 'in-progress');
  assert.equal((await flex.stats(live.call_sid)).state, 'in-progress');
  await flex.endsWith(own.sid);
  await on(boss.page, 'hangup-footer').click();
  await flex.reservationIs(own.sid, 'wrapping');
  await on(agent, 'hangup-footer').click();
  await flex.reservationIs(live.sid, 'wrapping');
});

test('nothing went wrong on the pages', () => assert.deepEqual(flex.wrong(), []));
