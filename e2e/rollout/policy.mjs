// Policies of this machine's Chromium, for as long as a test runs: they are in force for every Chromium on it, so one
// test at a time has them, and whatever it put there is gone when it ends.
import { spawn } from 'node:child_process';
import { access, constants, mkdir, readdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { dirname, join } from 'node:path';

const folder = '/etc/chromium/policies/managed';
const ours = /^flexvc-e2e-/;

/** Why policies cannot be set here, or '' when they can. */
export async function cannot() {
  for (let at = folder; ; at = dirname(at)) {
    try {
      await access(at, constants.W_OK);
      return '';
    } catch (error) {
      if (error.code !== 'ENOENT' || at === '/') return `${at} cannot be written to (${error.code}): Chromium's policies are read from ${folder}`;
    }
  }
}

/** Holds this machine's policies until release(), which takes back all that set() wrote. */
export async function hold() {
  const lock = spawn('flock', ['/tmp/flexvc-policy.lock', 'sh', '-c', 'echo held; exec cat >/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(lock, 'close');
  const [said] = await Promise.race([once(lock.stdout, 'data'), ended]);
  if (String(said) !== 'held\n') throw new Error('flock does not give the lock on policies');
  const made = await mkdir(folder, { recursive: true });
  const clear = async () => {
    for (const name of await readdir(folder)) if (ours.test(name)) await rm(join(folder, name));
  };
  await clear(); // a test that was killed could not
  return {
    set: (name, policy) => writeFile(join(folder, `flexvc-e2e-${name}.json`), typeof policy === 'string' ? policy : JSON.stringify(policy)),
    async release() {
      await clear();
      for (let at = folder; made && at.length >= made.length; at = dirname(at)) await rmdir(at).catch(() => {}); // another's file is in it
      lock.stdin.end();
      await ended;
    },
  };
}
