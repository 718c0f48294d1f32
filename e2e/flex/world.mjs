// The real Flex UI with all that it needs, on this machine: flexvc's emulator with Flex's back end and the voice edge,
// and Chromium, with or without the unpacked extension. Nothing leaves loopback, and nothing is left when stop() has
// returned. README.md says how it is run.
import { createRequire } from 'node:module';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { devtoolsOf, program, tokenProxy, until as within } from '../extension/world.mjs';
import { hostScript } from './host.mjs';

/** Asks until the answer is true. Flex is 17 MB of script: on a busy machine a step of it may take very long. */
export const until = (what, ask, ms = 90_000) => within(what, ask, ms);

const tools = createRequire(new URL('../../extension/package.json', import.meta.url));
const { chromium } = tools('playwright-core');

const app = fileURLToPath(new URL('../../extension/app/', import.meta.url));

/** Where screenshots are kept as test output. */
export const pictures = process.env.PICTURES ?? fileURLToPath(new URL('node_modules/.pictures/', import.meta.url));

/**
 * @param {object} [options]
 * @param {boolean} [options.extension] load the extension, with a token server for it
 * @param {(given: { folder: string, undo: (() => unknown)[], tokens: object, flexvc: Function, start: Function }) =>
 *   Promise<{ base: string, args: string[], ignore: string[] }>} [options.install] brings the extension into Chromium, with its
 *   token server, instead of its unpacked folder
 * @param {string[]} [options.emulator] more flags for flexvc emulator, such as --flex-plugin NAME=FILE
 * @param {number} [options.tone] in Hz: what the agent's microphone hears; Chromium's own beeps without
 */
