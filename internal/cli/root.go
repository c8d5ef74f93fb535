package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
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
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("yard {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return misused(cmd, err) })
	for _, g := range a.commandGroups() {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, cmd := range g.commands {
			cmd.GroupID = g.id
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(a.shimCommand(), a.agentCommand(), a.slurmCommand(), a.versionCommand())
	checkArguments(root)
	return root
}

// checkArguments makes every command tell a wrong number of arguments, or an
// unknown command, as a fault of the input, with how it is used.
func checkArguments(cmd *cobra.Command) {
	check := cmd.Args
	if check == nil {
		check = cobra.ArbitraryArgs
		if cmd.HasSubCommands() {
			check = unknownCommand
		}
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return misused(cmd, err)
		}
		return nil
	}
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() } // so that Args are looked at
		cmd.DisableFlagsInUseLine = true
	}
	for _, child := range cmd.Commands() {
		checkArguments(child)
	}
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			names = append(names, child.Name())
		}
	}
	return fmt.Errorf("unknown command %q%s", args[0], spec.DidYouMean(args[0], names))
}

// misused is a fault in how a command was called.
func misused(cmd *cobra.Command, err error) error {
	return fault.Newf(fault.Invalid, "%v\nusage: %s   (%s --help)", err, cmd.UseLine(), cmd.CommandPath())
}

// commandGroup is commands that the help lists together.
type commandGroup struct {
	id, title string
	commands  []*cobra.Command
}

func (a *app) commandGroups() []commandGroup {
	return []commandGroup{
		{"decide", "Where would it run, and what would it cost:", []*cobra.Command{
			a.quoteCommand(), a.estimateCommand(), a.offersCommand(), a.chipsCommand(), a.modelsCommand(),
		}},
		{"run", "Run, watch and recover:", []*cobra.Command{
			a.runCommand(), a.runsCommand(), a.logsCommand(), a.stopCommand(), a.checkpointsCommand(), a.moveCommand(), a.qualifyCommand(), a.queueCommand(), a.quotaCommand(), a.sitesCommand(), a.upCommand(),
		}},
		{"money", "What it cost, what was signed, what to sign:", []*cobra.Command{
			a.ledgerCommand(), a.billCommand(), a.contractsCommand(), a.burnCommand(), a.budgetsCommand(), a.planCommand(), a.stressCommand(), a.leverageCommand(),
		}},
		{"files", "Own files and the state:", []*cobra.Command{
			a.schemaCommand(), a.catalogCommand(), a.calibrateCommand(), a.backupCommand(), a.restoreCommand(),
		}},
	}
}
