// From `flexvc pack` to a browser that nobody has touched: the policy that flexvc wrote, the package that flexvc serves,
// and a call in which the next version comes out.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startWorld, until } from '../extension/world.mjs';
import { cannot, hold } from './policy.mjs';

const skip = (await cannot()) || false;
const each = { timeout: 60_000, skip };

let world, page, served;

/** Packs the built-in extension as a version, in place of the one that is served. */
async function publish(flexvc, version, ...more) {
  const { code, said } = await flexvc('-p', 'emulator', '--no-input', 'pack', '--version', version, '--out', served.file, ...more);
  assert.equal(code, 0, said);
  return said;
}

const fleet = async () => (await fetch(`${served.metrics}/rollout`)).json();
const offered = (version) => until(`${version} to be offered`, async () => (await fleet()).version === version);

/** Everything that an administrator does, and nothing that an agent would have to do. */
async function byPolicy({ folder, undo, tokens, flexvc, start }) {
  served = { file: join(folder, 'flexvc.crx') };
  const policies = await hold();
  undo.push(() => policies.release());
  const { code, said } = await flexvc('-p', 'emulator', 'init', '--yes');
  assert.equal(code, 0, said);

  // The server's address is known when it runs, and it runs when there is a package: the first one is nobody's.
  await publish(flexvc, '0.0.1');
  const server = await start(
    ['-p', 'emulator', 'serve', '--extension', served.file, '--listen', '127.0.0.1:0', '--metrics-listen', '127.0.0.1:0', '--identity-rate', 'none'],
    'stderr', /listening on/,
  );
  const [, address, metrics] = /(http:\S+)\/generateToken.*(http:\S+)\/metrics/.exec(server.line);
  Object.assign(served, { address, metrics });
  tokens.upstream = new URL(address);

  const policy = join(folder, 'rollout');
  const packed = await publish(flexvc, '1.0.0', '--policy', policy, '--update-url', `${address}/extension/update.xml`, '--token-url', tokens.url);
  served.id = /^id +([a-p]{32})$/m.exec(packed)[1];
  await offered('1.0.0');
  served.rule = async (context, text) => {
    served.policy = text;
    await policies.set('flexvc', text);
    // Chromium looks for new policies now and then, or when asked; it forgets the question when the page that asked is closed.
    const about = await context.newPage();
    await about.goto('chrome://policy');
    await about.evaluate(() => chrome.send('reloadPolicies'));
  };
  // Without it nobody may look into an extension that a policy installs, a test included.
  await policies.set('look', { DeveloperToolsAvailability: 1 });
  return {
    id: served.id, args: [], ignore: ['--disable-background-networking'], served: true,
    /** The agent is at work already when the policy arrives. */
    async arrive(context) {
      page = await context.newPage();
      await page.goto('https://flex.twilio.com/agent-desktop');
      await served.rule(context, await readFile(join(policy, 'linux.json'), 'utf8'));
    },
  };
}

/** The extension's worker, of whichever version runs now. */
const worker = () => world.context.serviceWorkers().findLast((w) => w.url().startsWith(world.base));
const self = () => worker().evaluate(() => chrome.management.getSelf());

before(async () => {
  if (skip) return;
  world = await startWorld({ install: byPolicy });
});

after(() => world?.stop());

test('Chromium installs the package by the policy, from flexvc serve', each, async () => {
  assert.equal(world.base, `chrome-extension://${served.id}/`);
  const { version, installType, mayDisable, updateUrl, enabled } = await self();
  assert.deepEqual({ version, installType, mayDisable, updateUrl, enabled },
    { version: '1.0.0', installType: 'admin', mayDisable: false, updateUrl: `${served.address}/extension/update.xml`, enabled: true });
  assert.equal((await worker().evaluate(() => chrome.action.getUserSettings())).isOnToolbar, true, 'pinned');
  const managed = await until('the managed settings', async () => {
    const settings = await worker().evaluate(() => chrome.storage.managed.get());
    return settings.tokenURLs && settings;
  });
  assert.deepEqual(managed.tokenURLs, [world.tokens.url]);
  const { packages, browsers, fleet: versions } = await fleet();
  assert.equal(packages, 1);
  assert.equal(browsers, 1);
  assert.ok(['', '1.0.0'].includes(versions[0].version), `it had ${versions[0].version}`);
});

test('the Flex tab that was open before is served, without being loaded again', each, async () => {
  await world.registered(page);
  assert.equal((await world.beat(page)).extensionVersion, '1.0.0');
  assert.equal(await page.evaluate(() => performance.getEntriesByType('navigation')[0].type), 'navigate');
});

