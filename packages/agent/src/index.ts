export { type Agent, createAgent, type TokenInfo } from './agent.ts';
export type { DeclaredWork, NarrowerWishes, TaskReference, TokenWishes } from './asked.ts';
export type { AgentRequestInit } from './call.ts';
export { type EnrolOptions, enrol } from './enrol.ts';
export { BailiwickError } from './errors.ts';
export type { AgentFetch } from './fetch.ts';
export { agentFromFile } from './file.ts';
export type { AgentInstance, ChildOptions, InstanceOptions } from './instance.ts';
export type { InstanceAttribute } from './instance-api.ts';
export type { AskOptions, MandateRequest } from './mandate-requests.ts';
export type { DelegateOptions, Mandate, MandatePart, MandateResource, PassedOn } from './mandates.ts';
export type { OnBehalf, OnBehalfWishes, WishesWithin } from './on-behalf.ts';
export type { AgentOptions, CommonOptions, TokenBinding } from './options.ts';
export { type SignTaskOptions, signTask } from './sign-task.ts';
export { requirementsOf, StepUpRequired } from './step-up.ts';
export type { SubAgent, SubAgentOptions } from './sub-agent.ts';
export type { IdToken, Narrowed } from './subject.ts';
export type { OpenTask, Task, TaskOptions, TaskWork } from './task.ts';
export {
  type BegunTransaction,
  type IncomingCall,
  type Transaction,
  type TransactionOptions,
  transactionOf,
} from './transaction.ts';
