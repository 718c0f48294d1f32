// Pictures for a listing in the Chrome Web Store: screenshots of 1280 x 800 and a promotional tile of 440 x 280, PNG without
// transparency, as the store asks for. What they say is what the extension says.
//
//   node test/browser/store-pictures.js [LANGUAGE [FOLDER]]
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { callOf, serveApp, stubChrome, viewOf } from './popup-page.js';

const [language = 'en', folder = fileURLToPath(new URL('../../store/pictures/', import.meta.url))] = process.argv.slice(2);
const text = JSON.parse(await readFile(new URL(`../../app/_locales/${language}/messages.json`, import.meta.url), 'utf8'));

// Years ahead of any clock, so that the same time is left in every picture.
const now = Date.UTC(2030, 0, 15, 9, 30);
const call = callOf({ from: 'client:sam_2Erivera_40acme_2Eexample', startedAt: now - 194_000 });
const view = (more) => viewOf({ tokenURL: 'https://voice.acme.example/generateToken', identity: 'ext_alice_40acme_2Eexample', tokenExpiresAt: now + 47 * 60_000, flexTokenExpiresAt: now + 7 * 3_600_000, ...more });

// The points of the description, which stand in the same order in every language.
const points = [...(await readFile(new URL(`../../store/listing/${language}.txt`, import.meta.url), 'utf8')).matchAll(/^• (.*)$/gm)].map(([, point]) => point);
const heading = `<h1>${text.name.message}</h1>`;

const screenshots = [
  { name: '1-call', caption: `${heading}<p>${text.description.message}</p>`, shown: view({ call }) },
  { name: '2-muted', caption: `<p>${points[1]}</p>`, shown: view({ call: { ...call, muted: true } }), dark: true },
  {
    name: '3-keypad', caption: `<p>${text.status_call_open_reason.message}</p>`, shown: view({ call }),
    act: (popup) => popup.evaluate(() => ['#keypad-toggle', '#keys :nth-child(4)', '#keys :nth-child(2)'].forEach((key) => /** @type {any} */ (document.querySelector(key)).click())),
  },
  {
    name: '4-help', caption: `<p>${points[3]}</p>`,
    shown: view({ line: 'wanting', problem: 'flex_token_refused', refusal: { status: 403, code: 'role-missing', message: null, requestId: '7Q2M4XYZ' } }),
  },
];

const app = await serveApp();
const browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
await mkdir(folder, { recursive: true });

/** @param {string} name @param {{ width: number, height: number }} size @param {string} body @param {any} shown @param {{ dark?: boolean, act?: (popup: any) => Promise<void> }} [how] */
async function take(name, size, body, shown, { dark = false, act = async () => {} } = {}) {
  const page = await browser.newPage({ viewport: size, colorScheme: dark ? 'dark' : 'light' });
  await page.clock.setFixedTime(now);
  await stubChrome(page, shown, language);
  await page.route('**/picture.html', (route) => route.fulfill({ contentType: 'text/html', body: `<!doctype html><html lang="${text.language.message}"><meta charset="utf-8"><style>
    * { box-sizing: border-box; margin: 0; }
    body { width: ${size.width}px; height: ${size.height}px; overflow: hidden; font-family: system-ui, sans-serif; color: #fff; background: #065f46; display: flex; align-items: center; }
    main { display: grid; gap: 28px; padding: 0 40px 0 88px; width: 620px; }
    img { border-radius: 22%; background: #fff; padding: 10px; }
    h1 { font-size: 52px; line-height: 1.15; text-wrap: balance; }
    p { font-size: 32px; line-height: 1.4; text-wrap: pretty; }
    :lang(ja) :is(h1, p) { word-break: auto-phrase; }
    iframe { border: 0; border-radius: 10px; background: ${dark ? '#16181d' : '#fff'}; width: 360px; height: 200px; zoom: 1.5; }
    .tile main { width: auto; padding: 0 32px; gap: 14px; } .tile h1 { font-size: 34px; } .tile p { font-size: 17px; }
  </style>${body}` }));
  await page.goto(`${app.url}picture.html`);
  const popup = page.frames().find((frame) => frame.url().endsWith('popup.html'));
  if (popup) {
    await popup.waitForFunction(() => document.getElementById('status-title')?.textContent);
    await act(popup);
    const height = await popup.evaluate(() => { /** @type {any} */ (document.activeElement)?.blur(); return document.querySelector('main').getBoundingClientRect().height; });
    await page.evaluate((height) => (document.querySelector('iframe').style.height = `${height}px`), height);
  }
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await page.close();
}

try {
  for (const { name, caption, shown, ...how } of screenshots) {
    await take(`screenshot-${name}`, { width: 1280, height: 800 }, `<body><main>${caption}</main><iframe src="popup/popup.html"></iframe>`, shown, how);
  }
  await take('promo-440x280', { width: 440, height: 280 }, `<body class="tile"><main><img src="icons/green-128.png" width="72" height="72" alt="">${heading}<p>${text.status_call_open_reason.message}</p></main>`, viewOf());
} finally {
  await browser.close();
  app.close();
}
console.log(folder);
