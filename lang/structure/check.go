package structure

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/word/diag"
)

func itoa(n int) string { return strconv.Itoa(n) }

// What CodePipeline allows.
const (
	leastStages, mostStages = 2, 50
	mostActions             = 50  // of a stage
	mostOfAll               = 500 // actions of a pipeline
	mostVariables           = 50
	mostTriggers            = 50
	mostFilters             = 3
	mostPatterns            = 8
	mostRules               = 5
	mostCommands            = 50
	mostEnvironment         = 10
	mostOutputVariables     = 15
	mostFiles               = 10
	leastMinutes            = 5
	mostMinutes             = 86400
	mostOn                  = 50 // ours
)

var (
	nameForm      = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9.@_-]{1,100}$`) })
	artifactForm  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`) })
	namespaceForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9@_-]{1,100}$`) })
	variableForm  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9@_-]{1,128}$`) })
	envForm       = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`) })
	providerForm  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z_-]{1,35}$`) })
	versionForm   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z_-]{1,9}$`) })
)

// Check tells all that is wrong with a pipeline whose defaults are said. own are the types
// of actions that there are besides Types.
func (p *Pipeline) Check(own ...Type) []Problem {
	c := checker{p: p, types: append(Types(), own...), rules: RuleTypes()}
	c.pipeline()
	return c.all
}

type checker struct {
	p     *Pipeline
	types []Type
	rules []Type
	all   []Problem

	made   map[string]bool     // artifacts so far
	given  map[string][]string // namespaces so far, with their keys; nil is any key
	unsure map[string]string   // namespaces of stages that may be skipped
	spaces map[string]bool     // namespaces of all actions so far
	later  map[string]bool     // namespaces of the whole pipeline
}

type path []any

func (p path) on(more ...any) path { return append(slices.Clone(p), more...) }

func (c *checker) fail(at path, hint, format string, a ...any) {
	if len(c.all) < 100 {
		c.all = append(c.all, Problem{Path: at, Message: fmt.Sprintf(format, a...), Hint: hint})
	}
}

func (c *checker) name(at path, form func() *regexp.Regexp, what, name string) {
	if !form().MatchString(name) {
		c.fail(at, "it has letters, digits and a few signs, and at most 100 of them", "%q cannot be the name of %s", clipped(name), what)
	}
}

func clipped(s string) string { return s[:min(len(s), 120)] }

func (c *checker) oneOf(at path, what, got string, want ...string) {
	if !slices.Contains(want, got) {
		c.fail(at, orElse(diag.DidYouMean(got, want), "there are "+strings.Join(want, ", ")), "%q is no %s", clipped(got), what)
	}
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func (c *checker) pipeline() {
	p := c.p
	c.made, c.given, c.unsure, c.spaces, c.later = map[string]bool{}, map[string][]string{}, map[string]string{}, map[string]bool{}, map[string]bool{}
	c.name(path{"name"}, nameForm, "a pipeline", p.Name)
	c.oneOf(path{"executionMode"}, "execution mode", p.ExecutionMode, Superseded, Queued, Parallel)
	c.oneOf(path{"pipelineType"}, "type of pipelines", p.PipelineType, "V1", "V2")
	if p.Version < 1 {
		c.fail(path{"version"}, "leave it out", "versions count from 1")
	}
	c.second()
	c.variables()
	if n := len(p.Stages); n < leastStages || n > mostStages {
		c.fail(path{"stages"}, "", "a pipeline has %d to %d stages, not %d", leastStages, mostStages, n)
	}
	total := 0
	names := map[string]bool{}
	for _, s := range p.Stages {
		total += len(s.Actions)
		for _, a := range s.Actions {
			c.later[a.Namespace] = true
		}
	}
	if total > mostOfAll {
		c.fail(path{"stages"}, "", "a pipeline has at most %d actions, not %d", mostOfAll, total)
	}
	for i := range p.Stages {
		at := path{"stages", i}
		if name := p.Stages[i].Name; names[name] {
			c.fail(at.on("name"), "", "there are two stages %q", clipped(name))
		} else {
			names[name] = true
		}
		c.stage(at, i, &p.Stages[i])
	}
	c.triggers()
	c.haechi()
}

// second refuses what only pipelines of the second kind have.
func (c *checker) second() {
	if c.p.PipelineType != "V1" {
		return
	}
	const hint = "write pipelineType: V2, or leave it out"
	if len(c.p.Triggers) > 0 {
		c.fail(path{"triggers"}, hint, "a pipeline of type V1 has no triggers")
	}
	if len(c.p.Variables) > 0 {
		c.fail(path{"variables"}, hint, "a pipeline of type V1 has no variables")
	}
	if c.p.ExecutionMode != Superseded {
		c.fail(path{"executionMode"}, hint, "a pipeline of type V1 runs in mode %s only", Superseded)
	}
	for i, s := range c.p.Stages {
		if s.Entry != nil || s.Success != nil || s.Failure != nil {
			c.fail(path{"stages", i}, hint, "a pipeline of type V1 has no conditions")
		}
	}
}

func (c *checker) variables() {
	if n := len(c.p.Variables); n > mostVariables {
		c.fail(path{"variables"}, "", "a pipeline has at most %d variables, not %d", mostVariables, n)
	}
	keys := []string{}
	for i, v := range c.p.Variables {
		at := path{"variables", i}
		c.name(at.on("name"), variableForm, "a variable", v.Name)
		if slices.Contains(keys, v.Name) {
			c.fail(at.on("name"), "", "there are two variables %q", clipped(v.Name))
		}
		if len(v.Default) > 1000 || len(v.Description) > 200 {
			c.fail(at, "", "a variable's value has at most 1,000 bytes, and its description 200")
		}
		keys = append(keys, v.Name)
	}
	c.given[OfPipeline] = keys
	c.given[OwnNamespace] = []string{ExecutionID}
}

func (c *checker) stage(at path, i int, s *Stage) {
	c.name(at.on("name"), nameForm, "a stage", s.Name)
	if n := len(s.Actions); n < 1 || n > mostActions {
		c.fail(at.on("actions"), "", "a stage has 1 to %d actions, not %d", mostActions, n)
	}
	if s.Entry != nil {
		c.conditions(at.on("beforeEntry", "conditions"), s.Entry.Conditions, 1, Fail, Skip)
	}
	if s.Failure != nil {
		c.failure(at.on("onFailure"), i, s.Failure)
	}
	c.actions(at.on("actions"), i, s)
	if s.Success != nil {
		c.conditions(at.on("onSuccess", "conditions"), s.Success.Conditions, 1, Rollback, Fail)
	}
	if i == 0 && (s.Success != nil || s.Entry != nil) {
		for _, one := range slices.Concat(s.Entry.all(), s.Success.all()) {
			if one.Result == Rollback || one.Result == Skip {
				c.fail(at, "", "the stage of the sources cannot be skipped or rolled back")
			}
		}
	}
	if may := s.Entry.all(); len(may) > 0 && may[0].Result == Skip {
		for _, a := range s.Actions { // nobody can be sure of what it gives
			if a.Namespace != "" {
				delete(c.given, a.Namespace)
				c.unsure[a.Namespace] = s.Name
			}
		}
	}
}

// actions checks the actions of a stage by their order: what comes together knows nothing of each other.
func (c *checker) actions(at path, stage int, s *Stage) {
	names := map[string]bool{}
	byOrder := make([]int, len(s.Actions))
	for i := range byOrder {
		byOrder[i] = i
	}
	slices.SortStableFunc(byOrder, func(a, b int) int { return s.Actions[a].Order() - s.Actions[b].Order() })
	sources := 0
	for i := 0; i < len(byOrder); {
		end := i
		for end < len(byOrder) && s.Actions[byOrder[end]].Order() == s.Actions[byOrder[i]].Order() {
			end++
		}
		for _, n := range byOrder[i:end] {
			a, at := &s.Actions[n], at.on(n)
			if names[a.Name] {
				c.fail(at.on("name"), "", "stage %s has two actions %q", clipped(s.Name), clipped(a.Name))
			}
			names[a.Name] = true
			if a.Type.Category == Source {
				sources++
			}
			if source := a.Type.Category == Source; source != (stage == 0) && isCategory(a.Type.Category) {
				c.fail(at.on("actionTypeId"), "", "the first stage holds the sources, and no other stage does")
			}
			c.action(at, a)
		}
		for _, n := range byOrder[i:end] {
			c.gives(at.on(n), &s.Actions[n])
		}
		i = end
	}
}

func (c *checker) action(at path, a *Action) {
	c.name(at.on("name"), nameForm, "an action", a.Name)
	if a.RunOrder < 1 || a.RunOrder > 999 {
		c.fail(at.on("runOrder"), "", "runOrder is 1 to 999, not %d", a.RunOrder)
	}
	c.minutes(at, a.Minutes)
	t, known := find(c.types, a.Type)
	if !known {
		c.unknown(at.on("actionTypeId"), a.Type, c.types)
	} else {
		c.typed(at, t, a)
	}
	c.configuration(at.on("configuration"), a.Configuration, 1000)
	c.inputs(at.on("inputArtifacts"), a.Inputs)
	c.commands(at.on("commands"), a.Commands)
	if n := len(a.Environment); n > mostEnvironment {
		c.fail(at.on("environmentVariables"), "", "an action has at most %d environment variables, not %d", mostEnvironment, n)
	}
	for i, e := range a.Environment {
		at := at.on("environmentVariables", i)
		c.name(at.on("name"), envForm, "an environment variable", e.Name)
		if e.Type != "" {
			c.oneOf(at.on("type"), "type of environment variables", e.Type, "PLAINTEXT", "SECRETS_MANAGER")
		}
		c.value(at.on("value"), e.Value, 2000)
	}
	if n := len(a.OutputVariables); n > mostOutputVariables {
		c.fail(at.on("outputVariables"), "", "an action has at most %d output variables, not %d", mostOutputVariables, n)
	}
}

// isCategory tells whether there is such a category: where there is none, no type is of it, and that says more.
func isCategory(name string) bool {
	return slices.Contains([]string{Source, Build, Test, Deploy, Approval, Invoke, Compute}, name)
}

func (c *checker) minutes(at path, n int) {
	if n != 0 && (n < leastMinutes || n > mostMinutes) {
		c.fail(at.on("timeoutInMinutes"), "", "timeoutInMinutes is %d to %d, not %d", leastMinutes, mostMinutes, n)
	}
}

func (c *checker) unknown(at path, t TypeID, types []Type) {
	if !providerForm().MatchString(t.Provider) || !versionForm().MatchString(t.Version) {
		c.fail(at, "for example category: Build, owner: AWS, provider: CodeBuild, version: 1", "%q names no type", clipped(t.String()))
		return
	}
	var names []string
	for _, k := range types {
		names = append(names, k.ID.String())
	}
	c.fail(at.on("provider"), orElse(diag.DidYouMean(t.String(), names), "a type of one's own is made by create-custom-action-type first"), "there is no type %s", clipped(t.String()))
}

// typed checks what an action's type asks for.
func (c *checker) typed(at path, t Type, a *Action) {
	if t.Refused != "" {
		c.fail(at.on("actionTypeId"), t.Refused, "%s does not run here", a.Type)
		return
	}
	c.count(at.on("inputArtifacts"), "takes", "input", len(a.Inputs), t.Inputs)
	c.count(at.on("outputArtifacts"), "gives", "output", len(a.Outputs), t.Outputs)
	c.properties(at.on("configuration"), t, a.Configuration)
	switch {
	case t.Commands && len(a.Commands) == 0:
		c.fail(at, "commands: [make test]", "%s needs commands", a.Type)
	case !t.Commands && len(a.Commands) > 0:
		c.fail(at.on("commands"), "Compute/AWS/Commands/1 does", "%s takes no commands", a.Type)
	}
	if c.p.PipelineType == "V1" && t.Commands {
		c.fail(at.on("actionTypeId"), "write pipelineType: V2, or leave it out", "a pipeline of type V1 has no %s", a.Type)
	}
}

func (c *checker) count(at path, verb, what string, n int, bounds [2]int) {
	if n < bounds[0] || n > bounds[1] {
		if bounds[0] == bounds[1] {
			c.fail(at, "", "such an action %s %d %s artifacts, not %d", verb, bounds[0], what, n)
			return
		}
		c.fail(at, "", "such an action %s %d to %d %s artifacts, not %d", verb, bounds[0], bounds[1], what, n)
	}
}

func (c *checker) properties(at path, t Type, got map[string]string) {
	var names []string
	for _, p := range t.Properties {
		names = append(names, p.Name)
		value, ok := got[p.Name]
		if p.Required && !ok {
			c.fail(at, "", "%s needs %s", t.ID, p.Name)
		}
		if ok && len(p.Values) > 0 && len(References(value)) == 0 {
			c.oneOf(at.on(p.Name), p.Name, value, p.Values...)
		}
	}
	for _, key := range sorted(got) {
		if !t.Open && !slices.Contains(names, key) {
			c.fail(at.on(key), orElse(diag.DidYouMean(key, names), "there are "+orElse(strings.Join(names, ", "), "none")), "%s has no key %q", t.ID, clipped(key))
		}
	}
}

func sorted(m map[string]string) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (c *checker) configuration(at path, all map[string]string, most int) {
	for _, key := range sorted(all) {
		if len(key) < 1 || len(key) > 50 {
			c.fail(at, "", "a key of a configuration has 1 to 50 bytes")
		}
		c.value(at.on(key), all[key], most)
	}
}

// value checks the variables that a value asks for.
func (c *checker) value(at path, text string, most int) {
	if len(text) > most {
		c.fail(at, "", "a value has at most %d bytes, not %d", most, len(text))
	}
	for _, r := range References(text) {
		keys, ok := c.given[r.Namespace]
		switch {
		case !ok && c.unsure[r.Namespace] != "":
			c.fail(at, "only values of actions that surely ran before can be used", "%s may be missing: stage %s may be skipped", r, c.unsure[r.Namespace])
		case !ok && c.later[r.Namespace]:
			c.fail(at, "only values of actions that surely ran before can be used", "%s is given by an action that does not run before", r)
		case !ok:
			var names []string
			for name := range c.given {
				names = append(names, name)
			}
			slices.Sort(names)
			c.fail(at, orElse(diag.DidYouMean(r.Namespace, names), "an action's namespace gives its variables a name"), "%s: nothing has the namespace %q", r, r.Namespace)
		case keys != nil && !slices.Contains(keys, r.Key):
			c.fail(at, orElse(diag.DidYouMean(r.Key, keys), "there are "+orElse(strings.Join(keys, ", "), "none")), "%s: %s has no variable %q", r, r.Namespace, r.Key)
		}
	}
}

func (c *checker) inputs(at path, inputs []Input) {
	seen := map[string]bool{}
	for i, in := range inputs {
		switch {
		case seen[in.Name]:
			c.fail(at.on(i), "", "artifact %q stands here twice", clipped(in.Name))
		case !c.made[in.Name]:
			var names []string
			for name := range c.made {
				names = append(names, name)
			}
			slices.Sort(names)
			c.fail(at.on(i), orElse(diag.DidYouMean(in.Name, names), "an earlier stage, or an action with a lower runOrder, must make it"), "no action before makes the artifact %q", clipped(in.Name))
		}
		seen[in.Name] = true
	}
}

func (c *checker) commands(at path, commands []string) {
	if n := len(commands); n > mostCommands {
		c.fail(at, "", "there are at most %d commands, not %d", mostCommands, n)
	}
	for i, text := range commands {
		if len(text) < 1 || len(text) > 1000 {
			c.fail(at.on(i), "", "a command has 1 to 1,000 bytes")
		}
	}
}

// gives adds what an action gives to those after it.
func (c *checker) gives(at path, a *Action) {
	for i, out := range a.Outputs {
		c.name(at.on("outputArtifacts", i, "name"), artifactForm, "an artifact", out.Name)
		if c.made[out.Name] {
			c.fail(at.on("outputArtifacts", i), "", "another action makes the artifact %q", clipped(out.Name))
		}
		if len(out.Files) > mostFiles {
			c.fail(at.on("outputArtifacts", i, "files"), "", "an artifact names at most %d files", mostFiles)
		}
		c.made[out.Name] = true
	}
	if a.Namespace == "" {
		return
	}
	c.name(at.on("namespace"), namespaceForm, "a namespace", a.Namespace)
	switch {
	case a.Namespace == OwnNamespace || a.Namespace == OfPipeline:
		c.fail(at.on("namespace"), "", "the namespace %q is every pipeline's", a.Namespace)
	case c.spaces[a.Namespace]:
		c.fail(at.on("namespace"), "", "another action has the namespace %q", clipped(a.Namespace))
	default:
		c.spaces[a.Namespace] = true
		t, _ := find(c.types, a.Type)
		c.given[a.Namespace] = t.Variables
		if len(a.OutputVariables) > 0 {
			c.given[a.Namespace] = a.OutputVariables
		}
	}
}
