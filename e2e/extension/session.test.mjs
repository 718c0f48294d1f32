// Who the phone belongs to: an agent who logs out, tabs that are closed for seconds or for good, and what an administrator
// forbids while Flex is open.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setPolicy } from './policy.mjs';
import { pause, plays, startWorld, until } from './world.mjs';

let world, page;

before(async () => {
  world = await startWorld({ audited: true });
  page = await world.openFlex();
  await world.registered(page);
});

after(() => world?.stop());

const play = plays(() => world.atRest(page));

/** What the extension keeps for its next worker. */
const kept = async (of = world) => (await of.background()).evaluate(async () => JSON.stringify(await chrome.storage.session.get()));

/** Nothing of the agent is left: no socket, no document, no token. */
async function gone(of = world) {
  await of.atEdge('no socket', (sockets) => sockets.length === 0);
  await until('no document', async () => (await of.documents()).length === 0);
  const snapshot = JSON.parse(await kept(of)).snapshot.state;
  assert.deepEqual([snapshot.flexToken, snapshot.voiceToken, snapshot.config], [null, null, null]);
  await assert.rejects(of.ring(), /no voice client is registered/);
}

/** The page as it is when Flex has logged the agent out: its plugin says so, and no more. */
const logOut = (page) => page.evaluate(() => {
  window.answers = window.insists = false;
  window.say('LOGGED_OUT');
});

play('"I logged out, went home, and my phone answered a customer"', async (t) => {
  const at = Date.now();
  await logOut(page);
  await gone();
  t.diagnostic(`nothing left ${Date.now() - at} ms after the logout`);
  // The next agent of this browser, in the same tab.
  await page.reload();
  await world.registered(page);
  await world.hangUp(page, await world.answered(page));
});

play('"I logged out, and the other tab logged my phone in again": not with the token of a session that is over', async () => {
  const other = await world.openFlex();
  await world.registered(other);
  const login = await page.evaluate(async () => (await fetch('/session')).json());
  for (const tab of [page, other]) await tab.evaluate(() => (window.answers = false));
  await world.say(page, 'FLEX_TOKEN', login);
  await logOut(page);
  await gone();
  await world.say(other, 'CONFIGURE', { accountSid: world.accountSid, voiceClientTokenGeneratorUrl: world.tokens.url, extensionVoiceClientPrefix: 'ext_' });
  await world.waitForPage(other, 'a wish for a Flex token', () => window.latest.HEARTBEAT?.status === 'wanting');
  const { asked } = world.tokens;
  await world.say(other, 'FLEX_TOKEN', login);
  await other.evaluate(() => delete window.latest.HEARTBEAT);
  await world.waitForPage(other, 'still wanting', () => window.latest.HEARTBEAT?.status === 'wanting');
  assert.equal(world.tokens.asked, asked);
  await other.close();
  await page.reload();
  await world.registered(page);
});

play('"I logged out while the customer was talking": they are not cut off, and then the phone is gone', async () => {
  const sid = await world.answered(page);
  await logOut(page);
  await world.atEdge('no registration', (sockets) => sockets.every((s) => !s.registered));
  const s = await world.heardMore(sid, 50);
  assert.equal(s.heard.lost, 0);
  await world.order('hangup', { sid });
  await gone();
  await page.reload();
  await world.registered(page);
});

play('"I only reloaded", "I closed the tab by mistake": the phone stays', async () => {
  const registration = (await world.sockets()).find((s) => s.registered).id;
  for (let i = 0; i < 3; i += 1) await page.reload();
  await world.registered(page);
  await page.close();
  await pause(3_000);
  page = await world.openFlex();
  await world.registered(page);
  assert.equal((await world.sockets()).find((s) => s.registered).id, registration, 'the same registration');
});

test('"the tab has been closed for good", "that address is forbidden now": what the policy says ends the phone', { timeout: 120_000, skip: setPolicy.impossible }, async (t) => {
  const settings = await setPolicy();
  let managed;
  try {
    managed = await startWorld({ policy: (id) => settings.write(id, { leaveAfterSeconds: 5 }) });
    let flex = await managed.openFlex();
    await managed.registered(flex);
    const at = Date.now();
    await flex.close();
    await gone(managed);
    t.diagnostic(`nothing left ${((Date.now() - at) / 1000).toFixed(1)} s after the last tab was closed; 5 s were wanted`);

    flex = await managed.openFlex();
    await managed.registered(flex);
    const sid = await managed.answered(flex);
    await settings.write(managed.id, { leaveAfterSeconds: 5, tokenURLs: ['https://only.example.com/generateToken'] });
    await managed.waitForPage(flex, 'rejected', () => window.latest.CONFIG_REJECTED?.reason === 'url_not_allowed');
    const { asked } = managed.tokens;
    assert.equal((await managed.heardMore(sid)).state, 'in-progress', 'the customer on the line is not cut off');
    await managed.order('hangup', { sid });
    await gone(managed);
    assert.equal(managed.tokens.asked, asked);
  } finally {
    await managed?.stop();
    await settings.remove();
  }
});
