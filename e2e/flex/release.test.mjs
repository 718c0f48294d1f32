// What every release of Flex UI 2 must do with the plugin, FLEX_UI naming the release: calls with the extension's call in Flex's
// own place, and calls where Flex does not take it there, in which our own buttons stand in and Join Call is not beside them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { deafness, startFlex, until } from './world.mjs';

const each = { timeout: 300_000 };
let flex, page;

const $ = (id) => page.locator(`[data-testid=${id}]`);
const part = (name) => page.locator(`[data-flexvc=${name}]`);
const badgeSays = (title) => until(`a badge that says ${title}`, async () => (await part('badge').locator('[role=status]').innerText()) === title);
const activeCall = () => flex.flexState(page, 'flex.phone.activeCall?.parameters.CallSid');
const invoke = (action, payload) => page.evaluate(([action, payload]) => Twilio.Flex.Actions.invokeAction(action, payload).then(() => 'done', String), [action, payload]);

/** The conference is in Flex, and Flex has told whether it ends with the agent: a call that ends before it makes Flex throw. */
const settled = ({ sid }) => until('Flex to have told of the conference', async () =>
  (await flex.flexOrder('requests')).some(({ url, params, status }) => url.endsWith('/WorkerParticipant') && params.ReservationSid === sid && status === 200) ||
  flex.flexState(page, "[...flex.worker.tasks.values()][0]?.conference?.participants.filter((p) => p.status === 'joined').length === 2"));

async function accepted() {
  const { sid } = await flex.offer();
  await $('accept-task').first().click();
  const live = await flex.reservationIs(sid, 'accepted');
  return live;
}

async function complete({ sid }) {
  await flex.reservationIs(sid, 'wrapping');
  await invoke('CompleteTask', { sid });
  await flex.reservationIs(sid, 'completed');
}

/** How many calls have rung the agent. */
const rung = async () => (await flex.order('events')).filter(({ kind, identity }) => kind === 'call.ringing' && identity === flex.identity).length;

/** A release of Flex that has done away with the place for a call: in the list before ours. */
const withoutThePlace = `Twilio.Flex.Plugins.init(class {
  constructor() { this.name = 'without-the-place'; }
  init(flex, { store }) {
    const { dispatch } = store;
    store.dispatch = (action) => (/^PHONE_/.test(action?.type) ? action : dispatch(action));
  }
});`;

