// All that a call needs, on this machine: flexvc's emulator with its voice edge, flexvc serve, a Flex page, and Chromium
// with the unpacked extension. Nothing leaves loopback, and nothing is left when stop() has returned.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';
import { createServer as createTLS } from 'node:https';
import { createServer, request } from 'node:http';
import { createRequire } from 'node:module';
import { cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { test } from 'node:test';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { flexPage } from './flex-page.mjs';
import { tokensIn } from './secrets.mjs';

// What the extension's own tests are run with.
const tools = createRequire(new URL('../../extension/package.json', import.meta.url));
const { chromium } = tools('playwright-core');
const WebSocket = tools('ws');

const source = fileURLToPath(new URL('../../extension/app/', import.meta.url));
const flexvc = process.env.FLEXVC ?? fileURLToPath(new URL('../../bin/flexvc', import.meta.url));

/**
 * The tests of one file share one world. One that hangs ends by itself, so that what it started is ended too; after one that
 * failed the world is in nobody knows what state, so the others are skipped.
 * @param {() => Promise<void>} rest  what has to be true after each of them
 */
export function plays(rest) {
  let failed = false;
  return (name, run) =>
    test(name, { timeout: 120_000 }, async (t) => {
      if (failed) return t.skip('a test before it failed');
      failed = true;
      await run(t);
      await rest();
      failed = false;
    });
}

/** Asks again and again until the answer is true, and returns it. */
export async function until(what, ask, ms = 30_000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await pause(10);
  }
}

/** Lets real time pass: for calls that go on, not for things that are about to happen. */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * @param {{ audited?: boolean, asksForMicrophone?: boolean, neighbour?: boolean,
 *   policy?: (id: string) => Promise<void>, install?: typeof unpack }} [wanted]  audited: stop() fails when a token is found where
 *   none may be; asksForMicrophone: as Chromium does for a person; neighbour: another extension beside ours; policy: puts
 *   an administrator's settings for this id in place before Chromium starts; install: brings the extension into Chromium, instead of its unpacked folder, before
 *   Chromium starts or, with arrive, into one that runs
 */
