package v1

import (
	"net/http"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// FileFault is one thing wrong in a file, at a position counted from 1.
type FileFault struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

// Problem is a failure (RFC 9457), with the kind that callers may branch on.
type Problem struct {
	Title  string      `json:"title"`
	Status int         `json:"status"`
	Detail string      `json:"detail"`
	Kind   string      `json:"kind" doc:"invalid, not found, conflict, no capacity, quota, transient, lost or internal"`
	Faults []FileFault `json:"faults,omitempty" doc:"everything wrong in the submitted file"`
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// FaultKind classifies the problem, by its status where it does not say.
func (p *Problem) FaultKind() fault.Kind {
	if p.Kind != "" {
		return fault.Kind(p.Kind)
	}
	switch {
	case p.Status == http.StatusNotFound:
		return fault.NotFound
	case p.Status == http.StatusConflict:
		return fault.Conflict
	case p.Status == http.StatusServiceUnavailable:
		return fault.Transient
	case p.Status >= 400 && p.Status < 500:
		return fault.Invalid
	}
	return fault.Internal
}

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is the media type of a problem.
func (p *Problem) ContentType(string) string { return "application/problem+json" }
