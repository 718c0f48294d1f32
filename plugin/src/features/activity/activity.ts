// Keeps agents whom calls cannot reach out of the queue: while the voice client is away an available agent is in the offline
// activity, and afterwards in the one before. Other plugins change activities too, and so do other tabs and browsers of the same
// agent: nobody's change is refused, and nothing is done twice in an outage.
import type { Activity, Task } from '../../flex';
import { type Feature, onAction, together } from '../../outside';
import { isVoice } from '../call-controls/tasks';
import type { Say } from '../notifications/notifications';
import { createMemory } from './memory';

/** A change that is under way is asked for again once Flex must have lost it. */
const lostAfter = 10_000;
/** How long Flex, and a plugin that has refused, get before a change is asked for again. */
const repeatAfter = 5_000;
/** Whoever has returned within this time has to be ready for longer and longer before the next time. */
const flapsWithin = 10 * 60_000;
const steadyAtMost = 60_000;
const strandedAfter = 3_000;
/** From a click in a menu to the change that it asks for. */
const handWithin = 1_000;

export const activity: Feature<{ say: Say }> = ({ flex, manager, page, clock, settings, board, say, log }) => {
  const offline = settings.offlineActivitySID;
  const memory = createMemory(page, manager.workerClient!.sid, clock);
  const worker = () => manager.store.getState().flex.worker;
  const find = (sid: string | null | undefined): Activity | undefined => (sid ? worker().activities?.get(sid) : undefined);
  const tasks = (...states: string[]): Task[] => [...(worker().tasks?.values() ?? [])].filter(({ status }) => states.includes(status));
  const isBusy = () => tasks('accepted', 'wrapping').length > 0;

  let asked: { sid: string; at: number; underWay: boolean } | null = null;
  /** Asked for on the way back. Flex may show it only in the next outage. */
  let returning: string | null = null;
  let notBefore = 0;
  /** Another plugin would not let the agent go yet, and may remember that we asked. */
  let putOff = false;
  /** Of this outage: the agent was in the offline activity, and then somebody else made the agent available. */
  let wasOut = false;
  let overruled = false;
  let readySince: number | null = null;
  let quietSince: number | null = null;
  let strandedSince: number | null = null;
  let offlineSince: number | null = null;
  let took = false;
  /** When outages ended, whoever ended them. */
  let returns: number[] = [];
  let handAt = -Infinity;
  let loggingOut = false;

  function ask(sid: string, underWay = false) {
    asked = { sid, at: clock.now(), underWay };
    returning = sid === offline ? null : sid;
  }

  function change(sid: string, options = {}) {
    ask(sid, true);
    const mine = asked!;
    putOff = false;
    flex.Actions.invokeAction('SetActivity', { activitySid: sid, byFlexvc: true, options }).then(
      () => (mine.underWay = false),
      (cause: unknown) => {
        if (asked === null || asked === mine) asked = returning = null;
        notBefore = clock.now() + repeatAfter;
        putOff = sid === offline;
        log('the activity could not be changed', cause);
      },
    );
  }

  /** All the calls the agent may have are there: nobody offers another, whatever the activity. */
  function isFull(): boolean {
    const channels = [...(manager.workerClient!.channels?.values() ?? [])];
    const capacity = channels.find(({ taskChannelUniqueName }) => taskChannelUniqueName === 'voice')?.capacity;
    return capacity !== undefined && tasks('accepted', 'wrapping').filter(isVoice).length >= capacity;
  }

  /** Where to go back to from an activity: not to one that only a task's plugin chooses. */
  const returnFrom = ({ sid }: Activity) => (isBusy() && find(memory.resting()) ? memory.resting() : sid);

  function leave(now: Activity) {
    if (wasOut && now.available) overruled = true;
    wasOut ||= now.sid === offline;
    if (!now.available) {
      // The agent has chosen something else meanwhile.
      if (now.sid !== offline && !putOff) memory.setBefore(null);
      return;
    }
    // The first tab that runs without the extension must not take away an agent whom calls reach in another.
    if (!board.get().heard || overruled || isFull() || clock.now() < notBefore) return;
    const pending = tasks('pending');
    // Going away would reject them, of whatever channel: the agent may still answer these.
    if (pending.some((task) => !isVoice(task))) return;
    memory.setBefore(returnFrom(now));
    took = true;
    change(offline, { rejectPendingReservations: pending.length > 0 });
  }

  function isBack() {
    returning = null;
    took = false;
    if (wasOut) returns.push(clock.now());
    wasOut = false;
  }

  function comeBack(now: Activity) {
    overruled = false;
    if (now.sid !== offline) isBack();
    const back = find(memory.before());
    if (!back) return;
    returns = returns.filter((at) => clock.now() - at < flapsWithin);
    const steady = returns.length === 0 ? 0 : Math.min(steadyAtMost, 1_250 * 4 ** returns.length);
    offlineSince = now.sid === offline ? (offlineSince ?? clock.now()) : null;
    // Another tab has taken the agent out: this one may be about to notice the same outage.
    if (now.sid === offline && !wasOut && !took && clock.now() - offlineSince! < 4_000) return;
    if (now.sid === offline) {
      // Twilio refuses a change while one is pending.
      const mayNot = clock.now() - readySince! < steady || clock.now() < notBefore || tasks('pending').length > 0;
      if (!mayNot) change(back.sid);
    } else if (putOff && !now.available) {
      // Whoever has put it off asks for it, and is given the activity before; unless that was forgotten.
      if (quietSince !== null && clock.now() - quietSince >= repeatAfter) change(back.sid);
    } else {
      putOff = false;
      memory.setBefore(null);
    }
  }

  /** Nobody knows what the agent was doing: another browser did not say. The agent does. */
  function tellStranded(now: Activity) {
    const known = [...(worker().activities?.values() ?? [])];
    const back = find(memory.resting()) ?? known.find(({ available, sid }) => available && sid !== offline);
    const isStranded = board.get().ready && now.sid === offline && !find(memory.before()) && asked === null;
    strandedSince = isStranded ? (strandedSince ?? clock.now()) : null;
    // Another tab may be about to bring the agent back.
    const tell = strandedSince !== null && clock.now() - strandedSince >= strandedAfter;
    board.set({ stranded: tell ? (back?.sid ?? null) : null });
  }

  function look() {
    const { away, ready } = board.get();
    const now = worker().activity;
    const known = worker().activities;
    readySince = ready ? (readySince ?? clock.now()) : null;
    quietSince = isBusy() ? null : (quietSince ?? clock.now());
    if (!now || !known?.size) return;
    memory.keep();
    // What we asked for and Flex has not shown yet would be taken for the agent's own choice.
    if (asked && now.sid !== asked.sid && clock.now() - asked.at < (asked.underWay ? lostAfter : repeatAfter)) return;
    // The outage may be over by now; it was one all the same.
    if (asked && now.sid === offline && asked.sid === offline) wasOut = true;
    asked = null;
    if (now.sid === returning) isBack();
    const missing = !find(offline);
    if (missing && !board.get().offlineActivityMissing) log(`the workspace has no activity ${offline || 'for agents whose voice client is away'}`);
    board.set({ offlineActivityMissing: missing });
    if (missing) return;
    if (now.available && now.sid !== offline && !isBusy()) memory.setResting(now.sid);
    if (away) leave(now);
    else if (ready) comeBack(now);
    tellStranded(now);
  }

  const chosenSID = (payload: Record<string, any>): string | undefined =>
    payload.activitySid ?? [...(worker().activities?.values() ?? [])].find(({ name }) => name === payload.activityName)?.sid;

  /** Not aborted: whoever asked goes on as if it were done. Flex has put all three into the payload by now. */
  function redirect(payload: Record<string, any>, { sid, name, available }: Activity) {
    Object.assign(payload, { activitySid: sid, activityName: name, activityAvailable: available, byFlexvc: true });
    if (sid === worker().activity?.sid) return;
    // TaskRouter would reject what is pending on the way.
    payload.options = { ...payload.options, rejectPendingReservations: false };
    ask(sid);
  }

  function guard(payload: Record<string, any>) {
    const now = worker().activity;
    const wanted = find(chosenSID(payload));
    if (payload.byFlexvc === true || loggingOut || !now || !wanted || !find(offline)) return;
    const { ready, away, heard } = board.get();
    const byHand = clock.now() - handAt < handWithin;
    if (wanted.sid !== offline && byHand) {
      putOff = false;
      memory.setBefore(null);
    }
    if (wanted.sid === offline) guardOffline(payload, now, ready, byHand);
    else if (away && wanted.available && (heard ? !isFull() : byHand && !now.available)) {
      memory.setBefore(returnFrom(wanted));
      redirect(payload, find(offline)!);
      say('available_while_away');
    }
  }

  function guardOffline(payload: Record<string, any>, now: Activity, ready: boolean, byHand: boolean) {
    const back = find(memory.before());
    if (!ready) {
      if (now.available) memory.setBefore(returnFrom(now));
    } else if (back) {
      // Ours, that somebody put off until now.
      putOff = false;
      memory.setBefore(null);
      redirect(payload, back);
    } else if (byHand) {
      redirect(payload, now);
      say('offline_activity_chosen');
    }
  }

  function watchHand({ target }: Event) {
    if ((target as Partial<Element> | null)?.closest?.('[role^=menuitem],[role=option]')) handAt = clock.now();
  }

  page.addEventListener('click', watchHand, true);
  look();
  return together(
    () => page.removeEventListener('click', watchHand, true),
    onAction({ flex }, 'beforeSetActivity', guard),
    // Leaving may end in the very activity that cannot be chosen.
    onAction({ flex }, 'beforeLogout', () => (loggingOut = true)),
    board.subscribe(look),
    manager.store.subscribe(look),
    clock.every(repeatAfter, look),
    () => {
      // An agent who was taken off the extension is not away any more.
      const back = find(memory.before());
      if (back && worker().activity?.sid === offline) change(back.sid);
      memory.setBefore(null);
      memory.stop();
    },
  );
};
