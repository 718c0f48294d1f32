// The popup: shows what the worker says is true and asks it for what is clicked. It decides nothing.

import { othersOf, showOthers } from './others.js';
import { clock, statusOf } from './status.js';
import { playSignal, playTone, watchLevel } from './sound.js';

/** @typedef {import('../background/view.js').PopupView} PopupView */

const keys = [
  ['1', ''], ['2', 'ABC'], ['3', 'DEF'], ['4', 'GHI'], ['5', 'JKL'], ['6', 'MNO'],
  ['7', 'PQRS'], ['8', 'TUV'], ['9', 'WXYZ'], ['*', ''], ['0', '+'], ['#', ''],
];

/** @type {(id: string) => any} */
const $ = (id) => document.getElementById(id);
/** @type {(key: string, ...values: string[]) => string} */
const t = (key, ...values) => chrome.i18n.getMessage(key, values);

/** @type {PopupView | undefined} */
let view;
/** @type {(() => void) | undefined} */
let stopMeter;

// Asking the worker --------------------------------------------------------------------------------------------

/** @param {string} type @param {object} [payload] */
async function ask(type, payload) {
  const answer = await chrome.runtime.sendMessage({ type, payload }).catch((error) => ({ ok: false, error: String(error) }));
  if (!answer?.ok) console.warn(`flexvc: ${type} was refused: ${answer?.error}`);
}

/** Names the call that is seen: by the time the worker is asked it may have ended, and another be in its place. */
const shown = () => (view?.call ? { callSid: view.call.callSid } : {});

function connect() {
  const port = chrome.runtime.connect({ name: 'popup' });
  port.onMessage.addListener((/** @type {{ type: string, payload: PopupView }} */ message) => {
    if (message.type === 'popup.view') show(message.payload);
  });
  port.onDisconnect.addListener(() => setTimeout(connect, 100));
}

// Showing ------------------------------------------------------------------------------------------------------

/** @param {PopupView} next */
function show(next) {
  const before = view;
  view = next;
  showStatus(next);
  showCall(next, before);
  showOthers($('others'), othersOf(next), t, ask);
  showDevices(next);
  showFacts(next);
}

/** Writes only what changed: a screen reader says a live region again each time it is written. @param {any} element @param {string} text */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {PopupView} now */
function showStatus(now) {
  const { id, tone, action } = statusOf(now);
  const identity = now.identity ?? '';
  const host = now.tokenURL ? new URL(now.tokenURL).host : '';
  const until = now.tokenExpiresAt ? time(now.tokenExpiresAt) : '';
  $('status').dataset.tone = tone;
  for (const part of ['title', 'reason', 'fix']) {
    write($(`status-${part}`), t(`status_${id}_${part}`, identity, host, until, now.update ?? '', now.account ?? ''));
  }
  $('status-action').hidden = !action;
  write($('status-action'), action ? t(`status_action_${action}`) : '');
  $('status-action').onclick = () => {
    if (action === 'welcome') ask('popup.openWelcome');
    else if (action === 'consent') ask('popup.consent', { key: now.consent?.key });
    else openTab($('tab-info'));
  };
}

/** @param {PopupView} now @param {PopupView | undefined} before */
function showCall({ call, offers, lastEnd }, before) {
  $('call').hidden = !call;
  $('no-call').hidden = Boolean(call) || offers.length > 0;
  write($('no-call'), lastEnd && t(`call_end_${lastEnd}`) ? t(`call_end_${lastEnd}`) : t('call_none'));
  if (!call) {
    // The next call starts with an empty pad.
    if (before?.call) toggleKeypad(false);
    return;
  }
  write($('caller-name'), call.from || t('call_unknown'));
  write($('caller-note'), t(call.muted ? 'call_muted' : `call_${call.status}`));
  $('mute').setAttribute('aria-pressed', String(call.muted));
  $('keypad-toggle').disabled = call.status === 'connecting';
  for (const key of $('keys').children) key.disabled = call.status !== 'open';
  showQuality(call.status === 'open' ? call.quality : null);
  tick();
}

