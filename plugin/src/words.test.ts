import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import type { Manager } from './flex';
import { connected, createWorld } from './test/world';
import { type Language, english, keyOf, withLanguage } from './words';

// npm runs the tests from the plugin's folder.
const folder = 'src/languages';
const languages = readdirSync(folder).map((file) => file.replace('.json', ''));
const sentences = (tag: string): Record<string, string> => JSON.parse(readFileSync(`${folder}/${tag}.json`, 'utf8'));
const blanks = (sentence: string) => (sentence.match(/\{\{\w+\}\}/g) ?? []).sort();

test('each language has each sentence, with the same blanks', () => {
  assert.deepEqual(languages.sort(), ['de', 'es', 'fr', 'ja', 'pt']);
  for (const tag of languages) {
    const own = sentences(tag);
    assert.deepEqual(Object.keys(own).sort(), Object.keys(english.sentences).sort(), tag);
    for (const [word, sentence] of Object.entries(own)) {
      assert.deepEqual(blanks(sentence), blanks(english.sentences[word]!), `${tag}: ${word}`);
      assert.match(sentence, /\S/);
      assert.equal(sentence, sentence.trim(), `${tag}: ${word}`);
    }
    const same = Object.keys(own).filter((word) => own[word] === english.sentences[word]);
    // French has the same words for these.
    assert.deepEqual(same, tag === 'fr' ? ['badge.version'] : [], `${tag}: left in English`);
  }
});

/** A Flex that speaks as this manager says. */
async function spoken(given: object): Promise<Language> {
  const manager = { store: { getState: () => ({ flex: { config: {} } }) }, ...given } as unknown as Manager;
  let found: Language | undefined;
  await withLanguage(manager, (language) => void (found = language));
  return found!;
}
const localization = (localeTag: string, localeSource = 'user preference') => ({ localization: { localeTag, localeSource } });
const configured = (language: string) => ({ store: { getState: () => ({ flex: { config: { language } } }) } });

test('the language is the one that Flex has chosen', async () => {
  for (const [tag, own] of [['de-DE', 'de'], ['fr-CA', 'fr'], ['es-419', 'es'], ['pt-BR', 'pt'], ['ja-JP', 'ja'], ['ja', 'ja']] as const) {
    assert.deepEqual(await spoken(localization(tag)), { tag: own, sentences: sentences(own) });
  }
  for (const tag of ['en-GB', 'ko-KR', 'zh-Hans', 'constructor']) assert.deepEqual(await spoken(localization(tag)), english);
});

test('a Flex without languages of its own has the one that an administrator has set, or English', async () => {
  assert.equal((await spoken({ ...localization('en-US', 'flex default'), ...configured('fr-FR') })).tag, 'fr');
  assert.equal((await spoken(configured('ja-JP'))).tag, 'ja');
  assert.equal((await spoken({})).tag, 'en');
  assert.equal((await spoken({ store: undefined })).tag, 'en');
});

test('English does not make Flex wait', () => {
  let begun = false;
  assert.equal(withLanguage(configured('en-US') as unknown as Manager, () => (begun = true)), undefined);
  assert.ok(begun);
});

test('an administrator\'s wording is kept, and so is that of a plugin before ours or after it', async () => {
  const world = createWorld();
  world.strings[keyOf('stranded')] = 'Bitte wieder auf Bereit.';
  world.strings.NoTasks = 'Nothing to do';
  const stop = world.start();
  assert.equal(world.strings[keyOf('stranded')], 'Bitte wieder auf Bereit.');
  assert.equal(world.strings[keyOf('badge.ready')], 'Voice ready');
  assert.equal(Object.keys(world.strings).length, Object.keys(english.sentences).length + 1);
  stop();
  assert.deepEqual(world.strings, { [keyOf('stranded')]: 'Bitte wieder auf Bereit.', NoTasks: 'Nothing to do' });
});

test('a language fills Flex\'s strings', async () => {
  const world = await connected({ language: await spoken(localization('de-DE')) });
  assert.equal(world.strings[keyOf('badge.ready')], 'Bereit für Anrufe');
  assert.equal(world.strings[keyOf('no_extension')], sentences('de').no_extension);
});
