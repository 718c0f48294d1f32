// Asks for the microphone once, and for a headset's buttons: an offscreen document cannot show these questions itself.

import { isHeadset, telephony } from '../offscreen/headset.js';
import { openPage, siteSettings } from '../popup/actions.js';
import { t, writePage } from '../shared/words.js';

/** @type {(id: string) => any} */
const $ = (id) => document.getElementById(id);

/** @param {PermissionState} state */
function show(state) {
  const key = { granted: 'welcome_granted', denied: 'welcome_denied', prompt: '' }[state];
  $('result').textContent = key ? t(key) : '';
  $('result').dataset.tone = state === 'granted' ? 'ok' : 'bad';
  $('allow').hidden = state !== 'prompt';
  $('settings').hidden = state !== 'denied';
}

writePage();
$('settings').addEventListener('click', () => openPage(siteSettings()));
$('allow').addEventListener('click', async () => {
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    for (const track of stream.getTracks()) track.stop();
  } catch (error) {
    if (/** @type {Error} */ (error).name !== 'NotAllowedError') {
      $('result').textContent = t('welcome_missing');
      $('result').dataset.tone = 'bad';
    }
  }
});

const permission = await navigator.permissions.query({ name: /** @type {PermissionName} */ ('microphone') });
permission.onchange = () => show(permission.state);
show(permission.state);

/** @type {any} */
const { hid } = navigator;
$('allow-headset').addEventListener('click', async () => {
  const [device] = await hid.requestDevice({ filters: [{ usagePage: telephony }] }).catch(() => []);
  if (device) $('headset-result').textContent = t('welcome_headset_done', device.productName);
});
// What an administrator has allowed need not be asked for.
const allowed = await hid?.getDevices().catch(() => []);
$('headset').hidden = !allowed || allowed.some(isHeadset);
