/** Whose data it is, and who answers for agents. Organizations live here too: they are what people belong to. */

export interface Organization {
  id: string;
  name: string;
  displayName: string;
  /** IANA name: what its policies call local. */
  timeZone: string;
  status: 'active' | 'suspended' | 'retired';
  createdAt: number;
}

export interface Person {
  id: string;
  org: string;
  name: string;
  email?: string;
  /** Erased: name and address are gone; the id stays, so that what they answered for still says who. */
  status: 'active' | 'erased';
  createdAt: number;
}

export interface Team {
  id: string;
  org: string;
  name: string;
  displayName: string;
  status: 'active' | 'retired';
  createdAt: number;
}
