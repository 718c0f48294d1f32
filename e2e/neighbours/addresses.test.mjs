// SIP agents and agents with a telephone, in an account where everybody is enabled: nothing of ours touches their addresses, and
// who is moved on purpose comes back byte for byte.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '../flex/world.mjs';
import { desk, sipSupport, startNeighbourhood } from './neighbours.mjs';

let flex, client;

const each = { timeout: 300_000 };
const starts = 10;
const attributes = async () => (await flex.workerNow()).attributes;
const write = (text) => flex.control('edit', { worker: flex.worker.sid, attributes: text });

const workers = (...args) => flex.flexvc('-p', 'emulator', '--no-input', 'workers', ...args);

async function run(...args) {
  const { code, said } = await workers(...args);
  assert.equal(code, 0, said);
  return said;
}

/** Takes the run back that said so. */
async function rollBack(said, ...more) {
  const [, id] = /runs rollback (\w+)/.exec(said);
  const answer = await flex.flexvc('-p', 'emulator', '--no-input', 'runs', 'rollback', id, '--yes', ...more);
  assert.equal(answer.code, 0, answer.said);
}

before(async () => {
  flex = await startNeighbourhood();
  await flex.enable(false);
  client = JSON.parse(await attributes()).contact_uri;
  await flex.deployPlugin();
});
after(() => flex?.stop());

/** As somebody else's program has written it. */
const foreign = (uri) => `{ "roles":["agent"],"n":1.0, "contact_uri" : ${JSON.stringify(uri)} ,"z":"x\\u00e9" }`;

for (const uri of ['sip:agent@pbx.example.com', '+15551230000']) {
  test(`an agent with ${uri} is skipped, and stays as is`, each, async () => {
    const text = foreign(uri);
    await write(text);
    const { said } = await workers('enable', flex.worker.sid, '--yes', '--force');
    assert.match(said, /no voice client/);
    assert.equal(await attributes(), text);
    // Somebody else enables the agent all the same.
    const enabled = text.replace('{', '{"extensionVoiceClientEnabled":true,');
    await write(enabled);
    for (let start = 0; start < starts; start += 1) {
      const page = await flex.openFlex();
      assert.equal(await desk(flex, page).part('badge').count(), 0);
      await page.close();
    }
    assert.equal(await attributes(), enabled);
  });

  test(`an agent with ${uri} who is moved too comes back byte for byte`, each, async () => {
    const text = foreign(uri);
    await write(text);
    const said = await run('enable', flex.worker.sid, '--yes', '--force', '--include-foreign');
    const page = await flex.openFlex();
    await desk(flex, page).badgeSays('Voice ready');
    await until('contact_uri', async () => JSON.parse(await attributes()).contact_uri === `client:${flex.identity}`);
    await page.close();
    await rollBack(said);
    assert.equal(await attributes(), text);
  });
}

test('an agent at a desk phone, with a plugin for those: calls are the phone\'s, and the extension is never rung', each, async () => {
  const text = foreign('sip:agent@pbx.example.com').replace('{', '{"extensionVoiceClientEnabled":true,');
  await write(text);
  await flex.moveIn('sip-support', sipSupport);
  const page = await flex.openFlex();
  await page.exposeFunction('endParticipant', async (conference, call) => {
    const { account_sid, auth_token } = await flex.control('account');
    const answer = await fetch(`${flex.url}/api.twilio.com/2010-04-01/Accounts/${account_sid}/Conferences/${conference}/Participants/${call}.json`, {
      method: 'DELETE', headers: { Authorization: `Basic ${btoa(`${account_sid}:${auth_token}`)}` },
    });
    if (answer.status !== 204) throw new Error(`${answer.status} ${await answer.text()}`);
  });
  const at = desk(flex, page);
  if ((await flex.workerNow()).activity !== 'Available') await flex.setActivity(page, 'Available');
  const { sid } = await flex.offer();
  await at.$('accept-task').first().click();
  await flex.reservationIs(sid, 'accepted');
  await flex.endsWith(sid);
  const dialled = (await flex.flexOrder('requests')).findLast(({ params }) => params?.Instruction === 'conference');
  assert.match(dialled.params.To, /^sip:agent@pbx\.example\.com/);
  assert.equal(await at.part('badge').count(), 0);
  assert.equal(await at.activeCall(), undefined);
  for (const muted of [true, false]) {
    await page.evaluate(() => Twilio.Flex.Actions.invokeAction('ToggleMute', {}).catch(() => {}));
    await until(`an agent who is ${muted ? '' : 'not '}muted`, async () => (await flex.reservation(sid)).muted === muted);
  }
  await page.evaluate((sid) => Twilio.Flex.Actions.invokeAction('HangupCall', { sid }).catch(() => {}), sid);
  await flex.reservationIs(sid, 'wrapping');
  assert.equal((await flex.reservation(sid)).live, false, 'the customer is hung up on too');
  await at.complete(sid);
  assert.deepEqual((await flex.order('events')).filter(({ kind }) => kind.startsWith('call.')), [], 'calls of voice clients');
  assert.equal(await attributes(), text);
  assert.deepEqual(flex.wrong(), []);
  await page.close();
  await flex.flexOrder('plugin', { name: 'sip-support' });
});

test('an agent of the tab comes back byte for byte too', each, async () => {
  const text = foreign(client);
  await write(text);
  const said = await run('enable', flex.worker.sid, '--yes', '--force');
  const page = await flex.openFlex();
  await desk(flex, page).badgeSays('Voice ready');
  await until('contact_uri', async () => JSON.parse(await attributes()).contact_uri === `client:${flex.identity}`);
  await page.close();
  await rollBack(said);
  assert.equal(await attributes(), text);
});

/** A start of Flex that is watched until the agent's calls go where they should. */
async function shift(says, uri) {
  const page = await flex.openFlex();
  const at = desk(flex, page);
  if (says) await at.badgeSays(says);
  await until(`contact_uri ${uri}`, async () => JSON.parse(await attributes()).contact_uri === uri);
  if (!says) assert.equal(await at.part('badge').count(), 0);
  assert.deepEqual(flex.wrong(), []);
  await page.close();
}

for (const kind of ['sip', 'number', 'client']) {
  test(`"Ten days on the extension, and I want my old phone back": every byte of an agent with the address of a ${kind}`, each, async () => {
    const uri = { sip: 'sip:agent@pbx.example.com;transport=tls', number: '+15551230000', client }[kind];
    const text = foreign(uri);
    await write(text);
    const enabled = await run('enable', flex.worker.sid, '--yes', '--force', ...(kind === 'client' ? [] : ['--include-foreign']));
    await shift('Voice ready', `client:${flex.identity}`);
    const moved = await attributes();
    for (let start = 1; start < starts; start += 1) {
      await shift('Voice ready', `client:${flex.identity}`);
      assert.equal(await attributes(), moved, `start ${start + 1}`);
    }
    const disabled = await run('disable', flex.worker.sid, '--yes');
    await shift(null, uri);
    const { extensionVoiceClientEnabled, extensionVoiceClientEnabledAt, ...rest } = JSON.parse(await attributes());
    assert.equal(extensionVoiceClientEnabled, false);
    assert.deepEqual(rest, JSON.parse(text), 'all that a person reads');
    // The latest first.
    await rollBack(disabled, '--force');
    await rollBack(enabled);
    assert.equal(await attributes(), text);
    await shift(null, uri);
    assert.equal(await attributes(), text, 'and Flex leaves it so');
  });
}
