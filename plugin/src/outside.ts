import type { Clock } from './clock';
import type { Flex, Manager } from './flex';
import type { Settings } from './settings';
import type { Board } from './state';
import type { Words } from './words';

/** What a feature works with. A feature is a function that starts it and returns how to stop it. */
export interface Outside {
  flex: Flex;
  manager: Manager;
  page: Window;
  clock: Clock;
  settings: Settings;
  board: Board;
  words: Words;
  log: (sentence: string, cause?: unknown) => void;
}

export type Feature<Needs = {}> = (outside: Outside & Needs) => () => void;

/** Stops in the opposite order. */
export const together =
  (...stops: (() => void)[]) =>
  () =>
    stops.reverse().forEach((stop) => stop());

export function onAction({ flex }: Pick<Outside, 'flex'>, event: string, listener: (payload: Record<string, any>, abort: () => void) => unknown): () => void {
  flex.Actions.addListener(event, listener);
  return () => flex.Actions.removeListener(event, listener);
}
