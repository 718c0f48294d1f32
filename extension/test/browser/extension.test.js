// The unpacked extension in real Chromium.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { answerIn, startEdge } from './edge.js';

const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const app = fileURLToPath(new URL('../../app/', import.meta.url));
const account = `AC${'0'.repeat(32)}`;
const skip = existsSync(executablePath) ? false : `no Chromium at ${executablePath}; set CHROMIUM`;

let edge, context, profile, page, media, base;

before(async () => {
  if (skip) return;
  edge = await startEdge();
  profile = mkdtempSync(join(tmpdir(), 'flexvc-profile-'));
  context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: false,
    ignoreDefaultArgs: ['--disable-extensions', '--disable-component-extensions-with-background-pages'],
    args: [
      '--headless=new', '--no-sandbox', `--disable-extensions-except=${app}`, `--load-extension=${app}`,
      '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
      '--allow-loopback-in-peer-connection', '--disable-features=WebRtcHideLocalIpsWithMdns',
      ...edge.flags,
    ],
  });
  const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'));
  base = new URL('/', worker.url()).href;
  media = context.pages()[0];
  edge.answer = answerIn(media);
  page = await context.newPage();
  await page.goto('https://flex.twilio.com/agent-desktop');
});

after(async () => {
  await context?.close();
  edge?.close();
  if (profile) rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
});

const configuration = (more = {}) => ({ accountSid: account, voiceClientTokenGeneratorUrl: edge.tokenURL, extensionVoiceClientPrefix: 'ext_', ...more });
const say = (type, payload, where = page) => where.evaluate(([type, payload]) => window.say(`VOICE_CLIENT_EXTENSION_${type}`, payload), [type, payload]);

/** The latest of a type that the page heard from the extension. */
const last = (type, where = page) => where.evaluate((type) => window.heard.findLast((m) => m.type === type)?.payload, `VOICE_CLIENT_EXTENSION_${type}`);

