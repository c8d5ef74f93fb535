package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

func busyMillis() string { return strconv.FormatInt(busyTimeout.Milliseconds(), 10) }

// classify gives a failure its kind. Nil stays nil.
func classify(err error, doing string) error {
	if err == nil {
		return nil
	}
	var kind fault.Kind
	var cause *sqlite.Error
	switch {
	case errors.As(err, &cause):
		kind = kindOf(cause.Code())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		kind = fault.Transient
	default:
		kind = fault.KindOf(err)
	}
	return fault.Wrap(kind, err, "store: "+doing)
}

// kindOf maps SQLite's result codes (sqlite.org/rescode.html). What stops a
// write, a full disk or a file size limit, passes when someone makes room.
func kindOf(code int) fault.Kind {
	switch code {
	case lib.SQLITE_IOERR_WRITE, lib.SQLITE_IOERR_FSYNC, lib.SQLITE_IOERR_TRUNCATE, lib.SQLITE_IOERR_SHMSIZE:
		return fault.Transient
	case lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fault.NotFound
	}
	switch code & 0xff { // the primary code of an extended one
	case lib.SQLITE_FULL, lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return fault.Transient
	case lib.SQLITE_CONSTRAINT:
		return fault.Conflict
	case lib.SQLITE_NOTADB:
		return fault.Invalid
	}
	return fault.Internal
}

// instant stores a time as unix nanoseconds UTC, and the zero time as NULL.
type instant time.Time

// Value refuses times outside the years that nanoseconds can hold, 1678 to 2261.
func (i instant) Value() (driver.Value, error) {
	t := time.Time(i)
	if t.IsZero() {
		return nil, nil
	}
	nanos := t.UnixNano()
	if !time.Unix(0, nanos).Equal(t) {
		return nil, fault.Newf(fault.Invalid, "time %s cannot be stored", t)
	}
	return nanos, nil
}

// Scan reads what Value wrote.
func (i *instant) Scan(source any) error {
	switch v := source.(type) {
	case nil:
		*i = instant{}
	case int64:
		*i = instant(time.Unix(0, v).UTC())
	default:
		return fmt.Errorf("found %T for a time", source)
	}
	return nil
}

// real stores a float, and NaN as NULL, which is what SQLite makes of it.
type real float64

// Value leaves NaN to NULL.
func (r real) Value() (driver.Value, error) {
	if math.IsNaN(float64(r)) {
		return nil, nil
	}
	return float64(r), nil
}

// Scan reads what Value wrote.
func (r *real) Scan(source any) error {
	switch v := source.(type) {
	case nil:
		*r = real(math.NaN())
	case float64:
		*r = real(v)
	case int64: // SQLite may keep a whole number so
		*r = real(v)
	default:
		return fmt.Errorf("found %T for a number", source)
	}
	return nil
}

// exactRate stores a rate's number as exact decimal text; its currency has a
// column of its own.
type exactRate units.Rate

// Value refuses a rate that could not be read back exactly.
func (r exactRate) Value() (driver.Value, error) {
	rate := units.Rate(r)
	text := rate.Decimal()
	if _, err := units.ParseRate(text, rate.Currency); err != nil {
		return nil, err
	}
	return text, nil
}
