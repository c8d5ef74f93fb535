//go:build !unix

package highs

import "github.com/tetratelabs/wazero/experimental"

func mapped(uint64) (experimental.LinearMemory, bool) { return nil, false }
