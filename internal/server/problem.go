package server

import (
	"errors"
	"net/http"
	"reflect"

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
