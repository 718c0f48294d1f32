// Whether this browser is about to close. Chromium ends an extension without a word; of the last window, and of the tabs in it,
// it tells some hundredths of a second before.

/** What an agent works in; Flex may be installed as an app. @type {{ windowTypes: ['normal', 'popup', 'app'] }} */
const kinds = { windowTypes: ['normal', 'popup', 'app'] };

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

  windows.onCreated.addListener(({ id }) => void open.add(id), kinds);
  windows.onRemoved.addListener(close, kinds);
  // The earlier word of the two.
  tabs.onRemoved.addListener((_tab, { windowId, isWindowClosing }) => void (isWindowClosing && close(windowId)));
  windows.getAll(kinds).then((found) => found.forEach(({ id }) => open.add(id))).catch(() => {});
  runtime.getPlatformInfo().then(({ os }) => void (livesOn = os === 'mac')).catch(() => {});
}