/** @param {import('../background/machine.js').Quality | null} quality */
function showQuality(quality) {
  $('quality').hidden = !quality;
  if (!quality) return;
  $('quality').dataset.level = quality.level;
  write($('quality-word'), t(`quality_${quality.level}`));
  const figures = [
    quality.mos === null ? '' : t('quality_mos', quality.mos.toFixed(1)),
    quality.rttMs === null ? '' : t('quality_rtt', String(quality.rttMs)),
    quality.lossPercent === null ? '' : t('quality_loss', String(quality.lossPercent)),
  ];
  write($('quality-figures'), figures.filter(Boolean).join(' · '));
}

function tick() {
  const startedAt = view?.call?.startedAt;
  write($('timer'), startedAt ? clock(Date.now() - startedAt) : '–:––');
  if (view) showTimes(view);
}

/** @param {PopupView} now */
function showDevices({ devices: { inputs, outputs, chosen } }) {
  fill($('input'), inputs, chosen.input);
  fill($('output'), outputs, chosen.output);
  fill($('ringtone'), outputs, chosen.ringtone);
}

/** @param {HTMLSelectElement} select @param {string[]} labels @param {string} chosen */
function fill(select, labels, chosen) {
  const known = labels.includes(chosen) || chosen === '' ? labels : [...labels, chosen];
  const wanted = ['', ...known];
  // An open list that is rebuilt closes under the pointer.
  if ([...select.options].map((option) => option.value).join('\n') !== wanted.join('\n')) {
    select.replaceChildren(...wanted.map((label) => new Option(nameOf(label, labels), label)));
  }
  select.value = chosen;
}

/** @param {string} label @param {string[]} present */
function nameOf(label, present) {
  if (label === '') return t('sound_default');
  return present.includes(label) ? label : t('sound_absent', label);
}

/** @type {[key: string, value: (now: PopupView) => string | null][]} */
const facts = [
  ['info_account', (now) => now.account],
  ['info_identity', (now) => now.identity],
  ['info_tabs', (now) => (now.tabs === now.acceptedTabs ? String(now.tabs) : t('info_tabs_some', String(now.acceptedTabs), String(now.tabs)))],
  ['info_plugin', (now) => now.pluginVersion],
  ['info_extension', (now) => (now.update ? t('info_extension_update', now.extensionVersion, now.update) : now.extensionVersion)],
  ['info_token', (now) => left(now.tokenExpiresAt)],
  ['info_flex_token', (now) => left(now.flexTokenExpiresAt)],
  ['info_token_url', (now) => now.tokenURL],
  ['info_refused', (now) => (now.refused ? String(now.refused) : null)],
];

/** @param {PopupView} now */
function showFacts(now) {
  const rows = facts.flatMap(([key, value]) => {
    const text = value(now);
    return text ? [{ key, text }] : [];
  });
  const list = $('facts');
  if ([...list.querySelectorAll('dt')].map((dt) => dt.dataset.key).join() !== rows.map(({ key }) => key).join()) {
    list.replaceChildren(
      ...rows.flatMap(({ key }) => {
        const term = Object.assign(document.createElement('dt'), { textContent: t(key) });
        term.dataset['key'] = key;
        return [term, document.createElement('dd')];
      }),
    );
  }
  [...list.querySelectorAll('dd')].forEach((dd, i) => write(dd, rows[i]?.text ?? ''));
}

/** What counts down by itself. @param {PopupView} now */
function showTimes(now) {
  if (!$('panel-info').hidden) showFacts(now);
}

/** @param {number | null} expiresAt */
function left(expiresAt) {
  if (expiresAt === null) return null;
  const ms = expiresAt - Date.now();
  return ms > 0 ? t('info_left', clock(ms), time(expiresAt)) : t('info_expired', time(expiresAt));
}

/** @param {number} at */
const time = (at) => new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });

// Tabs, keypad, devices, restart -------------------------------------------------------------------------------

/** @param {HTMLElement} tab */
function openTab(tab) {
  for (const other of $('tabs').children) {
    const selected = other === tab;
    other.setAttribute('aria-selected', String(selected));
    other.tabIndex = selected ? 0 : -1;
    $(other.getAttribute('aria-controls')).hidden = !selected;
  }
  tab.focus();
  if (tab.id !== 'tab-sound') endMeter();
  if (view) showFacts(view);
}

