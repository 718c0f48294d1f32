const insights = 'https://eventgw.';
const patience = 2_000;

/**
 * The SDK reports every step of a call to Twilio's Insights at the very moment, two dozen while the call is being connected, and
 * each takes a millisecond or more of the thread that connects it. Reports carry their own time, so they can wait.
 * @param {Fetch} fetch
 * @param {(task: () => void, ms: number) => unknown} later
 * @returns {Fetch} for the SDK to find in place of fetch
 */
export const unhurried = (fetch, later) => (input, init) =>
  typeof input === 'string' && input.startsWith(insights)
    ? new Promise((resolve, reject) => later(() => fetch(input, init).then(resolve, reject), patience))
    : fetch(input, init);
