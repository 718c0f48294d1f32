// The whole of it, once, as it goes in an account: the administrator's commands, a browser that nobody has touched, the real
// Flex UI, and an agent's day in it. All against one emulator. How long each step took is printed, never asserted, and each
// step leaves a picture.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { flow, median, ms } from '../extension/world.mjs';
import { canBuild, hostScript } from '../flex/host.mjs';
import { pictures, startFlex, until } from '../flex/world.mjs';
import { cannot, hold } from '../rollout/policy.mjs';

const rounds = 5;
// NO_POLICY tries the other way on a machine whose policies could be written.
/** TOKENS=function: the tokens come from a Twilio Function, and the server has the extension alone. */
const byFunction = process.env.TOKENS === 'function';
const noPolicy = process.env.NO_POLICY ? 'NO_POLICY is set' : await cannot();
const plugin = 'flexvc-voice-client';
const away = 'Voice Client Offline';

let flex, page, live;
/** What stays with the administrator: the package, and who serves it. */
const admin = {};
const took = [];
let broken = false;

/** After a step that failed nobody knows what state the desk is in, so the others are skipped. */
function step(name, run, shown = () => page) {
  test(name, { timeout: 240_000 }, async (t) => {
    if (broken) return t.skip('a step before it failed');
    const number = String(took.length + 1).padStart(2, '0');
    const start = performance.now();
    const picture = (suffix) => shown() && flex.picture(shown(), `story-${number}-${suffix}`);
    try {
      await run(t);
    } catch (error) {
      broken = true;
      await Promise.resolve(picture('failed')).catch(() => {});
      throw error;
    }
    const seconds = (performance.now() - start) / 1000;
    took.push({ name, seconds });
    t.diagnostic(`${seconds.toFixed(1)} s`);
    await picture(name.replace(/[^a-z]+/gi, '-').toLowerCase());
  });
}

const $ = (id) => page.locator(`[data-testid=${id}]`);
const part = (name) => page.locator(`[data-flexvc=${name}]`);
const badgeSays = (title) => until(`a badge that says ${title}`, async () => (await part('badge').locator('[role=status]').innerText()) === title);
const activeCall = () => flex.flexState(page, 'flex.phone.activeCall?.parameters.CallSid');
const activity = async () => (await flex.workerNow()).activity;
const contactURI = async () => JSON.parse((await flex.workerNow()).attributes).contact_uri;
const stats = () => flex.order('stats', { sid: live.call_sid });

/** `flexvc -p emulator ...`, as an administrator types it. */
async function flexvc(...args) {
  const { code, said } = await admin.flexvc('-p', 'emulator', '--no-input', ...args);
  assert.equal(code, 0, `flexvc ${args.join(' ')}: ${said}`);
  return said;
}

/** A second of speech both ways, more than there was. */
async function speech() {
  const { heard, said } = await stats();
  return until('a second of speech both ways', async () => {
    const s = await stats();
    return s.heard.packets > heard.packets + 50 && s.said.packets > said.packets + 50 && s;
  });
}

/** A call that is offered, accepted in Flex and open in the extension. */
async function accepted() {
  const { sid } = await flex.offer({ from: '+15551239876' });
  await $('accept-task').first().click();
  live = await flex.reservationIs(sid, 'accepted');
  assert.equal((await stats()).identity, flex.identity, 'who was rung');
  await until('the call in Flex', async () => (await activeCall()) === live.call_sid);
  await flex.endsWith(sid);
  await badgeSays('In a call');
}

async function complete() {
  await flex.reservationIs(live.sid, 'wrapping');
  await $('end-task-button').filter({ hasText: 'Complete' }).click();
  await flex.reservationIs(live.sid, 'completed');
  await $('no-task-heading').waitFor();
}

