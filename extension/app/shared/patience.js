// How long an answer may take before the socket that was to bring it counts as dead. A link that is slow, or that loses
// something now and then, has shown so in the answers before.

const least = 500;
const most = 5_000;
/** Before there is an answer, and while there are few. */
const atFirst = 1_500;
const early = 1_000;
const few = 5;
/** Answers to learn from: those of the last minute, when there is one each second. */
const remembered = 60;

export function createPatience() {
  /** Milliseconds the latest answers took. @type {number[]} */
  const took = [];

  return {
    /** @param {number} ms  that an answer has taken, a late one too */
    learn(ms) {
      took.push(ms);
      if (took.length > remembered) took.shift();
    },

    /** Whether it has yet to learn how long an answer takes here. */
    isNew: () => took.length < few,

    /** @returns {number} milliseconds */
    now() {
      if (took.length === 0) return atFirst;
      const typical = took.toSorted((a, b) => a - b)[Math.floor(took.length / 2)] ?? atFirst;
      return Math.min(most, Math.max(took.length < few ? early : least, 8 * typical, 3 * Math.max(...took)));
    },
  };
}
