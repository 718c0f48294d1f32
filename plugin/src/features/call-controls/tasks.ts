// What Flex knows of the agent's tasks, and which of the extension's calls belongs to which.
import type { Manager, Participant, Task } from '../../flex';
import type { Call } from '../../messages';

export const isVoice = (task: Task | undefined): boolean => task?.taskChannelUniqueName === 'voice';

/** The agent's own part in the call of a task; whoever has left and joined again has two. */
export function ownLeg(task: Task | undefined): Participant | undefined {
  const own = task?.conference?.participants?.filter(({ isCurrentWorker }) => isCurrentWorker) ?? [];
  return own.find(({ status }) => status !== 'left') ?? own[0];
}

/** The task that the agent looks at. */
export function selectedTask({ store }: Manager): Task | undefined {
  const { view, worker } = store.getState().flex;
  return view?.selectedTaskSid === undefined ? undefined : worker.tasks?.get(view.selectedTaskSid);
}

/** Before Flex has the conference, its SIDs stand in the task; after a transfer, those of the agent before. */
const legOf = (task: Task | undefined): string | undefined => ownLeg(task)?.callSid ?? task?.attributes?.conference?.participants?.worker;

/** A call comes from or goes to somebody. A callback or a voicemail is a voice task, too, and has no call. */
export const isOfCall = ({ attributes }: Task): boolean => typeof attributes?.call_sid === 'string' || attributes?.direction === 'outbound';

/** The extension's calls that are no task's: somebody listens in, or Flex does not know the conference yet. */
export function unclaimed({ store }: Manager, calls: Call[]): Call[] {
  const legs = [...(store.getState().flex.worker.tasks?.values() ?? [])].map(legOf);
  return calls.filter(({ callSid }) => !legs.includes(callSid));
}

/**
 * The extension's call of a task; undefined where it has none, and where nobody can tell. Whoever means a call for sure, as a
 * hang-up does, gets the only one that may be meant.
 */
export function callOf(manager: Manager, calls: Call[], task: Task | undefined, forSure = false): Call | undefined {
  if (!task || !isVoice(task)) return undefined;
  const own = calls.find(({ callSid }) => callSid === legOf(task));
  if (own || ownLeg(task)) return own;
  const open = [...(manager.store.getState().flex.worker.tasks?.values() ?? [])].filter(({ status }) => ['pending', 'accepted', 'wrapping'].includes(status));
  const others = open.filter((other) => other.sid !== task.sid && isVoice(other) && ownLeg(other) === undefined && isOfCall(other));
  const free = unclaimed(manager, calls);
  return (forSure || isOfCall(task)) && others.length === 0 && free.length === 1 ? free[0] : undefined;
}

/** The task of a call; undefined where the call is no task's. */
export const taskOfCall = ({ store }: Manager, { callSid }: Pick<Call, 'callSid'>): Task | undefined =>
  [...(store.getState().flex.worker.tasks?.values() ?? [])].find((task) => legOf(task) === callSid);
