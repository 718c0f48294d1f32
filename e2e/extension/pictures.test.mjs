// The popup and the welcome page in every state, language and look: nothing is cut off, everything fits what Chrome shows of a
// popup, and axe finds nothing. PICTURES=FOLDER keeps the pictures.
import assert from 'node:assert/strict';
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { serveApp, stubChrome, viewOf } from '../../extension/test/browser/popup-page.js';
import { pictures } from '../../extension/test/browser/states.js';

const tools = createRequire(new URL('../../extension/package.json', import.meta.url));
const { chromium } = tools('playwright-core');
const axe = await readFile(tools.resolve('axe-core/axe.min.js'), 'utf8');
const languages = await readdir(new URL('../../extension/app/_locales/', import.meta.url));
const folder = process.env.PICTURES;

// Browser zoom makes CSS pixels larger, so that fewer of them fit. What a page is for a screen reader is the same in each look.
const looks = [
  { look: 'light', colorScheme: 'light', zoom: 1 },
  { look: 'dark', colorScheme: 'dark', zoom: 1, rules: ['color-contrast'] },
  { look: '125', colorScheme: 'light', zoom: 1.25, rules: ['color-contrast', 'target-size', 'scrollable-region-focusable'] },
];
/** Of a popup Chrome shows 600 px, and makes it no higher than what is in it. The welcome page is in a tab, and may scroll. */
const popup = { width: 360, height: 600, mostHeight: 600 };
const tab = { width: 900, height: 600, mostHeight: Infinity };

let app, browser;

before(async () => {
  app = await serveApp();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
  });
});

after(async () => {
  await browser?.close();
  app?.close();
});

for (const language of languages) {
  test(`the popup in ${language}`, { timeout: 300_000 }, async () => {
    await within(language, popup, async (page, look) => {
      await open(page, 'popup/popup.html', null, language);
      // A worker that hangs is one only after a while.
      await page.waitForFunction(() => document.getElementById('status-title').textContent !== '');
      await look('unresponsive');
      for (const [name, { view, do: act }] of Object.entries(pictures())) {
        if (!view) continue;
        await page.evaluate(anew, view);
        await act?.(page);
        await look(name);
      }
    });
  });

  test(`the welcome page in ${language}`, { timeout: 60_000 }, async () => {
    await within(language, tab, async (page, look) => {
      for (const state of ['prompt', 'granted', 'denied', 'missing']) {
        await page.addInitScript((state) => {
          navigator.permissions.query = async () => ({ state: state === 'missing' ? 'prompt' : state });
          if (state === 'missing') navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('none', 'NotFoundError'));
        }, state);
        await open(page, 'welcome/welcome.html', viewOf(), language);
        if (state === 'missing') await page.click('#allow');
        if (state !== 'prompt') await page.waitForFunction(() => document.getElementById('result').textContent !== '');
        await look(`welcome_${state}`);
      }
    });
  });
}

async function open(page, path, view, language) {
  await stubChrome(page, view, language);
  await page.goto(`${app.url}${path}`);
  await page.evaluate(axe);
}

/** Runs in the popup: as it is when it has just been opened. @param {any} view */
function anew(view) {
  for (const id of ['restart-no', 'tab-call']) document.getElementById(id).click();
  window.push({ ...view, call: null });
  window.push(view);
  document.activeElement?.blur();
}

/** Gives a page, and what looks at it in every look. Complains at the end, of everything. */
async function within(language, { width, height, mostHeight }, run) {
  const found = [];
  if (folder) await mkdir(join(folder, language), { recursive: true });
  for (const zoom of [1, 1.25]) {
    const viewport = { width, height: Math.floor(height / zoom) };
    const context = await browser.newContext({ locale: language.replace('_', '-'), viewport, deviceScaleFactor: zoom });
    const page = await context.newPage();
    page.on('pageerror', (error) => found.push(String(error)));
    page.on('console', (message) => ['error', 'warning'].includes(message.type()) && found.push(message.text()));
    await run(page, async (name) => {
      for (const { look, colorScheme, rules } of looks.filter((one) => one.zoom === zoom)) {
        await page.emulateMedia({ colorScheme });
        const what = `${name}-${look}`;
        for (const fault of await page.evaluate(faults, { mostHeight: mostHeight / zoom, rules })) found.push(`${what}: ${fault}`);
        if (!folder) continue;
        const high = await page.evaluate(() => document.querySelector('main').getBoundingClientRect().height);
        const clip = { x: 0, y: 0, width, height: mostHeight < Infinity ? high : viewport.height };
        await page.screenshot({ path: join(folder, language, `${what}.png`), clip });
      }
    });
    await context.close();
  }
  assert.deepEqual(found, []);
}

/** Runs in the page. @param {{ mostHeight: number, rules?: string[] }} limits  rules: of axe, all by default */
async function faults({ mostHeight, rules }) {
  const found = [];
  const named = (element) => `${element.localName}${element.id ? `#${element.id}` : ''} "${element.textContent.trim().slice(0, 40)}"`;
  const root = document.documentElement;
  if (root.scrollHeight > mostHeight) found.push(`${root.scrollHeight} px high, not ${mostHeight}`);
  for (const element of document.querySelectorAll('html, body, body *:not(script):not(svg *):not(option)')) {
    const style = getComputedStyle(element);
    if (!element.checkVisibility() || element.matches('.hidden')) continue;
    if (style.display !== 'inline' && element.clientWidth && element.scrollWidth > element.clientWidth) found.push(`${named(element)} is ${element.scrollWidth} wide in ${element.clientWidth}`);
    const scrolls = element === root || style.overflowY === 'auto';
    if (!scrolls && style.display !== 'inline' && element.clientHeight && element.localName !== 'meter' && element.scrollHeight > element.clientHeight + 1) found.push(`${named(element)} is ${element.scrollHeight} high in ${element.clientHeight}`);
    const { left, right } = element.getBoundingClientRect();
    if (left < 0 || right > root.clientWidth) found.push(`${named(element)} reaches from ${left} to ${right}`);
  }
  const { violations } = await window.axe.run(rules ? { runOnly: rules } : {});
  return [...found, ...violations.map(({ id, nodes }) => `axe, ${id}: ${nodes.map(({ html }) => html).join(' ')}`)];
}
