import { readFileSync } from 'node:fs';
import { enrol } from '@bailiwick/agent';

const ca = readFileSync('nginx.crt', 'utf8'); // not needed where the Web PKI vouches for nginx
await using instance = await enrol({ resource: 'https://localhost:8443', binding: 'mtls', ca });
const response = await instance.fetch('https://localhost:8443/weather');
console.log(response.status, await response.text());
