/** A field of what somebody asks for that is well formed and can't be accepted as things stand, and what would be right. */
export class Unfit extends Error {
  readonly field: string;
  constructor(field: string, message: string) {
    super(message);
    this.name = 'Unfit';
    this.field = field;
  }
}
