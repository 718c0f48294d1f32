// Looks for tokens where none may be: on Chromium's disk, in any address it asked for, and in what was logged.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * @param {{ secrets: Set<string>, profile: string, netLog: string, texts: Record<string, string> }} among
 * @returns {Promise<string[]>} where one was found, never which
 */
export async function tokensIn({ secrets, profile, netLog, texts }) {
  // The signature alone: no two tokens share it, and no encoding of a URL changes it.
  const marks = [...secrets].map((token) => token.split('.').at(-1).slice(0, 40));
  const has = (text) => marks.some((mark) => text.includes(mark));
  const found = [];
  for (const file of await readdir(profile, { recursive: true, withFileTypes: true })) {
    const path = join(file.parentPath, file.name);
    if (file.isFile() && has(await readFile(path, 'latin1'))) found.push(path.slice(profile.length));
  }
  const addresses = [...(await readFile(netLog, 'utf8')).matchAll(/"(?:url|location|original_url|new_url)":"([^"]*)"/g)].map(([, url]) => url);
  if (!addresses.some((url) => url.endsWith('/generateToken'))) found.push('nowhere: the log of addresses is empty');
  found.push(...addresses.filter(has).map((url) => `the address ${url.split('?')[0]}`));
  for (const [name, text] of Object.entries(texts)) if (has(text)) found.push(name);
  return [...new Set(found)];
}
