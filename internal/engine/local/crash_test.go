package local_test

import (
	"context"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// act does one step of yard.
func act(step, dir string) error {
	ctx, e := context.Background(), open(dir)
	switch step {
	case "start":
		return e.Start(ctx, enginetest.Shell("crash", 2, "echo began; sleep 600"))
	case "stop":
		return e.Stop(ctx, "crash", time.Second)
	case "forget":
		return e.Forget(ctx, "crash")
	}
	return fault.Newf(fault.Invalid, "no step %q", step)
}
