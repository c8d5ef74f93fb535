// Command fetch brings HiGHS as WebAssembly from the npm package that
// package-lock.json pins, and notes its minified names, for embedding.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// wantSum is the SHA-256 of highs.wasm in highs@1.15.3: what was reviewed and
// tested. A new version of the package needs a new sum here.
const wantSum = "528be4365bea1d4188988646b244263f50320df55782e14d6af5bce7cd45c840"

func main() {
	if err := fetch(); err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
}

func fetch() error {
	npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
	npm.Stdout, npm.Stderr = os.Stderr, os.Stderr
	if err := npm.Run(); err != nil {
		return fmt.Errorf("npm ci: %w", err)
	}
	build := filepath.Join("node_modules", "highs", "build")
	wasm, err := os.ReadFile(filepath.Join(build, "highs.wasm"))
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(wasm); hex.EncodeToString(sum[:]) != wantSum {
		return fmt.Errorf("highs.wasm has the sum %x, not %s", sum, wantSum)
	}
	script, err := os.ReadFile(filepath.Join(build, "highs.js"))
	if err != nil {
		return err
	}
	names, err := json.MarshalIndent(abi(script), "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join("embedded", "abi.json"), names, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join("embedded", "highs.wasm"), wasm, 0o644)
}

// abi reads the names that the minifier gave to imports and exports.
func abi(script []byte) map[string]map[string]string {
	names := map[string]map[string]string{"imports": {}, "exports": {}}
	table := regexp.MustCompile(`wasmImports=\{([^}]*)\}`).FindSubmatch(script)
	if table != nil {
		for _, m := range regexp.MustCompile(`(\w+):(\w+)`).FindAllSubmatch(table[1], -1) {
			names["imports"][string(m[2])] = string(m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(\w+)=(?:Module\["\w+"\]|wasmMemory)=wasmExports\["([^"]+)"\]`).FindAllSubmatch(script, -1) {
		names["exports"][string(m[1])] = string(m[2])
	}
	if m := regexp.MustCompile(`function initRuntime\(\)\{[^}]*wasmExports\["([^"]+)"\]\(\)`).FindSubmatch(script); m != nil {
		names["exports"]["constructors"] = string(m[1])
	}
	return names
}