export async function startFlex(options = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'flexvc-flex-'));
  const undo = [() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })];
  const stop = async () => {
    const failed = [];
    for (const step of undo.splice(0).reverse()) await Promise.resolve(step()).catch((error) => failed.push(error));
    if (failed.length) throw new AggregateError(failed, failed.join('; '));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => stop().finally(() => process.exit(1)));
  try {
    return Object.assign(await makeFlex(folder, undo, options), { stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A WAV file of ten seconds of short beeps: a steady tone would be taken for noise, and suppressed. */
async function toneFile(folder, hz) {
  const rate = 48_000;
  const samples = new Int16Array(rate * 10);
  for (let i = 0; i < samples.length; i += 1) {
    const beep = (i / rate) % 0.4;
    if (beep < 0.2) samples[i] = 12_000 * Math.sin((Math.PI * beep) / 0.2) * Math.sin((2 * Math.PI * hz * i) / rate);
  }
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + samples.byteLength, 4);
  header.write('WAVEfmt ', 8);
  for (const [value, at] of [[16, 16], [rate, 24], [rate * 2, 28], [samples.byteLength, 40]]) header.writeUInt32LE(value, at);
  for (const [value, at] of [[1, 20], [1, 22], [2, 32], [16, 34]]) header.writeUInt16LE(value, at);
  header.write('data', 36);
  const file = join(folder, `tone-${hz}.wav`);
  await writeFile(file, Buffer.concat([header, Buffer.from(samples.buffer)]));
  return file;
}

/**
 * What is played to whoever wears the headset: how loud each of these tones was at its loudest within a second, in dB, as an
 * analyser in the extension's document finds it in what its open connections receive.
 * @param {Awaited<ReturnType<typeof devtoolsOf>>} devtools
 * @param {number[]} hz
 * @returns {Promise<number[]>}
 */
export async function played(devtools, hz) {
  const target = (await devtools.targets()).find(({ url }) => url.startsWith('chrome-extension://') && url.includes('/offscreen/'));
  if (!target) return hz.map(() => -Infinity);
  const { send, close } = await devtools.session(target.targetId);
  try {
    const { result: { objectId: prototypeObjectId } } = await send('Runtime.evaluate', { expression: 'RTCPeerConnection.prototype' });
    const { objects: { objectId } } = await send('Runtime.queryObjects', { prototypeObjectId });
    const { result, exceptionDetails } = await send('Runtime.callFunctionOn', { objectId, functionDeclaration: String(listen), arguments: [{ value: hz }], awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  } finally {
    close();
  }
}

/** Runs in the extension's document, on its connections. */
async function listen(hz) {
  const context = new AudioContext();
  const analyser = Object.assign(context.createAnalyser(), { fftSize: 8192, smoothingTimeConstant: 0 });
  for (const peer of this) {
    if (peer.connectionState !== 'connected') continue;
    for (const { track } of peer.getReceivers()) if (track.kind === 'audio') context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  }
  const loudest = hz.map(() => -1000);
  const bins = new Float32Array(analyser.frequencyBinCount);
  for (const end = Date.now() + 1_000; Date.now() < end; await new Promise((then) => setTimeout(then, 20))) {
    analyser.getFloatFrequencyData(bins);
    hz.forEach((f, i) => {
      const at = Math.round((f * analyser.fftSize) / context.sampleRate);
      loudest[i] = Math.max(loudest[i], bins[at] === -Infinity ? -1000 : bins[at]);
    });
  }
  await context.close();
  return loudest;
}

/** Runs before anything on a page: an old release of Flex names its elements in another attribute than that of today. */
export function namesOfToday() {
  const rename = (root) => {
    for (const element of root.querySelectorAll('[data-test]:not([data-testid])')) element.dataset.testid = element.dataset.test;
    if (root.dataset?.test && !root.dataset.testid) root.dataset.testid = root.dataset.test;
  };
  new MutationObserver((changes) => {
    for (const { addedNodes, target } of changes) for (const node of [target, ...addedNodes]) if (node.querySelectorAll) rename(node);
  }).observe(document, { childList: true, subtree: true, attributes: true, attributeFilter: ['data-test'] });
}

/** Runs before anything on a page: while window.deaf is true, nothing of the extension is heard there. */
export function deafness() {
  addEventListener('message', (event) => {
    if (window.deaf && event.data?.type?.startsWith?.('VOICE_CLIENT_EXTENSION_')) event.stopImmediatePropagation();
  }, true);
}

/** What was thrown on the page, of whatever kind, and where. */
function inWords({ text, exception, stackTrace }) {
  const what = exception?.description || JSON.stringify(exception?.value ?? exception?.preview ?? exception ?? null);
  const from = [];
  for (let at = stackTrace; at; at = at.parent) {
    if (at.description) from.push(`    -- ${at.description}`);
    for (const { functionName, url, lineNumber, columnNumber } of at.callFrames) from.push(`    at ${functionName || '?'} (${url}:${lineNumber + 1}:${columnNumber + 1})`);
  }
  return [text.startsWith('Uncaught') ? what : `${text} ${what}`, ...(what.includes('\n    at ') ? [] : from)].join('\n');
}

/** Flex rejects now and then with an empty text, and nobody listens. */
const saysNothing = /^"?"?(\n    (at .*\/host\.js:|-- ).*)*$/;

async function makeFlex(folder, undo, { extension = true, install, emulator: more = [], tone }) {
  const script = await hostScript();
  const environment = { ...process.env, HOME: folder, FLEXVC_STATE_DIR: join(folder, 'state'), XDG_CONFIG_HOME: '', XDG_STATE_HOME: '' };
  const run = program(environment, undo);
  const emulator = await run(
    ['emulator', '-o', 'json', '--listen', '127.0.0.1:0', '--flex-listen', '127.0.0.1:0', '--flex-script', script, '--agents', '5', ...more],
    'stdout', /"url"/,
  );
  const { url, flex, spki, accountSid } = JSON.parse(emulator.line);

  /** Asks the emulator's control plane. */
  async function control(name, body, method = body === undefined ? 'GET' : 'POST') {
    const answer = await fetch(`${url}/_emulator/${name}`, { method, headers: { 'X-Flexvc-Emulator': '1' }, body: body && JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${name}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }
  const order = (verb, body = {}) => control(`voice/${verb}`, body);
  const flexOrder = (verb, body = {}) => control(`flex/${verb}`, body);
  const isAgent = ({ attributes }) => {
    const { roles, contact_uri } = JSON.parse(attributes);
    return roles.length === 1 && roles[0] === 'agent' && contact_uri?.startsWith('client:');
  };
  const [worker, other] = (await control('state')).workers.filter(isAgent);

  const tokens = extension ? await tokenProxy(undo) : undefined;
  const installed = await install?.({ folder, undo, tokens, flexvc: (...args) => run(args, 'all'), start: run });
  const unpacked = extension && !install;
  const profile = join(folder, 'profile');
  const browser = {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
    env: environment,
  };
  const flags = [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-sync', '--no-first-run', '--no-default-browser-check',
    // Only the last of these flags counts, and Playwright has one.
    '--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,DisableLoadExtensionCommandLineSwitch',
    '--use-fake-device-for-media-stream', '--autoplay-policy=no-user-gesture-required',
    `--host-resolver-rules=MAP *.twilio.com ${flex}, MAP *.twil.io ${flex}, MAP *.twiliocdn.com ${flex}, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1`,
    `--ignore-certificate-errors-spki-list=${spki}`,
  ];
  const quiet = ['--disable-background-networking', '--disable-component-update', '--use-fake-ui-for-media-stream'];
  const desktop = { viewport: { width: 1500, height: 950 }, permissions: ['microphone'] };
  const launch = async (profile, { unpacked, tone }) => {
    const context = await chromium.launchPersistentContext(profile, {
      ...browser,
      ...desktop,
      headless: false,
      ignoreDefaultArgs: ['--disable-extensions', '--disable-component-extensions-with-background-pages', ...(installed?.ignore ?? [])],
      args: [
        ...flags, '--remote-debugging-port=0', ...(installed ? installed.args : quiet),
        ...(unpacked ? [`--disable-extensions-except=${app}`, `--load-extension=${app}`] : []),
        ...(tone ? [`--use-file-for-fake-audio-capture=${await toneFile(folder, tone)}`] : []),
      ],
    });
    undo.push(() => context.close());
    return context;
  };
  const context = await launch(profile, { unpacked, tone });

  const world = {
    url, accountSid, control, order, flexOrder, worker, environment, context,
    flexvc: (...args) => run(args, 'all'),

    complaints: [],
    /** What went wrong on the pages, but for what Flex does to itself here. */
    wrong: () => world.complaints.filter((complaint) => !saysNothing.test(complaint)),
    /**
     * Opens Flex, signed in as the worker, and returns when the desktop is there.
     * @param {{ ttl?: string, script?: Function, beside?: boolean }} [wanted]  script: runs before any of the page's own;
     *   beside: what went wrong on the pages before is kept
     */
    async openFlex({ ttl = '8h', script, beside = false } = {}) {
      if (!beside) world.complaints = [];
      return world.signIn(context, worker, ttl, script);
    },
    /** Opens Flex as another agent does, or as the same one, in a browser of its own, without the extension. */
    async openColleague(agent = other) {
      const beside = await chromium.launch({ ...browser, headless: false, args: [...flags, ...quiet] });
      undo.push(() => beside.close());
      const page = await world.signIn(await beside.newContext(desktop), agent, '8h');
      return { page, worker: agent, close: () => beside.close() };
    },
    /**
     * Opens Flex as another agent in a browser of its own that has the extension.
     * @param {{ sid: string }} agent
     * @param {{ tone?: number }} [wanted]  tone: what the microphone hears, in Hz
     */
    async openExtended(agent, { tone } = {}) {
      const profile = join(folder, `profile-${agent.sid}`);
      const context = await launch(profile, { unpacked, tone });
      const page = await world.signIn(context, agent, '8h');
      return { page, worker: agent, devtools: await devtoolsOf(profile), close: () => context.close() };
    },
    async signIn(context, { sid }, ttl, script) {
      const page = await context.newPage();
      await page.addInitScript(namesOfToday);
      if (script) await page.addInitScript(script);
      page.setDefaultTimeout(90_000);
      // Playwright's own event has no stack of what is no Error.
      const devtools = await context.newCDPSession(page);
      devtools.on('Runtime.exceptionThrown', ({ exceptionDetails }) => {
        const at = world.complaints.push(inWords(exceptionDetails)) - 1;
        // The message of an error that is given one after it was made is not in what describes it.
        const { objectId, description = '' } = exceptionDetails.exception ?? {};
        const message = objectId && devtools.send('Runtime.callFunctionOn', { objectId, functionDeclaration: 'function () { return this.message }', returnByValue: true });
        message?.then(({ result: { value } }) => {
          if (value && !description.includes(value)) world.complaints[at] = `${value}: ${world.complaints[at]}`;
        }, () => {});
      });
      await devtools.send('Runtime.enable');
      await page.goto(`https://flex.twilio.com/agent-desktop?agent=${sid}&ttl=${ttl}`);
      await world.booted(page);
      return page;
    },
    /** Waits for Flex after a load of the page; answers the milliseconds that Flex took. */
    async booted(page) {
      await page.waitForFunction(() => window.__booted || window.__bootError, undefined, { timeout: 240_000, polling: 50 });
      const failed = await page.evaluate(() => window.__bootError);
      if (failed) throw new Error(`Flex did not start: ${failed}`);
      await page.locator('[data-testid=activity-dropdown-button]').waitFor();
      return page.evaluate(() => window.__booted);
    },
    /** Turns the worker over to the extension, or back to the tab. */
    async enable(extensionVoiceClientEnabled) {
      const { attributes } = await world.workerNow();
      await control('edit', { worker: worker.sid, attributes: JSON.stringify({ ...JSON.parse(attributes), extensionVoiceClientEnabled }) });
    },
    /** Lists the plugin to Flex with an account's settings in it, as `flexvc plugin deploy` does, but for some of them. */
    async deployPlugin(other = {}, name = 'flexvc', phase = 1) {
      const bundle = await readFile(new URL('../../plugin/dist/bundle.js', import.meta.url), 'utf8');
      const { activities } = await control('state');
      const offline = activities.find(({ friendly_name }) => friendly_name === 'Unavailable').sid;
      const settings = { version: '0.0.1', identityPrefix: 'ext_', tokenURL: tokens?.url ?? 'https://tokens.example', offlineActivitySID: offline, ...other };
      const source = bundle.replace('/*flexvc:settings*/null', () => JSON.stringify(settings));
      await flexOrder('plugin', { name, version: '0.0.1', phase, source });
      return { ...settings, source };
    },
    async picture(page, name) {
      await mkdir(pictures, { recursive: true });
      await page.screenshot({ path: join(pictures, `${name}.png`) });
    },
    /** Evaluates in the page with Flex's own state. */
    flexState: (page, what) => page.evaluate(`((flex) => (${what}))(Twilio.Flex.Manager.getInstance().store.getState().flex)`),
    async setActivity(page, name) {
      await page.locator('[data-testid=activity-dropdown-button]').click();
      await page.locator('[role=menuitem]:visible', { hasText: new RegExp(`^${name}$`) }).click();
      await until(`activity ${name}`, async () => (await world.flexState(page, 'flex.worker.activity.name')) === name);
    },
    offer: (more = {}) => flexOrder('offer', { worker: worker.sid, ...more }),
    reservation: async (sid) => (await flexOrder('reservations')).find((r) => r.sid === sid),
    pendingFor: ({ sid }) => until('a pending reservation', async () => (await flexOrder('reservations')).find((r) => r.worker === sid && r.status === 'pending')),
    reservationIs: (sid, status) => until(`reservation ${status}`, async () => {
      const r = await world.reservation(sid);
      return r.status === status && r;
    }),
    /**
     * Waits until an agent's Flex has told the conference whether it ends with that agent. Flex does so by itself, somewhat
     * after what the screen shows, and throws when the agent is no longer in the call by then.
     */
    endsWith: (reservation, ends = true) => until(`a conference that ${ends ? 'ends' : 'goes on'} without ${reservation}`, async () => {
      const told = (await flexOrder('requests')).findLast(({ url, params }) =>
        url.endsWith('/WorkerParticipant') && params.ReservationSid === reservation && params.EndConferenceOnExit !== undefined);
      return told?.params.EndConferenceOnExit === ends && told.status === 200;
    }),
    workerNow: async () => (await control('state')).workers.find(({ sid }) => sid === worker.sid),
  };
  if (!extension) return world;

  // Installed by policy, it comes when Chromium has fetched it.
  const ours = () => context.serviceWorkers().find((w) => w.url().startsWith(installed?.base ?? 'chrome-extension://'));
  const serviceWorker = await until('the extension', ours);
  const base = new URL('/', serviceWorker.url()).href;
  if (unpacked) {
    const server = await run(
      ['-p', 'emulator', 'serve', '--listen', '127.0.0.1:0', '--metrics-listen', 'none', '--allow-origin', base.slice(0, -1), '--identity-rate', 'none'],
      'stderr', /listening on/,
    );
    tokens.upstream = new URL(/http:\S+/.exec(server.line)[0]);
  }
  const identity = `ext_${JSON.parse(worker.attributes).contact_uri.replace(/^client:(ext_)?/, '').split('?')[0]}`;
  return Object.assign(world, {
    base, tokens, identity, devtools: await devtoolsOf(profile),
    async openPopup() {
      const popup = await context.newPage();
      await popup.goto(`${base}popup/popup.html`);
      return popup;
    },
    /** From its popup, as an agent does. */
    async restartExtension() {
      const popup = await world.openPopup();
      await popup.locator('#tab-info').click();
      await popup.locator('#restart').click();
      await popup.close();
    },
    stats: (sid) => order('stats', { sid }),
    sockets: async () => (await order('sockets')).filter((socket) => socket.identity === identity),
  });
}
