// Short notes for the agent: calls are answered at once, so nothing else tells that one is there.

const notes = {
  connected: [
    { hertz: 660, from: 0, to: 0.12 },
    { hertz: 880, from: 0.14, to: 0.3 },
  ],
  offered: [{ hertz: 440, from: 0, to: 0.25 }],
};

/** @typedef {keyof typeof notes} Meaning */

/** @param {string} sinkId  empty for the system's default @param {Meaning} [meaning] */
export async function signal(sinkId, meaning = 'connected') {
  const context = new AudioContext(/** @type {any} */ (sinkId ? { sinkId } : {}));
  const volume = context.createGain();
  volume.connect(context.destination);
  for (const [i, { hertz, from, to }] of notes[meaning].entries()) {
    const start = context.currentTime + 0.02;
    const tone = new OscillatorNode(context, { frequency: hertz });
    tone.connect(volume);
    tone.start(start + from);
    tone.stop(start + to);
    // A tone that is cut off clicks.
    volume.gain.setValueAtTime(0, start + from);
    volume.gain.linearRampToValueAtTime(0.2, start + from + 0.02);
    volume.gain.setValueAtTime(0.2, start + to - 0.04);
    volume.gain.linearRampToValueAtTime(0, start + to - 0.005);
    tone.onended = () => i === notes[meaning].length - 1 && context.close();
  }
}
