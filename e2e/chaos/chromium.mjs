// The walk in a real Chromium, with the emulated voice edge and real audio.
//
//   node e2e/chaos/chromium.mjs [--steps N] [--seed N] [--quiet]
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { pause, startWorld, until } from '../extension/world.mjs';
import { walk } from './walk.mjs';

/** What the walk does and asks, for Chromium. @param {Awaited<ReturnType<typeof startWorld>>} world */
export async function chaosWorld(world) {
  /** @type {import('playwright-core').Page[]} */
  let pages = [await world.openFlex()];
  await world.registered(pages[0]);
  let popup = null;
  const any = (luck) => pages[Math.floor(luck() * pages.length)];
  const quietly = (promise) => promise.catch(() => {});
  /** The service worker, if it runs: to look for it would wake it. */
  const running = () => world.context.serviceWorkers().find((worker) => worker.url().startsWith(world.base));
  let mode = 0;
  let silentUntil = 0;

  const forget = async (page, end) => {
    pages = pages.filter((other) => other !== page);
    await end(page);
  };

  return {
    now: () => Date.now(),
    wait: pause,
    pages: () => pages.length,
    popup: () => popup !== null,

    // Customers
    async ring(named) {
      const session = named && pages.length > 0 && (await quietly(pages[0].evaluate(() => window.session)));
      try {
        return await world.ring(session ? { parameters: { flex_session_identifier: session } } : {});
      } catch (error) {
        if (/no voice client is registered/.test(error.message)) return null;
        throw error;
      }
    },
    customerHangsUp: (sid) => world.order('hangup', { sid }),

    // The agent
    openFlex: async () => void pages.push(await world.openFlex()),
    closeFlex: (luck) => forget(any(luck), (page) => page.close()),
    crashFlex: (luck) => forget(any(luck), async (page) => {
      // Nothing answers on a page that crashes.
      quietly(page.goto('chrome://crash'));
      await new Promise((resolve) => page.once('crash', resolve));
      await page.close();
    }),
    reload: (luck) => any(luck).reload(),
    say: (type, payload) => world.say(pages[0], type, payload),
    async openPopup() {
      popup = await world.openPopup();
    },
    async closePopup() {
      await popup.close();
      popup = null;
    },
    press: (button) => popup.evaluate((button) => document.querySelector(button).click(), button),
    restart: () => popup.evaluate(() => chrome.runtime.sendMessage({ type: 'popup.restart' })),
    async logOut() {
      for (const page of pages) await page.evaluate(() => (window.answers = window.insists = false));
      for (const page of pages) await world.say(page, 'LOGGED_OUT');
    },
    async logIn() {
      if (pages.length === 0) pages.push(await world.openFlex());
      else await Promise.all(pages.map((page) => page.reload()));
    },
    newFlexToken: () => pages[0].evaluate(async () => window.say('FLEX_TOKEN', await (await fetch('/session')).json())),
    async forge() {
      await world.say(pages[0], 'HANGUP_CALL', { callSid: 'CA00000000000000000000000000000000' });
      await world.say(pages[0], 'CONFIGURE', { accountSid: 'AC00000000000000000000000000000000', voiceClientTokenGeneratorUrl: 'https://elsewhere.example/' });
      await world.say(pages[0], 'NONSENSE', { a: 1 });
      await pages[0].evaluate(() => (window.configuration = { ...window.configuration }));
      await pages[0].reload();
    },
    async freeze(luck, ms) {
      const page = any(luck);
      const cdp = await world.context.newCDPSession(page);
      await cdp.send('Page.setWebLifecycleState', { state: 'frozen' });
      await pause(ms);
      await cdp.send('Page.setWebLifecycleState', { state: 'active' });
      await cdp.detach();
    },

    // Faults
    async killWorker() {
      const page = await world.context.newPage();
      await world.stopWorker(page);
      await page.close();
    },
    /** What crashes it takes the whole process along, and Chromium brings back only what a policy has installed. */
    loseDocument: async () => void (await quietly(Promise.resolve(running()?.evaluate(() => chrome.offscreen.closeDocument())))),
    async reloadExtension() {
      const old = running();
      if (!old) return;
      const gone = new Promise((resolve) => old.once('close', resolve));
      await quietly(old.evaluate(() => void setTimeout(() => chrome.runtime.reload())));
      // Its pages go with it.
      popup = null;
      await gone;
      // One that is killed while Chromium still installs it is not started again before the next start of the browser.
      const worker = await until('its next life', running);
      await until('a worker that is installed', () => worker.evaluate(() => self.registration.active?.state === 'activated'));
    },
    cut: (code) => world.order('drop', { identity: world.identity, code }),
    strand: (calls) => world.order('strand', { identity: world.identity, calls }),
    async fault(faults, ms, cut = false) {
      if (faults.silent) silentUntil = Date.now() + ms;
      await world.order('faults', { faults, seconds: ms / 1000 });
      if (cut) await world.order('drop', { identity: world.identity, code: 0 });
    },
    tokens(name, ms) {
      const mine = ++mode;
      world.tokens.mode = name;
      pause(ms).then(() => mine === mode && (world.tokens.mode = 'well'));
    },

    // What is
    fact: async () => ({ reachable: Date.now() > silentUntil && (await world.sockets()).some((s) => s.registered && !s.stranded) }),
    async callFact(sid) {
      const { state, reason, heard } = await world.stats(sid);
      return { state, reason, heard: heard.packets };
    },
    /** What the edge has seen in the last seconds, to read where a promise was broken. */
    async story() {
      const events = await world.order('events', { after: 0 });
      return events.slice(-60).map(({ at, kind, socket, call_sid: sid, detail }) => [at.slice(14, 23), socket && `#${socket}`, kind, sid, detail].filter(Boolean).join(' '));
    },
    views: () => Promise.all(pages.map((page) => page.evaluate(() => ({ beat: window.latest?.HEARTBEAT ?? null, age: Date.now() - (window.beatAt ?? 0) })).catch(() => ({ beat: null, age: -1 })))),
    popupView: () => popup && popup.evaluate(() => ({
      call: !document.querySelector('#call').hidden,
      muted: document.querySelector('#mute').getAttribute('aria-pressed') === 'true',
      ready: document.querySelector('#status').dataset.tone === 'ok',
    })),
  };
}

const { values } = parseArgs({ options: { steps: { type: 'string', default: '200' }, seed: { type: 'string' }, quiet: { type: 'boolean' } } });
const seed = Number(values.seed ?? randomInt(2 ** 31));
const steps = Number(values.steps);
console.log(`seed ${seed}, ${steps} steps in Chromium`);
const world = await startWorld({ audited: true });
await world.developerMode();
try {
  const began = Date.now();
  const { broken, done, calls, slowest } = await walk(await chaosWorld(world), { seed, steps, say: values.quiet ? undefined : console.log });
  for (const [kind, times] of [...done].sort((a, b) => b[1] - a[1])) console.log(`${String(times).padStart(5)} ${String(slowest[kind] ?? '-').padStart(6)} ms  ${kind}`);
  console.log(`${steps} steps of ${done.size} kinds in ${Math.round((Date.now() - began) / 1000)} s, ${calls} calls, ${broken.length} broken promises; again with --seed ${seed}`);
  for (const line of broken) console.log(`  ${line}`);
  if (broken.length > 0) process.exitCode = 1;
} finally {
  await world.stop();
}
