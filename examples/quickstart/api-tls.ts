import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createGuard } from '@bailiwick/guard';

const resource = process.env.RESOURCE ?? 'https://localhost:3000';
const guard = createGuard({ resource, credential: 'guard.json' });

// #region guard
const tls = { key: readFileSync('server-key.pem'), cert: readFileSync('server.pem') };
const server = createServer(
  // Everybody is asked for a certificate, and nobody turned away here: who has none may read the metadata, and who it is the guard finds out.
  { ...tls, requestCert: true, rejectUnauthorized: false },
  guard.node((_request, response, caller) => {
    response.end(`Hello ${caller.agent}: this is the operation "${caller.operation}", proof: ${caller.proof}.\n`);
  }),
);
// #endregion

server.listen(new URL(resource).port, () => console.log(`${resource} is guarded.`));
