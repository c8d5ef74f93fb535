package catalog

// Load returns the embedded catalog.
func Load() (*Catalog, error) {
	c := *embedded()
	return &c, nil
}
