import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { rehearse } from '../app/offscreen/rehearsal.js';

class Peer {
  static made = [];
  constructor() {
    Peer.made.push(this);
  }
  addTransceiver() {
    return { receiver: { track: { clone: () => 'silence' } } };
  }
  async setRemoteDescription({ sdp }) {
    this.heard = sdp;
  }
  async setLocalDescription() {
    this.localDescription = { sdp: `answer to ${this.heard}` };
  }
  close() {
    this.closed = true;
  }
}
class MediaStream {
  constructor(tracks) {
    this.tracks = tracks;
  }
}
const webRTC = { RTCPeerConnection: Peer, MediaStream };

/** An SDK that does what it does with a stream: waits for it, and calls. */
function makeSDK({ broken } = {}) {
  const seen = {};
  class Device extends EventEmitter {
    constructor(token, options) {
      super();
      Object.assign(this, { options });
    }
    async connect({ connectToken }) {
      if (broken === 'connect') throw new Error('no');
      const { parameters } = JSON.parse(decodeURIComponent(atob(connectToken)));
      const stream = new this.options.PStream('none', []);
      await new Promise((resolve) => stream.once('connected', resolve));
      seen.sent = (await this.options.getUserMedia({ audio: true })).tracks;
      seen.peer = new this.options.RTCPeerConnection();
      const call = Object.assign(new EventEmitter(), { disconnect: () => (seen.over = true) });
      stream.on('answer', (answer) => {
        seen.answer = answer;
        call.emit('accept');
      });
      setImmediate(() => stream.reconnect('offer', parameters.CallSid, 'none'));
      return call;
    }
    destroy() {
      seen.destroyed = true;
    }
  }
  return { Device, seen };
}

test('a call is played from the offer to the hang-up, with silence, and nothing is left of it', async () => {
  Peer.made.length = 0;
  const { Device, seen } = makeSDK();
  await rehearse(Device, webRTC);
  assert.deepEqual(seen.answer, { callsid: 'rehearsal', sdp: 'answer to offer' });
  assert.deepEqual(seen.sent, ['silence']);
  assert.ok(seen.over && seen.destroyed && Peer.made.includes(seen.peer) && Peer.made.every(({ closed }) => closed));
});

test('an SDK that cannot be rehearsed with is let be', async () => {
  Peer.made.length = 0;
  const { Device, seen } = makeSDK({ broken: 'connect' });
  await rehearse(Device, webRTC);
  assert.ok(seen.destroyed && Peer.made.every(({ closed }) => closed));
});
