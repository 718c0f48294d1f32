// Draws the toolbar icons. Each state differs in shape as well as colour, so that nobody has to tell red from green.
// Shapes are signed distances in a box of 100 x 100 (negative is inside), sampled 4 x 4 per pixel.
import { mkdir, writeFile } from 'node:fs/promises';
import { deflateSync } from 'node:zlib';

/** @typedef {(x: number, y: number) => number} Shape */

const { abs, cos, hypot, max, min, PI, sin } = Math;

/** @type {(...shapes: Shape[]) => Shape} */
const union = (...shapes) => (x, y) => min(...shapes.map((shape) => shape(x, y)));
/** @type {(shape: Shape, hole: Shape) => Shape} */
const without = (shape, hole) => (x, y) => max(shape(x, y), -hole(x, y));
/** @type {(cx: number, cy: number, w: number, h: number, r: number) => Shape} */
const box = (cx, cy, w, h, r) => (x, y) => {
  const dx = abs(x - cx) - w / 2 + r;
  const dy = abs(y - cy) - h / 2 + r;
  return hypot(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0) - r;
};
/** A bow of a circle around (cx, cy), from one angle to another, in degrees clockwise from three o'clock.
 * @type {(cx: number, cy: number, r: number, thick: number, from: number, to: number) => Shape} */
const bow = (cx, cy, r, thick, from, to) => (x, y) => {
  const angle = ((Math.atan2(y - cy, x - cx) * 180) / PI + 360) % 360;
  if (angle >= from && angle <= to) return abs(hypot(x - cx, y - cy) - r) - thick / 2;
  const ends = [from, to].map((a) => hypot(x - cx - r * cos((a * PI) / 180), y - cy - r * sin((a * PI) / 180)));
  return min(...ends) - thick / 2;
};
/** @type {(shape: Shape, degrees: number, cx: number, cy: number) => Shape} */
const turned = (shape, degrees, cx, cy) => {
  const c = cos((-degrees * PI) / 180);
  const s = sin((-degrees * PI) / 180);
  return (x, y) => shape(cx + (x - cx) * c - (y - cy) * s, cy + (x - cx) * s + (y - cy) * c);
};

/** @type {(cx: number, cy: number, size: number) => Shape} */
const handset = (cx, cy, size) => {
  const u = size / 100;
  const lying = union(
    bow(cx, cy - 8 * u, 40 * u, 19 * u, 22, 158),
    turned(box(cx - 37 * u, cy + 2 * u, 26 * u, 34 * u, 8 * u), -28, cx - 37 * u, cy + 2 * u),
    turned(box(cx + 37 * u, cy + 2 * u, 26 * u, 34 * u, 8 * u), 28, cx + 37 * u, cy + 2 * u),
  );
  return turned(lying, 45, cx, cy);
};

const plate = box(50, 50, 96, 96, 24);
const white = [255, 255, 255];

/** @type {Record<string, { colour: number[], shape: Shape, on: number[], glyph: Shape }>} */
const icons = {
  // Hollow: nothing is connected yet.
  grey: { colour: [107, 114, 128], shape: without(plate, box(50, 50, 80, 80, 17)), on: [107, 114, 128], glyph: handset(53, 47, 56) },
  green: { colour: [4, 120, 87], shape: plate, on: white, glyph: handset(53, 47, 66) },
  call: {
    colour: [29, 78, 216],
    shape: plate,
    on: white,
    glyph: union(handset(46, 54, 56), bow(52, 48, 20, 7.5, 285, 345), bow(52, 48, 35, 7.5, 285, 345)),
  },
  // A microphone, struck through.
  muted: {
    colour: [185, 28, 28],
    shape: plate,
    on: white,
    glyph: union(
      without(
        union(box(50, 39, 22, 42, 11), bow(50, 42, 24, 7, 0, 180), box(50, 74, 7, 16, 3.5)),
        turned(box(50, 50, 104, 15, 0), 48, 50, 50),
      ),
      turned(box(50, 50, 88, 7.5, 3.75), 48, 50, 50),
    ),
  },
  error: { colour: [185, 28, 28], shape: plate, on: white, glyph: union(box(50, 41, 14, 44, 7), box(50, 76, 15, 15, 7.5)) },
};

/** @param {number} size @param {typeof icons[string]} icon */
function draw(size, { colour, shape, on, glyph }) {
  const samples = 4;
  const rows = Buffer.alloc(size * (1 + size * 4));
  for (let py = 0; py < size; py++) {
    for (let px = 0; px < size; px++) {
      let [red, green, blue, covered] = [0, 0, 0, 0];
      for (let i = 0; i < samples * samples; i++) {
        const x = ((px + ((i % samples) + 0.5) / samples) * 100) / size;
        const y = ((py + (Math.floor(i / samples) + 0.5) / samples) * 100) / size;
        const ink = glyph(x, y) < 0 ? on : shape(x, y) < 0 ? colour : undefined;
        if (!ink) continue;
        red += ink[0] ?? 0;
        green += ink[1] ?? 0;
        blue += ink[2] ?? 0;
        covered++;
      }
      const at = py * (1 + size * 4) + 1 + px * 4;
      if (covered) rows.set([red, green, blue].map((sum) => Math.round(sum / covered)), at);
      rows[at + 3] = Math.round((255 * covered) / (samples * samples));
    }
  }
  return png(size, rows);
}

/** @param {number} size @param {Buffer} rows  RGBA, each row after a filter byte of 0 */
function png(size, rows) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 6], 8);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** @param {string} type @param {Buffer} data */
function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** @param {Buffer} bytes */
function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

const target = new URL('../app/icons/', import.meta.url);
await mkdir(target, { recursive: true });
for (const [name, icon] of Object.entries(icons)) {
  for (const size of name === 'green' ? [16, 32, 48, 128] : [16, 32]) {
    await writeFile(new URL(`${name}-${size}.png`, target), draw(size, icon));
  }
}
