// flexvc's Function and plugin beside what an unmodified @twilio-labs/serverless-api deploys, in turns: nothing of either is lost.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

const require = createRequire(import.meta.url);
const flexvcProgram = process.env.FLEXVC;
const origin = 'chrome-extension://abcdefghijklmnopabcdefghijklmnop';
let state, emulator, at, account, secrets, printed;

const flexvc = async (...args) => {
  const { stdout, stderr } = await promisify(execFile)(flexvcProgram, ['-p', 'emulator', ...args], {
    env: { PATH: process.env.PATH, HOME: state, FLEXVC_STATE_DIR: state },
  });
  printed += stdout + stderr;
  return stdout;
};

/** Asks what is deployed, as a browser does. */
async function ask(address, body) {
  const { hostname, pathname } = new URL(address);
  const request = http.request(at, {
    method: body ? 'POST' : 'GET', path: pathname,
    headers: { host: hostname, origin, ...(body && { 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length }) },
  });
  request.end(body);
  const [answer] = await once(request, 'response');
  let text = '';
  for await (const part of answer) text += part;
  return { status: answer.statusCode, text };
}

before(async () => {
  state = await mkdtemp(join(tmpdir(), 'flexvc-function-'));
  printed = '';
  emulator = spawn(flexvcProgram, ['emulator', '--listen', '127.0.0.1:0'], {
    env: { PATH: process.env.PATH, HOME: state, FLEXVC_STATE_DIR: state }, stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  for await (const part of emulator.stderr) {
    said += part;
    if (said.includes('another terminal')) break;
  }
  at = JSON.parse(await readFile(join(state, 'emulator', 'running.json'), 'utf8')).url;
  account = { username: /TWILIO_ACCOUNT_SID=(\w+)/.exec(said)[1], password: /TWILIO_AUTH_TOKEN=(\w+)/.exec(said)[1] };
  process.env.EMULATOR = at;
  require('./reroute.cjs');
});

after(async () => {
  if (emulator?.exitCode === null) {
    emulator.kill('SIGTERM');
    await once(emulator, 'exit');
  }
  await rm(state, { recursive: true, force: true });
});

test('neither takes anything from the other', async () => {
  const { TwilioServerlessApiClient } = require('@twilio-labs/serverless-api');
  const client = new TwilioServerlessApiClient(account);
  const theirs = (text) =>
    client.deployProject({
      ...account, serviceName: 'theirs', pkgJson: {}, env: { GREETING: text, FLEXVC_TOKEN_TTL: 'theirs' }, functionsEnv: 'dev', overrideExistingService: true,
      runtime: 'node22', assets: [],
      functions: [{ name: 'hello', path: '/hello', access: 'public', content: 'exports.handler = (context, event, done) => done(null, context.GREETING);' }],
    });
  const good = async (address, text) => {
    assert.deepEqual(await ask(`https://${address}/hello`), { status: 200, text }, 'their Function');
    const { address: ours } = JSON.parse(await flexvc('function', 'status', '-o', 'json'));
    const token = `Token=${['e', '', 'A', 'A', 'A'].join('.')}`;
    const answer = await ask(ours, token);
    assert.match(answer.text, /"code":"flex-token-refused"/, 'our Function asks Twilio with its own key');
    return ours;
  };

  const first = await theirs('one');
  await flexvc('init', '--yes');
  await flexvc('function', 'deploy', '--yes', '--allow-origin', origin);
  const ours = await good(first.domain, 'one');

  // They deploy again over their own, and we over ours.
  const second = await theirs('two');
  assert.equal(second.serviceSid, first.serviceSid);
  assert.equal(await good(second.domain, 'two'), ours);
  assert.match(await flexvc('function', 'deploy', '--yes'), /^No changes/);
  await flexvc('function', 'deploy', '--yes', '--token-ttl', '30m');
  await flexvc('keys', 'rotate', '--yes', '--now');
  assert.equal(await good(second.domain, 'two'), ours);
  const third = await theirs('three');
  await flexvc('plugin', 'deploy', '--yes');
  assert.equal(await good(third.domain, 'three'), ours);

  // What they read of our service is whole as well.
  const { service } = JSON.parse(await flexvc('function', 'status', '-o', 'json'));
  const { services } = await client.list({ ...account, types: 'services' });
  assert.deepEqual(services.map(({ unique_name }) => unique_name).sort(), ['default', 'flexvc-token', 'theirs']);
  const read = await client.list({ ...account, serviceSid: service, environment: '', types: ['functions', 'variables'] });
  assert.deepEqual(read.functions.entries.map(({ path }) => path), ['/generateToken']);
  const variables = Object.fromEntries(read.variables.entries.map(({ key, value }) => [key, value]));
  assert.equal(variables.FLEXVC_TOKEN_TTL, '1800');
  secrets = [variables[`FLEXVC_${variables.FLEXVC_API_KEY}`], account.password];

  // The way back leaves theirs.
  await flexvc('function', 'remove', '--yes', '--force');
  assert.deepEqual(await ask(`https://${third.domain}/hello`), { status: 200, text: 'three' });
  assert.equal((await ask(ours)).status, 404);
  for (const secret of secrets) {
    assert.ok(secret.length > 16);
    assert.ok(!printed.includes(secret), 'a secret was printed');
  }
});
