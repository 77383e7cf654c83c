// The other half of sticky clients, in a worker: see docs/sticky.md.

/**
 * An id that nobody guesses and that carries the slot of this worker. With the policy `sticky`, by the parameter, cookie
 * or header in which a client shows it again, its connections are led to this slot: to this worker, or to the one that has
 * replaced it.
 *
 * For Socket.IO: `io.engine.generateId = generateId`. For express-session: `session({ genid: generateId, … })`.
 *
 * In a process that is no worker it carries no slot.
 */
export declare function generateId(): string;
