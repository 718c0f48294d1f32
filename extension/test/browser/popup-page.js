// Opens popup.html outside of an extension, with a chrome.* that answers from memory, to look at it in any state.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';

const app = new URL('../../app/', import.meta.url);
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.png': 'image/png' };

/** Serves app/ on loopback. @returns {Promise<{ url: string, close: () => void }>} */
export async function serveApp() {
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://x').pathname;
    if (path === '/favicon.ico') return response.writeHead(204).end();
    const body = await readFile(new URL(`.${path}`, app)).catch(() => undefined);
    response.writeHead(body ? 200 : 404, { 'Content-Type': types[extname(path)] ?? 'application/octet-stream' });
    response.end(body);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', () => listening(undefined)));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return { url: `http://127.0.0.1:${port}/`, close: () => server.close() };
}

/**
 * @param {any} page  a Playwright page
 * @param {any} view  what the worker would push; null for a worker that hangs
 * @param {string} [language]  a folder of _locales
 */
export async function stubChrome(page, view, language = 'en') {
  const messages = JSON.parse(await readFile(new URL(`_locales/${language}/messages.json`, app), 'utf8'));
  await page.addInitScript(
    ({ messages, view, language }) => {
      const none = { addListener() {} };
      const fill = (/** @type {any} */ entry, /** @type {string[]} */ values) =>
        entry.message.replace(/\$([A-Z]+)\$/g, (_, name) => values[entry.placeholders[name.toLowerCase()].content.slice(1) - 1] ?? '');
      globalThis.asked = [];
      globalThis.chrome = {
        i18n: {
          getMessage: (key, values = []) => (messages[key] ? fill(messages[key], [values].flat()) : ''),
          getUILanguage: () => language.replace('_', '-'),
        },
        runtime: {
          connect: () => ({
            onMessage: { addListener: (hear) => { globalThis.push = (payload) => hear({ type: 'popup.view', payload }); if (view) globalThis.push(view); } },
            onDisconnect: none,
          }),
          getURL: (path) => `chrome-extension://ours/${path}`,
          sendMessage: async (message) => { globalThis.asked.push(message); return { ok: true }; },
        },
      };
    },
    { messages, view, language },
  );
}

/** A state worth looking at; overrides go on top. */
export const viewOf = (overrides = {}) => ({
  line: 'registered',
  problem: null,
  refusal: null,
  consent: null,
  prefix: 'ext_',
  lastEnd: null,
  call: null,
  onHold: [],
  offers: [],
  devices: {
    microphone: 'granted',
    inputs: ['Headset Microphone (Jabra Evolve2 65)', 'Built-in Microphone'],
    outputs: ['Headset Earphone (Jabra Evolve2 65)', 'Built-in Speakers'],
    chosen: { input: 'Headset Microphone (Jabra Evolve2 65)', output: '', ringtone: 'Built-in Speakers' },
  },
  account: `AC${'0123456789abcdef'.repeat(2)}`,
  tokenURL: 'https://voice.example.com/generateToken',
  identity: 'ext_alice',
  tabs: 2,
  acceptedTabs: 2,
  rejection: null,
  pluginVersion: '1.4.0',
  extensionVersion: '0.1.0',
  update: null,
  tokenExpiresAt: Date.now() + 47 * 60_000,
  flexTokenExpiresAt: Date.now() + 7.2 * 3_600_000,
  refused: 0,
  ...overrides,
});

export const callOf = (overrides = {}) => ({
  callSid: 'CA1',
  from: '+1 555 010 0199',
  status: 'open',
  muted: false,
  direction: 'inbound',
  startedAt: Date.now() - 194_000,
  quality: { level: 'good', mos: 4.3, rttMs: 38, jitterMs: 3, lossPercent: 0.1 },
  ...overrides,
});