/** Waits until the check gives something true, and returns it. */
async function until(what, check, ms = 10_000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const callIs = (status) => until(`call ${status}`, async () => (await last('HEARTBEAT'))?.call?.status === status);
const noCall = () => until('no call', async () => (await last('HEARTBEAT'))?.call === null);

test('a plugin configures the extension and its identity is registered', { skip }, async () => {
  await say('CONFIGURE', configuration());
  const configured = await until('CONFIGURED', () => last('CONFIGURED'));
  assert.equal(configured.protocol, 2);
  await say('FLEX_TOKEN', { token: 'made-up-flex-token', accountSid: account, expiration: '2030-01-01T00:00:00Z' });
  await until('registered', async () => (await last('HEARTBEAT'))?.status === 'registered');
  assert.equal((await last('HEARTBEAT')).voiceClientIdentity, 'ext_alice');
  assert.deepEqual(edge.tokens.map(({ method, url, body }) => ({ method, url, body })), [
    { method: 'POST', url: '/generateToken', body: 'Token=made-up-flex-token&VoiceClientPrefix=ext_' },
  ]);
  assert.equal(edge.tokens[0].origin, base.slice(0, -1));
});

test('the offscreen document is ready, its socket open, its microphone closed, before the first call', { skip }, async () => {
  await until('two sockets', () => edge.sockets.size === 2);
  assert.equal(edge.frames.filter(({ type }) => type === 'register').length, 1, 'only the worker registers');
});

test('a call is taken over, muted, dialled, and hung up', { skip }, async (t) => {
  edge.ring('CA1');
  await callIs('open');
  t.diagnostic(`invite to takeover: ${(edge.marks.takeover - edge.marks.invite).toFixed(1)} ms`);
  await say('SET_MUTED', { muted: true });
  await until('muted', async () => (await last('HEARTBEAT')).call.muted);
  await say('SEND_DTMF_DIGITS', { digits: '159#' });
  await say('HANGUP_CALL');
  await noCall();
  await until('hangup on the wire', () => edge.frames.some(({ type, payload }) => type === 'hangup' && payload.callsid === 'CA1'));
});

test('ten calls in a row, taken quickly', { skip }, async (t) => {
  const took = [];
  for (let i = 0; i < 10; i++) {
    edge.ring(`CB${i}`);
    await callIs('open');
    took.push(edge.marks.takeover - edge.marks.invite);
    edge.owner.say('hangup', { callsid: `CB${i}` });
    await noCall();
  }
  took.sort((a, b) => a - b);
  t.diagnostic(`invite to takeover, 10 calls: median ${took[5].toFixed(1)} ms, ${took[0].toFixed(1)}-${took[9].toFixed(1)} ms`);
  assert.equal(edge.sockets.size, 2, 'no client is left over');
});

test('the call survives a reload of the tab, and the new page finds it', { skip }, async () => {
  edge.ring('CC1');
  await callIs('open');
  await page.reload();
  await say('CONFIGURE', configuration());
  await callIs('open');
  assert.ok(edge.owner);
});

test('a second call is refused and the first goes on', { skip }, async () => {
  const { owner } = edge;
  edge.registered.say('invite', { callsid: 'CC2', sdp: 'v=0', reconnect: 'r2', parameters: { CallSid: 'CC2' } });
  await until('reject', () => edge.frames.some(({ type, payload }) => type === 'reject' && payload.callsid === 'CC2'));
  assert.equal(edge.owner, owner);
  await callIs('open');
});

test('the worker is killed in the call: registered again, and hang-up works', { skip }, async (t) => {
  const cdp = await context.newCDPSession(page);
  await cdp.send('ServiceWorker.enable');
  const before = edge.registered;
  const from = performance.now();
  await cdp.send('ServiceWorker.stopAllWorkers');
  await until('registered again', () => edge.registered && edge.registered !== before);
  t.diagnostic(`worker stopped to registered again: ${(performance.now() - from).toFixed(0)} ms`);
  assert.ok(edge.owner, 'the call never noticed');
  await say('SET_MUTED', { muted: true });
  await until('muted', async () => (await last('HEARTBEAT')).call?.muted);
  assert.equal(await last('DISCONNECTED'), undefined);
  await say('HANGUP_CALL');
  await noCall();
});

test('the signalling of a call is cut: the call comes back by itself', { skip }, async (t) => {
  edge.ring('CF1');
  await callIs('open');
  const before = edge.owner;
  const from = performance.now();
  before.terminate();
  await until('the call on another socket', () => edge.owner !== before && edge.owner);
  t.diagnostic(`socket cut to call reclaimed: ${(performance.now() - from).toFixed(0)} ms`);
  await callIs('open');
  await say('HANGUP_CALL');
  await noCall();
});

test('the signalling of the line is cut: registered again', { skip }, async (t) => {
  const before = edge.registered;
  const from = performance.now();
  before.terminate();
  await until('registered', () => edge.registered && edge.registered !== before);
  t.diagnostic(`socket cut to registered: ${(performance.now() - from).toFixed(0)} ms`);
});

test('a caller who gives up at any moment leaves nothing behind', { skip }, async () => {
  for (const [i, wait] of [0, 5, 20, 50, 100, 200, 300].entries()) {
    const callsid = `CG${i}`;
    edge.ring(callsid);
    await new Promise((resolve) => setTimeout(resolve, wait));
    // The edge decides as Twilio does: before the takeover a cancel, and a later takeover is told that the call is gone.
    if (edge.owner) edge.owner.say('hangup', { callsid });
    else {
      edge.dead.add(callsid);
      edge.registered.say('cancel', { callsid });
    }
    await until('the call was seen', () => page.evaluate((sid) => window.heard.some((m) => m.type === 'VOICE_CLIENT_EXTENSION_CALL' && m.payload?.callSid === sid), callsid));
    await noCall();
  }
  edge.ring('CG9');
  await callIs('open');
  await say('HANGUP_CALL');
  await noCall();
  assert.equal(edge.sockets.size, 2);
});

test('messages forged by a frame of another origin are not heard', { skip }, async () => {
  edge.ring('CD1');
  await callIs('open');
  await page.evaluate(async () => {
    const frame = document.createElement('iframe');
    frame.sandbox = 'allow-scripts';
    frame.srcdoc = '<script>parent.postMessage({type:"VOICE_CLIENT_EXTENSION_HANGUP_CALL"},"*");parent.postMessage("sent","*")</script>';
    const sent = new Promise((resolve) => addEventListener('message', (event) => event.data === 'sent' && resolve(undefined)));
    document.body.append(frame);
    await sent;
  });
  await page.evaluate(() => window.say('VOICE_CLIENT_EXTENSION_HANGUP_CALL', { force: true }));
  // A message sent after the forged ones, and answered, shows that those had their chance.
  await say('SET_MUTED', { muted: true });
  await until('muted', async () => (await last('HEARTBEAT')).call?.muted);
  assert.ok(edge.owner);
  await say('HANGUP_CALL');
  await noCall();
});

test('another account is rejected and hears nothing more', { skip }, async () => {
  const other = await context.newPage();
  await other.goto('https://flex.twilio.com/agent-desktop');
  await say('CONFIGURE', configuration({ accountSid: `AC${'1'.repeat(32)}` }), other);
  assert.deepEqual(await until('rejected', () => last('CONFIG_REJECTED', other)), { reason: 'other_account' });
  assert.equal(await last('HEARTBEAT', other), undefined);
  await other.close();
});

test('the popup shows the state, works by keyboard, and axe finds nothing', { skip }, async () => {
  const popup = await context.newPage();
  const errors = [];
  popup.on('pageerror', (error) => errors.push(error));
  popup.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  await popup.goto(`${base}popup/popup.html`);
  await popup.getByRole('heading', { name: 'Ready for calls' }).or(popup.getByRole('heading', { name: 'Another Twilio account' })).waitFor();

  edge.ring('CE1');
  await popup.getByRole('heading', { name: 'In a call' }).waitFor();
  // Evaluated, not added: the page's own policy lets no foreign script in.
  await popup.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  for (const tab of ['Call', 'Sound', 'Info']) {
    await popup.getByRole('tab', { name: tab }).click();
    const violations = await popup.evaluate(async () => (await window.axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.html).join(' ')}`));
    assert.deepEqual(violations, [], tab);
  }
  await popup.getByRole('tab', { name: 'Info' }).press('Home');
  assert.equal(await popup.getByRole('tab', { name: 'Call' }).getAttribute('aria-selected'), 'true');
  await popup.getByRole('button', { name: 'Keypad' }).press('Enter');
  await popup.keyboard.type('42#');
  assert.equal(await popup.locator('#typed').textContent(), '42#');
  await popup.getByRole('button', { name: 'Hang up' }).press('Enter');
  await popup.getByText('You ended the call.').waitFor();
  assert.deepEqual(errors, []);
  await popup.close();
});

test('restart in the popup lets go of everything, and the open tab brings it back', { skip }, async () => {
  edge.ring('CH1');
  await callIs('open');
  const popup = await context.newPage();
  await popup.goto(`${base}popup/popup.html`);
  await popup.getByRole('heading', { name: 'In a call' }).waitFor();
  await popup.getByRole('tab', { name: 'Info' }).click();
  await popup.getByRole('button', { name: 'Restart extension' }).click();
  await popup.getByRole('button', { name: 'Hang up and restart' }).click();
  await until('hangup on the wire', () => edge.frames.some(({ type, payload }) => type === 'hangup' && payload.callsid === 'CH1'));
  await popup.getByRole('heading', { name: 'Waiting for Flex' }).waitFor();
  await say('FLEX_TOKEN', { token: 'made-up-flex-token-2', accountSid: account });
  await popup.getByRole('heading', { name: 'Ready for calls' }).waitFor();
  await until('two sockets', () => edge.sockets.size === 2);
});

test('no token is in storage.local or in any address', { skip }, async () => {
  const worker = context.serviceWorkers()[0];
  const stored = await worker.evaluate(() => chrome.storage.local.get(null));
  assert.doesNotMatch(JSON.stringify(stored), /made-up|made\.up/);
  assert.ok(edge.tokens.every(({ url }) => url === '/generateToken'));
});

test('Chromium has no complaint about the manifest or the code', { skip }, async () => {
  const extensions = await context.newPage();
  await extensions.goto('chrome://extensions');
  const info = await extensions.evaluate(() => chrome.developerPrivate.getExtensionsInfo());
  const ours = info.find(({ id }) => base.includes(id));
  assert.deepEqual(
    { manifest: ours.manifestErrors, runtime: ours.runtimeErrors, warnings: ours.runtimeWarnings, install: ours.installWarnings ?? [] },
    { manifest: [], runtime: [], warnings: [], install: [] },
  );
  assert.deepEqual(ours.permissions.simplePermissions, []);
  await extensions.close();
});
