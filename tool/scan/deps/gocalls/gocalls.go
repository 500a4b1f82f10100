// Package gocalls asks Go's call graph which functions with a known bug a module really calls.
package gocalls

import (
	"context"
	"fmt"
	"go/types"
	"os"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
	"golang.org/x/tools/go/callgraph"
	"golang.org/x/tools/go/callgraph/rta"
	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/ssa"
	"golang.org/x/tools/go/ssa/ssautil"
)

// Symbols are functions with a bug, by the path of their package: Name, or
// Type.Name for a method. An empty list is all of the package.
type Symbols map[string][]string

// Called loads the module in a folder with the go command, which compiles and
// downloads nothing, and answers for each function of symbols that can be reached
// from its programs — or, where there is none, from what it exports — one way to
// it: main.main > pkg.Parse. Keys are "path Name".
func Called(ctx context.Context, dir string, symbols Symbols) (map[string]string, error) {
	loaded, err := packages.Load(&packages.Config{
		Context: ctx, Dir: dir, Mode: packages.LoadAllSyntax,
		Env: append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=readonly", "GOTOOLCHAIN=local"),
	}, "./...")
	if err != nil {
		return nil, fmt.Errorf("loading the module: %w", err)
	}
	if len(loaded) == 0 {
		return nil, fault.NotFound.Errorf("there are no packages of Go")
	}
	var first error
	packages.Visit(loaded, nil, func(p *packages.Package) {
		if len(p.Errors) > 0 && first == nil {
			first = fault.Invalid.Errorf("package %s does not compile here: %v", p.PkgPath, p.Errors[0])
		}
	})
	if first != nil {
		return nil, first
	}
	program, all := ssautil.AllPackages(loaded, ssa.InstantiateGenerics)
	program.Build()
	roots := rootsOf(program, all)
	if len(roots) == 0 {
		return nil, nil
	}
	return ways(rta.Analyze(roots, true).CallGraph, roots, symbols), nil
}

// rootsOf are where a module is entered.
func rootsOf(program *ssa.Program, all []*ssa.Package) []*ssa.Function {
	var roots []*ssa.Function
	for _, main := range ssautil.MainPackages(all) {
		roots = append(roots, main.Func("main"), main.Func("init"))
	}
	if len(roots) > 0 {
		return roots
	}
	for _, p := range all {
		if p == nil {
			continue
		}
		roots = append(roots, p.Func("init"))
		for _, name := range p.Pkg.Scope().Names() {
			object := p.Pkg.Scope().Lookup(name)
			if !object.Exported() {
				continue
			}
			switch m := p.Members[name].(type) {
			case *ssa.Function:
				if m.TypeParams().Len() == 0 {
					roots = append(roots, m)
				}
			case *ssa.Type:
				roots = append(roots, methods(program, m)...)
			}
		}
	}
	return slices.DeleteFunc(roots, func(f *ssa.Function) bool { return f == nil })
}

func methods(program *ssa.Program, t *ssa.Type) []*ssa.Function {
	named, ok := t.Type().(*types.Named)
	if !ok || named.TypeParams().Len() > 0 || types.IsInterface(named) {
		return nil
	}
	var all []*ssa.Function
	set := program.MethodSets.MethodSet(types.NewPointer(named))
	for i := range set.Len() {
		if f := program.MethodValue(set.At(i)); f != nil && set.At(i).Obj().Exported() {
			all = append(all, f)
		}
	}
	return all
}

// ways walks the graph breadth first: the first way to a function is the shortest.
func ways(graph *callgraph.Graph, roots []*ssa.Function, symbols Symbols) map[string]string {
	const longest = 12
	from := map[*callgraph.Node]*callgraph.Node{}
	seen := map[*callgraph.Node]bool{}
	var queue []*callgraph.Node
	for _, f := range roots {
		if n := graph.Nodes[f]; n != nil && !seen[n] {
			seen[n] = true
			queue = append(queue, n)
		}
	}
	found := map[string]string{}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		if key, ok := wanted(n.Func, symbols); ok && found[key] == "" {
			var names []string
			for at := n; at != nil && len(names) < longest; at = from[at] {
				names = append(names, at.Func.String())
			}
			slices.Reverse(names)
			found[key] = strings.Join(names, " > ")
		}
		next := slices.Clone(n.Out)
		slices.SortStableFunc(next, func(a, b *callgraph.Edge) int { return strings.Compare(a.Callee.Func.String(), b.Callee.Func.String()) })
		for _, e := range next {
			if !seen[e.Callee] {
				seen[e.Callee] = true
				from[e.Callee] = n
				queue = append(queue, e.Callee)
			}
		}
	}
	return found
}

// wanted tells whether a function is one of symbols.
func wanted(f *ssa.Function, symbols Symbols) (key string, ok bool) {
	if f == nil {
		return "", false
	}
	if origin := f.Origin(); origin != nil {
		f = origin
	}
	if f.Pkg == nil {
		return "", false
	}
	path := f.Pkg.Pkg.Path()
	names, ok := symbols[path]
	if !ok {
		return "", false
	}
	name := f.Name()
	if receiver := f.Signature.Recv(); receiver != nil {
		t := receiver.Type()
		if p, ok := t.(*types.Pointer); ok {
			t = p.Elem()
		}
		if named, ok := t.(*types.Named); ok {
			name = named.Obj().Name() + "." + name
		}
	}
	if len(names) == 0 {
		return path + " *", name != "init"
	}
	return path + " " + name, slices.Contains(names, name)
}
