import { agentFromFile, type BailiwickError } from '@bailiwick/agent';

const agent = agentFromFile('agent.json');
try {
  const response = await agent.fetch(process.argv[2] ?? 'http://localhost:3000/hello');
  console.log(response.status, await response.text());
} catch (error) {
  const { message, hint } = error as BailiwickError;
  console.log(`No answer: ${message}${hint === undefined ? '' : `\nHint: ${hint}`}`);
}
