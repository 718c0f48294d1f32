// flexvc's Function and plugin beside what unmodified @twilio-labs/serverless-api and @twilio/flex-plugin-scripts deploy, in turns:
// nothing of any is lost.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

const require = createRequire(import.meta.url);
const flexvcProgram = process.env.FLEXVC;
const origin = 'chrome-extension://abcdefghijklmnopabcdefghijklmnop';
// Built as a Flex token is, and known to nobody.
const unknownToken = 'Token=eyJhIjoxfQ.b.c';
let state, emulator, at, account, secrets, printed;

const flexvc = async (...args) => {
  const { stdout, stderr } = await promisify(execFile)(flexvcProgram, ['-p', 'emulator', ...args], {
    env: { PATH: process.env.PATH, HOME: state, FLEXVC_STATE_DIR: state },
  });
  printed += stdout + stderr;
  return stdout;
};

/** Asks what is deployed, as a browser does. */
async function ask(address, body, headers = {}) {
  const { hostname, pathname } = new URL(address);
  const request = http.request(at, {
    method: body ? 'POST' : 'GET', path: pathname,
    headers: { host: hostname, origin, ...headers, ...(body && { 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length }) },
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
    const answer = await ask(ours, unknownToken);
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

/** Deploys a plugin that is built with the tool's deploy script, as the Twilio CLI does; returns what the tool printed. */
async function deployPlugin(directory, name, version, bundle) {
  const files = {
    'package.json': { name, version: '0.0.0', dependencies: {} },
    'node_modules/react/package.json': { version: '17.0.2' },
    'node_modules/react-dom/package.json': { version: '17.0.2' },
    'node_modules/@twilio/flex-ui/package.json': { version: '2.17.1' },
    [`build/${name}.js`]: bundle,
    [`build/${name}.js.map`]: { version: 3, sources: [], mappings: '' },
  };
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), typeof content === 'string' ? content : JSON.stringify(content));
  }
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--require', require.resolve('./reroute.cjs'), require.resolve('@twilio/flex-plugin-scripts/dist/scripts/deploy.js'), 'version', version, '--run-script'],
    {
      cwd: directory,
      env: { PATH: process.env.PATH, HOME: state, CI: 'true', EMULATOR: at, TWILIO_ACCOUNT_SID: account.username, TWILIO_AUTH_TOKEN: account.password },
    },
  );
  printed += stdout + stderr;
  return stdout;
}

test('a plugin that Twilio\'s plugin tool deploys stays, and takes nothing', async () => {
  const project = join(state, 'plugin-theirs');
  const bundles = new Map();
  const deployTheirs = async (version) => {
    const bundle = `console.log(${JSON.stringify(version)});`;
    const said = await deployPlugin(project, 'plugin-theirs', version, bundle);
    const [address] = /https:\/\/\S+\/plugins\/plugin-theirs\/\S+\/bundle\.js/.exec(said) ?? assert.fail(said);
    assert.ok(address.endsWith(`/plugin-theirs/${version}/bundle.js`));
    bundles.set(address, bundle);
  };
  // Plugins are protected files: Twilio serves them to requests that it has signed.
  const load = (address) =>
    ask(address, undefined, { 'x-twilio-signature': createHmac('sha1', account.password).update(address).digest('base64') });
  const theirsAnswer = async () => {
    for (const [address, text] of bundles) assert.deepEqual(await load(address), { status: 200, text }, address);
  };
  const { TwilioServerlessApiClient } = require('@twilio-labs/serverless-api');
  const variablesOf = async (serviceSid) => {
    const read = await new TwilioServerlessApiClient(account).list({ ...account, serviceSid, environment: '', types: ['variables'] });
    return Object.fromEntries(read.variables.entries.map(({ key, value }) => [key, value]));
  };
  const functionAnswers = async () => {
    const { address, service } = JSON.parse(await flexvc('function', 'status', '-o', 'json'));
    const answer = await ask(address, unknownToken);
    assert.match(answer.text, /"code":"flex-token-refused"/, 'our Function asks Twilio with its own key');
    return { address, variables: await variablesOf(service) };
  };
  const pluginAnswers = async () => {
    const { url, bundle } = JSON.parse(await flexvc('plugin', 'status', '-o', 'json'));
    assert.equal(bundle, 'current');
    const { status, text } = await load(url);
    assert.equal(status, 200);
    assert.ok(text.includes('flexvc'));
    return text;
  };

  await deployTheirs('1.0.0');
  await flexvc('init', '--yes');
  await flexvc('function', 'deploy', '--yes', '--allow-origin', origin);
  await theirsAnswer();
  const ourFunction = await functionAnswers();
  assert.ok(ourFunction.variables[`FLEXVC_${ourFunction.variables.FLEXVC_API_KEY}`], 'the key is there');

  await flexvc('plugin', 'deploy', '--yes');
  await theirsAnswer();
  assert.deepEqual(await functionAnswers(), ourFunction);
  const ourPlugin = await pluginAnswers();

  // They deploy the next version, and we the Function with another setting.
  await deployTheirs('1.1.0');
  await theirsAnswer();
  assert.deepEqual(await functionAnswers(), ourFunction);
  assert.equal(await pluginAnswers(), ourPlugin);
  await flexvc('function', 'deploy', '--yes', '--token-ttl', '20m');
  await theirsAnswer();
  const changed = await functionAnswers();
  assert.deepEqual(changed, { ...ourFunction, variables: { ...ourFunction.variables, FLEXVC_TOKEN_TTL: '1200' } });
  assert.equal(await pluginAnswers(), ourPlugin);
  await deployTheirs('2.0.0');
  await theirsAnswer();
  assert.deepEqual(await functionAnswers(), changed);
  assert.equal(await pluginAnswers(), ourPlugin);

  // The way back, step by step, leaves all their versions.
  await flexvc('function', 'remove', '--yes', '--force');
  assert.equal((await ask(changed.address)).status, 404);
  await theirsAnswer();
  assert.equal(await pluginAnswers(), ourPlugin);
  const { url } = JSON.parse(await flexvc('plugin', 'status', '-o', 'json'));
  await flexvc('teardown', '--yes');
  assert.equal((await load(url)).status, 404);
  await theirsAnswer();
  await deployTheirs('2.1.0');
  await theirsAnswer();
  assert.equal(bundles.size, 4);
  for (const secret of [changed.variables[`FLEXVC_${changed.variables.FLEXVC_API_KEY}`], account.password]) {
    assert.ok(secret.length > 16);
    assert.ok(!printed.includes(secret), 'a secret was printed');
  }
});
