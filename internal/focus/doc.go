// Package focus owns the files in which usage and charges cross the border:
// our usage CSV, and cost and usage in FOCUS, the FinOps Open Cost and Usage
// Specification.
//
// It refuses to bill (billing) and to keep records (ledger): it reads rows,
// says what is wrong with which, and writes rows.
package focus