/** Runs before anything on a page: whether Join Call was ever shown beside our buttons, and when each came. */
function watch() {
  window.seen = { together: 0, own: null, join: null };
  const look = () => {
    const own = document.querySelector('.Twilio-TaskCanvas [data-flexvc=hang-up], .Twilio-CallCanvas [data-flexvc=hang-up]') !== null;
    const join = [...document.querySelectorAll('button')].some((button) => button.dataset.testid === 'join-call' || /^join call$/i.test(button.textContent.trim()));
    window.seen.together += own && join;
    if (own) window.seen.own ??= performance.now();
    if (join) window.seen.join ??= performance.now();
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

before(async () => {
  flex = await startFlex();
  await flex.deployPlugin();
  await flex.enable(true);
});
after(() => flex?.stop());

test('Flex starts, the badge is ready, and contact_uri points at the extension', each, async (t) => {
  page = await flex.openFlex({ script: deafness });
  t.diagnostic(`Flex UI ${await page.evaluate(() => Twilio.Flex.VERSION)}`);
  await badgeSays('Voice ready');
  await until('contact_uri', async () => JSON.parse((await flex.workerNow()).attributes).contact_uri === `client:${flex.identity}`);
  await flex.setActivity(page, 'Available');
});

test('a call: Flex\'s own mute and hang-up act on the extension, also after a reload', each, async () => {
  const live = await accepted();
  await until('the call in Flex', async () => (await activeCall()) === live.call_sid);
  await badgeSays('In a call');
  await $('mute-call').click();
  await badgeSays('Muted');
  await $('mute-call').click();
  await badgeSays('In a call');
  assert.equal(await invoke('SendDTMFDigits', { sid: live.sid, digits: '5' }), 'done');
  await until('a five', async () => (await flex.stats(live.call_sid)).digits?.some(({ key }) => key === '5'));
  await settled(live);
  await page.reload();
  await flex.booted(page);
  await until('the call in Flex again', async () => (await activeCall()) === live.call_sid);
  assert.equal((await flex.stats(live.call_sid)).state, 'in-progress');
  await flex.picture(page, 'release-1-call');
  await $('hangup-footer').click();
  await until('the end of the call', async () => (await flex.stats(live.call_sid)).reason === 'agent');
  await complete(live);
  await badgeSays('Voice ready');
});

test('a call out', each, async () => {
  assert.equal(await invoke('StartOutboundCall', { destination: '+15557654321' }), 'done');
  const live = await until('an outbound task', async () => (await flex.flexOrder('reservations')).find((r) => r.outbound && r.status === 'accepted'));
  await until('the call in Flex', async () => (await activeCall()) === live.call_sid);
  await settled(live);
  await $('hangup-footer').click();
  await complete(live);
});

test('the extension goes and comes back: the agent is out of the queue meanwhile', each, async () => {
  await page.evaluate(() => (window.deaf = true));
  await until('the offline activity', async () => (await flex.workerNow()).activity === 'Unavailable');
  await page.evaluate(() => (window.deaf = false));
  await until('Available', async () => (await flex.workerNow()).activity === 'Available');
  assert.deepEqual(flex.wrong(), []);
  await page.close();
});

for (const [order, late] of [['the extension tells of the call first', '1500ms'], ['Flex knows of the conference first', '0s']]) {
  test(`where Flex takes no call of ours, and ${order}: our buttons alone`, each, async (t) => {
    await flex.flexOrder('plugin', { name: 'flexvc' });
    await flex.flexOrder('plugin', { name: 'without-the-place', version: '1.0.0', phase: 1, source: withoutThePlace });
    await flex.deployPlugin();
    await flex.flexOrder('settings', { accept_delay: late });
    page = await flex.openFlex({ script: `(${deafness})(); (${watch})();` });
    await badgeSays('Voice ready');
    if ((await flex.workerNow()).activity !== 'Available') await flex.setActivity(page, 'Available');
    const ringsBefore = await rung();
    const { sid } = await flex.offer();
    // An accepted call that the page hears nothing of yet: shorter than an outage.
    if (late === '0s') await page.evaluate(() => Twilio.Flex.Actions.addListener('afterAcceptTask', () => {
      window.deaf = true;
      setTimeout(() => (window.deaf = false), 1_500);
    }));
    await $('accept-task').first().click();
    const live = await flex.reservationIs(sid, 'accepted');
    await part('hang-up').first().waitFor();
    assert.equal(await activeCall(), undefined);
    await settled(live);
    await flex.picture(page, `release-2-own-buttons-${late}`);
    await part('mute').first().click();
    await badgeSays('Muted');
    await part('mute').first().click();
    await badgeSays('In a call');
    const seen = await page.evaluate(() => window.seen);
    t.diagnostic(`Join Call ${seen.join === null ? 'never' : `at ${Math.round(seen.join)} ms`}, our buttons at ${Math.round(seen.own)} ms`);
    assert.equal(seen.together, 0, 'pictures with Join Call beside our buttons');
    assert.equal(seen.join, null, 'Join Call for a call that the extension holds');
    assert.equal((await rung()) - ringsBefore, 1, 'calls that rang the agent');
    await part('hang-up').first().click();
    await until('the end of the call', async () => (await flex.stats(live.call_sid)).reason === 'agent');
    await complete(live);
    await badgeSays('Voice ready');
    assert.deepEqual(flex.wrong(), []);
    await page.close();
    await flex.flexOrder('plugin', { name: 'without-the-place' });
  });
}
