/** An instance with a child: `BAILIWICK_ISSUER=… BAILIWICK_ENROLMENT_TOKEN=… node team.ts http://localhost:3000` */
import { type BailiwickError, enrol } from '@bailiwick/agent';

const api = process.argv[2] ?? 'http://localhost:3000';

// #region enrol
const instance = await enrol({ attributes: { zone: 'eu-1' } }); // from BAILIWICK_ISSUER and BAILIWICK_ENROLMENT_TOKEN
console.log(`I am ${instance.spiffeId}.`);
const tickets = await instance.fetch(`${api}/tickets`);
// #endregion
console.log(`Tickets: ${tickets.status}`);

// #region child
const reader = await instance.child({
  name: 'reader',
  resource: api,
  scope: 'tickets:read',
  allowed: [{ resource: api, scope: 'tickets:read' }],
});
const read = await reader.fetch(`${api}/tickets/1`);
const closed = await reader.fetch(`${api}/tickets/1/close`, { method: 'POST' });
console.log(`The reader: ${read.status} for reading, ${closed.status} for closing.`);
// #endregion

// #region svid
const svid = await instance.jwtSvid('https://vault.example.com'); // good there alone, for five minutes at most
// #endregion
console.log(`A JWT-SVID of ${svid.split('.').length} parts.`);

// #region end
await instance.end(); // and the reader with it
const refusal = await reader.fetch(`${api}/tickets`).catch((error: BailiwickError) => error.code);
// #endregion
console.log(`Afterwards: ${refusal}`);
