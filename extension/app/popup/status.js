// What the popup's headline says: one id per situation, worst first. Each id has three strings in _locales:
// status_<id>_title, _reason and _fix; reason and fix may be empty.

/**
 * @typedef {import('../background/view.js').PopupView} PopupView
 * @typedef {'ok' | 'busy' | 'warn' | 'bad' | 'off' | 'call'} Tone
 * @typedef {{ id: string, tone: Tone, action?: 'welcome' | 'restart' | 'consent' }} Status
 */

/** @param {PopupView} view @returns {Status} */
export function statusOf(view) {
  if (view.call) return { id: `call_${view.call.status}`, tone: view.call.status === 'open' ? 'call' : 'busy' };

  const { microphone } = view.devices;
  if (microphone === 'denied') return { id: 'microphone_denied', tone: 'bad' };
  if (microphone === 'missing') return { id: 'microphone_missing', tone: 'bad' };
  if (view.consent) return { id: 'consent_needed', tone: 'warn', action: 'consent' };
  if (microphone === 'prompt') return { id: 'microphone_prompt', tone: 'bad', action: 'welcome' };

  switch (view.line) {
    case 'unconfigured':
      if (view.rejection) return { id: view.rejection, tone: 'bad' };
      return view.tabs > 0 ? { id: 'no_plugin', tone: 'off' } : { id: 'unconfigured', tone: 'off' };
    case 'wanting':
      if (view.problem) return { id: 'flex_token_refused', tone: 'bad' };
      return view.tabs > 0 ? { id: 'wanting', tone: 'busy' } : { id: 'unconfigured', tone: 'off' };
    case 'registered':
      return view.problem ? { id: 'ready_but_tokens', tone: 'warn' } : ready(view);
    case 'offline':
      return { id: 'signalling_lost', tone: 'bad' };
    default:
      return view.problem ? { id: view.problem, tone: 'bad' } : { id: 'connecting', tone: 'busy' };
  }
}

/** Ready, but perhaps not for the tab somebody is looking at. @param {PopupView} view @returns {Status} */
function ready(view) {
  if (view.rejection === 'other_account') return { id: 'other_account', tone: 'warn', action: 'restart' };
  return view.update ? { id: 'ready_update', tone: 'ok' } : { id: 'ready', tone: 'ok' };
}

/** Hours only when there are some. @param {number} ms */
export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
