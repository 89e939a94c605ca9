import { createAgent, enrol } from '@bailiwick/agent';

const issuer = process.env.WEST ?? 'http://localhost:8475';
await using courier = await enrol({ file: 'courier.json' }); // at home, with a key of its own
const svid = () => courier.jwtSvid(issuer); // who it is, said to west alone
const abroad = createAgent({ issuer, clientId: courier.spiffeId, svid });
const token = await abroad.token({ resource: 'https://tickets.west.example' });
console.log(`${courier.spiffeId} has a ${token.tokenType} token for ${token.scope} from ${issuer}.`);
