// "It speaks English to me": the extension in Chromium, in each of its languages, and in one that it does not have.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const { chromium } = createRequire(new URL('../../extension/package.json', import.meta.url))('playwright-core');
const app = fileURLToPath(new URL('../../extension/app/', import.meta.url));

/** What the browser is set to, the language that comes of it, and how numbers and times are written in it. */
const browsers = [
  ['en-US', 'en', '4.3', /^\d\d:\d\d [AP]M$/], ['de', 'de', '4,3', /^\d\d:\d\d$/], ['fr', 'fr', '4,3', /^\d\d:\d\d$/], ['es', 'es', '4,3', /^\d\d:\d\d$/],
  ['pt-BR', 'pt_BR', '4,3', /^\d\d:\d\d$/], ['ja', 'ja', '4.3', /^\d\d:\d\d$/], ['nl', 'en', '4.3', /\d\d:\d\d/],
];

for (const [set, language, tenths, time] of browsers) {
  test(`a browser in ${set} shows ${language}`, { timeout: 60_000 }, async (t) => {
    const profile = await mkdtemp(join(tmpdir(), 'flexvc-language-'));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      headless: false,
      ignoreDefaultArgs: ['--disable-extensions'],
      // On Linux the environment says it, elsewhere --lang.
      env: { ...process.env, LANGUAGE: set.replace('-', '_') },
      args: ['--headless=new', '--no-sandbox', '--disable-gpu', `--lang=${set}`, `--disable-extensions-except=${app}`, `--load-extension=${app}`, '--host-resolver-rules=MAP * ~NOTFOUND'],
    });
    t.after(async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    });
    const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'));
    const text = JSON.parse(await readFile(join(app, '_locales', language, 'messages.json'), 'utf8'));
    const popup = await context.newPage();
    await popup.goto(new URL('/popup/popup.html', worker.url()).href);
    await popup.getByRole('heading', { name: text.status_unconfigured_title.message, exact: true }).waitFor();
    await popup.getByRole('button', { name: text.status_action_flex.message, exact: true }).waitFor();
    assert.equal(await popup.getAttribute('html', 'lang'), text.language.message);
    // As Chrome fills it in, not as a test thinks that it does.
    assert.equal(await popup.evaluate(() => chrome.i18n.getMessage('info_tabs_some', ['1', '2'])), text.info_tabs_some.message.replace('$SERVED$', '1').replace('$OPEN$', '2'));
    const written = await popup.evaluate(async () => {
      const words = await import('/shared/words.js');
      return [words.tenths(4.3), words.time(new Date().setHours(15, 4))];
    });
    assert.equal(written[0], tenths);
    assert.match(written[1], time);
    const info = await worker.evaluate(() => chrome.action.getTitle({}));
    assert.equal(info, text.icon_grey.message);
  });
}
