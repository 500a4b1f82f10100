package pipeline

import (
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/tool/build"
)

// timings are the phases that the buildspec has.
func timings(spec *buildspec.Spec, phases []build.Phase) (all []Timing) {
	for _, phase := range phases {
		t := Timing{Name: strings.ToLower(phase.Name), Status: Failed, Started: phase.Started, Ended: phase.Ended}
		if phase.Status == build.Succeeded {
			t.Status = Succeeded
		}
		if slices.ContainsFunc(spec.Phases, func(p buildspec.Phase) bool { return p.Name == t.Name }) {
			all = append(all, t)
		}
	}
	return all
}

// variables are those of lines NAME=value.
func variables(lines []string) (all []build.Variable) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		all = append(all, build.Variable{Name: name, Value: value})
	}
	return all
}
