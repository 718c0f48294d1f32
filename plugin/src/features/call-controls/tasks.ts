// What Flex knows of the agent's tasks.
import type { Manager, Participant, Task } from '../../flex';

export const isVoice = (task: Task | undefined): boolean => task?.taskChannelUniqueName === 'voice';

/** The agent's own part in the call of a task. */
export const ownLeg = (task: Task | undefined): Participant | undefined => task?.conference?.participants?.find(({ isCurrentWorker }) => isCurrentWorker);

/** The task that the agent looks at. */
export function selectedTask({ store }: Manager): Task | undefined {
  const { view, worker } = store.getState().flex;
  return view?.selectedTaskSid === undefined ? undefined : worker.tasks?.get(view.selectedTaskSid);
}
