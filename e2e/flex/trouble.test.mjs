// What an agent reads when something is wrong, in the real Flex UI: first without an extension, where this page says what one
// would say, then with the real one.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startFlex, until } from './world.mjs';

let flex, page;

const each = { timeout: 300_000 };
const part = (name) => page.locator(`[data-flexvc=${name}]`);
const badgeSays = (title, within) => until(`a badge that says ${title}`, async () => (await part('badge').locator('[role=status]').innerText()) === title, within);
const activity = async () => (await flex.workerNow()).activity;

/** The sentence, in the badge's menu. */
async function explained(sentence) {
  await part('badge').locator('button').first().click();
  assert.match(await part('text').innerText(), sentence);
  await page.keyboard.press('Escape');
}

const noticed = (sentence) => page.locator('[data-testid=notification-message]', { hasText: sentence }).first().waitFor();

async function start(options) {
  await flex?.stop();
  flex = await startFlex(options);
  await flex.deployPlugin();
  await flex.enable(true);
}

async function open() {
  await page?.close();
  page = await flex.openFlex();
}

/** Heartbeats of an extension that is not there, from now on. */
const beats = (beat) => page.evaluate((beat) => {
  clearInterval(window.beats);
  const say = () => postMessage({ type: 'VOICE_CLIENT_EXTENSION_HEARTBEAT', payload: { protocol: 2, extensionVersion: '1.0.0', call: null, error: false, ...beat } }, location.origin);
  window.beats = setInterval(say, 500);
  say();
}, beat);

async function setAttribute(attribute) {
  const { attributes } = await flex.workerNow();
  await flex.control('edit', { worker: flex.worker.sid, attributes: JSON.stringify({ ...JSON.parse(attributes), ...attribute }) });
}

after(() => flex?.stop());

test('no extension: the agent reads why, and is not available', each, async () => {
  await start({ extension: false });
  await open();
  await badgeSays('No voice extension');
  await noticed('The voice extension is not running in this browser');
  await explained(/^The voice extension is not running in this browser, so calls cannot reach you\. Turn it on/);
  await flex.picture(page, 'trouble-1-no-extension');
  await page.locator('[data-testid=activity-dropdown-button]').click();
  await page.locator('[data-testid=activity-menu] [role=menuitem]', { hasText: /^Available$/ }).click();
  await noticed('Calls cannot reach you yet');
  await until('the offline activity', async () => (await activity()) === 'Unavailable');
});

test('a microphone that may not be used', each, async () => {
  const identity = `ext_${JSON.parse(flex.worker.attributes).contact_uri.replace('client:', '')}`;
  await beats({ voiceClientIdentity: identity, status: 'registered', error: true });
  await badgeSays('No microphone');
  await explained(/allow the microphone/);
  await beats({ voiceClientIdentity: identity, status: 'registered', error: true, problem: 'microphone_denied', microphone: 'denied' });
  await badgeSays('Microphone blocked');
  await explained(/does not let the voice extension use the microphone/);
  await beats({ voiceClientIdentity: identity, status: 'registered' });
  await badgeSays('Voice ready');
  await until('the activity before', async () => (await activity()) === 'Available');
});

test('a worker without contact_uri', each, async () => {
  // One that says who it is would be given as the address at once.
  await beats({ voiceClientIdentity: null, status: 'configuring' });
  await badgeSays('Voice connecting');
  await setAttribute({ contact_uri: '' });
  await badgeSays('Not reachable yet');
  await explained(/no address to send your calls to/);
});

test('the token service is down, and up again', each, async () => {
  await start();
  flex.tokens.mode = 'down';
  await open();
  await badgeSays('Cannot sign in');
  await explained(/the token service does not answer/);
  await flex.picture(page, 'trouble-2-token-service');
  flex.tokens.mode = 'well';
  await badgeSays('Voice ready');
});

test('attributes that are changed under the plugin\'s hands', each, async () => {
  const ours = `client:${flex.identity}`;
  const contactURI = async () => JSON.parse((await flex.workerNow()).attributes).contact_uri;
  let wins = 0;
  await until('the plugin to let go', async () => {
    if ((await contactURI()) === ours) {
      wins += 1;
      await setAttribute({ contact_uri: 'client:somebody', note: wins });
    }
    return (await part('badge').locator('[role=status]').innerText()) === 'Calls may go astray';
  });
  // The first of its writes may have been before.
  assert.ok(wins >= 3 && wins <= 5, `put back ${wins} times`);
  assert.equal(JSON.parse((await flex.workerNow()).attributes).note, wins, 'what the other wrote beside it');
  await explained(/Another program keeps changing where Flex sends your calls/);
});

test('a Flex token that has expired', each, async () => {
  await open();
  await badgeSays('Voice ready');
  await page.evaluate(() => Twilio.Flex.Manager.getInstance().events.emit('tokenExpired'));
  await badgeSays('Sign in again');
  await noticed('Your Flex session has expired');
});

test('the offline activity is missing', each, async () => {
  await flex.deployPlugin({ offlineActivitySID: 'WA00000000000000000000000000000000' });
  await open();
  await badgeSays('Setup incomplete');
  await explained(/flexvc init/);
});

test('a plugin that is loaded twice works once', each, async () => {
  await flex.deployPlugin();
  await flex.deployPlugin({}, 'flexvc-copy');
  await page.close();
  const said = [];
  flex.context.on('console', (message) => said.push(message.text()));
  page = await flex.openFlex();
  await badgeSays('Voice ready');
  assert.equal(await page.evaluate(() => [...document.scripts].filter(({ src }) => src.includes('/plugins/')).length), 2);
  assert.equal(await part('badge').count(), 1);
  assert.ok(said.some((text) => /another copy of this plugin, 0\.0\.1, is already at work/.test(text)), said.filter((text) => text.includes('flexvc')).join('\n'));
  await flex.flexOrder('plugin', { name: 'flexvc-copy' });
});

test('an extension that serves another account', each, async () => {
  await page.close();
  await flex.restartExtension();
  // Any page of Flex's address has the content script.
  const stranger = await flex.context.newPage();
  await stranger.goto('https://flex.twilio.com/sign-in');
  await stranger.evaluate((voiceClientTokenGeneratorUrl) => new Promise((resolve) => {
    addEventListener('message', ({ data }) => data?.type === 'VOICE_CLIENT_EXTENSION_CONFIGURED' && resolve());
    const payload = { accountSid: `AC${'0'.repeat(32)}`, voiceClientTokenGeneratorUrl, extensionVoiceClientPrefix: 'ext_' };
    setInterval(() => postMessage({ type: 'VOICE_CLIENT_EXTENSION_CONFIGURE', payload }, location.origin), 500);
  }), flex.tokens.url);
  await stranger.close();
  page = await flex.openFlex();
  await badgeSays('Wrong account');
  await explained(/serving another Twilio account\. Open it from the toolbar, choose Restart/);
  await flex.picture(page, 'trouble-3-other-account');
});

test('nothing went wrong on the page', () => assert.deepEqual(flex.wrong(), []));
