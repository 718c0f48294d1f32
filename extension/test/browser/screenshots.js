// Pictures of the popup and the welcome page, into test/browser/out: npm run screenshots
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { callOf, serveApp, stubChrome, viewOf } from './popup-page.js';

const out = fileURLToPath(new URL('out/', import.meta.url));
await mkdir(out, { recursive: true });

const shots = {
  ready: { view: viewOf() },
  unconfigured: { view: viewOf({ line: 'unconfigured', account: null, identity: null, tabs: 0, acceptedTabs: 0 }) },
  connecting: { view: viewOf({ line: 'registering' }) },
  down: { view: viewOf({ line: 'fetching', problem: 'token_server_unreachable' }) },
  microphone: { view: viewOf({ devices: { ...viewOf().devices, microphone: 'prompt' } }) },
  call: { view: viewOf({ call: callOf() }) },
  muted: { view: viewOf({ call: callOf({ muted: true, quality: { level: 'poor', mos: 3.1, rttMs: 412, jitterMs: 40, lossPercent: 6.2 } }) }), click: '#keypad-toggle', type: '159#*' },
  reconnecting: { view: viewOf({ call: callOf({ status: 'reconnecting' }) }) },
  others: { view: viewOf({ call: callOf({ callSid: 'CA2', from: '+1 555 010 0142' }), onHold: [callOf()], offers: [{ callSid: 'CA3', from: '+1 555 010 0111' }] }) },
  offered: { view: viewOf({ offers: [{ callSid: 'CA3', from: '+1 555 010 0111' }] }) },
  sound: { view: viewOf(), click: '#tab-sound' },
  info: { view: viewOf({ update: '0.2.0', refused: 3 }), click: '#tab-info' },
  restart: { view: viewOf({ call: callOf() }), click: '#tab-info', then: '#restart' },
};

const app = await serveApp();
const browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
try {
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    for (const [name, { view, click, then, type }] of Object.entries(shots)) {
      const page = await browser.newPage({ viewport: { width: 360, height: 200 }, colorScheme, deviceScaleFactor: 2 });
      await stubChrome(page, view);
      await page.goto(`${app.url}popup/popup.html`);
      if (click) await page.click(click);
      if (then) await page.click(then);
      if (type) await page.keyboard.type(type);
      await page.screenshot({ path: `${out}${name}-${colorScheme}.png`, fullPage: true });
      await page.close();
    }
    const page = await browser.newPage({ viewport: { width: 900, height: 560 }, colorScheme });
    await stubChrome(page, viewOf());
    await page.goto(`${app.url}welcome/welcome.html`);
    await page.screenshot({ path: `${out}welcome-${colorScheme}.png` });
    await page.close();
  }
} finally {
  await browser.close();
  app.close();
}
console.log(out);
