// One plugin on one page: for an agent who is on the extension everything, for anybody else, and for whoever's calls ring a
// phone, nothing but a contact_uri that still points at the extension.
import type { Clock } from './clock';
import { activity } from './features/activity/activity';
import { badge } from './features/badge/badge';
import { callControls } from './features/call-controls/call-controls';
import { connection } from './features/connection/connection';
import { contactURI, isEnabled, isForeign } from './features/contact-uri/contact-uri';
import { devices } from './features/devices/devices';
import { type Say, notifications } from './features/notifications/notifications';
import type { Flex, Manager } from './flex';
import { type Feature, type Outside, together } from './outside';
import type { Settings } from './settings';
import { createBoard } from './state';
import { type Language, english, speak } from './words';

const running = Symbol.for('flexvc.plugin');

/** Returns how to stop. A second copy on the same page, and a bundle without settings, do nothing. */
export function start(flex: Flex, manager: Manager, settings: Settings | null, page: Window, clock: Clock, language: Language = english): () => void {
  const log = (sentence: string, cause?: unknown) => console.info(`flexvc: ${sentence}`, ...(cause === undefined ? [] : [cause]));
  const nothing = () => {};
  const marked = page as Window & { [running]?: string };
  if (marked[running]) {
    log(`another copy of this plugin, ${marked[running]}, is already at work; this one does nothing`);
    return nothing;
  }
  if (!settings) {
    log('this bundle has no settings: deploy it with flexvc plugin deploy');
    return nothing;
  }
  if (!manager.workerClient) {
    log('this user is not a worker: nothing to do');
    return nothing;
  }
  marked[running] = settings.version;

  const outside = { flex, manager, page, clock, settings, board: createBoard((cause) => log('a part of this plugin failed', cause)), log };
  const { attributes } = manager.workerClient;
  const enabled = isOurs(attributes);
  const why = isForeign(attributes) ? 'the calls of this worker ring a phone' : 'this worker is not on the voice extension';
  log(`${settings.version}, ${enabled ? 'calls go to the voice extension' : why}`);
  return together(() => delete marked[running], attempt(outside, contactURI), enabled ? whileEnabled(outside, () => startAll(outside, language)) : nothing);
}

const isOurs = (attributes: Record<string, unknown>) => isEnabled(attributes) && !isForeign(attributes);

function startAll(silent: Omit<Outside, 'words'>, language: Language): () => void {
  const { words, stop: stopWords } = speak(silent.manager, language);
  const outside: Outside = { ...silent, words };
  const { extension, stop: stopConnection } = connection(outside);
  let say: Say = () => {};
  const all = { ...outside, extension, say: (notice: Parameters<Say>[0]) => say(notice) };
  const notices: Feature = (outside) => {
    const started = notifications(outside);
    say = started.say;
    return started.stop;
  };
  return together(stopWords, stopConnection, ...[notices, activity, callControls, devices, badge].map((feature) => attempt(all, feature)));
}

/** What one feature finds missing in this Flex, or broken by another plugin, does not take the others along. */
function attempt<Needs extends Pick<Outside, 'log'>>(outside: Needs, feature: (outside: Needs) => () => void): () => void {
  try {
    return feature(outside);
  } catch (cause) {
    outside.log('a part of this plugin could not start', cause);
    return () => {};
  }
}

/** A worker who is turned off keeps the controls of the call that is still up. */
function whileEnabled({ manager, board, log }: Pick<Outside, 'manager' | 'board' | 'log'>, begin: () => () => void): () => void {
  const worker = manager.workerClient!;
  let stop: (() => void) | null = begin();
  const look = () => {
    if (!stop || isOurs(worker.attributes) || board.get().call) return;
    log('this worker was taken off the voice extension, or has the address of a phone');
    stop();
    stop = null;
  };
  worker.addListener('attributesUpdated', look);
  return together(() => stop?.(), () => worker.removeListener('attributesUpdated', look), board.subscribe(look));
}
