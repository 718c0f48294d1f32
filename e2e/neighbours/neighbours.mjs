// Plugins of others, as their installations have them, written from what is known of how they behave. Each is a function that
// runs in the page as the plugin's init; the test takes it off the list again with leave().
import { startFlex, until } from '../flex/world.mjs';

/** A bundle as Flex loads it: one classic script. */
const bundle = (name, init) =>
  `Twilio.Flex.Plugins.init(class { constructor() { this.name = ${JSON.stringify(name)}; } init(flex, manager) { return (${init})(flex, manager); } });`;

/** startFlex() with our plugin for an enabled agent, and neighbours that come and go. */
export async function startNeighbourhood(options) {
  const flex = await startFlex(options);
  const names = new Set();
  const list = async (name, source, phase) => {
    names.add(name);
    await flex.flexOrder('plugin', { name, version: '1.0.0', source, phase });
  };
  await flex.enable(true);
  return Object.assign(flex, {
    /** What the administrator adds to the workspace for the neighbours. */
    async addActivity(name, available) {
      const { account_sid, auth_token, workspace_sid } = await flex.control('account');
      const answer = await fetch(`${flex.url}/taskrouter.twilio.com/v1/Workspaces/${workspace_sid}/Activities`, {
        method: 'POST',
        headers: { Authorization: `Basic ${btoa(`${account_sid}:${auth_token}`)}` },
        body: new URLSearchParams({ FriendlyName: name, Available: String(available) }),
      });
      if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
      return (await answer.json()).sid;
    },
    /** What Flex, whoever asked it, has changed of the agent's activity after the request of that number. */
    async activityChanges(after) {
      const { activities } = await flex.control('state');
      const requests = await flex.flexOrder('requests', { after });
      return requests
        .filter(({ status, params, url }) => status === 200 && params?.ActivitySid && url.endsWith(`/Workers/${flex.worker.sid}`))
        .map(({ params }) => activities.find(({ sid }) => sid === params.ActivitySid).friendly_name);
    },
    lastRequest: async () => (await flex.flexOrder('requests')).at(-1)?.number ?? 0,
    /** Lists a neighbour behind all that are listed already. */
    moveIn: (name, init, phase = 3) => list(name, bundle(name, init), phase),
    /** The same for a script as it stands. */
    moveInScript: (name, source, phase = 3) => list(name, source, phase),
    async leave() {
      for (const name of names) await flex.flexOrder('plugin', { name });
      names.clear();
      await flex.flexOrder('plugin', { name: 'flexvc' });
    },
  });
}

/** What an agent sees and does on a page. */
export const desk = (flex, page) => {
  const part = (name) => page.locator(`[data-flexvc=${name}]`);
  const $ = (id) => page.locator(`[data-testid=${id}]`);
  const activeCall = () => flex.flexState(page, 'flex.phone.activeCall?.parameters.CallSid');
  return {
    page, part, $, activeCall,
    badgeSays: (title) => until(`a badge that says ${title}`, async () => (await part('badge').locator('[role=status]').innerText()) === title),
    /** A call that is offered, accepted in Flex and open in the extension. */
    async accepted(more) {
      const { sid } = await flex.offer(more);
      await $('accept-task').first().click();
      const live = await flex.reservationIs(sid, 'accepted');
      await until('the call in Flex', async () => (await activeCall()) === live.call_sid);
      await flex.endsWith(sid);
      return live;
    },
    async complete(sid) {
      await flex.reservationIs(sid, 'wrapping');
      await $('end-task-button').filter({ hasText: 'Complete' }).click();
      await flex.reservationIs(sid, 'completed');
    },
    invoke: (action, payload) => page.evaluate(([action, payload]) => Twilio.Flex.Actions.invokeAction(action, payload).then(() => 'done', String), [action, payload]),
  };
};

/**
 * activity-reservation-handler: an agent with a task is in an activity that says so. In wrap-up it refuses every other, remembers
 * what was asked for, and asks for that when the wrap-up is over.
 */
export function reservationHandler(flex, manager) {
  const worker = () => manager.store.getState().flex.worker;
  const statuses = () => [...worker().tasks.values()].map(({ status }) => status);
  const phase = () => (statuses().includes('accepted') ? 'On a Task' : statuses().includes('wrapping') ? 'Wrap Up' : null);
  const set = (activityName) => flex.Actions.invokeAction('SetActivity', { activityName, isInvokedByPlugin: true }).catch(() => {});
  let pending = null;
  let shown = phase();
  flex.Actions.addListener('beforeSetActivity', (payload, abort) => {
    if (payload.isInvokedByPlugin || phase() !== 'Wrap Up') return;
    abort();
    pending = payload.activityName;
    set('Wrap Up, No ACD');
  });
  manager.store.subscribe(() => {
    const now = phase();
    if (now === shown) return;
    if (shown === null) pending = worker().activity.name;
    shown = now;
    set(now ?? pending);
  });
}

/** callback: a voice task of a channel that has no call. "Place Call Now" calls out, "Retry Later" wraps the task up. */
export function callback(flex) {
  const isCallback = (task) => task.taskChannelUniqueName === 'voice' && task.attributes.taskType === 'callback';
  flex.TaskChannels.register(flex.DefaultTaskChannels.createDefaultTaskChannel('callback', isCallback, 'Call', 'Call', 'blue'));
  window.callback = {
    placeCallNow: () => flex.Actions.invokeAction('StartOutboundCall', { destination: '+15557654321' }),
    async retryLater() {
      const task = [...flex.Manager.getInstance().store.getState().flex.worker.tasks.values()].find(isCallback);
      await flex.Actions.invokeAction('WrapupTask', { task, sid: task.sid });
      await flex.Actions.invokeAction('CompleteTask', { task, sid: task.sid });
    },
  };
}

