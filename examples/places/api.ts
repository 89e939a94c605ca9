import { createServer } from 'node:http';
import { createGuard } from '@bailiwick/guard';

const guard = createGuard({
  resource: 'http://localhost:3060',
  credential: 'greetings-guard.json',
  trustedProxies: ['127.0.0.1', '::1'], // whoever asks from this machine is a proxy, and says for whom
  forwardedHeader: 'x-forwarded-for', // the one header that those proxies write
  zones: { 'eu-1': ['10.1.0.0/16', '127.0.0.0/8', '::1'] },
});

const server = createServer(guard.node((_, response, caller) => response.end(`Hello ${caller.agent}.\n`)));
server.listen(3060, () => console.log('The API is guarded.'));
