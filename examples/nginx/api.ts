import { createServer } from 'node:http';
import { createGuard } from '@bailiwick/guard';

const clientCertificate = { proxies: ['127.0.0.1'] }; // nginx, and nobody else, says which certificate it saw
const guard = createGuard({ resource: 'https://localhost:8443', credential: 'weather-guard.json', clientCertificate });

const server = createServer(
  guard.node((_, response, caller) => {
    response.end(`Hello ${caller.instance}, bound by ${caller.proof}.\n`);
  }),
);
server.listen(3080, '127.0.0.1', () => console.log('The API is guarded.'));
