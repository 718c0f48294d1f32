/**
 * @typedef {import('../background/machine.js').Quality} Quality
 * @typedef {{ mos?: number | null, rtt?: number, jitter?: number, packetsLostFraction?: number }} Sample  the SDK's
 *   figures for the last second: milliseconds and percent
 */

/** @param {number | undefined | null} value @param {number} digits */
const round = (value, digits) => (typeof value === 'number' && Number.isFinite(value) ? Number(value.toFixed(digits)) : null);

/** @param {Sample} sample @returns {Quality} */
export function quality(sample) {
  const mos = round(sample.mos, 1);
  const lossPercent = round(sample.packetsLostFraction, 1);
  return { level: level(mos, lossPercent), mos, rttMs: round(sample.rtt, 0), jitterMs: round(sample.jitter, 0), lossPercent };
}

/** Below 3.5 the SDK itself warns of a low score. @param {number | null} mos @param {number | null} loss @returns {Quality['level']} */
function level(mos, loss) {
  if (mos === null) return (loss ?? 0) < 2 ? 'good' : (loss ?? 0) < 5 ? 'fair' : 'poor';
  return mos >= 3.9 ? 'good' : mos >= 3.5 ? 'fair' : 'poor';
}
