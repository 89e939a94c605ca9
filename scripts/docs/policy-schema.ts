import { policySchema } from '../../packages/server/src/policy/schema.ts';

/** docs/reference/policy-schema.md */
export function policySchemaReference(): string {
  return `# The words of policies

<!-- Made by \`npm run docs\` from packages/server/src/policy/schema.ts. Change it there. -->

What a policy may ask, as [Cedar's schema](https://docs.cedarpolicy.com/schema/human-readable-schema.html). A policy is validated against it, strictly, before it is saved.
\`npx bailiwick policy schema\` prints the same, for editors and other programs; administrators get it at \`<issuer>/admin/v1/policies/schema\`, too.

- A member with a \`?\` can be missing: ask first, \`context has address && …\`.
- Entities are named as they are called: \`Role::"crm-reports"\`, \`Api::"https://crm.example.com"\`, \`Operation::"https://crm.example.com#GET /customers"\`.
- \`approval:request\` and \`lease:create\` are asked by nothing yet.
- Annotations, and what the starter set says: [from a role to a policy](../guides/policies.md#what-a-statement-can-say-besides).

\`\`\`cedarschema
${policySchema.trimEnd()}
\`\`\`
`;
}