/** The policy of the package, or, where this machine's policies are not ours to write, its folder with the same id. */
async function bring({ folder, undo, tokens, flexvc: run, start }) {
  admin.flexvc = run;
  const timed = async (what, args) => {
    const at = performance.now();
    const said = await flexvc(...args);
    admin.took.push(`${what} ${Math.round(performance.now() - at)} ms`);
    return said;
  };
  admin.took = [];
  const file = join(folder, 'flexvc.crx');
  await timed('init', ['init', '--yes', '--token-url', tokens.url]);
  // The server's address is known when it runs, and it runs when there is a package: the first one is nobody's.
  await flexvc('pack', '--version', '0.0.1', '--out', file);
  const server = await start(
    ['-p', 'emulator', 'serve', '--extension', file, '--listen', '127.0.0.1:0', '--metrics-listen', '127.0.0.1:0', '--identity-rate', 'none'],
    'stderr', /listening on/,
  );
  const [, address, metrics] = /(http:\S+)\/generateToken.*(http:\S+)\/metrics/.exec(server.line);
  tokens.upstream = new URL(address);
  if (byFunction) {
    await timed('function deploy', ['function', 'deploy', '--require-enabled', '--yes']);
    assert.match(await flexvc('config', 'get', 'token_url'), /https:\S+\.twil\.io\/generateToken/);
  }
  const policy = join(folder, 'rollout');
  const packed = await timed('pack', ['pack', '--version', '1.0.0', '--out', file, '--policy', policy, '--update-url', `${address}/extension/update.xml`]);
  const [, id] = /^id +([a-p]{32})$/m.exec(packed);
  const offers = async () => (await (await fetch(`${metrics}/rollout`)).json()).version === '1.0.0';
  await until('the package to be offered', offers);
  await timed('plugin deploy', ['plugin', 'deploy', '--yes', '--version', '1.0.0']);
  await timed('workers enable', ['workers', 'enable', '--all', '--yes']);

  const base = `chrome-extension://${id}/`;
  if (noPolicy) {
    const unpacked = join(folder, 'unpacked');
    await flexvc('pack', '--version', '1.0.0', '--format', 'dir', '--out', unpacked);
    return { base, ignore: [], args: [`--disable-extensions-except=${unpacked}`, `--load-extension=${unpacked}`, '--use-fake-ui-for-media-stream'] };
  }
  const policies = await hold();
  undo.push(() => policies.release());
  await policies.set('flexvc', await readFile(join(policy, 'linux.json'), 'utf8'));
  // Without it nobody may look into an extension that a policy installs, a test included.
  await policies.set('look', { DeveloperToolsAvailability: 1 });
  return { base, ignore: ['--disable-background-networking'], args: [] };
}

after(async () => {
  await flex?.stop();
  const seconds = took.reduce((sum, { seconds }) => sum + seconds, 0);
  console.log(took.map(({ name, seconds }) => `${seconds.toFixed(1).padStart(6)} s  ${name}`).join('\n'));
  console.log(`${seconds.toFixed(1).padStart(6)} s  in all; pictures in ${pictures}`);
});

step('the page that hosts Flex is built', async (t) => {
  await hostScript({ anew: true });
  if (!(await canBuild())) t.diagnostic('it was kept from an earlier build: the packages are not here');
});

step('the administrator sets up the account and rolls out', async (t) => {
  flex = await startFlex({ install: bring });
  t.diagnostic(admin.took.join(', '));
  t.diagnostic(noPolicy ? `the extension is loaded from its folder: ${noPolicy}` : 'the extension came by policy, as flexvc.crx');
  const { workers, activities } = await flex.control('state');
  assert.ok(workers.every(({ attributes }) => JSON.parse(attributes).extensionVoiceClientEnabled === true), 'every worker is enabled');
  assert.equal(activities.find(({ friendly_name }) => friendly_name === away)?.available, false);
  if (noPolicy) return;
  const background = flex.context.serviceWorkers().findLast((w) => w.url().startsWith(flex.base));
  assert.equal((await background.evaluate(() => chrome.management.getSelf())).installType, 'admin');
});

step('Flex starts with the plugin that was deployed, and the agent becomes available', async (t) => {
  page = await flex.openFlex();
  t.diagnostic(`Flex took ${Math.round(await page.evaluate('window.__booted'))} ms`);
  const bundles = await page.evaluate(() => [...document.scripts].map(({ src }) => src).filter((src) => src.includes('/plugins/')));
  assert.deepEqual(bundles, [`https://flex.twilio.com/plugins/v1/${plugin}/1.0.0/bundle.js`]);
  await badgeSays('Voice ready');
  await until('contact_uri', async () => (await contactURI()) === `client:${flex.identity}`);
  assert.equal(flex.tokens.asked > 0, !byFunction, 'who was asked for tokens');
  await flex.setActivity(page, 'Available');
});

step('a call is offered and accepted in Flex, and speech flows', async (t) => {
  await accepted();
  t.diagnostic(flow(await speech()));
  if (process.env.DOCS_PICTURES) await page.screenshot({ path: join(process.env.DOCS_PICTURES, 'flex.png') });
});

