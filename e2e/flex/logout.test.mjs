// Logging out in the real Flex UI ends the phone.
import { after, before, test } from 'node:test';
import { startFlex, until } from './world.mjs';

let flex;

const each = { timeout: 300_000 };
const patience = 120_000;

before(async () => {
  flex = await startFlex();
  await flex.deployPlugin();
  await flex.enable(true);
});
after(() => flex?.stop());

test('"I logged out, and my phone answered a customer": nothing is left of it a moment after Log Out', each, async (t) => {
  const page = await flex.openFlex();
  await until('a registered phone', async () => (await flex.sockets()).some((s) => s.registered), patience);
  await page.locator('[data-testid=profile-card-button]').click({ timeout: patience });
  const at = Date.now();
  await page.locator('[data-testid=user-controls-logout-button]').click({ timeout: patience });
  // Long before the minute after which a closed tab would count as a logout.
  await until('no socket of the phone', async () => (await flex.sockets()).length === 0, 20_000);
  t.diagnostic(`nothing left ${Date.now() - at} ms after the click`);
});
