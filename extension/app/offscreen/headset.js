// The buttons and lamps of headsets, through WebHID. Which bits of a report are the hook, the mute button or a lamp, each device
// describes itself, in the words of USB's HID usage tables.

/**
 * @typedef {{ usages?: number[], isRange?: boolean, usageMinimum?: number, usageMaximum?: number, logicalMinimum?: number,
 *   isArray?: boolean, isAbsolute?: boolean, isConstant?: boolean, hasPreferredState?: boolean, reportSize?: number,
 *   reportCount?: number }} Item  sizes in bits
 * @typedef {{ reportId?: number, items?: Item[] }} Report
 * @typedef {{ usagePage?: number, inputReports?: Report[], outputReports?: Report[], children?: Collection[] }} Collection
 * @typedef {EventTarget & { opened: boolean, collections: Collection[], open: () => Promise<void>,
 *   sendReport: (id: number, data: Uint8Array) => Promise<void> }} Device  an HIDDevice
 * @typedef {EventTarget & { getDevices: () => Promise<Device[]> }} HID  navigator.hid
 * @typedef {{ at: number, item: Item, nth: number }} Field  at: its first bit
 * @typedef {{ up: boolean, ringing: boolean, muted: boolean, holding: boolean }} Shown
 * @typedef {{ hook: () => void, mute: () => void, flash: () => void }} Actions
 */

/** The usage page of telephones. */
export const telephony = 0x0b;
const buttons = /** @type {const} */ ({ hook: 0x0b0020, flash: 0x0b0021, mute: 0x0b002f });
/** @type {Record<keyof Shown, number>} */
const lamps = { up: 0x080017, ringing: 0x080018, muted: 0x080009, holding: 0x080020 };
/** A device answers a lamp with the state of its hook: that was no finger. */
const echo = 400;

/** @param {{ hid: HID | undefined, act: Actions, now: () => number }} outside */
export function createHeadset({ hid, act, now }) {
  /** @type {Map<Device, { pressed: Set<number>, sent: Map<number, string>, litAt: number, listen: (event: Event) => void }>} */
  const devices = new Map();
  /** @type {Shown} */
  let shown = { up: false, ringing: false, muted: false, holding: false };
  hid?.addEventListener('connect', look);
  hid?.addEventListener('disconnect', (event) => leave(/** @type {any} */ (event).device));
  look();

  /** Only those that an administrator, or the agent on the welcome page, has given to this extension. */
  async function look() {
    const found = await hid?.getDevices().catch(() => []);
    for (const device of found ?? []) if (isHeadset(device) && !devices.has(device)) await use(device).catch(() => leave(device));
  }

  /** @param {Device} device */
  async function use(device) {
    const listen = (/** @type {Event} */ event) => {
      const { reportId, data } = /** @type {{ reportId: number, data: DataView } & Event} */ (event);
      hear(device, reportId, data);
    };
    devices.set(device, { pressed: new Set(), sent: new Map(), litAt: -Infinity, listen });
    if (!device.opened) await device.open();
    device.addEventListener('inputreport', listen);
    light(device);
  }

  /** @param {Device} device */
  function leave(device) {
    const known = devices.get(device);
    if (known) device.removeEventListener('inputreport', known.listen);
    devices.delete(device);
  }

  /** @param {Device} device @param {number} id @param {DataView} data */
  function hear(device, id, data) {
    const known = devices.get(device);
    if (!known) return;
    for (const [button, usage] of Object.entries(buttons)) {
      const field = fieldOf(reportsOf(device, 'inputReports'), id, usage);
      if (!field) continue;
      const before = known.pressed.has(usage);
      const after = isOn(field, data, usage);
      if (after) known.pressed.add(usage);
      else known.pressed.delete(usage);
      const { isAbsolute, isArray, hasPreferredState } = field.item;
      // A key comes back by itself; a switch stays, and each change of it is a press.
      const pressed = isAbsolute && !isArray && !hasPreferredState ? before !== after : after && (!before || !isAbsolute);
      const echoed = usage === buttons.hook && now() - known.litAt < echo;
      if (pressed && !echoed) act[/** @type {keyof Actions} */ (button)]();
    }
  }

  /** @param {Device} device */
  function light(device) {
    const known = devices.get(device);
    for (const report of reportsOf(device, 'outputReports')) {
      const fields = fieldsOf(report);
      const bits = fields.reduce((size, { at, item }) => Math.max(size, at + (item.reportSize ?? 0)), 0);
      const data = new Uint8Array(Math.ceil(bits / 8));
      let any = false;
      for (const [what, usage] of Object.entries(lamps)) {
        const field = fields.find(({ item, nth }) => !item.isArray && usageAt(item, nth) === usage);
        if (!field) continue;
        any = true;
        if (shown[/** @type {keyof Shown} */ (what)]) data[field.at >> 3] = (data[field.at >> 3] ?? 0) | (1 << (field.at & 7));
      }
      const id = report.reportId ?? 0;
      if (!known || !any || known.sent.get(id) === String(data)) continue;
      known.sent.set(id, String(data));
      known.litAt = now();
      device.sendReport(id, data).catch(() => {});
    }
  }

  return {
    /** @param {Shown} state  of the calls, for the lamps */
    show(state) {
      // One that the agent has allowed meanwhile says nothing of it.
      if (state.up && !shown.up) look();
      shown = state;
      for (const device of devices.keys()) light(device);
    },
  };
}

