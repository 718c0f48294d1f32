// Who somebody is, from the names that Twilio gives to voice clients.

/**
 * client:ext_alice_2Ehaddad_40acme_2Ecom is alice.haddad@acme.com. Flex writes what is neither letter nor digit as an underscore
 * and the two hexadecimal digits of each byte. Telephone numbers, and what cannot be such a name, stay as they are.
 * @param {string} address  a caller, or the identity of a voice client
 * @param {string} [prefix]  of the extension's identities
 */
export function nameOf(address, prefix = '') {
  const [whole = ''] = address.replace(/^client:/, '').split('?');
  const encoded = prefix && whole.startsWith(prefix) && whole !== prefix ? whole.slice(prefix.length) : whole;
  try {
    const name = decodeURIComponent(encoded.replace(/%/g, '%25').replace(/_([0-9A-F]{2})/g, '%$1'));
    return /^\P{C}+$/u.test(name) ? name : encoded;
  } catch {
    return encoded;
  }
}
