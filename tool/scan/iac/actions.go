package iac

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/lang/guard"
)

func isWorkflow(name string, root *value) bool {
	dir := path.Dir(name)
	if !root.Get("jobs").IsMap() || root.Get("on") == nil {
		return false
	}
	return strings.HasSuffix(dir, ".github/workflows") || strings.HasSuffix(dir, ".gitea/workflows") || strings.HasSuffix(dir, ".forgejo/workflows") || hasSteps(root)
}

func hasSteps(root *value) bool {
	for _, job := range root.Get("jobs").Members() {
		if job.Get("steps").IsList() || job.Get("uses") != nil {
			return true
		}
	}
	return false
}

func isAction(root *value) bool {
	using, ok := root.Get("runs").Get("using").Text()
	return ok && (using == "composite" || using == "docker" || strings.HasPrefix(using, "node"))
}

// workflow is the document of a workflow of GitHub Actions.
func workflow(name string, root *value) *guard.Document {
	on := events(root.Get("on"))
	var jobs []*value
	all := []member{{}}
	for key, job := range root.Get("jobs").Members() {
		id, _ := key.Text()
		if !job.IsMap() {
			continue
		}
		p := jobProperties(id, key, job, root, on)
		jobs = append(jobs, p.Clone())
		all = append(all, resource(name+" "+id, "Haechi::GitHub::Job", key, p))
	}
	m := []member{named("On", on)}
	for _, f := range [][2]string{{"name", "Name"}, {"permissions", "Permissions"}, {"env", "Env"}, {"defaults", "Defaults"}, {"concurrency", "Concurrency"}} {
		m = append(m, renamed(root, f[0], f[1])...)
	}
	m = append(m, named("Jobs", guard.NewList(jobs...).As(root.Get("jobs"))))
	all[0] = resource(name, "Haechi::GitHub::Workflow", root, guard.NewMap(m...).As(root))
	return guard.Made(guard.NewMap(pair(text("Resources"), guard.NewMap(all...))), name)
}

// renamed is a member of v under another name, where v has it.
func renamed(v *value, from, to string) []member {
	for name, x := range v.Members() {
		if key, _ := name.Text(); key == from {
			return []member{pair(text(to).As(name), x.Clone())}
		}
	}
	return nil
}

// events is what starts a workflow, as a map.
func events(on *value) *value {
	var m []member
	switch {
	case on.IsMap():
		for name, v := range on.Members() {
			if v.IsNull() {
				v = guard.NewMap().As(name)
			}
			m = append(m, pair(name.Clone(), v.Clone()))
		}
	case on.IsList():
		for _, x := range on.Items() {
			if t, ok := x.Text(); ok {
				m = append(m, pair(text(t).As(x), guard.NewMap().As(x)))
			}
		}
	default:
		if t, ok := on.Text(); ok {
			m = append(m, pair(text(t).As(on), guard.NewMap().As(on)))
		}
	}
	return guard.NewMap(m...).As(on)
}

func jobProperties(id string, key, job, root, on *value) *value {
	m := []member{named("ID", text(id).As(key)), named("On", on.Clone())}
	for _, f := range [][2]string{{"name", "Name"}, {"if", "If"}, {"env", "Env"}, {"environment", "Environment"}, {"outputs", "Outputs"}, {"strategy", "Strategy"},
		{"container", "Container"}, {"services", "Services"}, {"secrets", "Secrets"}, {"with", "With"}} {
		m = append(m, renamed(job, f[0], f[1])...)
	}
	if p := renamed(job, "permissions", "Permissions"); p != nil {
		m = append(m, p...)
	} else {
		m = append(m, renamed(root, "permissions", "Permissions")...)
	}
	if needs := job.Get("needs"); needs != nil {
		m = append(m, named("Needs", listed(needs)))
	}
	if runner := job.Get("runs-on"); runner != nil {
		m = append(m, named("RunsOn", listed(labels(runner))))
	}
	if uses := job.Get("uses"); uses != nil {
		m = append(m, named("Uses", action(uses)))
	}
	shell := firstText(job.Get("defaults").Get("run").Get("shell"), root.Get("defaults").Get("run").Get("shell"))
	if s := job.Get("steps"); s.IsList() {
		m = append(m, named("Steps", steps(s, shell)))
	}
	return guard.NewMap(m...).As(job)
}

func labels(runner *value) *value {
	if l := runner.Get("labels"); l != nil {
		return l
	}
	if g := runner.Get("group"); g != nil {
		return g
	}
	return runner
}

func firstText(all ...*value) string {
	for _, v := range all {
		if t, ok := v.Text(); ok {
			return t
		}
	}
	return ""
}

// listed is a list, of the value alone where it is none.
func listed(v *value) *value {
	if v.IsList() {
		return v.Clone()
	}
	return guard.NewList(v.Clone()).As(v)
}

func steps(list *value, shell string) *value {
	var all []*value
	for _, s := range list.Items() {
		if s.IsMap() {
			all = append(all, step(s, shell))
		}
	}
	return guard.NewList(all...).As(list)
}