test('it has the microphone, and nobody was asked', each, async () => {
  const sid = await world.ring();
  await world.callIs(page, 'open');
  await world.heardMore(sid);
  assert.equal(await world.inDocument(`navigator.permissions.query({ name: 'microphone' }).then(({ state }) => state)`), 'granted');
  assert.equal(world.context.pages().filter((p) => p.url().startsWith(world.base)).length, 0, 'pages of the extension that ask');
  await world.say(page, 'HANGUP_CALL');
  await world.inState(sid, 'ended');
  await world.noCall(page);
});

test('"the extension crashed, and my customer heard nothing for half a minute": it is back by itself, and hangs up first', each, async (t) => {
  const sid = await world.ring();
  await world.callIs(page, 'open');
  await world.heardMore(sid);
  const at = Date.now();
  await world.killExtension();
  const { reason } = await until('the end of the call', async () => {
    const s = await world.stats(sid);
    return s.state === 'ended' && s;
  }, 25_000); // sooner than the 30 s that are asked for
  t.diagnostic(`free ${Date.now() - at} ms after the crash`);
  assert.equal(reason, 'agent');
  await world.registered(page);
  t.diagnostic(`registered again ${Date.now() - at} ms after the crash`);
  const next = await world.ring();
  await world.callIs(page, 'open');
  await world.heardMore(next);
  await world.say(page, 'HANGUP_CALL');
  await world.inState(next, 'ended');
  await world.noCall(page);
});

test('a version that comes out during a call is taken up when the call has ended', each, async (t) => {
  const sid = await world.ring();
  await world.callIs(page, 'open');

  await publish(world.flexvc, '1.0.1', '--update-url', `${served.address}/extension/update.xml`);
  await offered('1.0.1');
  const { status } = await worker().evaluate(() => chrome.runtime.requestUpdateCheck());
  assert.equal(status, 'update_available');
  await until('the new package to be fetched', async () => (await fleet()).packages === 2);
  // Chromium has it, says so, and the extension holds it back.
  await until('the extension to know of it', () => worker().evaluate(async () => {
    const { snapshot, ...rest } = await chrome.storage.session.get();
    return JSON.stringify({ snapshot, rest }).includes('1.0.1');
  }));
  await world.heardMore(sid, 100);
  assert.equal((await world.beat(page)).extensionVersion, '1.0.0');
  assert.equal((await world.stats(sid)).heard.lost, 0);

  await world.say(page, 'HANGUP_CALL');
  assert.equal((await world.inState(sid, 'ended')).reason, 'agent');
  const at = Date.now();
  await until('1.0.1 to run', async () => (await worker()?.evaluate(() => chrome.runtime.getManifest().version).catch(() => '')) === '1.0.1');
  t.diagnostic(`the new version runs ${Date.now() - at} ms after the call's end`);

  // And the next call comes, in the tab that is still open, as if nothing had been.
  await world.waitForPage(page, 'the new version', () => window.latest.HEARTBEAT?.extensionVersion === '1.0.1');
  await world.registered(page);
  t.diagnostic(`the open tab is registered again after ${Date.now() - at} ms`);
  assert.equal(await page.evaluate(() => performance.getEntriesByType('navigation')[0].type), 'navigate', 'nobody reloaded it');
  await page.evaluate(() => (window.changes = []));
  const next = await world.ring();
  await world.callIs(page, 'open');
  await world.heardMore(next);
  await world.say(page, 'HANGUP_CALL');
  await world.inState(next, 'ended');
});

test('where a policy keeps the extension out of Flex, the open tab is told after an update', each, async () => {
  const policy = JSON.parse(served.policy);
  policy.ExtensionSettings[served.id].runtime_blocked_hosts = ['*://flex.twilio.com'];
  await served.rule(world.context, JSON.stringify(policy));
  await until('Flex to be out of reach', () => worker().evaluate(async () => (await chrome.tabs.query({ url: 'https://flex.twilio.com/*' })).length === 0));
  await publish(world.flexvc, '1.0.2', '--update-url', `${served.address}/extension/update.xml`);
  await offered('1.0.2');
  await worker().evaluate(() => chrome.runtime.requestUpdateCheck());
  await world.waitForPage(page, 'DISCONNECTED', () => window.changes.some(({ type }) => type === 'DISCONNECTED'));
  await until('1.0.2 to run', async () => (await worker()?.evaluate(() => chrome.runtime.getManifest().version).catch(() => '')) === '1.0.2');
  assert.equal((await world.beat(page)).extensionVersion, '1.0.1', 'the new version has not spoken to it');
});
