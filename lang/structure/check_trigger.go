package structure

import (
	"github.com/haechi-dev/haechi/lang/schedule"
)

func (c *checker) triggers() {
	if n := len(c.p.Triggers); n > mostTriggers {
		c.fail(path{"triggers"}, "", "a pipeline has at most %d triggers, not %d", mostTriggers, n)
	}
	var sources []string
	for _, a := range c.p.Sources() {
		sources = append(sources, a.Name)
	}
	seen := map[string]bool{}
	for i, t := range c.p.Triggers {
		at := path{"triggers", i}
		c.oneOf(at.on("providerType"), "provider of triggers", t.Provider, "CodeStarSourceConnection")
		at = at.on("gitConfiguration")
		c.oneOf(at.on("sourceActionName"), "source action of this pipeline", t.Git.Source, sources...)
		if seen[t.Git.Source] {
			c.fail(at.on("sourceActionName"), "give it more filters instead", "two triggers are of the source %q", clipped(t.Git.Source))
		}
		seen[t.Git.Source] = true
		if len(t.Git.Push) > mostFilters || len(t.Git.Pull) > mostFilters {
			c.fail(at, "", "a trigger has at most %d filters of pushes, and of pull requests", mostFilters)
		}
		for j, f := range t.Git.Push {
			at := at.on("push", j)
			if f.Tags != nil && (f.Branches != nil || f.Files != nil) {
				c.fail(at.on("tags"), "make two filters of it", "a filter is of tags, or of branches and files, not of both")
			}
			if f.Tags == nil && f.Branches == nil && f.Files == nil {
				c.fail(at, "branches: {includes: [main]}", "the filter says nothing")
			}
			c.filter(at.on("branches"), f.Branches)
			c.filter(at.on("tags"), f.Tags)
			c.filter(at.on("filePaths"), f.Files)
		}
		for j, f := range t.Git.Pull {
			at := at.on("pullRequest", j)
			for k, e := range f.Events {
				c.oneOf(at.on("events", k), "event of pull requests", e, Opened, Updated, Closed, Merged)
			}
			c.filter(at.on("branches"), f.Branches)
			c.filter(at.on("filePaths"), f.Files)
		}
	}
}

func (c *checker) filter(at path, f *Filter) {
	if f == nil {
		return
	}
	if len(f.Includes) == 0 && len(f.Excludes) == 0 {
		c.fail(at, "", "the filter names neither includes nor excludes")
	}
	for _, list := range []struct {
		name     string
		patterns []string
	}{{"includes", f.Includes}, {"excludes", f.Excludes}} {
		if len(list.patterns) > mostPatterns {
			c.fail(at.on(list.name), "", "a filter has at most %d patterns, not %d", mostPatterns, len(list.patterns))
		}
		for i, text := range list.patterns {
			if _, err := ParseGlob(text); err != nil {
				c.fail(at.on(list.name, i), "", "%q is no pattern: %s", clipped(text), err)
			}
		}
	}
}

func (c *checker) haechi() {
	h := c.p.Haechi
	if h == nil {
		return
	}
	if len(h.On) > mostOn {
		c.fail(path{"haechi", "on"}, "", "there are at most %d of these", mostOn)
	}
	for i, on := range h.On {
		at := path{"haechi", "on", i}
		said := 0
		for _, text := range []string{on.Schedule, on.Pipeline, on.Artifact} {
			if text != "" {
				said++
			}
		}
		if said != 1 {
			c.fail(at, "", "one of schedule, pipeline and artifact stands here, not %d", said)
		}
		if on.Schedule != "" {
			if _, err := schedule.Parse(on.Schedule); err != nil {
				c.fail(at.on("schedule"), "", "%s", err)
			}
		}
		if on.Pipeline != "" {
			c.name(at.on("pipeline"), nameForm, "a pipeline", on.Pipeline)
		}
		if len(on.States) > 0 && on.Pipeline == "" {
			c.fail(at.on("states"), "", "states are of a pipeline")
		}
		for j, s := range on.States {
			c.oneOf(at.on("states", j), "state of a pipeline that ended", s, "SUCCEEDED", "FAILED", "STOPPED", "SUPERSEDED")
		}
		if on.Tags != nil && on.Artifact == "" {
			c.fail(at.on("tags"), "", "tags are of an artifact")
		}
		c.filter(at.on("tags"), on.Tags)
	}
}
