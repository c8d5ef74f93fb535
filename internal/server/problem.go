package server

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

var (
	decimalType = reflect.TypeFor[v1.Decimal]()
	floatType   = reflect.TypeFor[float64]()
	problemType = reflect.TypeFor[v1.Problem]()
)

// Problem turns a failure into what a client is told of it.
func Problem(err error) *v1.Problem {
	var problem *v1.Problem
	if errors.As(err, &problem) {
		return problem
	}
	kind := fault.KindOf(err)
	status := statusOf(kind)
	problem = &v1.Problem{Title: http.StatusText(status), Status: status, Detail: err.Error(), Kind: string(kind)}
	var faults spec.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			problem.Faults = append(problem.Faults, v1.FileFault(f))
		}
	}
	return problem
}

// Bounds on what a problem repeats of a request that does not fit the API: a
// client knows what it sent, and need not be sent all of it back.
const (
	mostMisfits = 10  // of all that is wrong in it
	mostEchoed  = 200 // bytes of each
)

// boundProblem turns what the HTTP library says of a request that does not fit
// the API into a problem like all others, without the values that it echoes.
func boundProblem(_ huma.Context, _ string, value any) (any, error) {
	misfit, ok := value.(*huma.ErrorModel)
	if !ok {
		return value, nil
	}
	problem := &v1.Problem{Title: misfit.Title, Status: misfit.Status, Detail: clip(misfit.Detail)}
	problem.Kind = string(problem.FaultKind())
	for i, detail := range misfit.Errors {
		if i == mostMisfits {
			problem.Detail += fmt.Sprintf("; and %d more", len(misfit.Errors)-i)
			break
		}
		if detail == nil {
			continue
		}
		what := clip(detail.Message)
		if detail.Location != "" {
			what = clip(detail.Location) + ": " + what
		}
		problem.Detail += "; " + what
	}
	return problem, nil
}

// clip shortens text to what a problem repeats, at a whole character.
func clip(text string) string {
	if len(text) <= mostEchoed {
		return text
	}
	return strings.ToValidUTF8(text[:mostEchoed], "") + "..."
}

func statusOf(kind fault.Kind) int {
	switch kind {
	case fault.Invalid:
		return http.StatusUnprocessableEntity
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Lost:
		return http.StatusGone
	case fault.Quota:
		return http.StatusForbidden
	case fault.NoCapacity, fault.Transient:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// documentProblems says in the OpenAPI document what failures look like.
func documentProblems(api *huma.OpenAPI, operation *huma.Operation) {
	if operation.Responses == nil {
		return
	}
	operation.Responses["default"] = &huma.Response{
		Description: "A problem (RFC 9457)",
		Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: api.Components.Schemas.Schema(problemType, true, "Problem")},
		},
	}
}
