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
  let closed = 0;

  /** @param {MediaStreamConstraints} constraints */
  async function request(constraints) {
    const before = closed;
    const stream = await media.getUserMedia(constraints);
    // Hung up while the device was being opened.
    if (closed !== before) stop(stream);
    else open.add(stream);
    return stream;
  }

  /** @param {MediaStream} stream */
  const stop = (stream) => stream.getTracks().forEach((track) => track.stop());

  return {
    /**
     * Opens the device, or the system's default where that one is gone.
     * @param {string} deviceId  empty for the default
     */
    open(deviceId) {
      const wanted = deviceId ? { audio: { deviceId: { exact: deviceId } } } : { audio: true };
      return request(wanted).catch((error) => {
        if (deviceId && error?.name !== 'NotAllowedError') return request({ audio: true });
        throw error;
      });
    },

    /** What the SDK calls in place of getUserMedia. */
    getUserMedia: request,

    close() {
      closed++;
      for (const stream of open) stop(stream);
      open.clear();
    },
  };
}
