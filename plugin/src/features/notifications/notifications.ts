// Flex draws its notification bar over the first row of the task list, where Accept is. So ours are short, wait while a task
// is waiting to be accepted, and go away when one arrives. What lasts is shown by the badge.
import { type Outside, together } from '../../outside';
import { problemOf } from '../../state';
import { type Notice, type Problem, notices, problems } from '../../strings';
import { keyOf } from '../../words';

const shownFor = 6_000;

export type Say = (notice: Notice | Problem) => void;

export function notifications({ flex, manager, board }: Outside): { say: Say; stop: () => void } {
  const all = [...(Object.keys(problems) as Problem[]), ...(Object.keys(notices) as Notice[])];
  for (const name of all) {
    const type = name in problems ? 'warning' : name === 'voice_client_back' ? 'success' : 'information';
    // Flex reads contents as templates from its own strings, where the sentences are.
    flex.Notifications.registerNotification({ id: keyOf(name), content: keyOf(name), type, timeout: shownFor, closeButton: true });
  }

  let waiting: Notice | Problem | null = null;
  const isTaskOffered = () => [...(manager.store.getState().flex.worker.tasks?.values() ?? [])].some(({ status }) => status === 'pending');
  const hide = () => all.forEach((name) => flex.Notifications.dismissNotificationById(keyOf(name)));

  const say: Say = (notice) => {
    hide();
    if (isTaskOffered()) waiting = notice;
    else flex.Notifications.showNotificationSingle(keyOf(notice));
  };

  function sayWhatWaited() {
    if (waiting === null || isTaskOffered()) return;
    const notice = waiting;
    waiting = null;
    // A problem may be over by now.
    if (!(notice in problems) || problemOf(board.get()) === notice) flex.Notifications.showNotificationSingle(keyOf(notice));
  }

  let told: Problem | null = null;
  const tell = () => {
    const state = board.get();
    const problem = problemOf(state);
    // What passes within the grace time is not worth a word.
    if (problem !== null && problem !== told && (state.away || state.ready)) {
      told = problem;
      say(problem);
    } else if (told !== null && problem === null && state.ready) {
      told = null;
      say('voice_client_back');
    }
  };

  manager.workerClient?.addListener('reservationCreated', hide);
  return {
    say,
    stop: together(board.subscribe(tell), manager.store.subscribe(sayWhatWaited), hide, () =>
      manager.workerClient?.removeListener('reservationCreated', hide),
    ),
  };
}
