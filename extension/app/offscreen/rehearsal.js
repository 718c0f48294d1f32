// A call to nobody, before the first real one: what is loaded, compiled and opened the first time is then ready. No word of it
// reaches Twilio: in place of signalling stands a stage that answers by itself. No microphone is opened, and nothing is heard.

const patience = 3_000;

/**
 * @param {DeviceClass} Device
 * @param {Pick<typeof globalThis, 'RTCPeerConnection' | 'MediaStream'>} webRTC
 * @returns {Promise<void>}  when it is over, whatever came of it
 */
export async function rehearse(Device, webRTC) {
  const far = new webRTC.RTCPeerConnection();
  const near = new webRTC.RTCPeerConnection();
  const silence = new webRTC.MediaStream([far.addTransceiver('audio').receiver.track.clone()]);
  // The SDK's own kind of emitter: in place of its stream it takes no other.
  const Emitter = /** @type {new () => { emit: (type: string, payload?: object) => void }} */ (Object.getPrototypeOf(Device));

  class Stage extends Emitter {
    status = 'connected';
    constructor() {
      super();
      queueMicrotask(() => this.emit('connected', {}));
    }
    /** @param {string} sdp @param {string} callsid */
    async reconnect(sdp, callsid) {
      await far.setRemoteDescription({ type: 'offer', sdp });
      await far.setLocalDescription();
      this.emit('answer', { callsid, sdp: far.localDescription?.sdp });
    }
    updatePreferredURI() {}
    updateURIs() {}
    setToken() {}
    hangup() {}
    destroy() {}
  }

  const options = { PStream: Stage, RTCPeerConnection: function Peer() { return near; }, getUserMedia: async () => silence, publishEvents: false, logLevel: 'silent' };
  const device = new Device('none', /** @type {any} */ (options));
  device.on('error', () => {});
  for (const sound of /** @type {const} */ (['incoming', 'outgoing', 'disconnect'])) device.audio?.[sound](false);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  try {
    const token = { customParameters: {}, parameters: { CallSid: 'rehearsal' }, signalingReconnectToken: 'none' };
    const call = await device.connect({ connectToken: btoa(encodeURIComponent(JSON.stringify(token))) });
    call.on('error', () => {});
    await new Promise((resolve) => {
      call.on('accept', resolve);
      call.on('disconnect', resolve);
      timer = setTimeout(resolve, patience);
    });
    call.disconnect();
  } catch {
    // An SDK that cannot be rehearsed with is only slower the first time.
  }
  clearTimeout(timer);
  device.destroy();
  near.close();
  far.close();
}
