/** The type of subjects that stands for agents of ours. All others are the asking side's own. */
export const agentType = 'agent';
