package structure

import (
	"regexp"

	"github.com/haechi-dev/haechi/lang/schedule"
)

func (c *checker) conditions(at path, all []Condition, least int, results ...string) {
	if n := len(all); n < least || n > 1 {
		c.fail(at, "", "there is one condition here, not %d", n)
	}
	for i, one := range all {
		at := at.on(i)
		c.oneOf(at.on("result"), "result of a condition here", one.Result, results...)
		c.parallel(at.on("result"), one.Result)
		if n := len(one.Rules); n < 1 || n > mostRules {
			c.fail(at.on("rules"), "", "a condition has 1 to %d rules, not %d", mostRules, n)
		}
		names := map[string]bool{}
		for j, r := range one.Rules {
			at := at.on("rules", j)
			if names[r.Name] {
				c.fail(at.on("name"), "", "there are two rules %q", clipped(r.Name))
			}
			names[r.Name] = true
			c.rule(at, r)
		}
	}
}

func (c *checker) rule(at path, r Rule) {
	c.name(at.on("name"), nameForm, "a rule", r.Name)
	c.minutes(at, r.Minutes)
	c.configuration(at.on("configuration"), r.Configuration, 10_000)
	c.inputs(at.on("inputArtifacts"), r.Inputs)
	c.commands(at.on("commands"), r.Commands)
	t, known := find(c.rules, r.Type)
	switch {
	case !known:
		c.unknown(at.on("ruleTypeId"), r.Type, c.rules)
		return
	case t.Refused != "":
		c.fail(at.on("ruleTypeId"), t.Refused, "%s does not run here", r.Type)
		return
	}
	c.count(at.on("inputArtifacts"), "takes", "input", len(r.Inputs), t.Inputs)
	c.properties(at.on("configuration"), t, r.Configuration)
	if t.Commands != (len(r.Commands) > 0) {
		c.fail(at, "", "commands are for rules of type Rule/AWS/Commands/1, and these need them")
	}
	switch r.Type.Provider {
	case "DeploymentWindow":
		if _, err := schedule.ParseWindow(r.Configuration["Cron"], r.Configuration["TimeZone"]); err != nil && len(References(r.Configuration["Cron"]+r.Configuration["TimeZone"])) == 0 {
			c.fail(at.on("configuration"), "", "%s", err)
		}
	case "VariableCheck":
		if r.Configuration["Operator"] == "MATCHES" && len(References(r.Configuration["Value"])) == 0 {
			if _, err := regexp.Compile(r.Configuration["Value"]); err != nil {
				c.fail(at.on("configuration", "Value"), "", "%q is no regular expression that is understood here", clipped(r.Configuration["Value"]))
			}
		}
	}
}

// parallel refuses a rollback where runs know nothing of each other.
func (c *checker) parallel(at path, result string) {
	if result == Rollback && c.p.ExecutionMode == Parallel {
		c.fail(at, "executionMode: QUEUED, or another result", "nothing is rolled back in mode %s: its runs know nothing of each other", Parallel)
	}
}

func (c *checker) failure(at path, stage int, f *Failure) {
	if f.Result == "" && len(f.Conditions) == 0 {
		c.fail(at, "result: ROLLBACK or RETRY", "nothing is said of what to do")
	}
	if f.Result != "" {
		c.oneOf(at.on("result"), "result of a failure", f.Result, Rollback, TryAgain)
		c.parallel(at.on("result"), f.Result)
	}
	retries := f.Result == TryAgain
	for _, one := range f.Conditions {
		retries = retries || one.Result == TryAgain
		if one.Result == Rollback && stage == 0 {
			c.fail(at, "", "the stage of the sources cannot be rolled back")
		}
	}
	if f.Result == Rollback && stage == 0 {
		c.fail(at.on("result"), "", "the stage of the sources cannot be rolled back")
	}
	if f.Retry != nil {
		if f.Retry.Mode != "" {
			c.oneOf(at.on("retryConfiguration", "retryMode"), "retry mode", f.Retry.Mode, FailedActions, AllActions)
		}
		if !retries {
			c.fail(at.on("retryConfiguration"), "result: RETRY", "what is tried again is said, but nothing is tried again")
		}
	}
	if len(f.Conditions) > 0 {
		c.conditions(at.on("conditions"), f.Conditions, 0, Rollback, TryAgain)
	}
}
