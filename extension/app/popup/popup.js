// The popup: shows what the worker says is true and asks it for what is clicked. It decides nothing.

import { count, milliseconds, percentage, t, tenths, time, writePage } from '../shared/words.js';
import { microphones, openPage, reloadExtension, showFlex, siteSettings } from './actions.js';
import { nameOf } from './names.js';
import { othersOf, showOthers } from './others.js';
import { clock, details, statusOf, unresponsive, wordsOf } from './status.js';
import { playSignal, playTone, watchLevel } from './sound.js';

/** @typedef {import('../background/view.js').PopupView} PopupView */

const keys = [
  ['1', ''], ['2', 'ABC'], ['3', 'DEF'], ['4', 'GHI'], ['5', 'JKL'], ['6', 'MNO'],
  ['7', 'PQRS'], ['8', 'TUV'], ['9', 'WXYZ'], ['*', ''], ['0', '+'], ['#', ''],
];

/** @type {(id: string) => any} */
const $ = (id) => document.getElementById(id);
/** @type {PopupView | undefined} */
let view;
/** @type {(() => void) | undefined} */
let stopMeter;
/** A worker that sleeps is awake before this, however slow its storage: to restart one that works could cost a call. */
const patience = 5_000;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let overdue;
let hangs = false;

// Asking the worker --------------------------------------------------------------------------------------------

/** @param {string} type @param {object} [payload] @returns {Promise<boolean>} whether the worker has heard it */
async function ask(type, payload) {
  expectAnswer();
  const answer = await chrome.runtime.sendMessage({ type, payload }).catch((error) => ({ ok: false, error: String(error) }));
  hearAnswer();
  if (!answer?.ok) console.warn(`flexvc: ${type} was refused: ${answer?.error}`);
  return Boolean(answer?.ok);
}

/** Names the call that is seen: by the time the worker is asked it may have ended, and another be in its place. */
const shown = () => (view?.call ? { callSid: view.call.callSid } : {});

function connect() {
  expectAnswer();
  const port = chrome.runtime.connect({ name: 'popup' });
  port.onMessage.addListener((/** @type {{ type: string, payload: PopupView }} */ message) => {
    hearAnswer();
    if (message.type === 'popup.view') show(message.payload);
  });
  port.onDisconnect.addListener(() => setTimeout(connect, 100));
}

/** What the popup shows is what the worker said last, and one that hangs says nothing. */
function expectAnswer() {
  overdue ??= setTimeout(() => {
    hangs = true;
    showStatus();
  }, patience);
}

function hearAnswer() {
  clearTimeout(overdue);
  overdue = undefined;
  if (!hangs) return;
  hangs = false;
  showStatus();
}

// Showing ------------------------------------------------------------------------------------------------------

/** @param {PopupView} next */
function show(next) {
  const before = view;
  view = next;
  showStatus();
  showCall(next, before);
  showOthers($('others'), othersOf(next), t, ask);
  showDevices(next);
  showFacts(next);
}

/** Writes only what changed: a screen reader says a live region again each time it is written. @param {any} element @param {string} text */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function showStatus() {
  const now = view;
  const shown = hangs ? unresponsive : now && statusOf(now);
  if (!shown) return;
  const { id, tone, actions, reason, refusal } = shown;
  const values = [
    now?.identity ? nameOf(now.identity, now.prefix) : '',
    now?.tokenURL ? new URL(now.tokenURL).host : '',
    now?.tokenExpiresAt ? time(now.tokenExpiresAt) : '',
    now?.update ?? '',
    now?.account ?? '',
  ];
  $('status').dataset.tone = tone;
  write($('status-title'), t(`status_${id}_title`, ...values));
  write($('status-reason'), t(reason ?? `status_${id}_reason`, ...values));
  write($('status-fix'), t(`status_${id}_fix`, ...values));
  write($('status-details'), refusal && now?.refusal ? wordsOf(now.refusal, refusal, t) : '');
  showActions(actions);
}

/** @param {import('./status.js').Action[]} actions  the first is the one to take */
function showActions(actions) {
  const row = $('status-actions');
  // A button that is made anew loses the focus.
  if (row.dataset.shows === actions.join()) return;
  row.dataset.shows = actions.join();
  row.replaceChildren(
    ...actions.map((action, i) => {
      const button = Object.assign(document.createElement('button'), { type: 'button', textContent: t(`status_action_${action}`) });
      button.className = i === 0 ? 'primary' : '';
      button.addEventListener('click', () => act[action](button));
      return button;
    }),
  );
}

