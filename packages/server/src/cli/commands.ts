/** Every command, in the order in which help lists them. */

import { apply } from './apply/apply.ts';
import type { Command } from './command.ts';
import { doctor } from './doctor/doctor.ts';
import { init } from './init.ts';
import { agentCommands } from './nouns/agents.ts';
import { caCommands } from './nouns/ca.ts';
import { credentialCommands } from './nouns/credentials.ts';
import { drillCommands } from './nouns/drill.ts';
import { enrolmentToken } from './nouns/enrolment-token.ts';
import { eventCommands } from './nouns/events.ts';
import { exportCommands } from './nouns/exports.ts';
import { guardCommands } from './nouns/guards.ts';
import { instanceCommands } from './nouns/instances.ts';
import { issuerCommands } from './nouns/issuers.ts';
import { keyCommands } from './nouns/keys.ts';
import { mandateCommands } from './nouns/mandates.ts';
import { ownerCommands } from './nouns/owners.ts';
import { peopleCommands } from './nouns/people.ts';
import { policyCommands } from './nouns/policy/index.ts';
import { resourceCommands } from './nouns/resources.ts';
import { resourceToolCommands } from './nouns/resources-tools.ts';
import { retentionCommands } from './nouns/retention.ts';
import { revocationCommands } from './nouns/revocations.ts';
import { revoke } from './nouns/revoke.ts';
import { roleCommands } from './nouns/roles.ts';
import { signalCommands } from './nouns/signals.ts';
import { taskCommands } from './nouns/tasks.ts';
import { token } from './nouns/token.ts';
import { traceCommands } from './nouns/trace.ts';
import { trustDomainCommands } from './nouns/trust-domains.ts';
import { operatorCommands } from './operator.ts';
import { serve } from './serve.ts';

export const commands: readonly Command[] = [
  serve,
  init,
  doctor,
  apply,
  ...operatorCommands,
  ...agentCommands,
  ...credentialCommands,
  enrolmentToken,
  ...instanceCommands,
  ...taskCommands,
  ...mandateCommands,
  ...resourceCommands,
  ...resourceToolCommands,
  ...roleCommands,
  ...policyCommands,
  ...guardCommands,
  ...trustDomainCommands,
  ...issuerCommands,
  ...peopleCommands,
  ...ownerCommands,
  token,
  revoke,
  ...revocationCommands,
  ...drillCommands,
  ...keyCommands,
  ...caCommands,
  ...eventCommands,
  ...exportCommands,
  ...signalCommands,
  ...retentionCommands,
  ...traceCommands,
];
