// What agents read, in Flex's language, and in the words of whoever has put other ones into Flex's strings: an administrator, or
// another plugin, before ours or after it.
import de from 'packed:./languages/de.json';
import es from 'packed:./languages/es.json';
import fr from 'packed:./languages/fr.json';
import ja from 'packed:./languages/ja.json';
import pt from 'packed:./languages/pt.json';
import type { Manager } from './flex';
import { type Notice, type Problem, badge, notices, problems } from './strings';

export type Word = Problem | `${Problem}.title` | Notice | `badge.${keyof typeof badge}`;

export interface Language {
  /** As HTML has it. */
  tag: string;
  sentences: Record<string, string>;
}

/** Flex's own strings have others of the same names. */
export const keyOf = (word: Word) => `flexvc.${word}`;

export const english: Language = {
  tag: 'en',
  sentences: Object.fromEntries([
    ...Object.entries(problems).flatMap(([name, { title, text }]) => [[`${name}.title`, title], [name, text]]),
    ...Object.entries(notices),
    ...Object.entries(badge).map(([name, text]) => [`badge.${name}`, text]),
  ]),
};

const packed: Record<string, string> = { de, es, fr, ja, pt };

/** Flex names the language of a page only where it speaks more than one; otherwise an administrator may have set one. */
function tagOf({ localization, store }: Manager): string {
  const chosen = localization?.localeSource === 'flex default' ? undefined : localization?.localeTag;
  return chosen ?? store.getState().flex.config.language ?? english.tag;
}

async function unpack(tag: string): Promise<Language> {
  const bytes = Uint8Array.from(atob(packed[tag]!), (char) => char.charCodeAt(0));
  const values: string[] = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'))).json();
  return { tag, sentences: Object.fromEntries(Object.keys(english.sentences).sort().map((word, i) => [word, values[i]!])) };
}

/** Calls with Flex's language, or with English where there is no other: at once with English, else when it is unpacked. */
export function withLanguage(manager: Manager, begin: (language: Language) => void): void | Promise<void> {
  let tag = english.tag;
  try {
    tag = tagOf(manager).slice(0, 2).toLowerCase();
  } catch {
    // A Flex that does not say. Why it says nothing at all is for others to find.
  }
  if (!Object.hasOwn(packed, tag)) {
    begin(english);
    return undefined;
  }
  return unpack(tag).catch(() => english).then(begin);
}

export interface Words {
  (word: Word, given?: Record<string, string | number>): string;
  /** For the HTML around it. */
  tag: string;
}

/** Puts the sentences into Flex's strings, where nobody has put others, and takes them away again. */
export function speak(manager: Manager, { tag, sentences }: Language): { words: Words; stop: () => void } {
  const all = Object.entries(sentences).map(([word, sentence]) => [keyOf(word as Word), sentence] as const);
  for (const [key, sentence] of all) manager.strings[key] ||= sentence;
  const words: Words = (word, given = {}) => {
    const sentence = manager.strings[keyOf(word)] || sentences[word]!;
    return sentence.replace(/\{\{(\w+)\}\}/g, (_, name: string) => String(given[name] ?? ''));
  };
  words.tag = tag;
  return {
    words,
    stop() {
      for (const [key, sentence] of all) if (manager.strings[key] === sentence) delete manager.strings[key];
    },
  };
}
