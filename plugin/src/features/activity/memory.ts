// What an agent was doing before an outage. In localStorage, by worker, so that a reload, another tab and a browser that crashed
// do not forget it; a page that may not use it remembers for itself.
import type { Clock } from '../../clock';

/** How long nobody has to have looked after it for it to be somebody's of long ago. */
const believedFor = 15 * 60_000;
const saveEvery = 60_000;

interface Kept {
  before: string | null;
  /** The latest available activity without a task. */
  resting: string | null;
  at: number;
}

export interface Memory {
  /** The activity to go back to. */
  before(): string | null;
  setBefore(sid: string | null): void;
  resting(): string | null;
  setResting(sid: string): void;
  /** To be called now and then: says that somebody still looks after it. */
  keep(): void;
  stop(): void;
}

export function createMemory(page: Window, worker: string, clock: Clock): Memory {
  const key = `flexvc.activity.${worker}`;
  const kept: Kept = { before: null, resting: null, at: 0 };

  function load() {
    try {
      const { before, resting, at } = JSON.parse(page.localStorage.getItem(key) ?? '{}') as Partial<Kept>;
      if (typeof resting === 'string') kept.resting = resting;
      kept.before = typeof before === 'string' && typeof at === 'number' && clock.now() - at < believedFor ? before : null;
    } catch {
      // Not ours, or not allowed.
    }
  }

  /** Another tab has taken the agent out, which may not hear the extension any more, or has brought the agent back. */
  const onStorage = (event: StorageEvent) => (event.key === key ? load() : undefined);
  page.addEventListener('storage', onStorage);
  load();

  function save(patch: Partial<Kept>) {
    Object.assign(kept, patch, { at: clock.now() });
    try {
      page.localStorage.setItem(key, JSON.stringify(kept));
    } catch {
      // Not allowed, or full.
    }
  }

  return {
    before: () => kept.before,
    setBefore: (before) => (before === kept.before ? undefined : save({ before })),
    resting: () => kept.resting,
    setResting: (resting) => (resting === kept.resting ? undefined : save({ resting })),
    keep: () => (kept.before !== null && clock.now() - kept.at >= saveEvery ? save({}) : undefined),
    stop: () => page.removeEventListener('storage', onStorage),
  };
}
