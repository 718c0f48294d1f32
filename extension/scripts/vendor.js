// Puts the Voice SDK into app/vendor, and refuses a file whose checksum is not the pinned one: a registry or a
// mirror that serves other bytes must not end up in a signed extension.
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);
const pin = JSON.parse(await readFile(new URL('scripts/voice-sdk.json', root), 'utf8'));
const source = new URL(`node_modules/${pin.package}/`, root);
const target = new URL('app/vendor/', root);

await mkdir(target, { recursive: true });
for (const [from, { to, sha256 }] of Object.entries(pin.files)) {
  const bytes = await readFile(new URL(from, source)).catch(() => {
    throw new Error(`${pin.package} is not installed; run: npm ci`);
  });
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== sha256) {
    throw new Error(`${pin.package} ${from} has checksum ${found}, pinned is ${sha256} (scripts/voice-sdk.json)`);
  }
  await writeFile(new URL(to, target), bytes);
}
console.log(`${pin.package} ${pin.version} -> ${fileURLToPath(target)}`);