step('Flex is reloaded in the call, and the call goes on', async (t) => {
  const { age } = await stats();
  const shown = [];
  for (let i = 0; i < rounds; i += 1) {
    await page.reload();
    const wait = page.waitForFunction((sid) => {
      const phone = window.__booted && Twilio.Flex.Manager.getInstance().store.getState().flex.phone;
      if (!phone) return false;
      window.__at ??= performance.now();
      return phone.activeCall?.parameters.CallSid === sid && document.querySelector('[data-testid=mute-call]') && { after: performance.now() - window.__at };
    }, live.call_sid, { timeout: 90_000, polling: 'raf' });
    shown.push((await (await wait).jsonValue()).after);
  }
  t.diagnostic(`call controls after Flex's start, ${rounds} reloads: median ${Math.round(median(shown))} ms, at most ${Math.round(Math.max(...shown))} ms`);
  await speech();
  const now = await stats();
  const heard = await flex.order('heard', { sid: live.call_sid, start: age, end: now.age });
  assert.equal(now.state, 'in-progress');
  assert.equal(heard.lost, 0);
  t.diagnostic(`meanwhile ${heard.packets} packets, longest gap ${ms(heard.longest_gap)} ms`);
});

step('the agent is muted, and heard again', async (t) => {
  const confirmed = [];
  for (let i = 0; i < 2 * rounds; i += 1) {
    const muted = i % 2 === 0;
    confirmed.push(await page.evaluate(async (wanted) => {
      const phone = () => Twilio.Flex.Manager.getInstance().store.getState().flex.phone;
      const start = performance.now();
      document.querySelector('[data-testid=mute-call]').click();
      while (phone().activeCall.isMuted() !== wanted) await new Promise((then) => setTimeout(then));
      return performance.now() - start;
    }, muted));
    await until('the label', async () => (await $('mute-call').getAttribute('aria-label')).startsWith(muted ? 'Unmute' : 'Mute'));
    if (muted) await badgeSays('Muted');
  }
  t.diagnostic(`confirmed after ${Math.round(median(confirmed))} ms (median of ${confirmed.length}), at most ${Math.round(Math.max(...confirmed))} ms`);
  await badgeSays('In a call');
});

step('digits of Flex\'s keypad reach the customer', async () => {
  await $('dialpad').first().click();
  for (const key of ['4', '2']) await page.locator(`.Twilio-CallCanvasDialpad [class~="Twilio-Dialpad-Button-${key}"]`).click();
  await until('both digits', async () => (await stats()).digits?.map(({ key }) => key).join('') === '42');
});

step('the customer is put on hold, and taken back', async () => {
  await $('dialpad').first().click();
  for (const hold of [true, false]) {
    await $('hold-participant').click();
    await until(`hold is ${hold}`, async () => Boolean((await flex.reservation(live.sid)).hold) === hold);
    const held = `[...flex.worker.tasks.values()][0]?.conference?.participants.find((p) => p.participantType === 'customer')?.onHold`;
    await until(`hold is ${hold} in Flex`, async () => Boolean(await flex.flexState(page, held)) === hold);
  }
});

step('the transfer directory lists the other agents', async () => {
  await $('call-transfer').click();
  const others = (await flex.control('state')).workers.filter(({ sid }) => sid !== flex.worker.sid);
  await until('the other agents', async () => {
    const text = await page.locator('.Twilio-WorkerDirectory').innerText();
    return others.every(({ attributes }) => text.includes(JSON.parse(attributes).full_name));
  });
});

step('Flex\'s hang-up ends the call, and the task is wrapped up', async () => {
  await $('close-worker-directory').click();
  await $('hangup-footer').click();
  await until('no call in Flex', async () => (await activeCall()) === undefined);
  assert.equal((await stats()).reason, 'agent');
  await complete();
  await badgeSays('Voice ready');
});

let popup;
step('a second call is ended from the popup of the extension', async () => {
  await accepted();
  await speech();
  popup = await flex.openPopup();
  await popup.getByRole('heading', { name: 'In a call', exact: true }).waitFor();
  await flex.picture(popup, 'story-popup-in-a-call');
  await popup.locator('#hang-up').click();
  await popup.getByText('You ended the call.').waitFor();
  assert.equal((await until('the end of the call', async () => {
    const s = await stats();
    return s.state === 'ended' && s;
  })).reason, 'agent');
}, () => popup);

step('the task of it is wrapped up', async () => {
  await popup.close();
  await page.bringToFront();
  await complete();
  await badgeSays('Voice ready');
});

