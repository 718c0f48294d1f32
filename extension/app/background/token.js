// Fetches a voice token for a Flex token. The Flex token travels in the body of a POST: never in a URL, never across a
// redirect, never with cookies.

const timeLimit = 10_000;
const sizeLimit = 64 * 1024;

/**
 * What the server said in refusing, as far as it can be shown to the agent.
 * @typedef {{ status: number, code: string | null, message: string | null, requestId: string | null }} Refusal  status: HTTP's; code:
 *   the server's word or number for the reason; requestId: the request's name in the server's log
 *
 * @typedef {{ ok: true, token: string, identity: string, expiresAt: number }} Fetched  expiresAt: ms since the epoch
 * @typedef {'flex_token_refused' | 'token_server_unreachable' | 'token_server_error' | 'token_server_nonsense'} Reason
 * @typedef {{ ok: false, reason: Reason, retryAfterMs?: number | undefined, refusal?: Refusal }} NotFetched
 */

/**
 * @param {{ url: string, prefix: string, flexToken: string }} request
 * @param {{ fetch: Fetch, now: () => number }} outside
 * @returns {Promise<Fetched | NotFetched>}
 */
export async function fetchVoiceToken({ url, prefix, flexToken }, { fetch, now }) {
  const body = new URLSearchParams({ Token: flexToken });
  if (prefix) body.set('VoiceClientPrefix', prefix);
  let response;
  let text;
  try {
    response = await fetch(url, {
      method: 'POST',
      body,
      redirect: 'error',
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
      cache: 'no-store',
      signal: AbortSignal.timeout(timeLimit),
    });
    text = await response.text();
  } catch {
    return { ok: false, reason: 'token_server_unreachable' };
  }
  // 401 and 403 are about the token. Anything else, a 400 or a 404 too, is about the server or its address.
  if (!response.ok) {
    const refusal = readRefusal(response.status, text, response.headers.get('X-Request-Id'));
    if (response.status === 401 || response.status === 403) return { ok: false, reason: 'flex_token_refused', refusal };
    return { ok: false, reason: 'token_server_error', retryAfterMs: retryAfter(response.headers.get('Retry-After'), now()), refusal };
  }
  return text.length > sizeLimit ? nonsense : readAnswer(text, now());
}

/** @type {NotFetched} */
const nonsense = { ok: false, reason: 'token_server_nonsense' };

/**
 * Reads an error of flexvc serve (RFC 9457 with code and requestId), and those of other servers as far as they are alike. A server
 * may repeat what it was sent: nothing that could be a token is kept.
 * @param {number} status
 * @param {string} text  the body
 * @param {string | null} header  X-Request-Id
 * @returns {Refusal}
 */
export function readRefusal(status, text, header = null) {
  let answer;
  try {
    answer = Object(text.length > sizeLimit ? null : JSON.parse(text));
  } catch {
    answer = {};
  }
  const word = (/** @type {unknown} */ value) =>
    (typeof value === 'string' || typeof value === 'number') && /^[\w.-]{1,40}$/.test(String(value)) ? String(value) : null;
  const sentence = (/** @type {unknown} */ value) =>
    typeof value === 'string' && value.length <= 200 && /^\P{C}+$/u.test(value) && !/[\w.~+/=-]{41}/.test(value) ? value : null;
  return {
    status,
    code: word(answer.code),
    message: sentence(answer.detail) ?? sentence(answer.message),
    requestId: word(answer.requestId) ?? word(header),
  };
}

/** @param {string} text @param {number} at @returns {Fetched | NotFetched} */
export function readAnswer(text, at) {
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    return nonsense;
  }
  const { token, identity, ttl, expiresAt } = Object(answer);
  if (typeof token !== 'string' || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token) || token.length > 16384) return nonsense;
  if (typeof identity !== 'string' || identity === '' || identity.length > 256) return nonsense;
  const lifeMs = lifetime(token, ttl, expiresAt, at);
  return lifeMs > 0 ? { ok: true, token, identity, expiresAt: at + lifeMs } : nonsense;
}

/**
 * Milliseconds the token lives. From the server's own words where it can be: ttl and iat..exp do not depend on this machine's
 * clock, which may be off by more than a short token lives.
 * @param {string} token
 * @param {unknown} ttl  seconds
 * @param {unknown} expiresAt  RFC 3339
 * @param {number} at
 */
function lifetime(token, ttl, expiresAt, at) {
  const day = 24 * 60 * 60 * 1000;
  const claims = readClaims(token);
  const candidates = [
    typeof ttl === 'number' ? ttl * 1000 : NaN,
    typeof claims.iat === 'number' && typeof claims.exp === 'number' ? (claims.exp - claims.iat) * 1000 : NaN,
    typeof expiresAt === 'string' ? Date.parse(expiresAt) - at : NaN,
    typeof claims.exp === 'number' ? claims.exp * 1000 - at : NaN,
  ];
  return Math.min(day, candidates.find(Number.isFinite) ?? 0);
}

/** @param {string} token @returns {{ iat?: unknown, exp?: unknown }} */
function readClaims(token) {
  try {
    const part = (token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/');
    return Object(JSON.parse(atob(part)));
  } catch {
    return {};
  }
}

/** @param {string | null} header  seconds or an HTTP date @param {number} at @returns {number | undefined} */
function retryAfter(header, at) {
  if (!header) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - at;
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}
