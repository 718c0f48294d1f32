// "I restarted the extension, and it was still dead": whatever hangs, restarting brings the phone back.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { plays, startWorld, until } from './world.mjs';

let world, page, popup;

before(async () => {
  world = await startWorld({ audited: true });
  // Chromium starts an unpacked extension again in this mode only; one that came by policy it always does.
  await world.developerMode();
  page = await world.openFlex();
  await world.registered(page);
  popup = await world.openPopup();
});

after(() => world?.stop());

/** Chromium keeps the process of a worker that hangs, and with it the socket that nobody reads any more. */
let left = false;
const play = plays(() => (left ? world.noCall(page) : world.atRest(page)));

async function restart() {
  await popup.getByRole('tab', { name: 'Info' }).click();
  await popup.getByRole('button', { name: 'Restart extension' }).click();
}

/** Not by what was true before. */
async function readyAgain() {
  await page.evaluate(() => (window.latest = {}));
  await world.registered(page);
  await world.hangUp(page, await world.answered(page));
}

play('the document of the call does not let go', async () => {
  await world.inDocument('globalThis.setTimeout = () => 0; void 0');
  await restart();
  await readyAgain();
});

play('another account is in front: the headline\'s own button restarts', async () => {
  const other = await world.openFlex();
  await other.evaluate(() => { window.latest = {}; window.say('CONFIGURE', { ...window.configuration, accountSid: `AC${'1'.repeat(32)}` }); });
  await popup.getByRole('tab', { name: 'Call' }).click();
  await popup.getByRole('heading', { name: 'Another Twilio account' }).waitFor();
  await page.bringToFront();
  const { asked } = world.tokens;
  await popup.getByRole('button', { name: 'Restart the extension' }).click();
  await until('a new voice token', () => world.tokens.asked > asked);
  await other.close();
  await readyAgain();
});

play('"I restarted it, and could not hang up in my other tab": both are heard again, whoever spoke first', async () => {
  const other = await world.openFlex();
  await world.registered(other);
  await page.bringToFront();
  for (let i = 0; i < 5; i++) {
    const { asked } = world.tokens;
    for (const tab of [page, other]) await tab.evaluate(() => (window.latest = {}));
    await popup.evaluate(() => chrome.runtime.sendMessage({ type: 'popup.restart' }));
    await until('a new voice token', () => world.tokens.asked > asked);
    for (const tab of [page, other]) await world.registered(tab);
    const rejected = await Promise.all([page, other].map((tab) => tab.evaluate(() => window.latest.CONFIG_REJECTED)));
    assert.deepEqual(rejected, [undefined, undefined]);
    await world.hangUp(i % 2 ? page : other, await world.answered(page));
  }
  await other.close();
});

play('the worker hangs: the popup says so, and restarts it without its help', async () => {
  left = true;
  const worker = await world.background();
  worker.evaluate(() => { for (;;); }).catch(() => {});
  await popup.close();
  popup = await world.openPopup();
  await popup.getByRole('heading', { name: 'The extension does not answer' }).waitFor();
  await popup.getByRole('button', { name: 'Restart the extension' }).click();
  await readyAgain();
  popup = await world.openPopup();
  await popup.getByRole('heading', { name: 'Ready for calls' }).waitFor();
});
