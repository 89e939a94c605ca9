/** Scopes on one resource. */
export interface Permission {
  /** Id of the resource. */
  resource: string;
  scopes: string[];
}

/** A named set of permissions that is given to agents. */
export interface Role {
  id: string;
  org: string;
  name: string;
  description: string;
  permissions: Permission[];
  /** Built in: usable from every organization, changed by none. */
  system: boolean;
  status: 'active' | 'retired';
  createdAt: number;
  updatedAt: number;
}

/** A role that an agent holds, with what it gives. */
export interface HeldRole {
  /** Id of the grant: what a revocation names when only this agent loses the role. */
  grant: string;
  role: string;
  roleName: string;
  permissions: Permission[];
}
