package sqlite

import (
	"errors"

	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/units"
)

const (
	entryColumns = `key, category, reverses, run, attempt, project, pool, provider, chipmaker, chip, span_from, span_to,
		nodes, chips, rate, rate_currency, imputed, cost_micros, cost_currency, booked, note, region, instance_type,
		purchase_option, contract, clause, clause_kind, charge, quantity, list_micros, effective_micros`

	appendEntry = `INSERT INTO entries (` + entryColumns + `)
		VALUES (?1, ?2, nullif(?3, 0), ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
		?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31)
		ON CONFLICT (key) DO NOTHING`

	// One page of entries after ID ?1 up to ?2; ?3 is how many.
	selectEntries = `SELECT id, ` + entryColumns + ` FROM entries WHERE id > ?1 AND id <= ?2
		AND (?4 IS NULL OR span_from >= ?4) AND (?5 IS NULL OR span_from < ?5) `
	pageEntries  = ` ORDER BY id LIMIT ?3`
	entriesAtAll = selectEntries + pageEntries
	entriesOfRun = selectEntries + `AND run = ?6` + pageEntries
	entriesOf    = selectEntries + `AND project = ?6` + pageEntries
	entriesOfTwo = selectEntries + `AND run = ?6 AND project = ?7` + pageEntries
	// A span with both ends is found through its index: few hours of many years.
	entriesWithin = `SELECT id, ` + entryColumns + ` FROM entries INDEXED BY entries_span
		WHERE id > ?1 AND id <= ?2 AND span_from >= ?4 AND span_from < ?5` + pageEntries
)

// page is how many entries are read at once: enough that the cost of a query
// does not count, few enough that memory stays small.
const page = 512

// AppendEntry appends to the ledger, unless the entry's key is there already.
func (t *tx) AppendEntry(e ledger.Entry) (bool, error) {
	result, err := t.exec(appendEntry, e.Key, string(e.Category), e.Reverses, e.Run, e.Attempt, e.Project, e.Pool,
		e.Provider, e.Chipmaker, e.Chip, instant(e.From), instant(e.To), e.Nodes, e.Chips, exactRate(e.Rate),
		string(e.Rate.Currency), e.Imputed, e.Cost.Micros, string(e.Cost.Currency), instant(e.Booked), e.Note,
		e.Region, e.InstanceType, e.Option, e.Contract, e.Clause, e.ClauseKind, e.Charge, e.Quantity, e.List, e.Effective)
	if err != nil {
		return false, classify(err, "append ledger entry "+e.Key)
	}
	added, err := result.RowsAffected()
	return added > 0, classify(err, "append ledger entry "+e.Key)
}

// Entries calls fn for each entry in order of ID. Memory does not grow with
// their number, and fn may use the transaction; what it appends is not visited.
func (t *tx) Entries(filter store.EntryFilter, fn func(ledger.Entry) error) error {
	last, err := one(t, scanNumber, `SELECT coalesce(max(id), 0) FROM entries`)
	if err != nil {
		return classify(err, "read the ledger")
	}
	text, args := entryQuery(filter)
	for after := filter.After; ; {
		args[0], args[1] = after, last
		entries, err := all(t, scanEntry, text, args...)
		if err != nil {
			return classify(err, "read the ledger")
		}
		for _, e := range entries {
			if err := fn(e); err != nil {
				return err
			}
			after = e.ID
		}
		if len(entries) < page {
			return nil
		}
	}
}

// entryQuery returns the text for a filter and its arguments; the first two,
// the bounds of ID, are the caller's to set.
func entryQuery(filter store.EntryFilter) (string, []any) {
	args := []any{int64(0), int64(0), page, instant(filter.From), instant(filter.To)}
	switch {
	case filter.Run != "" && filter.Project != "":
		return entriesOfTwo, append(args, filter.Run, filter.Project)
	case filter.Run != "":
		return entriesOfRun, append(args, filter.Run)
	case filter.Project != "":
		return entriesOf, append(args, filter.Project)
	case !filter.From.IsZero() && !filter.To.IsZero():
		return entriesWithin, args
	}
	return entriesAtAll, args
}

