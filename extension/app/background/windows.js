// Whether this browser is about to close. Chromium ends an extension without a word; of the last window, and of the tabs in it,
// it tells some hundredths of a second before.

/** Every kind: whatever is open can hold the page that ends the call. @type {chrome.windows.QueryOptions} */
const all = { windowTypes: ['normal', 'popup', 'panel', 'app', 'devtools'] };

/**
 * @param {Chrome} chrome
 * @param {() => void} closing
 */
export function watchWindows({ windows, tabs, runtime }, closing) {
  /** Kept here, because nobody answers any more when it is needed. @type {Set<number | undefined>} */
  const open = new Set();
  /** On a Mac a browser without windows lives on. */
  let livesOn = false;

  /** @param {number} id */
  function close(id) {
    if (open.delete(id) && open.size === 0 && !livesOn) closing();
  }

  windows.onCreated.addListener(({ id }) => void open.add(id));
  windows.onRemoved.addListener(close);
  // The earlier word of the two.
  tabs.onRemoved.addListener((_tab, { windowId, isWindowClosing }) => void (isWindowClosing && close(windowId)));
  windows.getAll(all).then((found) => found.forEach(({ id }) => open.add(id))).catch(() => {});
  runtime.getPlatformInfo().then(({ os }) => void (livesOn = os === 'mac')).catch(() => {});
}
