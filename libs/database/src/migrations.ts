/** A step of a database's schema. tools/generate-prisma.mjs puts prisma/<database>/migrations into the generated code, so that bundles carry them. */
export interface Migration {
  /** Of the folder: <yyyymmddhhmmss>_<what>; applied in this order. */
  readonly name: string;
  readonly sql: string;
}
