// Keeps agents whom calls cannot reach out of the queue: while the voice client is away an available agent is in the offline
// activity, and afterwards in the one before.
import type { Activity } from '../../flex';
import { type Feature, onAction, together } from '../../outside';
import type { Say } from '../notifications/notifications';

/** In sessionStorage, so that a reload while the extension is away does not forget what the agent was doing. */
const memory = 'flexvc.activityBefore';
/** How long Flex gets to carry out a change before it is asked for again. */
const repeatAfter = 5_000;

export const activity: Feature<{ say: Say }> = ({ flex, manager, page, clock, settings, board, say, log }) => {
  const offline = settings.offlineActivitySID;
  const worker = () => manager.store.getState().flex.worker;
  const find = (sid: string | null): Activity | undefined => (sid ? worker().activities?.get(sid) : undefined);
  let asked: { sid: string; at: number } | null = null;
  let loggingOut = false;

  const before = {
    get: () => page.sessionStorage.getItem(memory),
    set: (sid: string) => page.sessionStorage.setItem(memory, sid),
    forget: () => page.sessionStorage.removeItem(memory),
  };

  function change(sid: string) {
    asked = { sid, at: clock.now() };
    flex.Actions.invokeAction('SetActivity', { activitySid: sid, byFlexvc: true }).catch((cause: unknown) => log('the activity could not be changed', cause));
  }

  function look() {
    const { away, ready } = board.get();
    const now = worker().activity;
    const known = worker().activities;
    if (!now || !known?.size) return;
    // What we asked for and Flex has not shown yet would be taken for the agent's own choice.
    if (asked && now.sid !== asked.sid && clock.now() - asked.at < repeatAfter) return;
    asked = null;
    const missing = !find(offline);
    if (missing && !board.get().offlineActivityMissing) log(`the workspace has no activity ${offline || 'for agents whose voice client is away'}`);
    board.set({ offlineActivityMissing: missing });
    if (missing) return;

    if (away && now.available && now.sid !== offline) {
      before.set(now.sid);
      change(offline);
    } else if (ready && before.get() !== null) {
      const back = find(before.get());
      if (now.sid === offline && back) return change(back.sid);
      // Already back, or the agent has chosen something else meanwhile.
      before.forget();
    } else if (away && now.sid !== offline) before.forget();
  }

  const chosenSID = (payload: Record<string, any>): string | undefined =>
    payload.activitySid ?? [...(worker().activities?.values() ?? [])].find(({ name }) => name === payload.activityName)?.sid;

  function guard(payload: Record<string, any>, abort: () => void) {
    if (payload.byFlexvc === true || loggingOut || !find(offline)) return;
    const sid = chosenSID(payload);
    if (sid === offline) {
      abort();
      say('offline_activity_chosen');
    } else if (board.get().away && sid && find(sid)?.available) {
      abort();
      before.set(sid);
      say('available_while_away');
      if (worker().activity?.sid !== offline) change(offline);
    }
  }

  look();
  return together(
    onAction({ flex }, 'beforeSetActivity', guard),
    // Leaving may end in the very activity that cannot be chosen.
    onAction({ flex }, 'beforeLogout', () => (loggingOut = true)),
    board.subscribe(look),
    manager.store.subscribe(look),
    clock.every(repeatAfter, look),
    () => {
      // An agent who was taken off the extension is not away any more.
      const back = find(before.get());
      if (back && worker().activity?.sid === offline) change(back.sid);
      before.forget();
    },
  );
};
