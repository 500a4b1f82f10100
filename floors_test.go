package haechi_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

const module = "github.com/haechi-dev/haechi"

// The floors, the ground first. A package imports only what lies below its own floor.
var floors = []string{"word", "lang", "base", "tool", "river", "keeper", "room", "door", "app", "cmd"}

// Within a floor a child imports its parent, and otherwise only these pairs, each for its reason.
var neighbours = map[string]string{
	"door/wire/ecr → door/wire/inspector2": "what was found in an image has Inspector's shape in both",
	"door/console → door/reports":          "what comes of a report is told in one way, however it came",
	"base/blob → base/outbound":            "a bucket's address is one that a user chose",
	"base/blob → base/remote":              "a file of keys is read as the aws command's, in one way",
	"base/blob → base/sigv4":               "calls of S3 are signed",
	"base/git → base/seal":                 "the password that a remote asks for tells itself to no log",
	"base/remote → base/seal":              "the secret that calls are signed with tells itself to no log",
	"base/remote → base/sigv4":             "what calls a server signs as AWS's clients do",
	"lang/buildspec → lang/glob":           "what a build leaves is named by patterns",
	"lang/buildspec → lang/strict":         "a buildspec is YAML that people write",
	"lang/structure → lang/schedule":       "a pipeline may begin at a time, and stand before a window",
	"lang/structure → lang/strict":         "a pipeline's file is YAML that people write",
	"tool/build → tool/report":             "a buildspec names the formats of reports that are read here",
	"tool/build → tool/sandbox":            "a build runs within the walls",
	"tool/build → tool/testreport":         "what tests say is part of what became of a build",
	"tool/rootfs → tool/scan/image":        "an image is unpacked by who reads images",
	"tool/scan/deps → tool/sbom":           "a bill of materials that lies in a tree lists components as a lock file does",
	"tool/scan/history → tool/scan/secret": "what commits hold is looked at by the engine that looks at files",
	"tool/scan/live → tool/scan/secret":    "who is asked follows from the rule that found it",
	"word/asset → word/diag":               "an item of a template says where it stands in a file",
	"word/component → word/diag":           "a component says which line brings it in",
	"word/finding → word/diag":             "a scan says which places it could not read",
}

// source is a Go package of ours: its path below the module, its files, its imports.
type source struct {
	path    string
	imports []string
	files   []*ast.File
	tests   bool // only for tests: its name ends in test
}

// sources are all packages of the module, tests left out.
func sources(t *testing.T) (all []source) {
	t.Helper()
	of := map[string]*source{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); file != "." && (name == "testdata" || name == "bench" || strings.HasPrefix(name, ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(file))
		s := of[dir]
		if s == nil {
			s = &source{path: dir, tests: strings.HasSuffix(dir, "test")}
			of[dir] = s
		}
		s.files = append(s.files, parsed)
		for _, i := range parsed.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if !slices.Contains(s.imports, name) {
				s.imports = append(s.imports, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range of {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b source) int { return strings.Compare(a.path, b.path) })
	return all
}

func floor(pkg string) int {
	first, _, _ := strings.Cut(pkg, "/")
	return slices.Index(floors, first)
}

// Calls only go down; rooms do not know their neighbours.
func TestFloors(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		if floor(s.path) < 0 && s.path != "rules" && !strings.HasPrefix(s.path, "rules/") {
			t.Errorf("%s lies on no floor (%s)", s.path, strings.Join(floors, ", "))
			continue
		}
		for _, i := range s.imports {
			other, ours := strings.CutPrefix(i, module+"/")
			if !ours || strings.HasPrefix(other, "rules") { // rules are data
				continue
			}
			pair := s.path + " → " + other
			switch from, to := floor(s.path), floor(other); {
			case s.tests && to <= from, from > to:
			case from < to:
				t.Errorf("%s calls upwards", pair)
			case strings.HasPrefix(s.path, other+"/"): // a child may know its parent
			case from == floor("cmd") || from == floor("app"):
			case neighbours[pair] != "":
				used[pair] = true
			default:
				t.Errorf("%s: neighbours do not know each other (or list the pair, with its reason)", pair)
			}
		}
	}
	for pair := range neighbours {
		if !used[pair] {
			t.Errorf("%s is listed, and is not so", pair)
		}
	}
}

// Nothing happens before main.
func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, f := range s.files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s has an init", s.path)
				}
			}
		}
	}
}

// A package's name says what it is about.
func TestNames(t *testing.T) {
	for _, s := range sources(t) {
		if slices.Contains([]string{"util", "utils", "common", "base", "types", "models", "helpers", "manager", "impl", "misc"}, path.Base(s.path)) {
			t.Errorf("%s is a name that says nothing", s.path)
		}
	}
}

// cgo is for parsing code with tree-sitter, and for nothing else.
func TestNoCgo(t *testing.T) {
	for _, s := range sources(t) {
		if slices.Contains(s.imports, "C") && !strings.HasPrefix(s.path, "tool/scan/code") {
			t.Errorf("%s uses cgo", s.path)
		}
	}
}

// Every module we require ourselves has its reason written down.
func TestRequirementsHaveReasons(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	decisions, err := os.ReadFile("DECISIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Require {
		if !r.Indirect && !strings.Contains(string(decisions), "`"+r.Mod.Path+"`") {
			t.Errorf("DECISIONS.md does not say why we require %s", r.Mod.Path)
		}
	}
}