export async function startWorld(wanted = {}) {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'flexvc-e2e-')));
  const undo = [() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })];
  const stop = async () => {
    const failed = [];
    for (const step of undo.splice(0).reverse()) await Promise.resolve(step()).catch((error) => failed.push(error));
    if (failed.length) throw new AggregateError(failed, failed.join('; '));
  };
  // Asked to end in the middle of something: nothing is left then either.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => stop().finally(() => process.exit(1)));
  try {
    return Object.assign(await makeWorld(folder, undo, wanted), { stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The folder, unpacked. A copy of its own gives each world's extension an id of its own, and an update something to write into. */
async function unpack({ folder, asksForMicrophone, neighbour, policy }) {
  const app = join(folder, 'extension');
  await cp(source, app, { recursive: true });
  const id = unpackedId(app);
  const extensions = [app];
  if (neighbour) extensions.push(await makeNeighbour(join(folder, 'neighbour')));
  await policy?.(id);
  return {
    app, id, ignore: [], served: false,
    args: [`--disable-extensions-except=${extensions}`, `--load-extension=${extensions}`, ...(asksForMicrophone ? [] : ['--use-fake-ui-for-media-stream'])],
  };
}

async function makeWorld(folder, undo, { audited = false, asksForMicrophone = false, neighbour = false, policy, install = unpack }) {
  const environment = { ...process.env, HOME: folder, FLEXVC_STATE_DIR: join(folder, 'state'), XDG_CONFIG_HOME: '', XDG_STATE_HOME: '' };
  const said = [];
  const run = program(environment, undo, said);

  const emulator = await run(['emulator', '-o', 'json', '--listen', '127.0.0.1:0', '--voice-listen', '127.0.0.1:0', '--agents', '5'], 'stdout', /"url"/);
  const { url, voice, spki, data, accountSid } = JSON.parse(emulator.line);

  /** Asks the emulator's control plane. */
  async function control(name, body, method = body === undefined ? 'GET' : 'POST') {
    const answer = await fetch(`${url}/_emulator/${name}`, { method, headers: { 'X-Flexvc-Emulator': '1' }, body: body && JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${name}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }
  const order = (verb, body = {}) => control(`voice/${verb}`, body);
  const worker = (await control('state')).workers.find(({ attributes }) => /"contact_uri": ?"client:/.test(attributes));

  // Flex: the page, and the session that the plugin asks for its token. Its certificate is the voice edge's.
  const flex = { tokenTTL: '1h', asked: 0 };
  /** Every token there was. */
  const secrets = new Set();
  const pem = await readFile(join(data, 'voice-edge.pem'));
  const tokens = await tokenProxy(undo, secrets);
  const page = () => flexPage({ accountSid, voiceClientTokenGeneratorUrl: flex.tokenURL ?? tokens.url, extensionVoiceClientPrefix: 'ext_', protocol: 3, pluginVersion: '0.0.0' });
  const flexServer = createTLS({ key: pem, cert: pem }, async (incoming, outgoing) => {
    if (incoming.url === '/generateToken') return tokens.handle(incoming, outgoing);
    if (incoming.url !== '/session') return outgoing.writeHead(200, { 'Content-Type': 'text/html' }).end(page());
    flex.asked += 1;
    const { token } = await control('token', { worker: worker.sid, ttl: flex.tokenTTL });
    secrets.add(token);
    outgoing.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }).end(JSON.stringify({ token, accountSid }));
  });
  const flexPort = await listen(flexServer, undo);

  const { id, app, args, ignore, served, arrive } = await install({
    folder, undo, tokens, asksForMicrophone, neighbour, policy, flexvc: (...args) => run(args, 'all'), start: run,
  });
  const base = `chrome-extension://${id}/`;
  const profile = join(folder, 'profile');
  const netLog = join(folder, 'net-log.json');
  const chromiumLog = join(folder, 'chromium.log');
  // When everything has ended, and before the folder goes.
  undo.splice(1, 0, async () => {
    if (!audited) return;
    const found = await tokensIn({ secrets, profile, netLog, texts: { 'the log of Chromium': await readFile(chromiumLog, 'utf8').catch(() => ''), 'what flexvc said': said.join('') } });
    assert.deepEqual(found, [], 'tokens where none may be');
  });
  const browse = (profile, ...more) => chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: false,
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
    env: { ...environment, CHROME_LOG_FILE: chromiumLog },
    ignoreDefaultArgs: ['--disable-extensions', '--disable-component-extensions-with-background-pages', ...ignore],
    args: [
      '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--remote-debugging-port=0',
      '--use-fake-device-for-media-stream', ...args,
      // A token server that is not on this machine, as far as the extension can see, is at the same address.
      `--host-resolver-rules=MAP flex.twilio.com 127.0.0.1:${flexPort}, MAP tokens.acme.example 127.0.0.1:${flexPort}, MAP *.twilio.com ${voice}, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1`,
      `--ignore-certificate-errors-spki-list=${spki}`, ...more,
    ],
  });
  const context = await browse(profile, ...(audited ? ['--enable-logging', `--log-net-log=${netLog}`] : []));
  undo.push(() => context.close());
  await arrive?.(context);
  await until('the extension to be there', () => context.serviceWorkers().some((worker) => worker.url().startsWith(base)), 90_000);

  /** Starts a token server; with a life, its voice tokens live that long. */
  async function serve(ttl = '1h') {
    const server = await run(
      ['-p', 'emulator', 'serve', '--listen', '127.0.0.1:0', '--metrics-listen', 'none', '--allow-origin', base.slice(0, -1), '--token-ttl', ttl, '--identity-rate', 'none'],
      'stderr', /listening on/,
    );
    tokens.upstream = new URL(/http:\S+/.exec(server.line)[0]);
    return server;
  }
  if (!served) await serve();

  const identity = `ext_${/"contact_uri": ?"client:(?:ext_)?([^"?]+)/.exec(worker.attributes)[1]}`;
  await control('edit', { worker: worker.sid, attributes: worker.attributes.replace(/("contact_uri": ?")[^"]*/, `$1client:${identity}`) });

  const devtools = await devtoolsOf(profile);

  const world = {
    control, order, flex, tokens, serve, context, base, id, app, accountSid, identity, worker, environment, devtools,
    flexvc: (...args) => run(args, 'all'),

    async openFlex() {
      const page = await context.newPage();
      await page.goto('https://flex.twilio.com/agent-desktop');
      return page;
    },
    /** Another browser of the same agent, with the same extension. */
    async otherBrowser() {
      const other = await browse(join(folder, `profile-${undo.length}`));
      undo.push(() => other.close());
      return other;
    },
    async openPopup() {
      const popup = await context.newPage();
      await popup.goto(`${base}popup/popup.html`);
      return popup;
    },
    /** The service worker of ours, or of the neighbour, that runs at the moment. */
    background: (script = `${base}background/worker.js`) =>
      until(script, () => context.serviceWorkers().find((worker) => worker.url().endsWith(script))),
    /** Sets the microphone in Chromium's site settings, where a person would. @param {'allow' | 'block' | 'ask'} answer */
    async setMicrophone(answer) {
      const settings = await context.newPage();
      await settings.goto('chrome://settings/content/microphone');
      await settings.evaluate(([origin, answer]) => chrome.send('setOriginPermissions', [origin, 'media-stream-mic', answer]), [base, answer]);
      const state = { allow: 'granted', block: 'denied', ask: 'prompt' }[answer];
      await until(`a microphone that is ${state}`, async () => (await world.inDocument(`navigator.permissions.query({ name: 'microphone' }).then((p) => p.state)`)) === state);
      await settings.close();
    },
    /** Without it Chromium does not start an unpacked extension again that was stopped, as an update does. */
    async developerMode() {
      const extensions = await context.newPage();
      await extensions.goto('chrome://extensions');
      await extensions.evaluate(() => chrome.developerPrivate.updateProfileConfiguration({ inDeveloperMode: true }));
      await extensions.close();
    },
    /** The state that the extension has kept for its next worker. */
    async kept() {
      const worker = await world.background();
      return worker.evaluate(async () => (await chrome.storage.session.get('snapshot')).snapshot?.state ?? {});
    },
    /** Messages turned away so far, by reason, as the extension counts them. */
    async refused() {
      const worker = await world.background();
      return worker.evaluate(async () => (await chrome.storage.session.get('snapshot')).snapshot?.state.refused ?? {});
    },
    /** What the icon of the extension says. */
    async icon() {
      const worker = await world.background();
      return worker.evaluate(() => chrome.action.getTitle({}));
    },
    say: (page, type, payload) => page.evaluate(([type, payload]) => window.say(type, payload), [type, payload]),
    beat: (page) => page.evaluate(() => window.latest.HEARTBEAT),
    waitForPage: (page, what, check, argument) =>
      page.waitForFunction(check, argument, { timeout: 30_000, polling: 10 }).catch((error) => { throw new Error(`${what}: ${error.message}`); }),
    registered: (page) => world.waitForPage(page, 'registered', () => window.latest?.HEARTBEAT?.status === 'registered'),
    callIs: (page, status) => world.waitForPage(page, `call ${status}`, (status) => (window.latest?.CALL ?? window.latest?.HEARTBEAT?.call)?.status === status, status),
    noCall: (page) => world.waitForPage(page, 'no call', () => window.latest?.HEARTBEAT?.call === null && !window.latest.CALL),

    stats: (sid) => order('stats', { sid }),
    heard: (sid, start, end) => order('heard', { sid, start, end }),
    ring: (more = {}) => order('call', { identity, ...more }),
    inState: (sid, state) => until(`call ${state}`, async () => {
      const s = await order('stats', { sid });
      return s.state === state && s;
    }),
    sockets: async () => (await order('sockets')).filter((socket) => socket.identity === identity),
    atEdge: (what, check, ms) => until(what, async () => check(await world.sockets()), ms),

    /** Answers when the call has heard so many more packets: half a second is 25. */
    async heardMore(sid, packets = 25) {
      const { heard } = await world.stats(sid);
      return until(`${packets} packets more`, async () => {
        const s = await world.stats(sid);
        return s.heard.packets >= heard.packets + packets && s;
      });
    },

    /** A call that is answered, and heard. */
    async answered(page, more) {
      const sid = await world.ring(more);
      await world.callIs(page, 'open');
      await world.heardMore(sid);
      return sid;
    },
    async hangUp(page, sid) {
      await world.say(page, 'HANGUP_CALL');
      const s = await world.inState(sid, 'ended');
      assert.equal(s.reason, 'agent');
      return s;
    },
    /** Every call leaves the extension as it found it: one registered client, one in the document, both at rest. */
    async atRest(page) {
      await world.noCall(page);
      await world.atEdge('two sockets', (sockets) => sockets.length === 2 && sockets.filter((s) => s.registered).length === 1 && sockets.every((s) => !s.calls?.length));
      await until('one offscreen document', async () => (await world.documents()).length === 1);
    },

    /** Stops the worker after so many milliseconds, and answers when that was. With `as`, something else begins at 0. */
    async stopWorker(page, wait = 0, as = () => {}) {
      const cdp = await context.newCDPSession(page);
      await cdp.send('ServiceWorker.enable');
      as();
      await pause(wait);
      const at = Date.now();
      await cdp.send('ServiceWorker.stopAllWorkers');
      await cdp.detach();
      return at;
    },
    /** Ends the browser as a power cut does: without a word. */
    async killBrowser() {
      const [browser] = await devtools.processes();
      process.kill(browser, 'SIGKILL');
    },
    /** Ends the process that the extension lives in, document and worker alike, as a crash does. */
    async killExtension() {
      for (const id of await devtools.processes()) {
        const command = await readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '');
        if (command.includes('--extension-process')) process.kill(id, 'SIGKILL');
      }
    },
    // A document's tab is a target too.
    documents: async () => (await devtools.targets()).filter(({ url, type }) => url === `${base}offscreen/offscreen.html` && type !== 'tab'),
    /** Runs an expression in the offscreen document. */
    async inDocument(expression) {
      const [document] = await until('the offscreen document', async () => {
        const found = await world.documents();
        return found.length && found;
      });
      return devtools.evaluate(document.targetId, expression);
    },
  };
  return world;
}

/** Starts flexvc: until a line that matches came, or, with 'all', until it ended. */
export function program(env, undo, heard = []) {
  return async (args, stream, wanted) => {
    const child = spawn(flexvc, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = once(child, 'close');
    let said = '';
    for (const out of [child.stdout, child.stderr]) out.on('data', (text) => heard.push(String(text)) && (said += text));
    const end = async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
      await ended;
    };
    if (stream === 'all') {
      const [code] = await ended;
      return { code, said };
    }
    undo.push(end);
    const line = await new Promise((resolve, reject) => {
      createInterface({ input: child[stream] }).on('line', (line) => wanted.test(line) && resolve(line));
      ended.then(([code]) => reject(new Error(`flexvc ${args.join(' ')} ended with ${code}: ${said}`)));
    });
    return { line, end };
  };
}

async function listen(server, undo) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return server.address().port;
}

