// What others may see of the state: pages, the toolbar, the popup. No token is in any of it.

import { consentNeeded } from './machine.js';

/** @typedef {import('./machine.js').State} State */

/** Version of the messages exchanged with the plugin. */
export const protocol = 3;

/** The call the agent speaks in, as the Flex page gets it; null when there is none. @param {State} s */
export function callForPage(s) {
  if (!s.call) return null;
  const { callSid, status, muted, direction, startedAt, quality } = s.call;
  return { callSid, status, muted, direction, startedAt, quality };
}

/** That one, and all others beside it. @param {State} s */
export function callsForPage(s) {
  return { call: callForPage(s), onHold: s.onHold, offers: offers(s) };
}

/** Without what it takes to answer them. @param {State} s */
const offers = (s) => s.offers.map(({ callSid, from }) => ({ callSid, from }));

/**
 * The old fields first: deployed plugins ring the identity and warn while error is true.
 * @param {State} s
 * @param {string} extensionVersion
 */
export function heartbeat(s, extensionVersion) {
  const { inputs, outputs, chosen } = s.devices;
  return {
    voiceClientIdentity: s.identity,
    error: problemOf(s) ? true : null,
    protocol,
    extensionVersion,
    status: s.line,
    problem: problemOf(s),
    microphone: s.devices.microphone,
    ...callsForPage(s),
    audioDevices: { inputs, outputs, selected: chosen },
    tokenExpiresAt: s.voiceToken ? new Date(s.voiceToken.expiresAt).toISOString() : null,
  };
}

/** @typedef {'microphone_denied' | 'microphone_missing' | 'microphone_prompt' | 'consent_needed' | import('./machine.js').LineProblem} Problem */

/**
 * Why a call offered now would not reach the agent; null when it would, or when nothing is known to be wrong.
 * @param {State} s
 * @returns {Problem | null}
 */
export function problemOf(s) {
  const { microphone } = s.devices;
  if (microphone === 'denied' || microphone === 'missing') return `microphone_${microphone}`;
  if (s.line === 'unconfigured') return null;
  if (consentNeeded(s)) return 'consent_needed';
  if (microphone === 'prompt') return 'microphone_prompt';
  return s.line === 'registered' ? null : s.problem;
}

/** @typedef {'grey' | 'green' | 'call' | 'muted' | 'error'} Icon */

/** @param {State} s @returns {Icon} */
export function icon(s) {
  if (s.call) return s.call.muted ? 'muted' : 'call';
  if (s.offers.length > 0) return 'call';
  if (problemOf(s)) return 'error';
  return s.line === 'registered' ? 'green' : 'grey';
}

/**
 * Everything the popup shows.
 * @param {State} s
 * @param {string} extensionVersion
 */
export function forPopup(s, extensionVersion) {
  const pages = Object.values(s.pages);
  return {
    line: s.line,
    problem: s.problem,
    refusal: s.refusal,
    lastEnd: s.lastEnd,
    call: s.call,
    onHold: s.onHold,
    offers: offers(s),
    devices: s.devices,
    account: s.config?.account ?? null,
    consent: consentNeeded(s),
    tokenURL: s.config?.tokenURL ?? null,
    identity: s.identity,
    prefix: s.config?.prefix ?? '',
    tabs: pages.length,
    acceptedTabs: pages.filter((page) => page.standing === 'accepted').length,
    rejection: pages.find((page) => page.reason !== null)?.reason ?? null,
    pluginVersion: pages.find((page) => page.pluginVersion !== null)?.pluginVersion ?? null,
    extensionVersion,
    update: s.update,
    tokenExpiresAt: s.voiceToken?.expiresAt ?? null,
    flexTokenExpiresAt: s.flexToken?.expiresAt ?? null,
    refused: Object.values(s.refused).reduce((sum, count) => sum + count, 0),
  };
}

/** @typedef {ReturnType<typeof forPopup>} PopupView */