/** hang-up-by: who ended the call; whoever did not hang up through Flex was the customer. */
export function hangUpBy(flex, manager) {
  window.hungUpBy = [];
  let agent = false;
  flex.Actions.addListener('beforeHangupCall', () => void (agent = true));
  manager.events.addListener('taskWrapup', () => {
    window.hungUpBy.push(agent ? 'Agent' : 'Customer');
    agent = false;
  });
}

/** pause-recording: pauses while the agent types a card number, that is before keys are sent, and not while muted. */
export function pauseRecording(flex) {
  window.paused = [];
  flex.Actions.addListener('beforeSendDTMFDigits', ({ digits }) => void window.paused.push(digits));
  flex.Actions.addListener('afterToggleMute', () => void window.paused.push('mute'));
}

/** ring-notification: tells of each call that is offered, and stops with the answer. */
export function ringNotification(flex, manager) {
  window.rings = [];
  manager.workerClient.on('reservationCreated', (reservation) => {
    window.rings.push('ring');
    for (const event of ['accepted', 'rejected', 'timeout', 'canceled', 'rescinded']) reservation.on(event, () => window.rings.push(event));
  });
}

/** agent-automation: accepts by itself what is offered, and completes it some time after the wrap-up began. */
export function agentAutomation(flex, manager) {
  manager.events.addListener('taskReceived', (task) => void flex.Actions.invokeAction('AcceptTask', { task, sid: task.sid }).catch(() => {}));
  manager.events.addListener('taskWrapup', (task) => void setTimeout(() => flex.Actions.invokeAction('CompleteTask', { task, sid: task.sid }).catch(() => {}), 1_000));
}

/** multi-call: puts the call in Flex's state by the same actions of the store as we do, and lets go of it with each end. */
export function multiCall(flex, manager) {
  window.calls = [];
  let known;
  manager.store.subscribe(() => {
    const { activeCall } = manager.store.getState().flex.phone;
    if (activeCall === known) return;
    known = activeCall;
    window.calls.push(activeCall?.parameters.CallSid ?? null);
    activeCall?.on('disconnect', () => window.calls.push('disconnect'));
  });
}

/**
 * multi-call, with two: it remembers the calls that come into Flex's state, puts that of the task which is opened there by the same
 * action of the store as we do, and another one when one ends. Customers wait on hold while another is accepted or taken off hold.
 */
export function twoCalls(flex, manager) {
  const { store } = manager;
  const state = () => store.getState().flex;
  const known = new Map();
  const legOf = (task) => task?.conference?.participants.find(({ isCurrentWorker, status }) => isCurrentWorker && status === 'joined')?.callSid;
  const put = (call) => void (call && call !== state().phone.activeCall && store.dispatch({ type: 'PHONE_ADD_CALL', payload: call }));
  store.subscribe(() => {
    const { activeCall } = state().phone;
    const callSid = activeCall?.parameters.CallSid;
    if (!callSid || known.get(callSid) === activeCall) return;
    known.set(callSid, activeCall);
    activeCall.on('disconnect', () => {
      known.delete(callSid);
      put([...known.values()].at(-1));
    });
  });
  flex.Actions.addListener('afterSelectTask', ({ task, sid }) => put(known.get(legOf(task ?? state().worker.tasks.get(sid)))));
  const holdOthers = async ({ task, sid }) => {
    for (const other of state().worker.tasks.values()) {
      const customer = other.conference?.participants.find(({ participantType }) => participantType === 'customer');
      if (other.sid === (sid ?? task.sid) || other.status !== 'accepted' || !customer || customer.onHold) continue;
      await flex.Actions.invokeAction('HoldCall', { task: other, sid: other.sid });
    }
  };
  for (const event of ['beforeAcceptTask', 'beforeUnholdCall']) flex.Actions.addListener(event, holdOthers);
}

/**
 * sip-support: an agent with a desk phone has no call in the page; mute and hang-up are the conference's. The test plays the
 * function that ends a participant's call with the account's credentials.
 */
export function sipSupport(flex, manager) {
  const isSip = () => /^sip:/.test(manager.workerClient.attributes.contact_uri);
  const own = ({ task, sid }) => task ?? manager.store.getState().flex.worker.tasks.get(sid ?? manager.store.getState().flex.view.selectedTaskSid);
  let muted = false;
  flex.Actions.addListener('beforeToggleMute', async (payload, abort) => {
    if (!isSip()) return;
    abort();
    const task = own(payload);
    await flex.Actions.invokeAction('UpdateWorkerParticipant', { task, sid: task.sid, options: { mute: (muted = !muted) } });
  });
  flex.Actions.addListener('beforeHangupCall', async (payload, abort) => {
    if (!isSip()) return;
    abort();
    const task = own(payload);
    const { callSid } = task.conference.participants.find(({ isCurrentWorker }) => isCurrentWorker);
    await window.endParticipant(task.conference.conferenceSid, callSid);
  });
}
