// Every state the popup can be in, from the code that decides what it shows.
import { readFileSync } from 'node:fs';
import { statusOf, unresponsive } from '../../app/popup/status.js';
import { callOf, viewOf } from './popup-page.js';

const lines = ['unconfigured', 'wanting', 'fetching', 'registering', 'registered', 'offline'];
const problems = [null, 'flex_token_refused', 'token_server_unreachable', 'token_server_error', 'token_server_nonsense', 'voice_token_refused', 'signalling_lost'];
const microphones = ['granted', 'prompt', 'denied', 'missing', 'unknown'];
const rejections = [null, 'other_account', 'url_not_allowed', 'bad_config'];
const calls = [null, 'connecting', 'open', 'reconnecting'];
const codes = [null, 'flex-token-expired', 'other-account', 'role-missing', 'worker-not-allowed', 'worker-not-enabled', 'prefix-not-allowed', 'identity-unusable', 'no-such-agent'];
const consent = { key: 'k', account: viewOf().account, host: 'voice.example.com' };

/** Every combination of what statusOf looks at. @returns {Generator<{ view: any, status: import('../../app/popup/status.js').Status }>} */
export function* allStates() {
  for (const line of lines) for (const problem of problems) for (const microphone of microphones) for (const rejection of rejections)
    for (const call of calls) for (const muted of call ? [false, true] : [false]) for (const update of [null, '2.0.0']) for (const tabs of [0, 2])
      for (const asked of [null, consent]) for (const code of problem === 'flex_token_refused' ? codes : [null]) {
        const view = viewOf({
          line, problem, rejection, update, tabs, acceptedTabs: rejection ? Math.max(0, tabs - 1) : tabs, consent: asked,
          refusal: problem?.startsWith('token_server_e') || code ? { status: code ? 403 : 503, code: code ?? 'validator-timeout', message: 'Twilio did not answer in time', requestId: '7Q2M4XYZ' } : null,
          call: call && callOf({ status: call, muted, quality: call === 'open' ? callOf().quality : null, startedAt: call === 'connecting' ? null : Date.now() - 194_000 }),
          devices: { ...viewOf().devices, microphone },
          ...(line === 'unconfigured' ? { account: asked?.account ?? null, identity: null, tokenExpiresAt: null, flexTokenExpiresAt: null } : {}),
        });
        yield { view, status: statusOf(view) };
      }
  yield { view: null, status: unresponsive };
}

/**
 * One of each: the plainest view that leads to it.
 * @returns {Record<string, { view: any, do?: (page: any) => Promise<unknown> }>}
 */
export function pictures() {
  /** @type {Record<string, { view: any, do?: (page: any) => Promise<unknown> }>} */
  const shown = {};
  for (const { view, status } of allStates()) shown[status.reason ?? status.id] ??= { view };

  const call = viewOf({ call: callOf({ from: 'client:ext_alice_2Ehaddad_40a-very-long-company-name_2Eexample' }) });
  const muted = viewOf({ call: callOf({ muted: true, quality: { level: 'poor', mos: 3.1, rttMs: 412, jitterMs: 40, lossPercent: 6.2 } }) });
  const keypad = (digits) => async (page) => {
    await page.click('#keypad-toggle');
    await page.keyboard.type(digits);
  };
  const tab = (name) => (page) => page.click(`#tab-${name}`);
  Object.assign(shown, {
    caller_client: { view: call },
    caller_unknown: { view: viewOf({ call: callOf({ from: '', quality: { level: 'fair', mos: 3.6, rttMs: 180, jitterMs: 20, lossPercent: 1.4 } }) }) },
    others: { view: viewOf({ call: callOf({ callSid: 'CA2', from: '+1 555 010 0142' }), onHold: [callOf()], offers: [{ callSid: 'CA3', from: 'client:ext_alice_2Ehaddad_40acme_2Ecom' }] }) },
    offered: { view: viewOf({ offers: [{ callSid: 'CA3', from: '+1 555 010 0111' }] }) },
    keypad: { view: call, do: keypad('159#*') },
    keypad_card: { view: call, do: keypad('4111111111111111') },
    keypad_many: { view: muted, do: keypad('0123456789*#'.repeat(6)) },
    sound: { view: viewOf(), do: tab('sound') },
    sound_absent: { view: viewOf({ devices: { ...viewOf().devices, inputs: [], outputs: [] } }), do: tab('sound') },
    sound_meter: { view: viewOf(), do: async (page) => { await tab('sound')(page); await page.click('#test-input'); await page.waitForSelector('#test-input[aria-pressed=true]'); } },
    sound_no_microphone: {
      view: viewOf(),
      do: async (page) => {
        await tab('sound')(page);
        await page.evaluate(() => {
          const { mediaDevices } = navigator;
          mediaDevices.getUserMedia = () => (delete mediaDevices.getUserMedia, Promise.reject(new Error('none')));
        });
        await page.click('#test-input');
        await page.waitForSelector('#sound-note:not(:empty)');
      },
    },
    info: { view: viewOf({ update: '0.2.0', refused: 1234, acceptedTabs: 1, identity: 'ext_alice_2Ehaddad_40acme_2Ecom' }), do: tab('info') },
    info_expired: { view: viewOf({ line: 'offline', tokenExpiresAt: Date.now() - 60_000, flexTokenExpiresAt: Date.now() - 90_000_000 }), do: tab('info') },
    info_bare: { view: shown['unconfigured']?.view, do: tab('info') },
    restart: { view: call, do: async (page) => { await tab('info')(page); await page.click('#restart'); } },
  });
  const ends = Object.keys(JSON.parse(readFileSync(new URL('../../app/_locales/en/messages.json', import.meta.url), 'utf8'))).filter((key) => key.startsWith('call_end_'));
  for (const end of ends) shown[end] = { view: viewOf({ lastEnd: end.slice('call_end_'.length) }) };
  return shown;
}
