import { agentFromFile } from '@bailiwick/agent';

const agent = agentFromFile('agent.json');
try {
  const response = await agent.fetch(process.argv[2] ?? 'http://localhost:3000/hello');
  console.log(response.status, await response.text());
} catch (error) {
  console.log(`No answer: ${(error as Error).message}`);
}
