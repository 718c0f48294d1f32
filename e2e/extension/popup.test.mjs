// The popup and the welcome page as a person meets them: by keyboard, in light and dark, with a screen reader's eyes (axe).
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { after, before } from 'node:test';
import { plays, startWorld, until } from './world.mjs';

const axe = await readFile(createRequire(new URL('../../extension/package.json', import.meta.url)).resolve('axe-core/axe.min.js'), 'utf8');

let world, page, popup;
const complaints = [];

before(async () => {
  world = await startWorld({ audited: true });
  page = await world.openFlex();
  await world.registered(page);
  popup = await world.openPopup();
  watch(popup);
});

after(() => world?.stop());

const play = plays(async () => {
  await world.atRest(page);
  assert.deepEqual(complaints, []);
});

function watch(tab) {
  tab.on('pageerror', (error) => complaints.push(String(error)));
  tab.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()));
}

/** Nothing for axe to find, light or dark. */
async function accessible(tab, what) {
  // Evaluated, not added: the page's own policy lets no foreign script in.
  await tab.evaluate(axe);
  for (const colorScheme of ['light', 'dark']) {
    await tab.emulateMedia({ colorScheme });
    const found = await tab.evaluate(async () => (await window.axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.html).join(' ')}`));
    assert.deepEqual(found, [], `${what}, ${colorScheme}`);
  }
}

const heading = (name) => popup.getByRole('heading', { name, exact: true }).waitFor();
const focused = () => popup.evaluate(() => document.activeElement?.id || document.activeElement?.textContent);

play('axe finds nothing in any tab, at rest and in a call, nor on the welcome page', async () => {
  await heading('Ready for calls');
  for (const tab of ['Sound', 'Info', 'Call']) {
    await popup.getByRole('tab', { name: tab }).click();
    await accessible(popup, `at rest, ${tab}`);
  }
  const sid = await world.answered(page);
  await heading('In a call');
  await popup.getByRole('button', { name: 'Keypad' }).click();
  await accessible(popup, 'in a call');
  await popup.getByRole('tab', { name: 'Info' }).click();
  await popup.getByRole('button', { name: 'Restart extension' }).click();
  await accessible(popup, 'asking whether to hang up');
  await popup.getByRole('button', { name: 'Keep the call' }).click();
  await world.hangUp(page, sid);
  const welcome = await world.context.newPage();
  watch(welcome);
  await welcome.goto(`${world.base}welcome/welcome.html`);
  await accessible(welcome, 'the welcome page');
  await welcome.close();
});

play('a call is handled by keyboard alone', async () => {
  await popup.reload();
  await heading('Ready for calls');
  const sid = await world.answered(page);
  await heading('In a call');
  // The tabs are one stop; the arrows, Home and End move between them, and round.
  await popup.keyboard.press('Tab');
  assert.equal(await focused(), 'tab-call');
  for (const [key, tab] of [['ArrowRight', 'tab-sound'], ['End', 'tab-info'], ['ArrowRight', 'tab-call'], ['ArrowLeft', 'tab-info'], ['Home', 'tab-call']]) {
    await popup.keyboard.press(key);
    assert.equal(await focused(), tab, key);
    assert.equal(await popup.locator('[role=tab][aria-selected=true]').getAttribute('id'), tab);
    assert.equal(await popup.locator('[role=tabpanel]:visible').getAttribute('aria-labelledby'), tab);
  }
  for (const stop of ['panel-call', 'mute']) {
    await popup.keyboard.press('Tab');
    assert.equal(await focused(), stop);
  }
  await popup.keyboard.press('Space');
  await popup.locator('#mute[aria-pressed=true]').waitFor();
  await world.waitForPage(page, 'muted', () => window.latest.CALL?.muted);
  await popup.keyboard.press('Tab');
  assert.equal(await focused(), 'keypad-toggle');
  await popup.keyboard.press('Enter');
  await popup.keyboard.type('42#');
  assert.equal(await popup.locator('#typed').textContent(), '42#');
  await until('three digits', async () => (await world.stats(sid)).digits?.map(({ key }) => key).join('') === '42#');
  await popup.getByRole('button', { name: 'Hang up' }).press('Enter');
  assert.equal((await world.inState(sid, 'ended')).reason, 'agent');
  await popup.getByText('You ended the call.').waitFor();
});

play('the level meter moves, and the microphone is closed when nobody looks', async () => {
  await popup.getByRole('tab', { name: 'Sound' }).click();
  await popup.getByRole('button', { name: 'Test microphone' }).click();
  await until('a level', () => popup.locator('#level').evaluate((meter) => meter.value > 0.2));
  await popup.getByRole('tab', { name: 'Call' }).click();
  await popup.getByRole('tab', { name: 'Sound' }).click();
  await popup.getByRole('button', { name: 'Test microphone' }).waitFor();
  assert.equal(await popup.locator('#level').evaluate((meter) => meter.value), 0);
  await popup.getByRole('button', { name: 'Play test tone' }).click();
  await popup.getByRole('button', { name: 'Play call signal' }).click();
});

play('restart in a call asks first, then lets go of everything, and the open tab brings it back', async () => {
  const sid = await world.answered(page);
  await popup.getByRole('tab', { name: 'Info' }).click();
  await popup.getByRole('button', { name: 'Restart extension' }).click();
  await popup.getByRole('button', { name: 'Keep the call' }).click();
  await world.heardMore(sid);
  await popup.getByRole('button', { name: 'Restart extension' }).click();
  await popup.getByRole('button', { name: 'Hang up and restart' }).click();
  assert.equal((await world.inState(sid, 'ended')).reason, 'agent');
  await heading('Ready for calls');
});

play('Chromium has no complaint about the manifest or the code, and grants no permission that warns', async () => {
  const extensions = await world.context.newPage();
  await extensions.goto('chrome://extensions');
  const info = await extensions.evaluate((id) => chrome.developerPrivate.getExtensionInfo(id), world.id);
  assert.deepEqual(
    { manifest: info.manifestErrors, runtime: info.runtimeErrors, warnings: info.runtimeWarnings, install: info.installWarnings ?? [] },
    { manifest: [], runtime: [], warnings: [], install: [] },
  );
  assert.deepEqual(info.permissions.simplePermissions, []);
  await extensions.close();
});
