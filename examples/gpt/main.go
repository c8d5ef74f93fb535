// Package main is the GPT example: a small but real GPT in Go that learns any directory of text, by default the source
// of the Go toolchain, and survives being stopped. It owns the command line, the lines that it prints and the environment
// that a supervisor sets; the work is done by the packages below it. It refuses to place, restart or bill itself: that is
// what Switchyard is for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
)

const usage = `usage: gpt train|sample|bench [flags]

  train    learn a directory of text (gpt train --help)
  sample   print text from a checkpoint
  bench    measure the portable and the vector path, side by side
`

// stopped is the exit code after SIGTERM, once a checkpoint is written if there was a step: 128 + the signal's number, as shells count.
const stopped = 143

var errStopped = errors.New("stopped by a signal")

func main() { os.Exit(run(context.Background(), os.Args[1:])) }

func run(ctx context.Context, args []string) int {
	commands := map[string]func(context.Context, []string) error{"train": trainCommand, "sample": sampleCommand, "bench": benchCommand}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	switch err := commands[args[0]](ctx, args[1:]); {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errStopped):
		return stopped
	default:
		fmt.Fprintf(os.Stderr, "gpt %s: %v\n", args[0], err)
		return 1
	}
}