func step(s *value, shell string) *value {
	var m []member
	for _, f := range [][2]string{{"id", "ID"}, {"name", "Name"}, {"if", "If"}, {"env", "Env"}, {"with", "With"}, {"shell", "Shell"}, {"continue-on-error", "ContinueOnError"}, {"run", "Run"}} {
		m = append(m, renamed(s, f[0], f[1])...)
	}
	if run, ok := s.Get("run").Text(); ok {
		if own, ok := s.Get("shell").Text(); ok {
			shell = own
		}
		if base, _, _ := strings.Cut(shell, " "); base == "" || base == "bash" || base == "sh" {
			m = append(m, named("Commands", commands(run, s.Get("run"), scriptLine(s.Get("run"), run))))
		}
	}
	if uses := s.Get("uses"); uses != nil {
		m = append(m, named("Uses", action(uses)))
	}
	var found []*value
	for _, f := range []string{"run", "if", "name"} {
		found = append(found, expressions(s.Get(f), f)...)
	}
	for _, f := range []string{"with", "env"} {
		for name, v := range s.Get(f).Members() {
			key, _ := name.Text()
			found = append(found, expressions(v, f+"."+key)...)
		}
	}
	return guard.NewMap(append(m, named("Expressions", guard.NewList(found...).As(s)))...).As(s)
}

// scriptLine is the line on which a script begins: below a | or >, else where the text stands.
func scriptLine(at *value, script string) int {
	if strings.Contains(script, "\n") {
		return at.Line() + 1
	}
	return at.Line()
}

var hash = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`) })

// action is what uses names: owner/repository/path@ref, ./path or docker://image.
func action(uses *value) *value {
	t, _ := uses.Text()
	m := []member{named("Text", uses.Clone())}
	put := func(name, v string) {
		if v != "" {
			m = append(m, named(name, text(v).As(uses)))
		}
	}
	pinned := false
	switch {
	case strings.HasPrefix(t, "./"), strings.HasPrefix(t, "../"):
		put("Kind", "local")
		put("Path", t)
		pinned = true // as is the workflow itself
	case strings.HasPrefix(t, "docker://"):
		put("Kind", "docker")
		image := strings.TrimPrefix(t, "docker://")
		pinned = strings.Contains(image, "@sha256:")
		put("Path", image)
	default:
		put("Kind", "repository")
		name, ref, _ := strings.Cut(t, "@")
		parts := strings.SplitN(name, "/", 3)
		put("Owner", parts[0])
		if len(parts) > 1 {
			put("Repository", parts[1])
		}
		if len(parts) > 2 {
			put("Path", parts[2])
		}
		put("Ref", ref)
		pinned = hash().MatchString(ref)
	}
	m = append(m, named("Pinned", guard.NewBool(pinned).As(uses)))
	return guard.NewMap(m...).As(uses)
}

var (
	expression = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?s)\$\{\{(.*?)\}\}`) })
	quotedText = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`'(?:[^']|'')*'`) })
	reads      = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?:^|[^A-Za-z0-9_.'-])((?:github|env|vars|job|jobs|steps|runner|secrets|strategy|matrix|needs|inputs)(?:\s*\.\s*[A-Za-z_*][A-Za-z0-9_-]*|\s*\[[^\]]*\])*)`)
	})
	indexed = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\s*\[\s*(?:'([^']*)'|[^\]]*)\s*\]`) })
)

// expressions are those in a text, each with what it reads.
func expressions(v *value, in string) (all []*value) {
	t, ok := v.Text()
	if !ok {
		return nil
	}
	bodies := expression().FindAllStringSubmatchIndex(t, 1000)
	if in == "if" && len(bodies) == 0 {
		bodies = [][]int{{0, len(t), 0, len(t)}}
	}
	for _, m := range bodies {
		body := strings.TrimSpace(t[m[2]:m[3]])
		at := text(in).As(v)
		if strings.Contains(t, "\n") {
			at.OnLine(v.Line() + 1 + strings.Count(t[:m[0]], "\n"))
		}
		var contexts []*value
		for _, c := range contextsIn(body) {
			contexts = append(contexts, text(c).As(at))
		}
		all = append(all, guard.NewMap(named("Text", text(body).As(at)), named("In", at), named("Contexts", guard.NewList(contexts...).As(at))).As(at))
	}
	return all
}

// contextsIn are the contexts that an expression reads: github.event.issue.title.
func contextsIn(body string) (all []string) {
	// What stands in an index is a name; a text anywhere else is no context.
	body = regexp.MustCompile(`\[\s*'([A-Za-z_][A-Za-z0-9_-]*)'\s*\]`).ReplaceAllString(body, ".$1")
	body = quotedText().ReplaceAllString(body, "''")
	for _, m := range reads().FindAllStringSubmatch(body, 1000) {
		c := indexed().ReplaceAllString(m[1], ".*")
		c = strings.Join(strings.Fields(c), "")
		if !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

// actionFile is the document of an action of one's own.
func actionFile(name string, root *value) *guard.Document {
	m := renamed(root, "name", "Name")
	m = append(append(m, renamed(root, "inputs", "Inputs")...), renamed(root, "runs", "Runs")...)
	if s := root.Get("runs").Get("steps"); s.IsList() {
		m = append(m, named("Steps", steps(s, "")))
	}
	return guard.Made(guard.NewMap(pair(text("Resources"), guard.NewMap(resource(name, "Haechi::GitHub::Action", root, guard.NewMap(m...).As(root))))), name)
}
