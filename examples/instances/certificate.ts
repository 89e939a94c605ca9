/** An agent that has a certificate already: `node certificate.ts http://localhost:8455 agt_… https://tickets.example.com` */
import { readFileSync } from 'node:fs';
import { createAgent } from '@bailiwick/agent';

const [issuer = 'http://localhost:8455', clientId = 'agt_…', resource] = process.argv.slice(2);
// #region certificate
const agent = createAgent({
  issuer,
  clientId,
  certificate: readFileSync('agent.crt', 'utf8'),
  key: readFileSync('agent.key', 'utf8'),
});
// #endregion
const token = await agent.token({ ...(resource !== undefined && { resource }) });
console.log(`A ${token.tokenType} token for ${token.scope}, bound to the certificate.`);
