/** Time, so that a test can hold it. Milliseconds. */
export interface Clock {
  now(): number;
  /** Calls again and again until the returned function is called. */
  every(ms: number, task: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  every(ms, task) {
    const timer = window.setInterval(task, ms);
    return () => window.clearInterval(timer);
  },
};
