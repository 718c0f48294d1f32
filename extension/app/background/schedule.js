// When to fetch the next voice token. Pure: times are milliseconds since the epoch, luck is a number in [0, 1).

const second = 1000;
const longest = 6 * 60 * 60 * second;

/** Spreads agents that logged in together, by up to a tenth in either direction. @type {(ms: number, luck: number) => number} */
const jitter = (ms, luck) => Math.round(ms * (0.9 + 0.2 * luck));

/**
 * How long to wait before the next fetch: half the token's life, then a tenth of what is left of it, for ever. The old
 * token serves meanwhile, so a token endpoint that is down for minutes is noticed by nobody.
 * @param {{ issuedAt: number, expiresAt: number } | null} token
 * @param {{ at: number, luck: number, failures: number, retryAfterMs?: number | undefined }} now
 */
export function untilNextFetch(token, { at, luck, failures, retryAfterMs = 0 }) {
  return Math.max(wait(token, at, luck, failures), Math.min(retryAfterMs, 60 * second));
}

/** @param {{ issuedAt: number, expiresAt: number } | null} token @param {number} at @param {number} luck @param {number} failures */
function wait(token, at, luck, failures) {
  if (!token || at >= token.expiresAt) return jitter(backoff(failures), luck);
  const half = token.issuedAt + (token.expiresAt - token.issuedAt) / 2;
  // Jitter around half life only pulls the fetch forward: it never eats into the second half.
  if (at < half) return Math.min(longest, Math.round((half - at) * (1 - 0.1 * luck)));
  return jitter(Math.min(5 * 60 * second, Math.max(second, (token.expiresAt - at) / 10)), luck);
}

/** Without a usable token nothing can ring, so ask soon and keep asking. @param {number} failures */
function backoff(failures) {
  return Math.min(30 * second, second * 2 ** Math.max(0, Math.min(failures, 10) - 1));
}
