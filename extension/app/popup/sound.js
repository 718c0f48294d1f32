// Trying out devices. The microphone is opened only while somebody is looking at the meter.

import { signal } from '../offscreen/signal.js';

/** @param {'audioinput' | 'audiooutput'} kind @param {string} label @returns {Promise<string>} empty for the default */
async function idOf(kind, label) {
  if (!label) return '';
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.find((device) => device.kind === kind && device.label === label)?.deviceId ?? '';
}

/**
 * Reports how loud the microphone is, 0 to 1, until stopped.
 * @param {string} label
 * @param {(level: number) => void} show
 * @returns {Promise<() => void>} stops it
 */
export async function watchLevel(label, show) {
  const deviceId = await idOf('audioinput', label);
  const stream = await navigator.mediaDevices.getUserMedia({ audio: deviceId ? { deviceId: { exact: deviceId } } : true });
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 1024 });
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let running = true;

  const look = () => {
    if (!running) return;
    analyser.getFloatTimeDomainData(samples);
    const rms = Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
    // Speech spans about 50 dB; a linear bar would hardly move.
    show(rms ? Math.min(1, Math.max(0, 1 + Math.log10(rms) / 2.5)) : 0);
    requestAnimationFrame(look);
  };
  look();

  return () => {
    running = false;
    for (const track of stream.getTracks()) track.stop();
    context.close();
    show(0);
  };
}

/** @param {string} label */
export async function playTone(label) {
  const sinkId = await idOf('audiooutput', label);
  const context = new AudioContext(/** @type {any} */ (sinkId ? { sinkId } : {}));
  const tone = new OscillatorNode(context, { frequency: 440 });
  const volume = new GainNode(context, { gain: 0 });
  tone.connect(volume).connect(context.destination);
  const start = context.currentTime + 0.02;
  volume.gain.setValueAtTime(0, start);
  volume.gain.linearRampToValueAtTime(0.2, start + 0.05);
  volume.gain.setValueAtTime(0.2, start + 0.7);
  volume.gain.linearRampToValueAtTime(0, start + 0.8);
  tone.start(start);
  tone.stop(start + 0.85);
  tone.onended = () => context.close();
}

/** @param {string} label */
export const playSignal = async (label) => signal(await idOf('audiooutput', label));
