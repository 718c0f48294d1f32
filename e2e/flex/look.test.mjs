// The badge and its menu as a part of Flex: in its theme, its language and the administrator's words, with the keyboard, and without
// colours. First in a Flex without an extension, where this page says what one would say, then in a real call. PICTURES=FOLDER keeps
// the pictures.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { startFlex, until } from './world.mjs';

const axe = await readFile(createRequire(new URL('../../extension/package.json', import.meta.url)).resolve('axe-core/axe.min.js'), 'utf8');

let flex, page;

const each = { timeout: 300_000 };
const part = (name) => page.locator(`[data-flexvc=${name}]`);
const mark = () => part('badge').locator('button').first();
const menu = () => part('badge').locator('[role=dialog]');
const title = () => part('badge').locator('[role=status]').innerText();
const badgeSays = (wanted) => until(`a badge that says ${wanted}`, async () => (await title()) === wanted);

async function start(options) {
  await flex?.stop();
  flex = await startFlex(options);
  await flex.deployPlugin({ helpURL: 'https://help.example.com/voice' });
  await flex.enable(true);
}

async function open(script) {
  await page?.close();
  page = await flex.openFlex({ script });
  await page.evaluate(axe);
}

const identity = () => `ext_${JSON.parse(flex.worker.attributes).contact_uri.replace(/^client:(ext_)?/, '').split('?')[0]}`;
const devices = { inputs: ['Jabra Evolve2 65 mono, the one with the very long name'], outputs: ['Jabra Evolve2 65'], selected: { input: '', output: '' } };

/** Heartbeats of an extension that is not there, from now on. */
const beats = (beat) => page.evaluate((beat) => {
  clearInterval(window.beats);
  const say = () => postMessage({ type: 'VOICE_CLIENT_EXTENSION_HEARTBEAT', payload: beat }, location.origin);
  window.beats = setInterval(say, 500);
  say();
}, { protocol: 3, extensionVersion: '1.0.0', voiceClientIdentity: identity(), status: 'registered', call: null, onHold: [], offers: [], error: false, audioDevices: devices, ...beat });

const call = { callSid: 'CA1', status: 'open', muted: false, startedAt: 1, quality: null };
const states = {
  ready: [{}, 'badge.ready'],
  call: [{ call }, 'badge.call'],
  muted: [{ call: { ...call, muted: true } }, 'badge.muted'],
  offer: [{ call, offers: [{ callSid: 'CA2', from: 'client:alice_2Ehaddad_40example_2Ecom' }], onHold: [{ ...call, callSid: 'CA3', from: '+15550103' }] }, 'badge.incoming'],
  problem: [{ error: true, problem: 'microphone_denied' }, 'microphone_denied.title'],
};

/** Runs in the page: what axe finds in the badge and its menu, and what does not fit. */
async function faults() {
  const root = document.querySelector('[data-flexvc=badge]');
  const found = [];
  for (const element of [root, ...root.querySelectorAll('*:not(svg *):not(option):not([role=status])')]) {
    const named = `${element.localName} "${element.textContent.trim().slice(0, 40)}"`;
    const { left, right, bottom } = element.getBoundingClientRect();
    if (left < 0 || right > innerWidth || bottom > innerHeight) found.push(`${named} reaches out of the window`);
    // A title that is cut has a tooltip, and stands in the menu.
    if (element.closest('[aria-haspopup]')) continue;
    if (element.clientWidth && element.scrollWidth > element.clientWidth + 1) found.push(`${named} is ${element.scrollWidth} wide in ${element.clientWidth}`);
  }
  const { violations, passes } = await window.axe.run(root);
  if (passes.length < 5) found.push('axe has looked at nothing');
  return [...found, ...violations.map(({ id, nodes }) => `axe, ${id}: ${nodes.map(({ html, any }) => `${html} ${any.map(({ message }) => message)}`).join(' ')}`)];
}

/** Shows each state with the menu open, and answers what is wrong with any. */
async function lookAt(name, sentences) {
  const found = [];
  for (const [state, [beat, word]] of Object.entries(states)) {
    await beats(beat);
    await badgeSays(sentences[word]);
    // The menu opens by itself for an offer, and closes with it.
    if (!(await menu().count())) await mark().click();
    await menu().waitFor();
    await page.evaluate(() => document.activeElement.blur());
    for (const fault of await page.evaluate(faults)) found.push(`${name}, ${state}: ${fault}`);
    await flex.picture(page, `look-${name}-${state}`);
    await page.keyboard.press('Escape');
  }
  return found;
}

const english = Object.fromEntries([['badge.ready', 'Voice ready'], ['badge.call', 'In a call'], ['badge.muted', 'Muted'], ['badge.incoming', 'Incoming call'], ['microphone_denied.title', 'Microphone blocked']]);

before(() => start({ extension: false }));
after(() => flex?.stop());

test('"I work in the dark, and so does the badge": Flex\'s theme, also when it changes, and axe finds nothing', each, async () => {
  await open();
  const found = [];
  for (const isLight of [true, false]) {
    await page.evaluate((isLight) => Twilio.Flex.Manager.getInstance().updateConfig({ theme: { isLight } }), isLight);
    found.push(...(await lookAt(isLight ? 'light' : 'dark', english)));
    await beats({});
    await mark().click();
    const drawn = await menu().evaluate((element) => [getComputedStyle(element).backgroundColor, getComputedStyle(element).color]);
    assert.deepEqual(drawn, isLight ? ['rgb(255, 255, 255)', 'rgb(18, 28, 45)'] : ['rgb(13, 19, 28)', 'rgb(244, 244, 246)']);
    await page.keyboard.press('Escape');
  }
  assert.deepEqual(found, []);
});

