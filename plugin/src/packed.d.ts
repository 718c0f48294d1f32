/** A JSON file of sentences, as scripts/packed.js packs it: those of its keys in order, deflated, in base64. */
declare module 'packed:*' {
  const base64: string;
  export default base64;
}
