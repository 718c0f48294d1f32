// Asks for the microphone once: an offscreen document cannot show the question itself.

/** @type {(id: string) => any} */
const $ = (id) => document.getElementById(id);

for (const element of document.querySelectorAll('[data-text]')) {
  element.textContent = chrome.i18n.getMessage(/** @type {HTMLElement} */ (element).dataset['text'] ?? '');
}

/** @param {PermissionState} state */
function show(state) {
  const key = { granted: 'welcome_granted', denied: 'welcome_denied', prompt: '' }[state];
  $('result').textContent = key ? chrome.i18n.getMessage(key) : '';
  $('result').dataset.tone = state === 'granted' ? 'ok' : 'bad';
  $('allow').hidden = state !== 'prompt';
}

$('allow').addEventListener('click', async () => {
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    for (const track of stream.getTracks()) track.stop();
  } catch (error) {
    if (/** @type {Error} */ (error).name !== 'NotAllowedError') {
      $('result').textContent = chrome.i18n.getMessage('welcome_missing');
      $('result').dataset.tone = 'bad';
    }
  }
});

const permission = await navigator.permissions.query({ name: /** @type {PermissionName} */ ('microphone') });
permission.onchange = () => show(permission.state);
show(permission.state);
export {};
