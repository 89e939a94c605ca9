export { type Agent, createAgent, type TokenInfo } from './agent.ts';
export type { AgentRequestInit } from './call.ts';
export { type EnrolOptions, enrol } from './enrol.ts';
export { BailiwickError } from './errors.ts';
export type { AgentFetch } from './fetch.ts';
export { agentFromFile } from './file.ts';
export type { AgentInstance, ChildOptions, InstanceOptions } from './instance.ts';
export type { InstanceAttribute } from './instance-api.ts';
export type { AgentOptions, CommonOptions, TokenBinding } from './options.ts';
