/** Every command, in the order in which help lists them. */

import { apply } from './apply/apply.ts';
import type { Command } from './command.ts';
import { init } from './init.ts';
import { agentCommands } from './nouns/agents.ts';
import { credentialCommands } from './nouns/credentials.ts';
import { eventCommands } from './nouns/events.ts';
import { guardCommands } from './nouns/guards.ts';
import { keyCommands } from './nouns/keys.ts';
import { ownerCommands } from './nouns/owners.ts';
import { resourceCommands } from './nouns/resources.ts';
import { roleCommands } from './nouns/roles.ts';
import { token } from './nouns/token.ts';
import { serve } from './serve.ts';

export const commands: readonly Command[] = [
  serve,
  init,
  apply,
  ...agentCommands,
  ...credentialCommands,
  ...resourceCommands,
  ...roleCommands,
  ...guardCommands,
  ...ownerCommands,
  token,
  ...keyCommands,
  ...eventCommands,
];
