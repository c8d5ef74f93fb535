package cli

import (
	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/engine/agent"
)

// agentCommand is how engines of clusters run the ranks of one node; people have
// no use for it.
func (a *app) agentCommand() *cobra.Command {
	var node int
	var copyTo string
	cmd := &cobra.Command{
		Use:    "agent [TASK]",
		Short:  "Run the ranks of one node of a gang (called by the engines of clusters)",
		Args:   cobra.MaximumNArgs(1),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if copyTo != "" {
				return agent.CopySelf(copyTo)
			}
			if !cmd.Flags().Changed("node") {
				var err error
				if node, err = agent.Node(); err != nil {
					return err
				}
			}
			return a.runAgent(append(args, "")[0], node)
		},
	}
	cmd.Flags().IntVar(&node, "node", 0, "number of the node in its gang (default JOB_COMPLETION_INDEX, SLURM_NODEID or 0)")
	cmd.Flags().StringVar(&copyTo, "copy", "", "copy this program to the path instead")
	return cmd
}

func (a *app) runAgent(path string, node int) error {
	task, err := agent.Load(path)
	if err != nil {
		return err
	}
	code, err := agent.Run(task, node, a.stdout)
	if err != nil {
		return err
	}
	if code != 0 {
		return exitError(code)
	}
	return nil
}
