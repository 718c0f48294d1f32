// An administrator's settings, where Chromium on Linux looks for them. The folder belongs to the whole machine, so a lock
// keeps others out who write there too, the file names one extension only, and both are gone afterwards.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const folder = '/etc/chromium/policies/managed';
const file = join(folder, `flexvc-e2e-${process.pid}.json`);

/** Answers when nobody else has the lock. The lock is a process that ends with this one, whatever happens to it. */
async function lock() {
  const holder = spawn('flock', ['/tmp/flexvc-policy.lock', 'sh', '-c', 'echo locked; cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(holder, 'close');
  await Promise.race([once(holder.stdout, 'data'), ended.then(() => Promise.reject(new Error('the lock is not to be had')))]);
  return async () => {
    holder.stdin.end();
    await ended;
  };
}

export async function setPolicy() {
  const unlock = await lock();
  /** The outermost folder that was not there before. */
  const made = await mkdir(folder, { recursive: true });
  const remove = async () => {
    await rm(file, { force: true });
    try {
      for (let at = folder; made && at.startsWith(made); at = dirname(at)) await rmdir(at);
    } catch (error) {
      if (error.code !== 'ENOTEMPTY') throw error;
    } finally {
      await unlock();
    }
  };
  return {
    /** @param {string} id  of the extension @param {object} settings */
    async write(id, settings) {
      const fresh = join(folder, `.${process.pid}.tmp`);
      await writeFile(fresh, JSON.stringify({ '3rdparty': { extensions: { [id]: settings } } }));
      await rename(fresh, file);
    },
    remove,
  };
}

setPolicy.impossible = process.getuid?.() === 0 && existsSync('/usr/bin/flock') ? false : 'only root on Linux may write an administrator\'s settings';