step('a Flex token that is about to expire is refreshed, and the extension is given it', async () => {
  await page.close();
  page = await flex.openFlex({ ttl: '150s' });
  await page.evaluate(() => {
    window.given = [];
    addEventListener('message', ({ data }) => data?.type === 'VOICE_CLIENT_EXTENSION_FLEX_TOKEN' && window.given.push(data.payload.token));
  });
  await badgeSays('Voice ready');
  // Which token it is stays in the page.
  await page.evaluate(() => (window.token = () => Twilio.Flex.Manager.getInstance().store.getState().flex.session.ssoTokenPayload.token) && (window.first = window.token()));
  await until('another token in Flex, and in the extension', () => page.evaluate(() => window.token() !== window.first && window.given.includes(window.token())), 180_000);
  assert.equal(await activity(), 'Available');
});

/** The processes that extensions run in, of this browser. */
async function extensionProcesses() {
  const session = await flex.context.browser().newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const theirs = async ({ id }) => (await readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')).includes('--extension-process');
  const found = await Promise.all(processInfo.map(async (one) => (await theirs(one)) && one.id));
  return found.filter(Boolean);
}

step('the extension\'s process hangs and is killed: the agent is out of the queue, and back with it', async (t) => {
  // It may be back before anybody looks.
  await part('badge').locator('[role=status]').evaluate((status) => {
    window.said = [];
    new MutationObserver(() => window.said.push(status.innerText)).observe(status, { subtree: true, childList: true, characterData: true });
  });
  const at = performance.now();
  let kill;
  if (noPolicy) {
    const doomed = await flex.openPopup();
    const crashed = doomed.waitForEvent('crash');
    const devtools = await flex.context.newCDPSession(doomed);
    devtools.send('Page.crash').catch(() => {}); // what it kills is all of the extension, and with it the answer
    await crashed;
    kill = () => doomed.close();
  } else {
    // Three seconds after a crash Chromium starts again what a policy installs, and as long does the plugin wait for a
    // heartbeat: of a crash alone it may never know.
    const processes = await extensionProcesses();
    assert.notEqual(processes.length, 0, 'processes of extensions');
    for (const id of processes) process.kill(id, 'SIGSTOP');
    kill = () => processes.forEach((id) => process.kill(id, 'SIGKILL'));
  }
  try {
    await until('the offline activity', async () => (await activity()) === away);
    t.diagnostic(`offline ${Math.round(performance.now() - at)} ms after the last sign of life`);
  } finally {
    await kill();
  }
  await page.bringToFront();
  await flex.picture(page, 'story-gone');
  await until('a badge that says Voice extension gone', () => page.evaluate(() => window.said.includes('Voice extension gone')));

  // What a policy installs Chromium starts again by itself; the rest is for a person to start.
  const other = await flex.context.newPage();
  if (noPolicy) {
    await other.goto('chrome://extensions');
    await other.evaluate(async (id) => {
      await chrome.developerPrivate.updateProfileConfiguration({ inDeveloperMode: true });
      await chrome.developerPrivate.reload(id);
    }, new URL(flex.base).hostname);
  }
  await until('the extension to run again', () => other.goto(`${flex.base}welcome/welcome.html`).then(() => true, () => false));
  t.diagnostic(`it runs again ${Math.round(performance.now() - at)} ms after it stopped`);
  await other.close();
  await page.bringToFront();
  // Nobody reloads Flex: the extension puts itself into the open tab.
  await until('the activity before', async () => (await activity()) === 'Available');
  await badgeSays('Voice ready');
  await accepted();
  await speech();
  await $('hangup-footer').click();
  await complete();
});

step('the plugin is rolled back, and deployed again', async () => {
  await flexvc('plugin', 'rollback', '--yes', '--force'); // agents are enabled, so without --force it refuses
  await page.reload();
  await flex.booted(page);
  assert.equal(await part('badge').count(), 0);
  await flexvc('plugin', 'deploy', '--yes');
  await page.reload();
  await flex.booted(page);
  await badgeSays('Voice ready');
});

step('a worker who is disabled has the tab\'s voice client again at the next start of Flex', async () => {
  await flexvc('workers', 'disable', flex.worker.sid, '--yes');
  await page.reload();
  await flex.booted(page);
  await until('contact_uri of the tab', async () => (await contactURI()) === `client:${flex.identity.replace('ext_', '')}`);
  await until('no badge', async () => (await part('badge').count()) === 0);
  const { sid } = await flex.offer();
  await $('accept-task').first().click();
  live = await flex.reservationIs(sid, 'accepted');
  assert.equal((await stats()).identity, flex.identity.replace('ext_', ''), 'who was rung');
  await speech();
  await flex.flexOrder('hangup', { reservation: sid });
  await complete();
});

step('nothing went wrong on the page', () => {
  assert.deepEqual(flex.wrong(), []);
});
