// What pages say, in the agent's language, and how they write numbers and times.

/** @type {(key: string, ...values: string[]) => string} */
export const t = (key, ...values) => chrome.i18n.getMessage(key, values);

/** Of the texts: English where there are none in the browser's language. */
export const language = t('language') || 'en';

/** Whose numbers and times go with the texts: British ones with English texts in a British browser. */
export const locale = (() => {
  const own = (chrome.i18n.getUILanguage?.() ?? '').split('@')[0] ?? '';
  try {
    return new Intl.Locale(own).language === new Intl.Locale(language).language ? own : language;
  } catch {
    return language;
  }
})();

/** Writes the texts that a page names in data-text and data-label, and says what language they are in. */
export function writePage() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll('[data-text]')) {
    element.textContent = t(/** @type {HTMLElement} */ (element).dataset['text'] ?? '');
  }
  for (const element of document.querySelectorAll('[data-label]')) {
    element.setAttribute('aria-label', t(/** @type {HTMLElement} */ (element).dataset['label'] ?? ''));
  }
}

/** @param {number} value @param {Intl.NumberFormatOptions} options */
const number = (value, options) => new Intl.NumberFormat(locale, options).format(value);

/** @param {number} value */
export const tenths = (value) => number(value, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
/** @param {number} value */
export const count = (value) => number(value, {});
/** @param {number} percent */
export const percentage = (percent) => number(percent / 100, { style: 'percent', maximumFractionDigits: 1 });
/** @param {number} ms */
export const milliseconds = (ms) => number(ms, { style: 'unit', unit: 'millisecond', maximumFractionDigits: 0 });

/** The time of day, with the day unless that is today's. @param {number} at  ms since the epoch @param {number} [now] */
export function time(at, now = Date.now()) {
  const today = new Date(at).toDateString() === new Date(now).toDateString();
  return new Intl.DateTimeFormat(locale, today ? { hour: '2-digit', minute: '2-digit' } : { dateStyle: 'short', timeStyle: 'short' }).format(at);
}
