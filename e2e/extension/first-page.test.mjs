// Whose phone it is when there is more than one Flex page, and what the agent is asked before the first Flex token leaves.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { plays, startWorld, until } from './world.mjs';

let world, page, popup;

before(async () => {
  world = await startWorld({ audited: true });
  page = await world.openFlex();
  await world.registered(page);
  popup = await world.openPopup();
});

after(() => world?.stop());

const play = plays(() => world.atRest(page));

const rejected = (tab) => world.waitForPage(tab, 'rejected', () => window.latest.CONFIG_REJECTED?.reason === 'other_account');
/** From now on the page says this, again and again, as a plugin does that is rejected. */
const says = (tab, more) => tab.evaluate((more) => {
  window.latest = {};
  window.say('CONFIGURE', { ...window.configuration, ...more });
}, more);

/** At once: a click in a tab that is not in front takes seconds. */
const restart = () => popup.evaluate(() => document.querySelector('#restart').click());

play('"I opened Flex a second time, and nobody could reach me any more": the first page holds', async () => {
  const { served } = world.tokens;
  const second = await world.openFlex();
  await world.registered(second);
  // It has brought a Flex token of its own, while it said what the first one says.
  await until('a voice token for it', () => world.tokens.served === served + 1);
  const { asked } = world.tokens;
  for (const change of [{ voiceClientTokenGeneratorUrl: `${world.tokens.url}/evil` }, { voiceClientTokenGeneratorUrl: 'https://tokens.acme.example/generateToken' }, { extensionVoiceClientPrefix: 'evil_' }]) {
    await says(second, change);
    await rejected(second);
    assert.equal((await world.beat(page)).voiceClientIdentity, world.identity);
  }
  assert.equal(world.tokens.asked, asked, 'no Flex token went anywhere');
  const sid = await world.answered(page);
  await world.say(second, 'HANGUP_CALL');
  assert.equal((await world.heardMore(sid)).state, 'in-progress', 'and a page that was turned away commands nothing');
  await world.hangUp(page, sid);
  await second.close();
  await world.hangUp(page, await world.answered(page));
});

play('"I restarted to switch accounts, and got the old one": the tab that the agent looks at wins, 10 of 10', async () => {
  const other = await world.openFlex();
  await world.registered(other);
  await says(other, { accountSid: `AC${'1'.repeat(32)}` });
  await rejected(other);
  for (let i = 0; i < 10; i += 1) {
    const [chosen, loser] = i % 2 ? [page, other] : [other, page];
    await chosen.bringToFront();
    await chosen.waitForFunction(() => document.visibilityState === 'visible');
    for (const tab of [chosen, loser]) await tab.evaluate(() => (window.latest = {}));
    await restart();
    await world.waitForPage(chosen, `configured, ${i}`, () => 'CONFIGURED' in window.latest);
    await rejected(loser);
    const account = await chosen.evaluate(() => window.configuration.accountSid);
    await until(`the account of the tab that was looked at, ${i}`, async () => (await world.kept()).config?.account === account);
  }
  await page.bringToFront();
  await page.evaluate(() => (window.latest = {}));
  await restart();
  await world.registered(page);
  await other.close();
});

play('"a page I did not know sent my login away": the agent sees account and host, and confirms once', async (t) => {
  await page.close();
  world.flex.tokenURL = 'https://tokens.acme.example/generateToken';
  const { asked } = world.tokens;
  const opening = world.context.waitForEvent('page', (tab) => tab.url().endsWith('popup/popup.html') || tab.waitForURL('**/popup/popup.html').then(() => true));
  await restart();
  page = await world.openFlex();
  const question = await opening;
  await question.getByRole('heading', { name: 'Connect to this account?' }).waitFor();
  await question.getByText('tokens.acme.example').first().waitFor();
  await question.getByText(world.accountSid).first().waitFor();
  await world.waitForPage(page, 'a heartbeat that says so', () => window.latest.HEARTBEAT?.problem === 'consent_needed');
  // A plugin that sends its token without being asked.
  await page.evaluate(async () => window.say('FLEX_TOKEN', await (await fetch('/session')).json()));
  await page.evaluate(() => delete window.latest.HEARTBEAT);
  await world.waitForPage(page, 'still asked', () => window.latest.HEARTBEAT?.problem === 'consent_needed');
  assert.equal(world.tokens.asked, asked);

  await question.getByRole('button', { name: 'Allow' }).click();
  await world.registered(page);
  await world.hangUp(page, await world.answered(page));
  await question.close();

  await restart();
  await page.evaluate(() => (window.latest = {}));
  await world.registered(page);
  assert.equal(world.context.pages().filter((tab) => tab.url().endsWith('popup/popup.html')).length, 1, 'asked once');
  world.flex.tokenURL = undefined;
  t.diagnostic(`requests: ${world.tokens.asked - asked}`);
});
