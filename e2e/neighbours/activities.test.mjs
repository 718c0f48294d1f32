// An outage of the voice client beside a plugin that decides about activities, other tabs and other browsers of the same agent:
// the agent ends up available, with few changes, and nothing else that is offered is lost.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { deafness, until } from '../flex/world.mjs';
import { desk, reservationHandler, startNeighbourhood } from './neighbours.mjs';

let flex, offline;

const each = { timeout: 300_000 };
const activity = async () => (await flex.workerNow()).activity;
const available = () => until('Available', async () => (await activity()) === 'Available', 10_000);
const seconds = (n) => new Promise((then) => setTimeout(then, n * 1_000));

before(async () => {
  flex = await startNeighbourhood();
  offline = await flex.addActivity('Voice Client Offline', false);
  for (const [name, takesTasks] of [['On a Task', true], ['Wrap Up', true], ['Wrap Up, No ACD', false]]) await flex.addActivity(name, takesTasks);
});
after(() => flex?.stop());

/** Flex, with ours before the neighbours; the agent is available. */
async function open({ handler = false, calls = 1 } = {}) {
  await flex.flexOrder('settings', { voice_tasks: calls });
  await flex.deployPlugin({ offlineActivitySID: offline });
  if (handler) await flex.moveIn('activity-reservation-handler', reservationHandler);
  const page = await flex.openFlex({ script: deafness });
  const at = desk(flex, page);
  await at.badgeSays('Voice ready');
  if ((await activity()) !== 'Available') await flex.setActivity(page, 'Available');
  return at;
}

/** The extension is not heard on these pages for a while. */
async function outage(pages, lasts = 5) {
  for (const page of pages) await page.evaluate(() => (window.deaf = true));
  await seconds(lasts);
  for (const page of pages) await page.evaluate(() => (window.deaf = false));
}

const deselect = (page) => page.evaluate(() => Twilio.Flex.Actions.invokeAction('SelectTask', { sid: undefined }));

const taskAction = (page, action, sid) => page.evaluate(([action, sid]) => {
  const task = [...Twilio.Flex.Manager.getInstance().store.getState().flex.worker.tasks.values()].find((task) => task.sid === sid);
  return Twilio.Flex.Actions.invokeAction(action, { task, sid });
}, [action, sid]);

/** A chat that the agent has accepted and looks at. */
async function chatting(page) {
  const { sid } = await flex.offer({ channel: 'chat' });
  await until('the chat in Flex', () => page.evaluate((sid) => Twilio.Flex.Manager.getInstance().store.getState().flex.worker.tasks.has(sid), sid));
  await taskAction(page, 'AcceptTask', sid);
  await flex.reservationIs(sid, 'accepted');
  await page.evaluate((sid) => Twilio.Flex.Actions.invokeAction('SelectTask', { sid }), sid);
  await until('On a Task', async () => (await activity()) === 'On a Task');
  return sid;
}

async function finish(page, sid) {
  await taskAction(page, 'WrapupTask', sid);
  await flex.reservationIs(sid, 'wrapping');
  await taskAction(page, 'CompleteTask', sid);
  await flex.reservationIs(sid, 'completed');
}

async function leave(...pages) {
  assert.deepEqual(flex.wrong(), []);
  for (const page of pages) await page.close();
  await flex.leave();
}

const moments = ['idle', 'in a task', 'in wrap-up'];
const surroundings = ['task selected', 'nothing selected', 'two tabs', 'a second browser'];

