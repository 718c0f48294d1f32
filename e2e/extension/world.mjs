// All that a call needs, on this machine: flexvc's emulator with its voice edge, flexvc serve, a Flex page, and Chromium
// with the unpacked extension. Nothing leaves loopback, and nothing is left when stop() has returned.
import { spawn } from 'node:child_process';
import { createServer as createTLS } from 'node:https';
import { createServer, request } from 'node:http';
import { createRequire } from 'node:module';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { flexPage } from './flex-page.mjs';

// What the extension's own tests are run with.
const tools = createRequire(new URL('../../extension/package.json', import.meta.url));
const { chromium } = tools('playwright-core');
const WebSocket = tools('ws');

const app = fileURLToPath(new URL('../../extension/app/', import.meta.url));
const flexvc = process.env.FLEXVC ?? fileURLToPath(new URL('../../bin/flexvc', import.meta.url));

/** Asks again and again until the answer is true, and returns it. */
export async function until(what, ask, ms = 20_000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await pause(5);
  }
}

/** Lets real time pass: for calls that go on, not for things that are about to happen. */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function startWorld() {
  const folder = await mkdtemp(join(tmpdir(), 'flexvc-e2e-'));
  const undo = [() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })];
  const stop = async () => {
    const failed = [];
    for (const step of undo.splice(0).reverse()) await Promise.resolve(step()).catch((error) => failed.push(error));
    if (failed.length) throw new AggregateError(failed, failed.join('; '));
  };
  // Asked to end in the middle of something: nothing is left then either.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => stop().finally(() => process.exit(1)));
  try {
    return Object.assign(await makeWorld(folder, undo), { stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

async function makeWorld(folder, undo) {
  const environment = { ...process.env, HOME: folder, FLEXVC_STATE_DIR: join(folder, 'state'), XDG_CONFIG_HOME: '', XDG_STATE_HOME: '' };
  const run = program(environment, undo);

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
  const pem = await readFile(join(data, 'voice-edge.pem'));
  const tokens = await tokenProxy(undo);
  const page = flexPage({ accountSid, voiceClientTokenGeneratorUrl: tokens.url, extensionVoiceClientPrefix: 'ext_', protocol: 2, pluginVersion: '0.0.0' });
  const flexServer = createTLS({ key: pem, cert: pem }, async (incoming, outgoing) => {
    if (incoming.url !== '/session') return outgoing.writeHead(200, { 'Content-Type': 'text/html' }).end(page);
    flex.asked += 1;
    const { token } = await control('token', { worker: worker.sid, ttl: flex.tokenTTL });
    outgoing.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ token, accountSid }));
  });
  const flexPort = await listen(flexServer, undo);

  const profile = join(folder, 'profile');
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: false,
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
    env: environment,
    ignoreDefaultArgs: ['--disable-extensions', '--disable-component-extensions-with-background-pages'],
    args: [
      '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--remote-debugging-port=0',
      `--disable-extensions-except=${app}`, `--load-extension=${app}`,
      '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
      `--host-resolver-rules=MAP flex.twilio.com 127.0.0.1:${flexPort}, MAP *.twilio.com ${voice}, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1`,
      `--ignore-certificate-errors-spki-list=${spki}`,
    ],
  });
  undo.push(() => context.close());
  const serviceWorker = context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'));
  const base = new URL('/', serviceWorker.url()).href;

  /** Starts a token server; with a life, its voice tokens live that long. */
  async function serve(ttl = '1h') {
    const server = await run(
      ['-p', 'emulator', 'serve', '--listen', '127.0.0.1:0', '--metrics-listen', 'none', '--allow-origin', base.slice(0, -1), '--token-ttl', ttl, '--identity-rate', 'none'],
      'stderr', /listening on/,
    );
    tokens.upstream = new URL(/http:\S+/.exec(server.line)[0]);
    return server;
  }
  await serve();

  const identity = `ext_${/"contact_uri": ?"client:(?:ext_)?([^"?]+)/.exec(worker.attributes)[1]}`;
  await control('edit', { worker: worker.sid, attributes: worker.attributes.replace(/("contact_uri": ?")[^"]*/, `$1client:${identity}`) });

  const devtools = await devtoolsOf(profile);

  const world = {
    control, order, flex, tokens, serve, context, base, identity, worker, environment, devtools,
    flexvc: (...args) => run(args, 'all'),

    async openFlex() {
      const page = await context.newPage();
      await page.goto('https://flex.twilio.com/agent-desktop');
      return page;
    },
    async openPopup() {
      const popup = await context.newPage();
      await popup.goto(`${base}popup/popup.html`);
      return popup;
    },
    say: (page, type, payload) => page.evaluate(([type, payload]) => window.say(type, payload), [type, payload]),
    beat: (page) => page.evaluate(() => window.latest.HEARTBEAT),
    waitForPage: (page, what, check, argument) =>
      page.waitForFunction(check, argument, { timeout: 20_000, polling: 5 }).catch((error) => { throw new Error(`${what}: ${error.message}`); }),
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

    async stopWorker(page) {
      const cdp = await context.newCDPSession(page);
      await cdp.send('ServiceWorker.enable');
      const at = Date.now();
      await cdp.send('ServiceWorker.stopAllWorkers');
      await cdp.detach();
      return at;
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
export function program(env, undo) {
  return async (args, stream, wanted) => {
    const child = spawn(flexvc, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = once(child, 'close');
    let said = '';
    for (const out of [child.stdout, child.stderr]) out.on('data', (text) => (said += text));
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

/** Stands before the token server, so that it can be down, or talk nonsense, while the extension keeps its address. */
export async function tokenProxy(undo) {
  const proxy = { url: '', upstream: undefined, mode: 'well', asked: 0, served: 0 };
  const server = createServer((incoming, outgoing) => {
    if (incoming.method === 'POST') proxy.asked += 1;
    if (proxy.mode === 'down') return incoming.socket.destroy();
    const cors = { 'Access-Control-Allow-Origin': incoming.headers.origin ?? '*' };
    if (proxy.mode === 'nonsense') return outgoing.writeHead(200, { ...cors, 'Content-Type': 'text/html' }).end('<p>out of order</p>');
    const { host, ...headers } = incoming.headers;
    const onward = request({ host: proxy.upstream.hostname, port: proxy.upstream.port, path: incoming.url, method: incoming.method, headers }, (answer) => {
      if (incoming.method === 'POST' && answer.statusCode === 200) proxy.served += 1;
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
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
      for (;;) {
        const [data] = await once(socket, 'message');
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
    targets: async () => (await ask(path, 'Target.getTargets', { filter: [{}] })).targetInfos,
    async evaluate(target, expression) {
      const { result, exceptionDetails } = await ask(`/devtools/page/${target}`, 'Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
  };
}

export const ms = (nanoseconds) => Math.round(nanoseconds / 1e5) / 10;

export const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
