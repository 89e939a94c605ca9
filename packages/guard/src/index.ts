export type { Operation } from '@bailiwick/protocol';
export { type Route, requestFrom, sendAnswer } from './adapters/node.ts';
export type { Actor, Caller } from './caller.ts';
export type { Allowed, Decision, DecisionRecord } from './decide.ts';
export { createGuard, type Guard } from './guard.ts';
export { GuardConfigError, type GuardCredential, type GuardOptions } from './options.ts';
export type { Answer, Problem, RefusalCode } from './refusal.ts';
export { type GuardRequest, headersOf } from './request.ts';
export type { Runtime } from './runtime.ts';
