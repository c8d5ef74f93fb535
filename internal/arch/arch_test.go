package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// source is one Go file of the tree that is not a test.
type source struct {
	dir  string // package folder relative to the root, with slashes
	path string
	file *ast.File
	fset *token.FileSet
}

func sources(t *testing.T) []source {
	t.Helper()
	var found []source
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
			return filepath.SkipDir
		}
		if entry.IsDir() && path != root {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
				return filepath.SkipDir // a module of its own
			}
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		found = append(found, source{filepath.ToSlash(dir), path, file, fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 {
		t.Fatalf("found only %d source files", len(found))
	}
	return found
}

func (s source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, path)
	}
	return paths
}

// program reports whether a folder holds a main package beside the product:
// an example or a generator, which the product never imports.
func program(dir string) bool { return strings.HasPrefix(dir, "examples/") }

func TestImportsFollowTheLayers(t *testing.T) {
	tab := readTable(t)
	for _, s := range sources(t) {
		for _, path := range s.imports() {
			to, own := strings.CutPrefix(path, module)
			if !own || to == s.dir {
				continue
			}
			if program(s.dir) {
				if !strings.HasPrefix(to, "examples/") {
					t.Errorf("%s: an example imports %s of the product", s.path, to)
				}
				continue
			}
			if problem := tab.judge(s.dir, to); problem != "" {
				t.Errorf("%s: %s", s.path, problem)
			}
		}
	}
}

// TestEdgesAreUsed keeps the table true: an edge that no import needs any more
// would allow a new one without a reason.
func TestEdgesAreUsed(t *testing.T) {
	used := map[[2]string]bool{}
	for _, s := range sources(t) {
		for _, path := range s.imports() {
			if to, own := strings.CutPrefix(path, module); own {
				used[[2]string{s.dir, to}] = true
			}
		}
	}
	for edge := range readTable(t).edges {
		if !used[edge] {
			t.Errorf("layers.txt: no file of %s imports %s", edge[0], edge[1])
		}
	}
}

// pure are the layers that may not touch the world: L0 (but clock) to L2.
func pure(tab table, s source) bool {
	rank := tab.lookup(s.dir)
	return rank >= 1 && rank <= 3 && s.dir != "internal/clock" && s.file.Name.Name != "main"
}

func TestDecidingCodeIsPure(t *testing.T) {
	tab := readTable(t)
	forbidden := []string{"os", "os/exec", "net", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "database/sql", "syscall"}
	for _, s := range sources(t) {
		if !pure(tab, s) {
			continue
		}
		for _, path := range s.imports() {
			if slices.Contains(forbidden, path) {
				t.Errorf("%s imports %s: deciding code does no I/O and draws no random numbers", s.path, path)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: deciding code starts a goroutine", s.fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After"}, n.Sel.Name) {
					t.Errorf("%s: deciding code reads the clock (time.%s)", s.fset.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestNoInitFunctions(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init functions hide order; construct in main", s.fset.Position(f.Pos()))
			}
		}
	}
}

func TestEveryPackageSaysWhatItOwnsAndRefuses(t *testing.T) {
	comments := map[string]string{}
	for _, s := range sources(t) {
		if s.file.Name.Name == "main" {
			continue
		}
		comments[s.dir] += ""
		if s.file.Doc != nil {
			comments[s.dir] += s.file.Doc.Text()
		}
	}
	for dir, text := range comments {
		if program(dir) {
			continue
		}
		if !strings.Contains(text, " owns ") && !strings.Contains(text, " own ") || !strings.Contains(text, "refuse") {
			t.Errorf("%s: the package comment does not say what it owns and what it refuses", dir)
		}
	}
}

func TestLongFunctionsAndFiles(t *testing.T) {
	const longestFile, longestFunction = 600, 80
	for _, s := range sources(t) {
		lines := s.fset.Position(s.file.End()).Line
		if lines > longestFile {
			t.Errorf("%s has %d lines; split it (at most %d)", s.path, lines, longestFile)
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			length := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line
			excused := f.Doc != nil && strings.Contains(f.Doc.Text(), "Long because")
			if length > longestFunction && !excused {
				t.Errorf("%s: %s has %d lines; split it, or say \"Long because\" in its comment", s.fset.Position(f.Pos()), f.Name.Name, length)
			}
		}
	}
}
