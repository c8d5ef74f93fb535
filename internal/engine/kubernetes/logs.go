package kubernetes

import (
	"context"
	"io"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// Logs implements engine.Engine. A node's agent writes the lines of all its
// ranks to the container's log; those of one rank are taken out here. Of a log
// that passed the kubelet's bound only the end is there, and a log goes with
// its node.
func (e *Engine) Logs(ctx context.Context, key string, rank int, offset int64) (engine.Log, error) {
	s, err := e.look(ctx, objectName(key))
	if err != nil {
		return nil, err
	}
	if rank < 0 || rank >= s.shape.Ranks {
		return nil, fault.Newf(fault.NotFound, "gang %s has no rank %d", key, rank)
	}
	stream, err := e.stream(ctx, s.parts[rank/s.shape.PerNode], "")
	if err != nil {
		return nil, err
	}
	return ranks.Demux(stream, rank, offset), nil
}

// History implements engine.Engine, from what the cluster keeps of the log.
func (e *Engine) History(ctx context.Context, key string) ([]fleet.Progress, error) {
	s, err := e.look(ctx, objectName(key))
	if err != nil {
		return nil, err
	}
	stream, err := e.stream(ctx, s.parts[0], "")
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	points, err := ranks.StreamHistory(stream)
	return points, failure(err, "reading progress")
}

// nothing is a log that is not there: of a node that has not begun, or is gone.
func nothing() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// stream opens the log of a node's agent. since is a time from which on lines
// are wanted, "" for all.
func (e *Engine) stream(ctx context.Context, p part, since string) (io.ReadCloser, error) {
	if p.pod == nil || p.node == "" {
		return nothing(), nil
	}
	ctx, cancel := context.WithTimeout(quiet(ctx), readPatience)
	request := e.api.core.Get().Namespace(e.namespace).Resource("pods").Name(p.pod.Name).SubResource("log").Param("container", mainContainer)
	if since != "" {
		request = request.Param("sinceTime", since)
	}
	stream, err := request.Stream(ctx)
	if err == nil {
		return &closing{stream, cancel}, nil
	}
	cancel()
	if apierrors.IsBadRequest(err) || apierrors.IsNotFound(err) || (p.state == ended && !e.nodeReady(p.node)) {
		return nothing(), nil
	}
	return nil, failure(err, "reading the log on node "+p.node)
}

// closing ends the request with its stream.
type closing struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (c *closing) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}
