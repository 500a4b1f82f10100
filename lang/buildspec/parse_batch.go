package buildspec

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/haechi-dev/haechi/word/diag"
)

func (c *checker) batch(s *Spec, f *fileBatch) *Batch {
	b := &Batch{FastFail: bool(f.FastFail)}
	kinds := []string{}
	take := func(kind string, there bool, builds func() []Build) {
		if there {
			kinds = append(kinds, kind)
			b.Kind, b.Builds = kind, builds()
		}
	}
	take("build-graph", f.Graph != nil, func() []Build { return c.builds(s, "build-graph", f.Graph) })
	take("build-list", f.List != nil, func() []Build { return c.builds(s, "build-list", f.List) })
	take("build-matrix", f.Matrix != nil, func() []Build { return c.matrix(s, f.Matrix) })
	take("build-fanout", f.Fanout != nil, func() []Build { return c.fanout(f.Fanout) })
	const example = "write one of build-graph, build-list, build-matrix and build-fanout"
	switch {
	case len(kinds) == 0:
		c.fail(c.key("batch"), example, "the batch has no builds")
	case len(kinds) > 1:
		c.fail(c.key("batch", kinds[1]), example, "the batch is a %s already", kinds[0])
	case len(b.Builds) == 0:
		c.fail(c.key("batch", b.Kind), "", "the batch has no builds")
	case len(b.Builds) > MostBuilds:
		c.fail(c.key("batch", b.Kind), "write fewer", "the batch has more than %d builds", MostBuilds)
	}
	c.order(b)
	return b
}

// item is where the i-th build of a list or graph stands.
func (c *checker) item(kind string, i int, key string) *yaml.Node {
	list := c.at("batch", kind)
	for list.Kind == yaml.AliasNode {
		list = list.Alias
	}
	if list.Kind != yaml.SequenceNode || i >= len(list.Content) {
		return list
	}
	return at(list.Content[i], key)
}

func (c *checker) builds(s *Spec, kind string, list []fileBuild) (all []Build) {
	for i, f := range list {
		b := Build{Identifier: f.Identifier, DependOn: f.DependOn, IgnoreFailure: bool(f.Ignore), Debug: bool(f.Debug)}
		b.Buildspec = c.path(f.Buildspec, c.item(kind, i, "buildspec"))
		switch {
		case f.Identifier == "" && kind == "build-list":
			b.Identifier = "build" + strconv.Itoa(i+1)
		case f.Identifier == "":
			c.fail(c.item(kind, i, "identifier"), "add identifier", "a build of the graph has no identifier")
		case !buildName().MatchString(f.Identifier):
			c.fail(c.item(kind, i, "identifier"), "letters, digits, _ and -, 128 at most", "%q cannot be an identifier", f.Identifier)
		}
		if len(f.DependOn) > 0 && kind == "build-list" {
			c.fail(c.item(kind, i, "depend-on"), "write build-graph instead of build-list", "builds of a list do not depend on each other")
		}
		e := f.Env
		if e.Compute != "" && e.Fleet != "" {
			c.fail(c.item(kind, i, "env"), "leave one of them out", "a build has a compute-type or a fleet, not both")
		}
		for _, name := range slices.Sorted(maps.Keys(e.Variables)) {
			c.loose(name, c.item(kind, i, "env"))
		}
		c.privileged(s, e.Privileged)
		b.Env = Environment{Compute: e.Compute, Fleet: e.Fleet, Image: e.Image, Type: e.Type, Privileged: bool(e.Privileged), Variables: e.Variables}
		all = append(all, b)
	}
	return all
}

func (c *checker) loose(name string, at *yaml.Node) {
	if !variableName().MatchString(name) || strings.HasPrefix(name, "CODEBUILD_") {
		c.fail(at, "letters, digits and _, no digit first, and not CODEBUILD_", "%q cannot be a variable of a build", name)
	}
}

func (c *checker) privileged(s *Spec, y yesNo) {
	const text = "privileged-mode is passed over: no build has more rights than another"
	if bool(y) && !slices.Contains(s.Warnings, text) {
		s.Warnings = append(s.Warnings, text)
	}
}

