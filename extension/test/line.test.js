// The registered voice client: it proves itself every second, and one that is late is replaced without a moment in which
// nobody would hear a call.
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { mock, test } from 'node:test';
import { createLine } from '../app/background/line.js';

class Call extends EventEmitter {
  parameters = { CallSid: 'CA1', From: '+15550100' };
  connectToken = 'connect';
  reject() {
    this.rejected = true;
  }
  ignore() {
    this.ignored = true;
  }
}

/** A line with a fake SDK and clock: each client answers a registration at once, unless it is deaf. */
function makeLine(t) {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  t.after(() => mock.timers.reset());
  const devices = [];
  const told = [];
  class Device extends EventEmitter {
    state = 'unregistered';
    deaf = Device.deaf;
    constructor(token) {
      super();
      this.token = token;
      devices.push(this);
      this._stream = Object.assign(new EventEmitter(), {
        status: 'connected',
        register: () => !this.deaf && queueMicrotask(() => this.answer()),
      });
    }
    answer() {
      if (this.destroyed) return;
      this._stream.emit('ready');
      if (this.state === 'registered') return;
      this.state = 'registered';
      this.emit('registered');
    }
    async register() {
      this._stream.register();
    }
    destroy() {
      this.destroyed = true;
    }
  }
  const line = createLine({ Device, report: ({ name }) => told.push(name), appVersion: '1', parted: (callSid) => told.push(`parted from ${callSid}`) });
  const pass = async (ms) => {
    for (let i = 0; i < ms; i += 50) {
      mock.timers.tick(50);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { line, devices, told, pass, Device, live: () => devices.filter(({ destroyed }) => !destroyed) };
}

async function registered(t) {
  const kit = makeLine(t);
  kit.line.register('voice', 'roaming');
  await kit.pass(10_000);
  assert.deepEqual(kit.told.splice(0), ['lineRegistered']);
  return kit;
}

test('a client that no longer answers is called dead within two seconds', async (t) => {
  const { devices, told, pass } = await registered(t);
  devices[0].deaf = true;
  await pass(1_600);
  assert.deepEqual(told, ['lineDead']);
});

test('"my network changed just as the phone was ready": a client that is new has soon learned how long its answers take', async (t) => {
  const { line, devices, told, pass } = makeLine(t);
  line.register('voice', 'roaming');
  await pass(1_250);
  told.splice(0);
  devices[0].deaf = true;
  await pass(1_600);
  assert.deepEqual(told, ['lineDead']);
});

test('"the edge was silent for a while": what was asked in the silence is asked again, and the registration is back with the first answer', async (t) => {
  const { line, devices, told, pass, Device } = await registered(t);
  devices[0].deaf = Device.deaf = true;
  await pass(1_600);
  line.register('voice', 'roaming');
  told.length = 0;
  devices[0].deaf = false;
  await pass(1_000);
  assert.deepEqual(told, ['lineRegistered'], 'by the client that was there before; what the new one said was lost');
  assert.ok(devices[1].destroyed);
});

test('an edge that was silent for a while is no slow one: the next silence is noticed as soon', async (t) => {
  const { line, devices, told, pass, Device } = await registered(t);
  devices[0].deaf = Device.deaf = true;
  await pass(1_600);
  line.register('voice', 'roaming');
  await pass(2_400);
  devices[0].deaf = false;
  await pass(2_000);
  devices[0].deaf = true;
  told.length = 0;
  await pass(2_000);
  assert.deepEqual(told, ['lineDead']);
});

test('the old client goes only when the new one is registered', async (t) => {
  const { line, devices, told, pass, Device, live } = await registered(t);
  devices[0].deaf = Device.deaf = true;
  await pass(1_600);
  line.register('voice', 'roaming');
  await pass(1_000);
  assert.equal(live().length, 2);
  Device.deaf = false;
  devices[1].answer();
  assert.deepEqual(live(), [devices[1]]);
  assert.deepEqual(told, ['lineDead', 'lineRegistered']);
});

test('a client that was only slow takes its place again', async (t) => {
  const { line, devices, told, pass, Device, live } = await registered(t);
  devices[0].deaf = Device.deaf = true;
  await pass(1_600);
  line.register('voice', 'roaming');
  devices[0].deaf = Device.deaf = false;
  devices[0].answer();
  assert.deepEqual(live(), [devices[0]]);
  assert.deepEqual(told, ['lineDead', 'lineRegistered']);
  await pass(20_000);
  assert.deepEqual(told, ['lineDead', 'lineRegistered'], 'and is given more time from now on');
  line.unregister();
  assert.deepEqual(live(), []);
});

test('a call that comes in between rings at both, and is told once', async (t) => {
  const { line, devices, told, pass, Device } = await registered(t);
  devices[0].deaf = Device.deaf = true;
  await pass(1_600);
  line.register('voice', 'roaming');
  const [atOld, atNew] = [new Call(), new Call()];
  devices[0].emit('incoming', atOld);
  devices[1].emit('incoming', atNew);
  assert.deepEqual(told.splice(0), ['lineDead', 'callInvited']);
  devices[1].answer();
  assert.ok(atOld.ignored && !atOld.rejected, 'destroying a client rejects what rings there');
  assert.deepEqual(told.splice(0), ['lineRegistered']);
  atNew.emit('cancel');
  assert.deepEqual(told, ['inviteGone']);
});

test('a call that rings at both is refused at both, and gone when it is gone at both', async (t) => {
  const { line, devices, told, pass, Device } = await registered(t);
  devices[0].deaf = Device.deaf = true;
  await pass(1_600);
  line.register('voice', 'roaming');
  const ring = () => {
    const calls = [new Call(), new Call()];
    calls.forEach((call, i) => devices[i].emit('incoming', call));
    return calls;
  };
  const first = ring();
  line.reject('CA1');
  assert.ok(first.every(({ rejected }) => rejected));
  told.length = 0;
  const [a, b] = ring();
  a.emit('cancel');
  assert.deepEqual(told, ['callInvited']);
  b.emit('cancel');
  assert.deepEqual(told, ['callInvited', 'inviteGone']);
});

test('a goodbye is said again to every new socket, for as long as Twilio may hold the call', async (t) => {
  const { line, devices, told, pass, Device } = await registered(t);
  const said = [];
  const listen = (device) => (device._stream.hangup = (callSid) => said.push([devices.indexOf(device), callSid]));
  listen(devices[0]);
  devices[0].deaf = Device.deaf = true;
  line.sayGoodbye('CA1');
  await pass(1_600);
  line.register('voice', 'roaming');
  listen(devices[1]);
  Device.deaf = devices[1].deaf = false;
  assert.ok(said.every(([on]) => on === 0));
  devices[1].answer();
  assert.deepEqual(said.at(-1), [1, 'CA1']);
  assert.deepEqual(told.splice(0), ['lineDead', 'lineRegistered']);
  await pass(25_000);
  assert.deepEqual(told, []);
  await pass(10_000);
  assert.deepEqual(told, ['parted from CA1']);
  const { length } = said;
  await pass(10_000);
  assert.equal(said.length, length);
});
