package sqlite

import (
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// PutSite inserts or replaces a site by name.
func (t *tx) PutSite(site fleet.Site) error {
	_, err := t.exec(`INSERT INTO sites (name, engine, spec, spec_file, draining, added) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (name) DO UPDATE SET engine = ?2, spec = ?3, spec_file = ?4, draining = ?5, added = ?6`,
		site.Name, site.Engine, site.Spec, site.SpecFile, site.Draining, instant(site.Added))
	return classify(err, "put site "+site.Name)
}

// Sites lists the sites by name.
func (t *tx) Sites() ([]fleet.Site, error) {
	sites, err := all(t, func(row scanner) (s fleet.Site, err error) {
		err = row.Scan(&s.Name, &s.Engine, &s.Spec, &s.SpecFile, &s.Draining, (*instant)(&s.Added))
		return s, err
	}, `SELECT name, engine, spec, spec_file, draining, added FROM sites ORDER BY name`)
	return sites, classify(err, "list sites")
}

// DeleteSite removes a site.
func (t *tx) DeleteSite(name string) error {
	result, err := t.exec(`DELETE FROM sites WHERE name = ?1`, name)
	if err != nil {
		return classify(err, "delete site "+name)
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return classify(err, "delete site "+name)
	}
	return fault.Newf(fault.NotFound, "no site %q", name)
}
