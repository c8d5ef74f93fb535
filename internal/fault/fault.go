// Package fault owns the kinds of failure that callers may branch on.
//
// It refuses to format for people beyond one sentence, to log, and to retry:
// it only says what kind of thing went wrong.
package fault

import (
	"errors"
	"fmt"
)

// Kind classifies a failure. Callers branch on it, never on an error's text.
type Kind string

// The kinds of failure.
const (
	Invalid    Kind = "invalid"     // the caller's input is wrong; repeating it cannot help
	NotFound   Kind = "not found"   // the named object does not exist
	Conflict   Kind = "conflict"    // the object is in a state that forbids this, or another holds it
	NoCapacity Kind = "no capacity" // the place has no room now
	Quota      Kind = "quota"       // a limit set by an operator forbids it
	Transient  Kind = "transient"   // likely to work when tried again
	Lost       Kind = "lost"        // the other side no longer knows the object
	Internal   Kind = "internal"    // a broken invariant or an unclassified failure
)

// Error is a failure with a kind and, where it wraps one, a cause.
type Error struct {
	Kind    Kind
	Message string
	Cause   error
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New returns a failure of the kind.
func New(kind Kind, message string) error { return &Error{Kind: kind, Message: message} }

// Newf is New with a format. It does not wrap: use Wrap to keep a cause.
func Newf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns a failure of the kind caused by err, or nil for a nil err.
func Wrap(kind Kind, err error, message string) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Message: message, Cause: err}
}

// KindOf returns the kind of the outermost classified error in the chain,
// Internal for an unclassified error, and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var k interface{ FaultKind() Kind }
	if errors.As(err, &k) {
		return k.FaultKind()
	}
	return Internal
}

// Is reports whether err is a failure of the kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }
