// import text from 'packed:./languages/de.json': the values of the object in it, in the order of its keys, deflated, in base64. Five
// languages as they stand would take half of what the bundle may have.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { deflateRawSync } from 'node:zlib';

export const packed = {
  name: 'packed',
  setup(building) {
    building.onResolve({ filter: /^packed:/ }, ({ path, resolveDir }) => ({ path: resolve(resolveDir, path.slice('packed:'.length)), namespace: 'packed' }));
    building.onLoad({ filter: /.*/, namespace: 'packed' }, ({ path }) => {
      const sentences = JSON.parse(readFileSync(path, 'utf8'));
      const values = Object.keys(sentences).sort().map((key) => sentences[key]);
      return { contents: `export default '${deflateRawSync(JSON.stringify(values), { level: 9 }).toString('base64')}'`, watchFiles: [path] };
    });
  },
};
