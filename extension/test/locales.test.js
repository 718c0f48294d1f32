import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { flexHome } from '../app/popup/actions.js';

const folder = new URL('../app/_locales/', import.meta.url);
const languages = readdirSync(folder);
const messagesOf = (language) => JSON.parse(readFileSync(new URL(`${language}/messages.json`, folder), 'utf8'));
const english = messagesOf('en');

test('English, German, French, Spanish, Portuguese and Japanese', () => {
  assert.deepEqual(languages.toSorted(), ['de', 'en', 'es', 'fr', 'ja', 'pt_BR']);
});

for (const language of languages) {
  const messages = messagesOf(language);

  test(`${language} has the keys of English, in its order, with the same placeholders`, () => {
    assert.deepEqual(Object.keys(messages), Object.keys(english));
    for (const [key, { message, placeholders = {} }] of Object.entries(messages)) {
      assert.deepEqual(placeholders, english[key].placeholders ?? {}, key);
      const used = [...message.matchAll(/\$(\w+)\$/g)].map(([, name]) => name.toLowerCase());
      assert.deepEqual(used.toSorted(), Object.keys(placeholders).toSorted(), key);
      assert.equal(message === '', english[key].message === '', `${key}: there is text in one of them only`);
      assert.equal(message, message.trim(), key);
    }
    assert.equal(messages.language.message.replace('-', '_'), language);
  });

  test(`${language} keeps to the lengths that browsers and the Chrome Web Store take`, () => {
    assert.ok(messages.name.message.length <= 45);
    assert.ok(messages.shortName.message.length <= 12);
    assert.ok(messages.description.message.length <= 132, String(messages.description.message.length));
  });

  if (language === 'en') continue;
  test(`${language} is translated`, () => {
    const same = new Set(['shortName', 'quality_mos', 'tab_info', 'name', 'info_identity']);
    const left = Object.keys(english).filter((key) => english[key].message.length > 3 && messages[key].message === english[key].message && !same.has(key));
    assert.deepEqual(left, []);
  });
}

test('Flex is opened where a company has it, and at Twilio otherwise', () => {
  assert.equal(flexHome(['https://flex.twilio.com/*']), 'https://flex.twilio.com/');
  assert.equal(flexHome(['https://flex.twilio.com/*', 'https://flex.acme.example/*']), 'https://flex.acme.example/');
  assert.equal(flexHome(['https://flex.acme.example/desk/*', 'https://flex.twilio.com/*']), 'https://flex.acme.example/desk/');
  assert.equal(flexHome(['https://*.acme.example/*', '*://*/*', 'http://acme.example/*']), 'https://flex.twilio.com/', 'a pattern is no address');
});
