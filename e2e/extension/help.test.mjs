// "It says there is an error, and now what?": what the popup offers when something is in the way, and that it helps.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { plays, startWorld, until } from './world.mjs';

let world, page, popup;

before(async () => {
  world = await startWorld({ audited: true, asksForMicrophone: true });
  page = await world.openFlex();
  await world.setMicrophone('allow');
  await world.registered(page);
  popup = await world.openPopup();
});

after(() => world?.stop());

const play = plays(() => world.atRest(page));

const heading = (name) => popup.getByRole('heading', { name, exact: true }).waitFor();
const offered = (name) => popup.locator('#status-actions').getByRole('button', { name, exact: true });
/** The tab that a click opens. */
async function opens(click) {
  const opening = world.context.waitForEvent('page');
  await click();
  return opening;
}
/** What is in the clipboard, as a person finds out. */
async function pasted() {
  const mail = await world.context.newPage();
  await mail.setContent('<textarea></textarea>');
  await mail.locator('textarea').focus();
  await mail.keyboard.press('Control+V');
  const text = await mail.locator('textarea').inputValue();
  await mail.close();
  return text;
}
const says = (more) => page.evaluate((more) => window.say('CONFIGURE', { ...window.configuration, ...more }), more);

async function restart() {
  await popup.getByRole('tab', { name: 'Info' }).click();
  await popup.getByRole('button', { name: 'Restart extension' }).click();
  await popup.getByRole('tab', { name: 'Call' }).click();
}

play('"it said my session had expired, and it had not": the token server\'s own reason and the name of the request', async () => {
  await says({ extensionVoiceClientPrefix: 'other_' });
  await popup.getByText(/^VoiceClientPrefix is not the prefix this server uses · prefix-not-allowed · Request [0-9A-Z]{8}$/).waitFor();
  assert.match(await popup.locator('#status-title').textContent(), /^Ready for calls until /, 'the token that is there still serves');
  await restart();
  await says({ extensionVoiceClientPrefix: 'other_' });
  await heading('Not permitted to take calls');
  await popup.getByText(/different identity prefixes/).waitFor();
  await popup.getByText(/^prefix-not-allowed · Request [0-9A-Z]{8}$/).waitFor();
  await popup.bringToFront();
  await offered('Copy details').click();
  await popup.getByRole('button', { name: 'Copied' }).waitFor();
  const copied = await pasted();
  assert.match(copied, /^response: HTTP 403, prefix-not-allowed, .*\nrequest id: [0-9A-Z]{8}$/m);
  assert.match(copied, new RegExp(`^account: ${world.accountSid}$`, 'm'));
  await says({ extensionVoiceClientPrefix: 'ext_' });
  await heading('Ready for calls');
});

play('the token server is back before the next attempt: the agent need not wait for it', async () => {
  world.tokens.mode = 'down';
  await restart();
  await heading('Token server not reachable');
  // The attempts get rarer; by now the next is seconds away.
  const { asked } = world.tokens;
  await until('some attempts', () => world.tokens.asked >= asked + 3);
  world.tokens.mode = 'well';
  await offered('Try again now').click();
  await heading('Ready for calls');
});

play('the microphone is blocked: its settings are a click away', async () => {
  await world.setMicrophone('block');
  await heading('Microphone blocked');
  const settings = await opens(() => offered('Open site settings').click());
  await settings.waitForURL((url) => url.href.startsWith('chrome://settings/content/siteDetails') && url.href.includes(world.id));
  await settings.close();
  await world.setMicrophone('allow');
  await heading('Ready for calls');
});

play('no Flex is open: it is a click away, and so is the one that is', async () => {
  await page.close();
  await restart();
  await heading('Waiting for Flex');
  page = await opens(() => offered('Open Flex').click());
  await page.waitForURL('https://flex.twilio.com/');
  await world.registered(page);
  await heading('Ready for calls');
});

play('"I talked for a minute, and nobody heard me": muted is hard to miss, and one click to leave', async () => {
  const sid = await world.answered(page);
  await popup.getByRole('button', { name: 'Mute', exact: true }).click();
  await heading('You are muted');
  assert.equal(await world.icon(), 'flexvc: in a call, you are muted');
  await offered('Unmute').click();
  await heading('In a call');
  await until('the icon of a call', async () => (await world.icon()) === 'flexvc: in a call');
  await world.heardMore(sid);
  await world.hangUp(page, sid);
});
