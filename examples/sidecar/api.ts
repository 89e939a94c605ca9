import { createServer } from 'node:http';

// A service that knows nothing of tokens: it could be written in anything. Who is calling stands in headers, put there by nginx.
const server = createServer(({ method, url, headers }, response) => {
  const { 'x-bailiwick-agent': agent, 'x-bailiwick-operation': operation } = headers;
  response.end(`Hello ${agent}: ${method} ${url} is the operation "${operation}".\n`);
});
server.listen(3070, '127.0.0.1', () => console.log('The service listens, for nginx alone.'));
