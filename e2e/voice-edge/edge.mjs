// Starts the emulated voice edge and a Chromium that takes it for Twilio.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));

export async function startEdge() {
  const child = spawn(process.env.EDGE_BINARY, [here, join(here, 'node_modules/@twilio/voice-sdk/dist/twilio.js')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([
    lines[Symbol.asyncIterator]().next().then((l) => l.value),
    ended.then((code) => { throw new Error(`the edge ended with ${code}`); }),
  ]);
  const where = JSON.parse(first);
  const order = async (verb, body = {}) => {
    const response = await fetch(`${where.pages}/${verb}`, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${verb}: ${await response.text()}`);
    return response.json();
  };
  return { ...where, order, async stop() { child.stdin.end(); return ended; } };
}

export async function startBrowser(edge) {
  const profile = await mkdtemp(join(tmpdir(), 'voice-edge-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: false,
    args: [
      '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required',
      `--host-resolver-rules=MAP *.twilio.com ${edge.signal}, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1`,
      `--ignore-certificate-errors-spki-list=${edge.spki}`,
    ],
  });
  return {
    context,
    async stop() {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

// A page with a Device; its methods are those of window.phone in page.html.
export async function openPhone(edge, browser, identity, options) {
  const page = await browser.context.newPage();
  await page.goto(`${edge.pages}/page.html`);
  const token = await edge.order('token', { identity, seconds: 3600 });
  const phone = new Proxy({ page }, {
    get(target, name) {
      if (name in target || name === 'then') return target[name];
      return (...args) => page.evaluate(([n, a]) => window.phone[n](...a), [name, args]);
    },
  });
  await phone.open(token, options);
  return phone;
}

// The first event of that name after a number of others.
export async function eventOf(phone, name, after = 0) {
  const handle = await phone.page.waitForFunction(
    ([n, skip]) => window.phone.events.slice(skip).find((e) => e.name === n), [name, after], { timeout: 20000, polling: 10 },
  );
  return handle.jsonValue();
}

export const eventCount = (phone) => phone.page.evaluate(() => window.phone.events.length);

// Asks again until the answer is as wanted.
export async function until(what, ask, wanted, limit = 20000) {
  const deadline = Date.now() + limit;
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`${what} did not happen: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
