// Command yard is Switchyard: the dispatcher for AI compute.
package main

import (
	"context"
	"os"

	"github.com/switchyard-ai/switchyard/internal/cli"
)

func main() {
	os.Exit(cli.Execute(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
