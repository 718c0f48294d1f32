// SIP agents and agents with a telephone, in an account where everybody is enabled: nothing of ours touches their addresses, and
// who is moved on purpose comes back byte for byte.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '../flex/world.mjs';
import { desk, startNeighbourhood } from './neighbours.mjs';

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
