/** Where instances enrol. Routes and the `htu` of proofs derive from this. */
export const instancesPath = '/instances';
