package iac

import (
	"path"
	"regexp"
	"sync"

	"github.com/haechi-dev/haechi/lang/guard"
)

var buildspecName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)^buildspec([.-][^/]*)?\.ya?ml$`) })

func isBuildspec(name string, root *value) bool {
	version, ok := root.Get("version").Scalar()
	return ok && root.Get("phases").IsMap() && (buildspecName().MatchString(path.Base(name)) || version == "0.2" || version == "0.1")
}

// buildspec is the document of a build file of CodeBuild, and of Haechi's own pipelines.
func buildspec(name string, root *value) *guard.Document {
	var m, phases []member
	for _, f := range [][2]string{{"version", "Version"}, {"run-as", "RunAs"}, {"env", "Env"}, {"artifacts", "Artifacts"}, {"reports", "Reports"}, {"cache", "Cache"}, {"batch", "Batch"}, {"proxy", "Proxy"}} {
		m = append(m, renamed(root, f[0], f[1])...)
	}
	var all []*value
	for key, phase := range root.Get("phases").Members() {
		if !phase.IsMap() {
			continue
		}
		var p []member
		for _, f := range [][2]string{{"run-as", "RunAs"}, {"on-failure", "OnFailure"}, {"runtime-versions", "Runtimes"}, {"commands", "Commands"}, {"finally", "Finally"}} {
			p = append(p, renamed(phase, f[0], f[1])...)
		}
		phases = append(phases, pair(key.Clone(), guard.NewMap(p...).As(phase)))
		for _, list := range []string{"commands", "finally"} {
			for _, c := range phase.Get(list).Items() {
				all = append(all, phaseCommands(c, key)...)
			}
		}
	}
	m = append(m, named("Phases", guard.NewMap(phases...).As(root.Get("phases"))), named("Commands", guard.NewList(all...).As(root.Get("phases"))))
	return guard.Made(guard.NewMap(pair(text("Resources"), guard.NewMap(resource(name, "Haechi::CodeBuild::Buildspec", root, guard.NewMap(m...).As(root))))), name)
}

func phaseCommands(c, phase *value) (all []*value) {
	t, ok := c.Text()
	if !ok {
		return nil
	}
	for _, x := range script(t) {
		v := x.value(c, scriptLine(c, t))
		var m []member
		for name, y := range v.Members() {
			m = append(m, pair(name.Clone(), y.Clone()))
		}
		all = append(all, guard.NewMap(append(m, named("Phase", phase.Clone()))...).As(v))
	}
	return all
}
