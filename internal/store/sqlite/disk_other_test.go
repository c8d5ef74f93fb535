//go:build !unix

package sqlite

import "errors"

func writeToTheLimit(string) error { return errors.New("this system has no file size limit") }
