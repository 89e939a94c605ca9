export { type Agent, createAgent, type TokenInfo } from './agent.ts';
export type { AgentRequestInit } from './call.ts';
export { BailiwickError } from './errors.ts';
export type { AgentFetch } from './fetch.ts';
export { agentFromFile } from './file.ts';
export type { AgentOptions } from './options.ts';
