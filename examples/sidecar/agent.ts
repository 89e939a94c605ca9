import { agentFromFile } from '@bailiwick/agent';

const agent = agentFromFile('skipper.json');
const response = await agent.fetch('http://localhost:8480/tides');
console.log(response.status, await response.text());
