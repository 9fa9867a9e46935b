/** The parts of a Fastify reply that controllers use. */
export interface Reply {
  status(code: number): Reply;
  header(name: string, value: string): Reply;
}
