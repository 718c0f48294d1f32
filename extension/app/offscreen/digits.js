// DTMF without losing tones: a second insertDTMF replaces what the first has not played yet, so digits wait for their turn.

/** A tone of 160 ms and a gap of 70 ms, as the SDK plays them. */
const perDigit = 230;
const pause = 500;

/**
 * @param {(digits: string) => void} play
 * @param {(task: () => void, ms: number) => unknown} later
 */
export function createDigits(play, later) {
  let queue = '';
  let busy = false;

  function next() {
    const run = /^(?:w|[^w]+)/.exec(queue)?.[0] ?? '';
    queue = queue.slice(run.length);
    busy = run !== '';
    if (!busy) return;
    if (run === 'w') {
      later(next, pause);
    } else {
      play(run);
      later(next, run.length * perDigit);
    }
  }

  return {
    /** @param {string} digits  of 0-9 * # and w for half a second of silence */
    send(digits) {
      queue += digits;
      if (!busy) next();
    },
    clear() {
      queue = '';
    },
  };
}