func (c *checker) path(file string, at *yaml.Node) string {
	if strings.HasPrefix(file, "/") || slices.Contains(strings.Split(file, "/"), "..") || strings.ContainsAny(file, "\x00*") {
		c.fail(at, "write the path of a file of the repository", "buildspec %q is no file of the repository", file)
	}
	return clean(file)
}

// matrix is the product of all that is dynamic.
func (c *checker) matrix(s *Spec, f *fileMatrix) []Build {
	c.privileged(s, f.Static.Env.Privileged)
	all := []Build{{
		IgnoreFailure: bool(f.Static.Ignore),
		Env:           Environment{Type: f.Static.Env.Type, Privileged: bool(f.Static.Env.Privileged)},
	}}
	times := func(values []string, set func(b *Build, value string)) {
		var more []Build
		for _, b := range all {
			for _, v := range values {
				next := b
				next.Env.Variables = maps.Clone(b.Env.Variables)
				set(&next, v)
				more = append(more, next)
			}
			if len(more) > MostBuilds { // said where all is counted
				break
			}
		}
		if len(values) > 0 {
			all = more
		}
	}
	d := f.Dynamic
	times(d.Buildspec, func(b *Build, v string) {
		b.Buildspec = c.path(v, c.at("batch", "build-matrix", "dynamic", "buildspec"))
	})
	times(d.Env.Compute, func(b *Build, v string) { b.Env.Compute = v })
	times(d.Env.Image, func(b *Build, v string) { b.Env.Image = v })
	for _, name := range slices.Sorted(maps.Keys(d.Env.Variables)) {
		at := c.key("batch", "build-matrix", "dynamic", "env", "variables", name)
		c.loose(name, at)
		if len(d.Env.Variables[name]) == 0 {
			c.fail(at, "", "variable %s has no values", name)
		}
		times(d.Env.Variables[name], func(b *Build, v string) {
			if b.Env.Variables == nil {
				b.Env.Variables = map[string]string{}
			}
			b.Env.Variables[name] = v
		})
	}
	for i := range all {
		all[i].Identifier = "build" + strconv.Itoa(i+1)
	}
	return all
}

func (c *checker) fanout(f *fileFanout) (all []Build) {
	if f.Parallelism < 1 || f.Parallelism > MostBuilds {
		c.fail(c.at("batch", "build-fanout", "parallelism"), "", "parallelism is %d, and not from 1 to %d", f.Parallelism, MostBuilds)
		return []Build{{}}
	}
	for i := range f.Parallelism {
		all = append(all, Build{Identifier: "build" + strconv.Itoa(i+1), IgnoreFailure: bool(f.Ignore), Shard: i, Shards: f.Parallelism})
	}
	return all
}

// order checks that each build is one of its own, and that none waits for itself.
func (c *checker) order(b *Batch) {
	if c.err != nil {
		return
	}
	index := map[string]int{}
	var names []string
	for i, x := range b.Builds {
		if _, ok := index[x.Identifier]; ok {
			c.fail(c.item(b.Kind, i, "identifier"), "give each its own", "two builds are called %s", x.Identifier)
		}
		index[x.Identifier] = i
		names = append(names, x.Identifier)
	}
	for i, x := range b.Builds {
		for _, d := range x.DependOn {
			if _, ok := index[d]; !ok {
				c.fail(c.item(b.Kind, i, "depend-on"), diag.DidYouMean(d, names), "%s depends on %q, which there is not", x.Identifier, d)
				return
			}
		}
	}
	state := make([]int, len(b.Builds)) // 1: on the way here, 2: done
	var walk func(i int, way []string)
	walk = func(i int, way []string) {
		way = append(way, b.Builds[i].Identifier)
		if state[i] == 1 {
			c.fail(c.item(b.Kind, i, "depend-on"), "leave one depend-on out", "builds wait for each other: %s", circle(way))
		}
		if state[i] != 0 || c.err != nil {
			return
		}
		state[i] = 1
		for _, d := range b.Builds[i].DependOn {
			walk(index[d], way)
		}
		state[i] = 2
	}
	for i := range b.Builds {
		walk(i, nil)
	}
}

// circle is the part of a way that goes round.
func circle(way []string) string {
	last := way[len(way)-1]
	return fmt.Sprint(strings.Join(way[slices.Index(way, last):], " → "))
}
