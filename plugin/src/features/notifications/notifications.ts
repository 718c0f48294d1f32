// Flex draws its notification bar over the first row of the task list, where Accept is. So ours are short, wait while a task
// is waiting to be accepted, and go away when one arrives. What lasts is shown by the badge.
import { type Outside, together } from '../../outside';
import { problemOf } from '../../state';
import { type Notice, type Problem, notices, problems } from '../../strings';

const shownFor = 6_000;

export type Say = (notice: Notice | Problem) => void;

const idOf = (notice: Notice | Problem) => `flexvc.${notice}`;

export function notifications({ flex, manager, board }: Outside): { say: Say; stop: () => void } {
  const sentences: [Notice | Problem, string, string][] = [
    ...Object.entries(problems).map(([name, { text }]) => [name, text, 'warning'] as [Problem, string, string]),
    ...Object.entries(notices).map(([name, text]) => [name, text, name === 'voice_client_back' ? 'success' : 'information'] as [Notice, string, string]),
  ];
  for (const [name, text, type] of sentences) {
    // Flex reads contents as templates from its own strings; an administrator's own sentence, or translation, is there first.
    manager.strings[idOf(name)] ||= text;
    flex.Notifications.registerNotification({ id: idOf(name), content: idOf(name), type, timeout: shownFor, closeButton: true });
  }

  let waiting: Notice | Problem | null = null;
  const isTaskOffered = () => [...(manager.store.getState().flex.worker.tasks?.values() ?? [])].some(({ status }) => status === 'pending');
  const hide = () => sentences.forEach(([name]) => flex.Notifications.dismissNotificationById(idOf(name)));

  const say: Say = (notice) => {
    hide();
    if (isTaskOffered()) waiting = notice;
    else flex.Notifications.showNotificationSingle(idOf(notice));
  };

  function sayWhatWaited() {
    if (waiting === null || isTaskOffered()) return;
    const notice = waiting;
    waiting = null;
    // A problem may be over by now.
    if (!(notice in problems) || problemOf(board.get()) === notice) flex.Notifications.showNotificationSingle(idOf(notice));
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
