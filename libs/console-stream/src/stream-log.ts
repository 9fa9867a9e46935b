/** Where the host's end says what it saw; any logger of the house is one. */
export interface StreamLog {
  warn(fields: object, message: string): void;
  debug(fields: object, message: string): void;
}
