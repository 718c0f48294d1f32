// What Chromium logs of a package or an update.xml that it refuses, each really provoked, and what
// `flexvc pack --verify` says of the same files beforehand.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '../extension/world.mjs';
import { cannot, hold } from './policy.mjs';

const skip = (await cannot()) || false;
const flexvc = resolve(process.env.FLEXVC ?? 'bin/flexvc');

let folder, policies, server, origin, id;
const served = new Map();

before(async () => {
  if (skip) return;
  folder = await mkdtemp(join(tmpdir(), 'flexvc-e2e-'));
  policies = await hold();
  server = createServer((request, response) => {
    const body = served.get(new URL(request.url, origin).pathname);
    response.writeHead(body ? 200 : 404).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${server.address().port}`;
  await mkdir(join(folder, 'app'));
  await writeFile(join(folder, 'app/manifest.json'), JSON.stringify({ manifest_version: 3, name: 'sample', version: '1.2.3', background: { service_worker: 'worker.js' } }));
  await writeFile(join(folder, 'app/worker.js'), `// ${'a line of some length\n// '.repeat(200)}`);
  for (const name of ['ours.pem', 'other.pem'])
    await writeFile(join(folder, name), generateKeyPairSync('rsa', { modulusLength: 2048, privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } }).privateKey, { mode: 0o600 });
});

after(async () => {
  server?.closeAllConnections();
  server?.close();
  await policies?.release();
  if (folder) await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

async function run(...args) {
  const child = spawn(flexvc, ['-o', 'json', ...args], { cwd: folder, env: { ...process.env, HOME: folder, FLEXVC_STATE_DIR: folder } });
  let said = '';
  let complained = '';
  child.stdout.on('data', (text) => (said += text));
  child.stderr.on('data', (text) => (complained += text));
  const [code] = await once(child, 'close');
  return { code, said, complained };
}

async function pack(name, key) {
  await rm(join(folder, `policy-${key}`), { recursive: true, force: true });
  const { code, said, complained } = await run('pack', '--from', 'app', '--key', key, '--out', name, '--policy', `policy-${key}`, '--update-url', `${origin}/update.xml`);
  assert.equal(code, 0, complained);
  return JSON.parse(said).id;
}

/** Starts Chromium on a profile of its own, and gives what it logs to check until that is content. */
async function chromium(name, check) {
  const profile = join(folder, `profile-${name.replaceAll(' ', '-')}`);
  const child = spawn(process.env.CHROMIUM ?? '/usr/bin/chromium', [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', `--user-data-dir=${profile}`, '--enable-logging=stderr',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', 'about:blank',
  ], { env: { ...process.env, HOME: folder }, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  const ended = once(child, 'close');
  let log = '';
  child.stderr.on('data', (text) => (log += text));
  try {
    await until(`${name}: Chromium's word`, () => check(log, profile)).catch((error) => {
      throw new Error(`${error.message}; it logs:\n${log}`);
    });
    return log;
  } finally {
    process.kill(-child.pid, 'SIGKILL'); // its whole group, and nothing else
    await ended;
  }
}

const flip = (file) => {
  const copy = Buffer.from(file);
  copy[Math.floor(copy.length / 2)] ^= 1;
  return copy;
};
const same = (it) => it;

// What is done to the good package and its update.xml, what Chromium then logs, and with which arguments --verify is
// asked: nothing but the file, the key that is wanted, or the update.xml beside it.
const table = [
  { name: 'a good one', crx: same, xml: same, wanted: ['--key', 'ours.pem', '--version', '1.2.3', '--policy', 'policy-ours.pem'], says: [] },
  { name: 'a flipped bit', crx: flip, xml: same, wanted: [], says: [`Package is invalid: 'CRX_SIGNATURE_VERIFICATION_FAILED'.`] },
  { name: 'a cut file', crx: (file) => file.subarray(0, file.length - 200), xml: same, wanted: [], says: [`Package is invalid: 'CRX_SIGNATURE_VERIFICATION_FAILED'.`] },
  { name: 'another key', crx: (file, other) => other, xml: same, wanted: ['--key', 'ours.pem'], says: ['Expected ID "OURS", but ID was "OTHERS"'] },
  { name: 'a wrong id', crx: same, xml: (text) => text.replace('OURS', 'OTHERS'), wanted: ['--policy', 'policy-ours.pem'], says: ['Forced extension OURS failed to install with data=failure_reason: 16; install_stage: 2; downloading_stage: 9; manifest_invalid_error: 4'] },
  { name: 'a wrong version', crx: same, xml: (text) => text.replace('version="1.2.3"', 'version="1.2.4"'), wanted: ['--policy', 'policy-ours.pem'], says: ['Expected version "1.2.4", but version was "1.2.3"'] },
  { name: 'a relative codebase', crx: same, xml: (text) => text.replace(/codebase="[^"]*\//, 'codebase="'), wanted: ['--policy', 'policy-ours.pem'], says: ['Forced extension OURS failed to install with data=failure_reason: 16; install_stage: 2; downloading_stage: 9; manifest_invalid_error: 8'] },
];

for (const { name, crx, xml, wanted, says } of table) {
  test(`${name}: --verify says beforehand what Chromium says`, { timeout: 60_000, skip }, async (t) => {
    id = await pack('good.crx', 'ours.pem');
    const others = await pack('other.crx', 'other.pem');
    const named = (text) => text.replaceAll('OURS', id).replaceAll('OTHERS', others);
    const file = crx(await readFile(join(folder, 'good.crx')), await readFile(join(folder, 'other.crx')));
    const good = await readFile(join(folder, 'policy-ours.pem/update.xml'), 'utf8');
    const text = named(xml(good.replaceAll(id, 'OURS')));
    if (says.length) assert.ok(text !== good || !file.equals(await readFile(join(folder, 'good.crx'))), 'nothing is wrong');

    await writeFile(join(folder, 'tried.crx'), file);
    await writeFile(join(folder, 'policy-ours.pem/update.xml'), text);
    const { code, said } = await run('pack', '--verify', 'tried.crx', ...wanted);
    const { faults } = JSON.parse(said);
    const foretold = [...new Set(faults.map((fault) => fault.chromium).filter(Boolean))];
    assert.deepEqual(foretold, says.map(named));
    assert.equal(code, says.length ? 1 : 0);

    served.set('/update.xml', text).set('/good.crx', file);
    // Chromium counts, and logs, failures only of what this older policy installs.
    await policies.set('flexvc', { ExtensionInstallForcelist: [`${id};${origin}/update.xml`] });
    const log = await chromium(name, async (log, profile) => {
      if (says.length) return foretold.every((line) => log.includes(line)) && log.includes(`Forced extension ${id} failed to install`);
      return access(join(profile, 'Default/Extensions', id, '1.2.3_0/manifest.json')).then(() => true, () => false);
    });
    const lines = log.split('\n').filter((line) => /Forced extension|Extension error|Package is invalid|Expected/.test(line));
    if (!says.length) assert.deepEqual(lines, []);
    for (const line of lines) t.diagnostic(line.replace(/^\[[^\]]*\] */, ''));
  });
}
