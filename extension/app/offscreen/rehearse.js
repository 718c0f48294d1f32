const year = 365 * 24 * 60 * 60 * 1000;

/**
 * Does beforehand what the first call would have to wait for: the first peer connection of a process loads much of WebRTC, and
 * each makes itself a certificate unless it is given one.
 * @returns {Promise<RTCConfiguration>} for the calls to come
 */
export async function rehearse() {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', expires: year };
  const certificate = await RTCPeerConnection.generateCertificate(algorithm);
  const peer = new RTCPeerConnection({ certificates: [certificate] });
  peer.addTransceiver('audio');
  await peer.setLocalDescription();
  peer.close();
  return { certificates: [certificate] };
}
