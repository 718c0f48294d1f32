// The microphone, open only while there is a call. The SDK asks here for its streams, so that none is left open.

/**
 * @typedef {import('../background/machine.js').Microphone} Permission
 * @typedef {Pick<MediaDevices, 'getUserMedia' | 'enumerateDevices'>} Media
 */

/** @param {unknown} error @returns {'microphone_denied' | 'microphone_missing'} */
export function whyNoMicrophone(error) {
  const name = /** @type {{ name?: string }} */ (error)?.name;
  return name === 'NotAllowedError' || name === 'SecurityError' ? 'microphone_denied' : 'microphone_missing';
}

/** @param {Media} media */
export function createMicrophone(media) {
  /** @type {Set<MediaStream>} */
  const open = new Set();
  /** Opened for the next request of the SDK. @type {MediaStream | undefined} */
  let ready;

  /** @param {MediaStreamConstraints} constraints */
  async function request(constraints) {
    const stream = await media.getUserMedia(constraints);
    open.add(stream);
    return stream;
  }

  return {
    /**
     * Opens the device, or the system's default where that one is gone.
     * @param {string} deviceId  empty for the default
     */
    async open(deviceId) {
      const wanted = deviceId ? { audio: { deviceId: { exact: deviceId } } } : { audio: true };
      ready = await request(wanted).catch((error) => {
        if (deviceId && error?.name !== 'NotAllowedError') return request({ audio: true });
        throw error;
      });
      return ready;
    },

    /** What the SDK calls in place of getUserMedia. @param {MediaStreamConstraints} constraints */
    async getUserMedia(constraints) {
      const stream = ready;
      ready = undefined;
      return stream ?? request(constraints);
    },

    close() {
      ready = undefined;
      for (const stream of open) for (const track of stream.getTracks()) track.stop();
      open.clear();
    },
  };
}
