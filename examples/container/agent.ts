import { enrol } from '@bailiwick/agent';

await using instance = await enrol({ resource: 'https://orders.example.com' });
const token = await instance.token();
console.log(`${instance.spiffeId} has a ${token.tokenType} token for ${token.scope}.`);
