package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Exit codes of yard. A run that ends passes on its own code instead.
const (
	exitOK      = 0
	exitFailure = 1
	exitInvalid = 2 // the caller's input is wrong
)

// app is what every command works with.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	output         string // -o
	flags          config.Flags
}

// exitError ends a command with a code of its own and no message.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Execute runs yard with the arguments and returns its exit code.
func Execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var exit exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return int(exit)
	}
	_, _ = fmt.Fprintln(stderr, err)
	if fault.Is(err, fault.Invalid) {
		return exitInvalid
	}
	return exitFailure
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "yard",
		Short:         "The dispatcher for AI compute",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		a.shimCommand(),
		a.quoteCommand(),
		a.runCommand(),
		a.runsCommand(),
		a.logsCommand(),
		a.stopCommand(),
		a.queueCommand(),
		a.quotaCommand(),
		a.ledgerCommand(),
		a.sitesCommand(),
		a.backupCommand(),
		a.restoreCommand(),
		a.upCommand(),
		a.billCommand(),
		a.contractsCommand(),
		a.versionCommand(),
		a.chipsCommand(),
		a.estimateCommand(),
		a.calibrateCommand(),
		a.schemaCommand(),
		a.offersCommand(),
		a.catalogCommand(),
		a.modelsCommand(),
		a.planCommand(),
	)
	return root
}
