package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/haechi-dev/haechi/lang/strict"
	"github.com/haechi-dev/haechi/word/diag"
)

// BuildspecFile is where a repository says how it is built.
const BuildspecFile = "buildspec.yml"

// Buildspec is a buildspec.yml of version 0.2, as far as it is run here; what
// is not is refused with its place.
// https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
type Buildspec struct {
	Shell     string            // sh or bash
	Variables map[string]string // as they stand: nothing in them is expanded
	Phases    []Phase           // those that are there, in the order in which they run
	Reports   []ReportGroup     // what the build leaves for the hub
	Warnings  []string          // what is passed over, for the log
}

// Phase is one of install, pre_build, build and post_build.
type Phase struct {
	Name     string
	OnError  string // ABORT, CONTINUE, or "" for what AWS does
	Commands []string
	Finally  []string // run whatever became of Commands
}

// phases are all there are, in their order.
var phases = [...]string{"install", "pre_build", "build", "post_build"}

// The file, as it is written.
type specFile struct {
	Version   string
	RunAs     yaml.Node `yaml:"run-as"`
	Env       specEnv
	Proxy     yaml.Node
	Batch     yaml.Node
	Phases    map[string]specPhase
	Reports   map[string]specReports
	Artifacts yaml.Node
	Cache     yaml.Node
}

type specEnv struct {
	Shell      string
	Variables  map[string]string
	Parameters yaml.Node `yaml:"parameter-store"`
	Secrets    yaml.Node `yaml:"secrets-manager"`
	Exported   yaml.Node `yaml:"exported-variables"`
	Helper     yaml.Node `yaml:"git-credential-helper"`
}

type specPhase struct {
	RunAs     yaml.Node         `yaml:"run-as"`
	OnFailure string            `yaml:"on-failure"`
	Runtimes  map[string]string `yaml:"runtime-versions"`
	Commands  []string
	Finally   []string
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// mostScript is how long all commands may be: the kernel hands a program no
// longer argument.
const mostScript = 100_000

// ParseBuildspec reads the file. A mistake in it, or what is not supported, is a
// *diag.Error of kind fault.Invalid.
func ParseBuildspec(text []byte) (Buildspec, error) {
	var f specFile
	if err := strict.Unmarshal(BuildspecFile, text, &f); err != nil {
		return Buildspec{}, err
	}
	c := checker{text: text}
	b := Buildspec{Shell: c.shell(f.Env.Shell), Variables: f.Env.Variables}
	c.version(f.Version)
	for _, u := range []struct {
		node yaml.Node
		what string
		hint string
	}{
		{f.RunAs, "run-as", "steps run as an unprivileged user of their own: leave it out"},
		{f.Proxy, "proxy", "steps have no network: leave it out"},
		{f.Batch, "batch", "write the builds as one"},
		{f.Artifacts, "artifacts", "leave it out; nothing is kept of a build but its log and its result"},
		{f.Cache, "cache", "leave it out; every build starts afresh"},
		{f.Env.Parameters, "env/parameter-store", "secrets cannot be handed to builds yet"},
		{f.Env.Secrets, "env/secrets-manager", "secrets cannot be handed to builds yet"},
		{f.Env.Exported, "env/exported-variables", "there is no later action to read them"},
	} {
		c.unsupported(u.node, u.what, u.hint)
	}
	if f.Env.Helper.Value != "no" && f.Env.Helper.Value != "false" {
		c.unsupported(f.Env.Helper, "env/git-credential-helper", "steps have no network: say no, or leave it out")
	}
	c.variables(f.Env.Variables)
	for name := range f.Phases {
		if !slices.Contains(phases[:], name) {
			c.fail(place(text, name+":"), diag.DidYouMean(name, phases[:]), "there is no phase %q", name)
		}
	}
	b.Reports = c.groups(f.Reports)
	length := 0
	for _, name := range phases {
		p, ok := f.Phases[name]
		if !ok {
			continue
		}
		c.unsupported(p.RunAs, "run-as", "steps run as an unprivileged user of their own: leave it out")
		for _, runtime := range slices.Sorted(maps.Keys(p.Runtimes)) {
			b.Warnings = append(b.Warnings, fmt.Sprintf("runtime-versions: %s %s is passed over: the build has the server's own tools", runtime, p.Runtimes[runtime]))
		}
		b.Phases = append(b.Phases, Phase{Name: name, OnError: c.onFailure(p.OnFailure), Commands: p.Commands, Finally: p.Finally})
		for _, command := range append(p.Commands, p.Finally...) {
			length += len(command)
		}
	}
	if length > mostScript {
		c.fail(diag.Place{}, "put them into a script of the repository", "the commands have %d bytes, %d are allowed", length, mostScript)
	}
	if len(b.Phases) == 0 {
		c.fail(diag.Place{}, "for example:\nphases:\n  build:\n    commands:\n      - make", "there are no phases")
	}
	return b, c.err
}

// checker keeps the first mistake.
type checker struct {
	text []byte
	err  error
}

func (c *checker) fail(p diag.Place, hint, format string, a ...any) {
	if c.err != nil {
		return
	}
	p.File = BuildspecFile
	node := yaml.Node{Line: p.Line, Column: p.Column}
	c.err = strict.Errorf(BuildspecFile, c.text, &node, format, a...)
	var e *diag.Error
	if hint != "" && errors.As(c.err, &e) {
		_ = e.WithHint("%s", hint)
	}
}

func (c *checker) unsupported(n yaml.Node, what, hint string) {
	if n.Kind != 0 {
		c.fail(diag.Place{Line: n.Line, Column: n.Column}, hint, "%s is not supported here", what)
	}
}

func (c *checker) version(v string) {
	switch v {
	case "0.2", "0.20":
	case "":
		c.fail(diag.Place{}, "write version: 0.2", "there is no version")
	default:
		c.fail(place(c.text, "version:"), "write version: 0.2", "version %s is not supported", v)
	}
}

func (c *checker) shell(name string) string {
	switch name {
	case "", "sh", "/bin/sh":
		return "sh"
	case "bash", "/bin/bash":
		return "bash"
	}
	c.fail(place(c.text, "shell:"), "there are sh and bash", "shell %q is not supported", name)
	return ""
}

func (c *checker) onFailure(what string) string {
	switch strings.ToUpper(what) {
	case "", "ABORT", "CONTINUE":
		return strings.ToUpper(what)
	}
	c.fail(place(c.text, what), "there are ABORT and CONTINUE", "on-failure: %s is not supported", what)
	return ""
}

func (c *checker) variables(vars map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		at := place(c.text, name)
		switch {
		case !variableName.MatchString(name):
			c.fail(at, "letters, digits and _, no digit first", "%q cannot be a variable", name)
		case strings.HasPrefix(name, "CODEBUILD_"):
			c.fail(at, "choose another name", "variables that start with CODEBUILD_ are set by the build")
		case strings.ContainsRune(vars[name], 0):
			c.fail(at, "", "variable %s holds a zero byte", name)
		}
	}
}

// place is where a word first stands; a rough one is better than none.
func place(text []byte, word string) diag.Place {
	i := strings.Index(string(text), word)
	if i < 0 || word == "" {
		return diag.Place{}
	}
	return diag.At(BuildspecFile, text, i)
}
