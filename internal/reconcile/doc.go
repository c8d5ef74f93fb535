// Package reconcile owns the loop that makes the world what the store says:
// it observes live attempts, records what became of them, books what they
// used, places queued runs and starts them, and removes gangs that nobody
// asked for. It also owns the two requests that change a run: submit and stop.
//
// It refuses to decide where work goes (scheduler), to read event payloads,
// and to trust its own memory: every pass rereads the state, and every action
// outside is idempotent by the attempt's key, so that the process may die at
// any instruction.
package reconcile
