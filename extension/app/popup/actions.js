// What the popup does in the browser itself, without the worker: which may be what hangs.

/** Where Chrome keeps the permissions of this extension. Edge and the others know the address too. */
export const siteSettings = () => `chrome://settings/content/siteDetails?site=${encodeURIComponent(chrome.runtime.getURL(''))}`;
export const microphones = 'chrome://settings/content/microphone';

/** @param {string} url */
export const openPage = (url) => chrome.tabs.create({ url });

/**
 * The page of Flex to open where none is: a company's own address before Twilio's.
 * @param {string[]} patterns  of the content script
 */
export function flexHome(patterns) {
  const addresses = patterns.filter((pattern) => /^https:\/\/[^*/]+\//.test(pattern)).map((pattern) => pattern.replace(/\*.*$/, ''));
  return addresses.find((address) => !address.startsWith('https://flex.twilio.com/')) ?? 'https://flex.twilio.com/';
}

/** Shows the Flex tab that somebody looked at last, or a new one. @param {{ reload?: boolean }} [how] */
export async function showFlex({ reload = false } = {}) {
  const patterns = (chrome.runtime.getManifest().content_scripts ?? []).flatMap(({ matches = [] }) => matches);
  const tabs = await chrome.tabs.query({ url: patterns });
  const tab = tabs.sort((a, b) => (b.lastAccessed ?? 0) - (a.lastAccessed ?? 0))[0];
  if (tab?.id === undefined) return void openPage(flexHome(patterns));
  // The window last: a popup that loses the focus is closed, with whatever it still had to do.
  if (reload) chrome.tabs.reload(tab.id);
  chrome.tabs.update(tab.id, { active: true });
  chrome.windows.update(tab.windowId, { focused: true });
}

/** Everything anew, worker and document: for when they do not do it themselves. */
export const reloadExtension = () => chrome.runtime.reload();
