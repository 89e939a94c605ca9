import { agentFromFile } from '@bailiwick/agent';

const agent = agentFromFile('caller.json');
const response = await agent.fetch('http://localhost:8480/weather');
console.log(response.status, await response.text());
