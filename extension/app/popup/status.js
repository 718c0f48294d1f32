// What the popup's headline says, and what can be done about it: one id per situation, worst first. Each id has three strings
// in _locales: status_<id>_title, _reason and _fix; reason and fix may be empty. Each action has its status_action_<action>.

/**
 * @typedef {import('../background/view.js').PopupView} PopupView
 * @typedef {'ok' | 'busy' | 'warn' | 'bad' | 'off' | 'call' | 'muted'} Tone
 * @typedef {'welcome' | 'site_settings' | 'microphones' | 'flex' | 'reload_flex' | 'retry' | 'reconnect' | 'consent' | 'restart' |
 *   'unmute' | 'copy'} Action
 * @typedef {{ id: string, tone: Tone, actions: Action[], reason?: string, refusal?: 'words' | 'name' }} Status  reason: the text in
 *   place of the id's own; refusal: what the token server said belongs to it, with its words where ours do not say the same
 */

/** Refusals of the token server that mean something to an agent, by the server's code. */
const known = new Set(['other-account', 'role-missing', 'worker-not-allowed', 'worker-not-enabled', 'prefix-not-allowed', 'identity-unusable']);
/** Those that another sign-in at Flex mends. */
const aboutToken = new Set([null, 'flex-token-refused', 'missing-token', 'malformed-token']);

/** @type {(id: string, tone: Tone, ...actions: Action[]) => Status} */
const status = (id, tone, ...actions) => ({ id, tone, actions });

/** The worker does not answer. */
export const unresponsive = status('unresponsive', 'bad', 'restart');

/** @param {PopupView} view @returns {Status} */
export function statusOf(view) {
  if (view.call?.status === 'open' && view.call.muted) return status('call_muted', 'muted', 'unmute');
  if (view.call) return status(`call_${view.call.status}`, view.call.status === 'open' ? 'call' : 'busy');

  const { microphone } = view.devices;
  if (microphone === 'denied') return status('microphone_denied', 'bad', 'site_settings');
  if (microphone === 'missing') return status('microphone_missing', 'bad', 'microphones');
  if (view.consent) return status('consent_needed', 'warn', 'consent');
  if (microphone === 'prompt') return status('microphone_prompt', 'bad', 'welcome');

  switch (view.line) {
    case 'unconfigured':
      if (view.rejection === 'other_account') return status('other_account', 'bad', 'restart');
      if (view.rejection) return status(view.rejection, 'bad', 'reload_flex', 'copy');
      return view.tabs > 0 ? status('no_plugin', 'off', 'reload_flex') : status('unconfigured', 'off', 'flex');
    case 'wanting':
      if (view.problem) return troubled(view, view.problem);
      return view.tabs > 0 ? status('wanting', 'busy', 'flex') : status('unconfigured', 'off', 'flex');
    case 'registered':
      return view.problem ? { ...status('ready_but_tokens', 'warn', 'retry', 'reload_flex'), refusal: 'words' } : ready(view);
    case 'offline':
      return troubled(view, 'signalling_lost');
    default:
      return view.problem ? troubled(view, view.problem) : status('connecting', 'busy');
  }
}

/** @param {PopupView} view @param {import('../background/machine.js').LineProblem} problem @returns {Status} */
function troubled(view, problem) {
  switch (problem) {
    case 'signalling_lost':
      return status('signalling_lost', 'bad', 'reconnect');
    case 'flex_token_refused':
      return refused(view.refusal?.code ?? null);
    default:
      return { ...status(problem, 'bad', 'retry', 'copy'), refusal: 'words' };
  }
}

/** @param {string | null} code @returns {Status} */
function refused(code) {
  if (code === 'flex-token-expired') return { ...status('flex_token_expired', 'bad', 'reload_flex'), refusal: 'name' };
  if (aboutToken.has(code)) return { ...status('flex_token_refused', 'bad', 'reload_flex', 'copy'), refusal: code ? 'name' : 'words' };
  const refusal = status('not_permitted', 'bad', 'retry', 'copy');
  if (!code || !known.has(code)) return { ...refusal, refusal: 'words' };
  return { ...refusal, reason: `refused_${code.replaceAll('-', '_')}`, refusal: 'name' };
}

/**
 * The token server's part of a status: why, the code of it, and the request's name in the server's log.
 * @param {import('../background/token.js').Refusal} refusal
 * @param {'words' | 'name'} how  with the server's own words, unless ours say the same
 * @param {(key: string, ...values: string[]) => string} t
 */
export function wordsOf({ status: http, code, message, requestId }, how, t) {
  const parts = [how === 'words' ? message : null, code ?? `HTTP ${http}`, requestId && t('details_request', requestId)];
  return parts.filter(Boolean).join(' · ');
}

/** Ready, but perhaps not for the tab somebody is looking at. @param {PopupView} view @returns {Status} */
function ready(view) {
  if (view.rejection === 'other_account') return status('other_account', 'warn', 'restart');
  return status(view.update ? 'ready_update' : 'ready', 'ok');
}

/** Hours only when there are some. @param {number} ms */
export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/**
 * For whoever is asked for help: English, and no token in it.
 * @param {PopupView | undefined} view
 * @param {string} id  of the headline
 * @param {{ at: number, browser: string }} where
 */
export function details(view, id, { at, browser }) {
  const address = view?.tokenURL ? new URL(view.tokenURL) : undefined;
  const { status: http, code, requestId, message } = view?.refusal ?? {};
  /** @type {[string, unknown][]} */
  const rows = [
    ['flexvc', view?.extensionVersion],
    ['time', new Date(at).toISOString()],
    ['state', id],
    ['line', view?.line],
    ['problem', view?.problem ?? view?.rejection],
    // What stands behind the question mark may be a password.
    ['token server', address && address.origin + address.pathname],
    ['response', http && [`HTTP ${http}`, code, message].filter(Boolean).join(', ')],
    ['request id', requestId],
    ['account', view?.account],
    ['identity', view?.identity],
    ['plugin', view?.pluginVersion],
    ['Flex tabs', view && `${view.acceptedTabs} of ${view.tabs}`],
    ['browser', browser],
  ];
  return rows.filter(([, value]) => value).map(([name, value]) => `${name}: ${value}\n`).join('');
}