/** @param {Device} device */
export const isHeadset = ({ collections }) => collections.some(({ usagePage }) => usagePage === telephony);

// Reports ------------------------------------------------------------------------------------------------------

/** @param {Device} device @param {'inputReports' | 'outputReports'} which @returns {Report[]} */
function reportsOf({ collections }, which) {
  /** @type {(list: Collection[]) => Report[]} */
  const of = (list) => list.flatMap((one) => [...(one[which] ?? []), ...of(one.children ?? [])]);
  return of(collections);
}

/** @param {Report} report @returns {Field[]} */
function fieldsOf({ items = [] }) {
  let at = 0;
  const fields = [];
  for (const item of items) {
    for (let nth = 0; nth < (item.reportCount ?? 0); nth += 1) {
      fields.push({ at, item, nth });
      at += item.reportSize ?? 0;
    }
  }
  return fields;
}

/** What the nth field is, or in an array what its nth value means. @param {Item} item @param {number} nth */
const usageAt = ({ isRange, isConstant, usageMinimum = 0, usages = [] }, nth) =>
  isConstant ? undefined : isRange ? usageMinimum + nth : usages[Math.min(nth, usages.length - 1)];

/** @param {Report[]} reports @param {number} id @param {number} usage @returns {Field | undefined} */
function fieldOf(reports, id, usage) {
  const fields = reports.filter(({ reportId = 0 }) => reportId === id).flatMap(fieldsOf);
  return fields.find(({ item, nth }) => (item.isArray ? usagesOf(item).includes(usage) : usageAt(item, nth) === usage));
}

/** @param {Item} item @returns {(number | undefined)[]} */
const usagesOf = (item) =>
  Array.from({ length: item.isRange ? (item.usageMaximum ?? 0) - (item.usageMinimum ?? 0) + 1 : (item.usages ?? []).length }, (_, nth) => usageAt(item, nth));

/** @param {Field} field @param {DataView} data @param {number} usage */
function isOn({ at, item }, data, usage) {
  const { reportSize = 1, reportCount = 1 } = item;
  if (!item.isArray) return read(data, at, reportSize) !== 0;
  const values = Array.from({ length: reportCount }, (_, nth) => read(data, at + nth * reportSize, reportSize));
  return values.some((value) => usageAt(item, value - (item.logicalMinimum ?? 0)) === usage && value >= (item.logicalMinimum ?? 0));
}

/** Little-endian, as USB has it. @param {DataView} data @param {number} at @param {number} size */
function read(data, at, size) {
  let value = 0;
  for (let bit = 0; bit < size && at + bit < data.byteLength * 8; bit += 1) {
    value += ((data.getUint8((at + bit) >> 3) >> ((at + bit) & 7)) & 1) * 2 ** bit;
  }
  return value;
}
