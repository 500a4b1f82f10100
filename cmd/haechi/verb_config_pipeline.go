package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/word/fault"
)

var (
	pipelineName = regexp.MustCompile(`(?i)^pipeline([._-].*)?\.(ya?ml|json)$`)
	pipelineText = regexp.MustCompile(`(?m)^(stages:|\s*"?stages"?\s*:)`)
)

// checkPipeline tells whether a file is a right pipeline; ours is false for one that is none.
func checkPipeline(c call, name string) (ours bool, err error) {
	text, err := os.ReadFile(name)
	if err != nil || !pipelineName.MatchString(filepath.Base(name)) && !pipelineText.Match(text) {
		return false, nil // the reader of the other kinds says what is wrong
	}
	p, err := structure.Parse(filepath.ToSlash(name), text, "repository")
	if err != nil {
		return true, fault.Conflict.Wrap(err) // what was shown is wrong, not how one asked
	}
	fmt.Fprintf(c.stdout, "fine: %s is a pipeline of %d stages\n", filepath.ToSlash(name), len(p.Stages))
	for _, s := range p.Stages {
		var actions []string
		for _, a := range s.Actions {
			actions = append(actions, a.Name)
		}
		fmt.Fprintf(c.stdout, "  %s: %s\n", s.Name, strings.Join(actions, ", "))
	}
	return true, nil
}
