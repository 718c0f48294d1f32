// "I restarted the extension, and it was still dead": whatever hangs, restarting brings the phone back.
import { after, before } from 'node:test';
import { plays, startWorld } from './world.mjs';

let world, page, popup;

before(async () => {
  world = await startWorld({ audited: true });
  await world.developerMode();
  page = await world.openFlex();
  await world.registered(page);
  popup = await world.openPopup();
});

after(() => world?.stop());

const play = plays(() => world.atRest(page));

async function restart() {
  await popup.getByRole('tab', { name: 'Info' }).click();
  await popup.getByRole('button', { name: 'Restart extension' }).click();
}

async function readyAgain() {
  await page.evaluate(() => (window.latest = {}));
  await world.registered(page);
  await world.hangUp(page, await world.answered(page));
}

play('the document of the call does not listen any more', async () => {
  await world.inDocument(`globalThis.setTimeout = () => {}; void 0`);
  await restart();
  await readyAgain();
});

play('the worker hangs', async () => {
  const worker = await world.background();
  worker.evaluate(() => { for (;;); }).catch(() => {});
  await restart();
  await readyAgain();
});