/** @type {Record<import('./status.js').Action, (button: HTMLElement) => unknown>} */
const act = {
  welcome: () => ask('popup.openWelcome'),
  site_settings: () => openPage(siteSettings()),
  microphones: () => openPage(microphones),
  flex: () => showFlex(),
  reload_flex: () => showFlex({ reload: true }),
  retry: () => ask('popup.retry', { what: 'token' }),
  reconnect: () => ask('popup.retry', { what: 'line' }),
  consent: () => ask('popup.consent', { key: view?.consent?.key }),
  restart: () => startAnew(),
  unmute: () => ask('popup.mute', { muted: false, ...shown() }),
  async copy(button) {
    const { id } = view ? statusOf(view) : unresponsive;
    await navigator.clipboard.writeText(details(view, id, { at: Date.now(), browser: navigator.userAgent }));
    write(button, t('copied'));
    setTimeout(() => write(button, t('status_action_copy')), 2_000);
  },
};

/** @param {PopupView} now @param {PopupView | undefined} before */
function showCall({ call, offers, lastEnd, prefix }, before) {
  $('call').hidden = !call;
  $('no-call').hidden = Boolean(call) || offers.length > 0;
  write($('no-call'), lastEnd && t(`call_end_${lastEnd}`) ? t(`call_end_${lastEnd}`) : t('call_none'));
  if (!call) {
    // The next call starts with an empty pad.
    if (before?.call) toggleKeypad(false);
    return;
  }
  write($('caller-name'), nameOf(call.from, prefix) || t('call_unknown'));
  $('caller-name').classList.toggle('long', $('caller-name').textContent.length > 18);
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
  const { mos, rttMs, lossPercent } = quality;
  const figures = [
    mos === null ? null : t('quality_mos', tenths(mos)),
    rttMs === null ? null : milliseconds(rttMs),
    lossPercent === null ? null : t('quality_loss', percentage(lossPercent)),
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
  if (JSON.stringify([...select.options].map((option) => option.value)) !== JSON.stringify(wanted)) {
    select.replaceChildren(...wanted.map((label) => new Option(labelOf(label, labels), label)));
  }
  select.value = chosen;
  select.title = select.selectedOptions[0]?.text ?? '';
}

/** @param {string} label @param {string[]} present */
function labelOf(label, present) {
  if (label === '') return t('sound_default');
  return present.includes(label) ? label : t('sound_absent', label);
}

/** @type {[key: string, value: (now: PopupView) => string | null][]} */
const facts = [
  ['info_account', (now) => now.account],
  ['info_identity', (now) => now.identity && nameOf(now.identity, now.prefix)],
  ['info_tabs', (now) => (now.tabs === now.acceptedTabs ? count(now.tabs) : t('info_tabs_some', count(now.acceptedTabs), count(now.tabs)))],
  ['info_plugin', (now) => now.pluginVersion],
  ['info_extension', (now) => (now.update ? t('info_extension_update', now.extensionVersion, now.update) : now.extensionVersion)],
  ['info_token', (now) => left(now.tokenExpiresAt)],
  ['info_flex_token', (now) => left(now.flexTokenExpiresAt)],
  ['info_token_url', (now) => now.tokenURL],
  ['info_refused', (now) => (now.refused ? count(now.refused) : null)],
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
  arrange();
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
  showTyped();
  arrange();
}

/** The headline's explanations make way for what else is being used. */
function arrange() {
  const away = $('tab-call').getAttribute('aria-selected') !== 'true' || !$('keypad').hidden;
  document.body.classList.toggle('brief', away);
}

/** All of them can be seen: in smaller type when there are many, and by scrolling when there are very many. */
function showTyped() {
  const typed = $('typed');
  typed.classList.toggle('many', typed.textContent.length > 20);
  typed.scrollTop = typed.scrollHeight;
  typed.tabIndex = typed.scrollHeight > typed.clientHeight ? 0 : -1;
}

/** @param {string} digit */
function press(digit) {
  $('typed').textContent += digit;
  showTyped();
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

/** A worker that does not hear it is started anew with everything else. */
async function startAnew() {
  // Where it says what comes of it.
  openTab($('tab-call'));
  const late = setTimeout(reloadExtension, hangs ? 0 : patience);
  if (await ask('popup.restart')) clearTimeout(late);
}

/** Restarting hangs up, so with a call up it takes a second click. */
function restart() {
  if (!view?.call) startAnew();
  else questionRestart(true);
}

/** @param {boolean} asking */
function questionRestart(asking) {
  for (const id of ['facts', 'restart']) $(id).hidden = asking;
  $('restart-confirm').hidden = !asking;
  $(asking ? 'restart-no' : 'restart').focus();
}

/** @param {boolean} sure */
function answerRestart(sure) {
  questionRestart(false);
  if (sure) startAnew();
}

// Setting up ---------------------------------------------------------------------------------------------------

writePage();
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
