package client

import (
	"context"
	"net/http"
	"net/url"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
)

// Move has a run go on elsewhere from its checkpoint, or only weighs that.
func (c *Client) Move(ctx context.Context, id string, request v1.MoveRequest) (out v1.MoveAnswer, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/runs/"+url.PathEscape(id)+"/move", nil, request, &out)
	return out, err
}

// Try queues a trial of a run's model on a pool, and returns the trial's run.
func (c *Client) Try(ctx context.Context, id string, request v1.TrialRequest) (out v1.RunDetail, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/runs/"+url.PathEscape(id)+"/trial", nil, request, &out)
	return out, err
}

// Qualifications lists the models that trials have qualified for chip families.
func (c *Client) Qualifications(ctx context.Context) ([]v1.Qualification, error) {
	var out v1.QualificationList
	err := c.call(ctx, http.MethodGet, "/v1/qualifications", nil, nil, &out)
	return out.Qualifications, err
}
