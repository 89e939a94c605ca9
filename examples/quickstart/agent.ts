import { agentFromFile } from '@bailiwick/agent';

const agent = agentFromFile('agent.json');
const response = await agent.fetch(process.argv[2] ?? 'http://localhost:3000/hello');
console.log(response.status, await response.text());
