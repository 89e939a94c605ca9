/** One token, shown from here and from elsewhere: `node scripts/run.mjs examples/places/agent.ts visitor.json` */
import { agentFromFile, type BailiwickError } from '@bailiwick/agent';

const agent = agentFromFile(process.argv[2] ?? 'visitor.json');
const statusFrom = async (headers: Record<string, string>) => {
  const { status } = await agent.fetch('http://localhost:3060/hello', { headers });
  return status;
};

try {
  console.log(`From here: ${await statusFrom({})}.`);
  // what a proxy of the API says of somebody else, who has found the token and its key
  console.log(`From 203.0.113.7: ${await statusFrom({ 'x-forwarded-for': '203.0.113.7' })}.`);
} catch (error) {
  console.log(`No token: ${(error as BailiwickError).message}`);
}