for (const calls of [1, 2]) {
  for (const moment of moments) {
    for (const around of surroundings) {
      if (moment === 'idle' && calls === 2) continue;
      test(`an outage ${moment}, ${around}, with room for ${calls} ${calls === 1 ? 'call' : 'calls'}: the agent is available again`, each, async () => {
        const at = await open({ handler: true, calls });
        const tabs = [at.page];
        let beside;
        if (around === 'two tabs') {
          tabs.push(await flex.openFlex({ script: deafness, beside: true }));
          await desk(flex, tabs[1]).badgeSays('Voice ready');
          await at.page.bringToFront();
        }
        if (around === 'a second browser') beside = await flex.openColleague(flex.worker);
        let live;
        if (moment !== 'idle') {
          live = await at.accepted();
          await until('On a Task', async () => (await activity()) === 'On a Task');
        }
        if (moment === 'in wrap-up') {
          await at.$('hangup-footer').click();
          await flex.reservationIs(live.sid, 'wrapping');
          await until('Wrap Up', async () => (await activity()) === 'Wrap Up');
        }
        // Whoever has no call may be in a chat.
        const chat = moment === 'idle' && around === 'task selected' ? await chatting(at.page) : null;
        if (around === 'nothing selected') await deselect(at.page);

        const [before, was] = [await flex.lastRequest(), await activity()];
        await outage(tabs);
        if (moment === 'idle') await available();
        await at.badgeSays(moment === 'in a task' ? 'In a call' : 'Voice ready');
        const changed = await flex.activityChanges(before);
        if (live) {
          await at.page.evaluate((sid) => Twilio.Flex.Actions.invokeAction('SelectTask', { sid }), live.sid);
          if (moment === 'in a task') await at.$('hangup-footer').click();
          await at.complete(live.sid);
          await available();
        }
        // Two tabs that ask for the same are one change, and asking for what there is is none.
        const distinct = changed.filter((name, i) => name !== [was, ...changed][i]);
        assert.ok(distinct.length <= 3, `${changed}`);
        if (chat) {
          assert.equal((await flex.reservation(chat)).status, 'accepted', 'no reservation of another channel is lost');
          await finish(at.page, chat);
          await available();
        }
        if (calls === 1 && live) assert.deepEqual(distinct, [], 'nobody could have offered the agent a call');
        await beside?.close();
        await leave(...tabs);
      });
    }
  }
}

test('a chat that is offered outlives an outage, and is still there to be taken', each, async () => {
  const at = await open();
  const { sid } = await flex.offer({ channel: 'chat' });
  await flex.reservationIs(sid, 'pending');
  const before = await flex.lastRequest();
  await outage([at.page], 6);
  await at.badgeSays('Voice ready');
  assert.equal((await flex.reservation(sid)).status, 'pending');
  assert.deepEqual(await flex.activityChanges(before), []);
  // Once it is answered nothing holds the agent.
  await at.page.evaluate(() => (window.deaf = true));
  await seconds(5);
  assert.equal(await activity(), 'Available');
  await at.page.evaluate((sid) => {
    const task = [...Twilio.Flex.Manager.getInstance().store.getState().flex.worker.tasks.values()].find((task) => task.sid === sid);
    return Twilio.Flex.Actions.invokeAction('RejectTask', { task, sid });
  }, sid);
  await until('the offline activity', async () => (await activity()) === 'Voice Client Offline');
  await at.page.evaluate(() => (window.deaf = false));
  await available();
  await leave(at.page);
});

test('"My tab was behind the CRM all morning": an extension that goes is missed where Chrome calls the page late, too', each, async () => {
  await flex.deployPlugin({ offlineActivitySID: offline });
  const late = `(${deafness})(); { const every = setInterval; window.setInterval = (task, ms, ...rest) => every(task, ms === 1_000 ? 4_000 : ms, ...rest); }`;
  const at = desk(flex, await flex.openFlex({ script: late }));
  await at.badgeSays('Voice ready');
  if ((await activity()) !== 'Available') await flex.setActivity(at.page, 'Available');
  await at.page.evaluate(() => (window.deaf = true));
  await until('the offline activity', async () => (await activity()) === 'Voice Client Offline');
  await at.page.evaluate(() => (window.deaf = false));
  await available();
  await leave(at.page);
});

test('a browser without the extension does not take a healthy agent out of the queue', each, async () => {
  const at = await open();
  const before = await flex.lastRequest();
  const beside = await flex.openColleague(flex.worker);
  await desk(flex, beside.page).badgeSays('No voice extension');
  await seconds(5);
  assert.equal(await activity(), 'Available');
  assert.deepEqual(await flex.activityChanges(before), []);
  await beside.close();
  await leave(at.page);
});

test('an agent whose browser crashed in an outage is brought back by the next one, and on another PC with one click', each, async () => {
  const at = await open();
  await at.page.evaluate(() => (window.deaf = true));
  await until('the offline activity', async () => (await activity()) === 'Voice Client Offline');
  await at.page.close();
  const next = desk(flex, await flex.openFlex({ script: deafness }));
  await available();
  await next.page.evaluate(() => (window.deaf = true));
  await until('the offline activity', async () => (await activity()) === 'Voice Client Offline');
  await next.page.evaluate(() => localStorage.removeItem(Object.keys(localStorage).find((key) => key.startsWith('flexvc.activity'))));
  await next.page.close();
  const elsewhere = desk(flex, await flex.openFlex({ script: deafness }));
  await elsewhere.badgeSays('Not taking calls');
  await flex.picture(elsewhere.page, 'neighbours-1-stranded');
  await elsewhere.part('take-calls').click();
  await available();
  await elsewhere.badgeSays('Voice ready');
  await leave(elsewhere.page);
});