func scanNumber(row scanner) (n int64, err error) {
	err = row.Scan(&n)
	return n, err
}

func scanEntry(row scanner) (ledger.Entry, error) {
	var e ledger.Entry
	var reverses *int64
	var rate string
	var currency units.Currency
	err := row.Scan(&e.ID, &e.Key, &e.Category, &reverses, &e.Run, &e.Attempt, &e.Project, &e.Pool, &e.Provider,
		&e.Chipmaker, &e.Chip, (*instant)(&e.From), (*instant)(&e.To), &e.Nodes, &e.Chips, &rate, &currency, &e.Imputed,
		&e.Cost.Micros, &e.Cost.Currency, (*instant)(&e.Booked), &e.Note, &e.Region, &e.InstanceType, &e.Option,
		&e.Contract, &e.Clause, &e.ClauseKind, &e.Charge, &e.Quantity, &e.List, &e.Effective)
	if err != nil {
		return e, err
	}
	if reverses != nil {
		e.Reverses = *reverses
	}
	e.Rate, err = units.ParseRate(rate, currency)
	return e, err
}

// PutQuota sets or, with a negative limit, removes a project's quota.
func (t *tx) PutQuota(project string, chips int) error {
	text, args := `DELETE FROM quotas WHERE project = ?1`, []any{project}
	if chips >= 0 {
		text = `INSERT INTO quotas (project, chips) VALUES (?1, ?2) ON CONFLICT (project) DO UPDATE SET chips = ?2`
		args = append(args, chips)
	}
	_, err := t.exec(text, args...)
	return classify(err, "put the quota of project "+project)
}

// Quotas returns the limits by project.
func (t *tx) Quotas() (map[string]int, error) {
	type quota struct {
		project string
		chips   int
	}
	quotas, err := all(t, func(row scanner) (q quota, err error) {
		err = row.Scan(&q.project, &q.chips)
		return q, err
	}, `SELECT project, chips FROM quotas`)
	limits := make(map[string]int, len(quotas))
	for _, q := range quotas {
		limits[q.project] = q.chips
	}
	return limits, classify(err, "list quotas")
}

// Setting returns a setting, "" where it is unset.
func (t *tx) Setting(name string) (string, error) {
	value, err := one(t, func(row scanner) (v string, err error) {
		err = row.Scan(&v)
		return v, err
	}, `SELECT value FROM settings WHERE name = ?1`, name)
	if errors.Is(err, errAbsent) {
		return "", nil
	}
	return value, classify(err, "read setting "+name)
}

// PutSetting sets a setting.
func (t *tx) PutSetting(name, value string) error {
	_, err := t.exec(`INSERT INTO settings (name, value) VALUES (?1, ?2)
		ON CONFLICT (name) DO UPDATE SET value = ?2`, name, value)
	return classify(err, "put setting "+name)
}

// PutBlob sets or, with nil, removes what is kept under a name.
func (t *tx) PutBlob(name string, data []byte) error {
	text, args := `DELETE FROM blobs WHERE name = ?1`, []any{name}
	if data != nil {
		text = `INSERT INTO blobs (name, data) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET data = ?2`
		args = append(args, data)
	}
	_, err := t.exec(text, args...)
	return classify(err, "keep "+name)
}

// Blob returns what is kept under a name, nil where nothing is.
func (t *tx) Blob(name string) ([]byte, error) {
	data, err := one(t, func(row scanner) (v []byte, err error) {
		err = row.Scan(&v)
		return v, err
	}, `SELECT data FROM blobs WHERE name = ?1`, name)
	if errors.Is(err, errAbsent) {
		return nil, nil
	}
	return data, classify(err, "read "+name)
}