/** Chromium's id of an extension that is loaded from a folder. */
const unpackedId = (folder) =>
  createHash('sha256').update(folder).digest('hex').slice(0, 32).replace(/./g, (digit) => 'abcdefghijklmnop'[parseInt(digit, 16)]);

/** Another extension, with nothing in it but a place to send messages from. */
async function makeNeighbour(folder) {
  await mkdir(folder);
  await writeFile(join(folder, 'manifest.json'), JSON.stringify({ manifest_version: 3, name: 'neighbour', version: '1', background: { service_worker: 'neighbour.js' } }));
  await writeFile(join(folder, 'neighbour.js'), '');
  return folder;
}

/** Stands before the token server, so that it can be down, or talk nonsense, while the extension keeps its address. */
export async function tokenProxy(undo, secrets = new Set()) {
  const proxy = { url: '', upstream: undefined, mode: 'well', asked: 0, served: 0 };
  proxy.handle = (incoming, outgoing) => {
    if (incoming.method === 'POST') proxy.asked += 1;
    if (proxy.mode === 'down') return incoming.socket.destroy();
    if (proxy.mode === 'silent') return;
    const cors = { 'Access-Control-Allow-Origin': incoming.headers.origin ?? '*' };
    if (proxy.mode === 'nonsense') return outgoing.writeHead(200, { ...cors, 'Content-Type': 'text/html' }).end('<p>out of order</p>');
    const { host, ...headers } = incoming.headers;
    const onward = request({ host: proxy.upstream.hostname, port: proxy.upstream.port, path: incoming.url, method: incoming.method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
      if (incoming.method !== 'POST' || answer.statusCode !== 200) return;
      let body = '';
      answer.on('data', (text) => (body += text)).on('end', () => secrets.add(JSON.parse(body).token));
      proxy.served += 1;
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  };
  const server = createServer(proxy.handle);
  proxy.url = `http://127.0.0.1:${await listen(server, undo)}/generateToken`;
  return proxy;
}

/** DevTools beside Playwright, which shows neither offscreen documents nor what they hold. Attached only for one question. */
export async function devtoolsOf(profile) {
  const [port, path] = await until('the DevTools port', async () => {
    const text = await readFile(join(profile, 'DevToolsActivePort'), 'utf8').catch(() => '');
    return text.includes('\n') && text.split('\n');
  });
  const ask = async (where, method, params) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${where}`);
    try {
      await once(socket, 'open');
      socket.send(JSON.stringify({ id: 1, method, params }));
      const closed = once(socket, 'close').then(() => { throw new Error(`${method}: the target is gone`); });
      closed.catch(() => {});
      for (;;) {
        const [data] = await Promise.race([once(socket, 'message'), closed]);
        const { id, result, error } = JSON.parse(data);
        if (id !== 1) continue;
        if (error) throw new Error(`${method}: ${error.message}`);
        return result;
      }
    } finally {
      socket.terminate();
    }
  };
  return {
    /** Ids, the browser's own first. */
    async processes() {
      const { processInfo } = await ask(path, 'SystemInfo.getProcessInfo');
      return processInfo.toSorted((a, b) => (b.type === 'browser') - (a.type === 'browser')).map(({ id }) => id);
    },
    /** A connection to a target that lasts, with a function that asks it; objects are good for that long. */
    async session(target) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/devtools/page/${target}`);
      await once(socket, 'open');
      let id = 0;
      const waiting = new Map();
      socket.on('message', (data) => {
        const { id, result, error } = JSON.parse(data);
        waiting.get(id)?.(error ? Promise.reject(new Error(error.message)) : result);
        waiting.delete(id);
      });
      return {
        send: (method, params) => new Promise((done) => {
          waiting.set((id += 1), done);
          socket.send(JSON.stringify({ id, method, params }));
        }),
        close: () => socket.terminate(),
      };
    },
    targets: async () => (await ask(path, 'Target.getTargets', { filter: [{}] })).targetInfos,
    async evaluate(target, expression) {
      const { result, exceptionDetails } = await ask(`/devtools/page/${target}`, 'Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
  };
}

/** What came, and beside it the emulator's own longest gap in sending: a busy machine shows in both. */
export const flow = ({ heard, said }) => `${heard.packets} packets, ${heard.lost} lost, longest gap ${ms(heard.longest_gap)} ms (the emulator's own ${ms(said.longest_gap)} ms)`;

export const ms = (nanoseconds) => Math.round(nanoseconds / 1e5) / 10;

export const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