test('"Our Flex is green": the tokens and the header of an account\'s own theme', each, async () => {
  await page.evaluate(() => Twilio.Flex.Manager.getInstance().updateConfig({
    theme: { isLight: true, tokens: { backgroundColors: { colorBackgroundBody: 'rgb(240, 255, 240)' } }, componentThemeOverrides: { MainHeader: { Container: { background: 'rgb(230, 230, 230)', color: 'rgb(0, 40, 0)' } } } },
  }));
  await beats({ call: { ...call, muted: true } });
  await badgeSays('Muted');
  await mark().click();
  assert.equal(await menu().evaluate((element) => getComputedStyle(element).backgroundColor), 'rgb(240, 255, 240)');
  assert.deepEqual(await mark().evaluate((element) => [getComputedStyle(element).backgroundColor, getComputedStyle(element).color]), ['rgb(0, 40, 0)', 'rgb(230, 230, 230)']);
  assert.deepEqual(await page.evaluate(faults), []);
  await flex.picture(page, 'look-own-theme');
  await page.keyboard.press('Escape');
});

test('"I cannot tell red from green": each state has a shape and words of its own', each, async () => {
  const seen = [];
  for (const [beat, word] of Object.values(states)) {
    await beats(beat);
    await badgeSays(english[word]);
    seen.push(await mark().evaluate((element) => [element.querySelector('path').getAttribute('d'), element.innerText]));
    await page.keyboard.press('Escape');
  }
  assert.equal(new Set(seen.map(([shape]) => shape)).size, seen.length);
  assert.equal(new Set(seen.map(([, words]) => words)).size, seen.length);
});

const tags = { en: 'en-US', de: 'de-DE', fr: 'fr-FR', es: 'es-ES', pt: 'pt-BR', ja: 'ja-JP' };

for (const [language, tag] of Object.entries(tags)) {
  test(`"I have set Flex to ${tag}, and the badge speaks it too"`, each, async () => {
    const sentences = language === 'en' ? english : JSON.parse(await readFile(new URL(`../../plugin/src/languages/${language}.json`, import.meta.url), 'utf8'));
    await flex.flexOrder('settings', { features: ['flex-warm-transfers', 'flex-multi-tab-support', 'device-manager-beta', 'localization-beta'].map((id) => ({ id, enabled: true })) });
    await open(`localStorage.setItem('TWILIO_FLEX_LOCALE_PREFERENCE', ${JSON.stringify(tag)})`);
    assert.equal(await page.evaluate(() => Twilio.Flex.Manager.getInstance().localization.localeTag), tag, 'as Flex has it');
    assert.deepEqual(await lookAt(tag, sentences), []);
    assert.equal(await part('badge').getAttribute('lang'), language);
    // The bar draws from Flex's strings.
    await page.evaluate(() => Twilio.Flex.Notifications.showNotificationSingle('flexvc.outbound_refused'));
    if (language !== 'en') await page.locator('[data-testid=notification-message]', { hasText: sentences.outbound_refused }).first().waitFor();
  });
}

test('"We call it the softphone here": what an administrator or another plugin has put into Flex\'s strings is what agents read', each, async () => {
  const says = (name, word, sentence) => ({ name, version: '1.0.0', source: `Twilio.Flex.Plugins.init(class { constructor() { this.name = '${name}'; } init(flex, manager) { manager.strings['flexvc.${word}'] = '${sentence}'; } });` });
  await flex.flexOrder('plugin', { ...says('words-before', 'badge.ready', 'Softphone ready'), phase: 0 });
  await flex.flexOrder('plugin', { ...says('words-after', 'badge.microphone', 'Mic'), phase: 4 });
  await open();
  await beats({});
  await badgeSays('Softphone ready');
  await mark().click();
  await menu().locator('label', { hasText: /^Mic/ }).waitFor();
  for (const name of ['words-before', 'words-after']) await flex.flexOrder('plugin', { name });
  assert.deepEqual(flex.wrong(), []);
});

test('"Who is it?" and "My hands are on the keyboard": a real call, by name, with the digits that were sent, once each', each, async () => {
  await start();
  await open();
  await badgeSays('Voice ready');
  await flex.setActivity(page, 'Available');
  const { sid } = await flex.offer({ attributes: { name: 'Anna Vogt' } });
  await page.locator('[data-testid=accept-task]').first().click();
  const { call_sid } = await flex.reservationIs(sid, 'accepted');
  await flex.endsWith(sid);
  await badgeSays('In a call');

  const focused = (name) => until(`the focus on ${name}`, () => page.evaluate((name) => document.activeElement.closest('[data-flexvc=badge]') && (document.activeElement.dataset.flexvc ?? document.activeElement.role ?? document.activeElement.innerText) === name, name));
  await mark().focus();
  await page.keyboard.press('Enter');
  await focused('dialog');
  await until('the caller', async () => (await part('caller').innerText()) === 'With Anna Vogt');
  await page.keyboard.press('Tab'); // close
  await page.keyboard.press('Tab');
  await focused('mute');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await focused('1');
  for (const [at, digit] of [...'15#0'].entries()) {
    await page.keyboard.press(digit);
    await until(`${at + 1} digits at the other end`, async () => (await flex.stats(call_sid)).digits?.length === at + 1);
    // Flex opens a keypad of its own, and would take the keyboard along.
    await focused('1');
  }
  assert.equal((await flex.stats(call_sid)).digits.map(({ key }) => key).join(''), '15#0');
  assert.equal(await part('typed').innerText(), '15#0');
  await flex.picture(page, 'look-call-keypad');
  await part('hang-up').focus();
  await page.keyboard.press('Enter');
  await badgeSays('Voice ready');
  await focused('dialog');
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-haspopup')), 'dialog');
  assert.equal(await menu().count(), 0);
  assert.deepEqual(flex.wrong(), []);
});