/** @param {KeyboardEvent} event */
function moveTab(event) {
  const tabs = [...$('tabs').children];
  const at = tabs.indexOf(event.target);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  openTab(tabs[(to + tabs.length) % tabs.length]);
}

/** @param {boolean} open */
function toggleKeypad(open) {
  $('keypad').hidden = !open;
  $('keypad-toggle').setAttribute('aria-expanded', String(open));
  if (!open) $('typed').textContent = '';
}

/** @param {string} digit */
function press(digit) {
  $('typed').textContent += digit;
  ask('popup.sendDigits', { digits: digit, ...shown() });
}

/** @param {KeyboardEvent} event */
function type(event) {
  if ($('keypad').hidden || view?.call?.status !== 'open' || event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^[0-9*#]$/.test(event.key)) press(event.key);
}

async function toggleMeter() {
  if (stopMeter) return endMeter();
  write($('sound-note'), '');
  try {
    stopMeter = await watchLevel($('input').value, (level) => ($('level').value = level));
    $('test-input').setAttribute('aria-pressed', 'true');
    write($('test-input'), t('sound_test_stop'));
  } catch {
    write($('sound-note'), t('sound_no_microphone'));
  }
}

function endMeter() {
  stopMeter?.();
  stopMeter = undefined;
  $('test-input').setAttribute('aria-pressed', 'false');
  write($('test-input'), t('sound_test_microphone'));
}

/** Restarting hangs up, so with a call up it takes a second click. */
function restart() {
  if (!view?.call) {
    ask('popup.restart');
    return;
  }
  $('restart').hidden = true;
  $('restart-confirm').hidden = false;
  $('restart-no').focus();
}

/** @param {boolean} sure */
function answerRestart(sure) {
  $('restart').hidden = false;
  $('restart-confirm').hidden = true;
  $('restart').focus();
  if (sure) ask('popup.restart');
}

// Setting up ---------------------------------------------------------------------------------------------------

document.documentElement.lang = chrome.i18n.getUILanguage?.() ?? 'en';
for (const element of document.querySelectorAll('[data-text]')) {
  element.textContent = t(/** @type {HTMLElement} */ (element).dataset['text'] ?? '');
}
for (const element of document.querySelectorAll('[data-label]')) {
  element.setAttribute('aria-label', t(/** @type {HTMLElement} */ (element).dataset['label'] ?? ''));
}
for (const [digit = '', letters = ''] of keys) {
  const button = Object.assign(document.createElement('button'), { type: 'button', textContent: digit });
  if (letters) button.append(Object.assign(document.createElement('small'), { textContent: letters, ariaHidden: 'true' }));
  const name = { '*': 'keypad_star', '#': 'keypad_pound' }[digit];
  if (name) button.setAttribute('aria-label', t(name));
  button.addEventListener('click', () => press(digit));
  $('keys').append(button);
}

for (const tab of $('tabs').children) tab.addEventListener('click', () => openTab(tab));
$('tabs').addEventListener('keydown', moveTab);
$('mute').addEventListener('click', () => ask('popup.mute', { muted: !view?.call?.muted, ...shown() }));
$('hang-up').addEventListener('click', () => ask('popup.hangUp', shown()));
$('keypad-toggle').addEventListener('click', () => toggleKeypad($('keypad').hidden));
document.addEventListener('keydown', type);
for (const kind of ['input', 'output', 'ringtone']) {
  $(kind).addEventListener('change', async () => {
    const metering = kind === 'input' && stopMeter;
    if (metering) endMeter();
    await ask('popup.chooseDevice', { kind, label: $(kind).value });
    if (metering) toggleMeter();
  });
}
$('test-input').addEventListener('click', toggleMeter);
$('test-output').addEventListener('click', () => playTone($('output').value));
$('test-ringtone').addEventListener('click', () => playSignal($('ringtone').value));
$('restart').addEventListener('click', restart);
$('restart-yes').addEventListener('click', () => answerRestart(true));
$('restart-no').addEventListener('click', () => answerRestart(false));
setInterval(tick, 1000);
connect();
