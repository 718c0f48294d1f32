// What a call would have to wait for, made before there is one: the peer connection that the SDK asks for, its certificate, and
// a silent track in it for the time until the microphone is open.

const year = 365 * 24 * 60 * 60 * 1000;

/**
 * @typedef {object} Seat  what the next call begins with
 * @property {RTCPeerConnection} peer
 * @property {MediaStream} stream  what the peer sends: silence, later the microphone
 * @property {(voice: MediaStreamTrack) => Promise<boolean>} give  puts the microphone where the silence was; false when there
 *   is another one already
 * @property {(quiet: boolean) => void} hush  whether silence is heard instead of what comes in
 */

/** @param {Pick<typeof globalThis, 'RTCPeerConnection' | 'MediaStream'>} webRTC */
export function createPeers(webRTC) {
  /** @type {RTCConfiguration} */
  let configuration = {};
  /** A track that nothing ever feeds. The end of a call stops it, so each gets a copy. @type {MediaStreamTrack | undefined} */
  let nothing;
  /** @type {Seat | undefined} */
  let spare;

  /**
   * The connection has no local description yet: that would open sockets, on a network that may be another one when the call
   * comes.
   * @returns {Seat}
   */
  function make() {
    nothing ??= new webRTC.RTCPeerConnection().addTransceiver('audio').receiver.track;
    const silent = /** @type {MediaStreamTrack} */ (nothing).clone();
    const stream = new webRTC.MediaStream([silent]);
    const peer = new webRTC.RTCPeerConnection(configuration);
    const sender = peer.addTrack(silent, stream);
    // The SDK adds what it was given: this very track, or the microphone where that was waited for.
    peer.addTrack = (track) => {
      if (track !== silent) sender.replaceTrack(track);
      return sender;
    };
    return {
      peer,
      stream,
      async give(voice) {
        if (sender.track !== silent) return false;
        voice.enabled = silent.enabled;
        stream.addTrack(voice);
        stream.removeTrack(silent);
        await sender.replaceTrack(voice);
        silent.stop();
        return true;
      },
      hush(quiet) {
        for (const { track } of peer.getReceivers()) track.enabled = !quiet;
      },
    };
  }

  return {
    take() {
      const seat = spare ?? make();
      spare = undefined;
      return seat;
    },

    prepare: () => void (spare ??= make()),

    /** The first connection of a process loads much of WebRTC, and each makes itself a certificate unless it is given one. */
    async rehearse() {
      const algorithm = { name: 'ECDSA', namedCurve: 'P-256', expires: year };
      configuration = { certificates: [await webRTC.RTCPeerConnection.generateCertificate(algorithm)] };
      const peer = new webRTC.RTCPeerConnection(configuration);
      peer.addTransceiver('audio');
      await peer.setLocalDescription();
      peer.close();
      spare?.peer.close();
      spare = make();
    },
  };
}

/** @typedef {ReturnType<typeof createPeers>} Peers */
