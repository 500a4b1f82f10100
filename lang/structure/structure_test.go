package structure_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

const whole = `
name: shop
executionMode: QUEUED
variables:
  - {name: TARGET, defaultValue: test, description: where to}
triggers:
  - providerType: CodeStarSourceConnection
    gitConfiguration:
      sourceActionName: Code
      push:
        - branches: {includes: [main, "feature/**"], excludes: ["feature/old*"]}
          filePaths: {includes: ["src/**"], excludes: ["**/*.md"]}
        - tags: {includes: ["v*"]}
      pullRequest:
        - events: [OPEN, UPDATED]
          branches: {includes: [main]}
haechi:
  on:
    - schedule: cron(0 3 * * ? *)
    - pipeline: base
      states: [SUCCEEDED]
    - artifact: shop
      tags: {includes: ["v*"]}
stages:
  - name: Source
    actions:
      - name: Code
        actionTypeId: {category: Source, owner: AWS, provider: CodeCommit, version: 1}
        configuration: {RepositoryName: shop, BranchName: main}
        namespace: Code
        outputArtifacts: [{name: code}]
  - name: Test
    beforeEntry:
      conditions:
        - result: SKIP
          rules:
            - name: hours
              ruleTypeId: {provider: DeploymentWindow}
              configuration: {Cron: "* * 9-17 ? * MON-FRI *", TimeZone: Europe/Paris}
    actions:
      - name: Unit
        actionTypeId: {category: Test, provider: CodeBuild}
        inputArtifacts: [{name: code}]
        configuration: {ProjectName: "shop-#{variables.TARGET}"}
      - name: Lint
        runOrder: 2
        actionTypeId: {category: Compute, provider: Commands}
        inputArtifacts: [{name: code}]
        commands: [make lint]
        outputVariables: [LINES]
        environmentVariables: [{name: COMMIT, value: "#{Code.CommitId}"}]
    onSuccess:
      conditions:
        - result: FAIL
          rules:
            - name: branch
              ruleTypeId: {provider: VariableCheck}
              configuration: {Variable: "#{Code.BranchName}", Value: main, Operator: EQ}
    onFailure:
      result: RETRY
      retryConfiguration: {retryMode: FAILED_ACTIONS}
  - name: Release
    actions:
      - name: Ask
        actionTypeId: {category: Approval, provider: Manual}
        timeoutInMinutes: 60
        configuration: {CustomData: "release #{Code.CommitId} of #{codepipeline.PipelineExecutionId}?"}
`

func parse(t *testing.T, text string) structure.Pipeline {
	t.Helper()
	p, err := structure.Parse("pipeline.yaml", []byte(text), "")
	if err != nil {
		t.Fatal(diag.Detail(err))
	}
	return p
}

// A pipeline in YAML is the same as in JSON, also as GetPipeline gives it, with its defaults said.
func TestParse(t *testing.T) {
	p := parse(t, whole)
	if p.Stages[1].Actions[0].Type.String() != "Test/AWS/CodeBuild/1" || p.Stages[1].Actions[0].RunOrder != 1 || p.PipelineType != "V2" || p.Version != 1 {
		t.Errorf("defaults: %+v", p)
	}
	for _, text := range []string{string(p.JSON()), string(p.Indented()), `{"pipeline": ` + string(p.JSON()) + `, "metadata": {"pipelineArn": "arn:aws:codepipeline:eu-west-1:111122223333:shop", "created": "2026-01-01T00:00:00Z"}}`} {
		if again := parse(t, text); !cmp.Equal(p, again) {
			t.Errorf("read again it differs: %s", cmp.Diff(p, again))
		}
	}
	other := p.Clone()
	other.Version = 7
	if !structure.Same(p, other) {
		t.Error("the version makes it another")
	}
	if other.Stages[2].Name = "Other"; structure.Same(p, other) || p.Stages[2].Name == "Other" {
		t.Error("a clone shares a stage")
	}
}

// Every mistake is named at its line, with what to do.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"executionMode: QUEUED", "executionMode: QUEUE", `pipeline.yaml:3:16: "QUEUE" is no execution mode (did you mean "QUEUED"?)`},
		{"name: Release", "name: Test", `there are two stages "Test"`},
		{"runOrder: 2", "runOrder: 1000", "runOrder is 1 to 999"},
		{"provider: CodeCommit", "provider: CodeComit", `there is no type Source/AWS/CodeComit/1 (did you mean "Source/AWS/CodeCommit/1"?)`},
		{"category: Source, owner: AWS, provider: CodeCommit", "category: Source, owner: AWS, provider: ECR", "Source/AWS/ECR/1 does not run here"},
		{"BranchName: main}", "Branch: main}", `Source/AWS/CodeCommit/1 has no key "Branch"`},
		{"commands: [make lint]", "commands: []", "needs commands"},
		{"inputArtifacts: [{name: code}]\n        configuration", "inputArtifacts: [{name: cod}]\n        configuration", `no action before makes the artifact "cod" (did you mean "code"?)`},
		{"#{variables.TARGET}", "#{variables.TARGTE}", `variables has no variable "TARGTE"`},
		{"#{Code.CommitId}\"}", "#{Code.Commit}\"}", `Code has no variable "Commit"`},
		{"#{Code.CommitId}\"}", "#{Nothing.X}\"}", `nothing has the namespace "Nothing"`},
		{"outputVariables: [LINES]", "outputVariables: [LINES]\n        namespace: Code", `another action has the namespace "Code"`},
		{"namespace: Code", "namespace: variables", "is every pipeline's"},
		{"result: SKIP", "result: ROLLBACK", `"ROLLBACK" is no result of a condition here`},
		{"result: FAIL", "result: SKIP", `"SKIP" is no result of a condition here`},
		{"provider: DeploymentWindow", "provider: CloudWatchAlarm", "Rule/AWS/CloudWatchAlarm/1 does not run here"},
		{"9-17 ? * MON-FRI *\"", "9-17 * * MON-FRI *\"", "day-of-month and day-of-week"},
		{"Operator: EQ", "Operator: IS", `"IS" is no Operator`},
		{"result: RETRY\n", "result: ROLLBACK\n", "nothing is tried again"},
		{"timeoutInMinutes: 60", "timeoutInMinutes: 1", "timeoutInMinutes is 5 to 86400"},
		{"tags: {includes: [\"v*\"]}\n      pull", "tags: {includes: [\"v*\"]}\n          branches: {includes: [a]}\n      pull", "not of both"},
		{"events: [OPEN, UPDATED]", "events: [OPENED]", `did you mean "OPEN"?`},
		{"feature/old*", "feature/[old", "is no pattern"},
		{"schedule: cron(0 3 * * ? *)", "schedule: cron(0 3 * * *)", "6"},
		{"sourceActionName: Code", "sourceActionName: Cod", `did you mean "Code"?`},
		{"executionMode: QUEUED", "executionMode: QUEUED\npipelineType: V1", "a pipeline of type V1 has no triggers"},
		{"executionMode: QUEUED", "executionmode: QUEUED", `unknown key "executionmode" (did you mean "executionMode"?)`},
		{"name: shop\n", "name: a shop\n", `"a shop" cannot be the name of a pipeline`},
	} {
		if strings.Count(whole, c.from) == 0 {
			t.Errorf("%q is not there", c.from)
		}
		_, err := structure.Parse("pipeline.yaml", []byte(strings.Replace(whole, c.from, c.to, 1)), "")
		var at *diag.Error
		if !errors.Is(err, fault.Invalid) || !errors.As(err, &at) || at.Line == 0 {
			t.Errorf("%q: %v", c.to, err)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.to, err, c.want)
		}
	}
}

// What a stage that may be skipped gives, and what comes at the same time or later, can not be asked for.
func TestSurelyRan(t *testing.T) {
	given := func(order, more string) string {
		return `
name: p
stages:
  - name: Source
    actions:
      - {name: S, actionTypeId: {category: Source, provider: CodeCommit}, outputArtifacts: [{name: code}]}
  - name: One
` + more + `
    actions:
      - {name: A, actionTypeId: {category: Build, provider: CodeBuild}, inputArtifacts: [{name: code}], namespace: A, configuration: {ProjectName: x}}
      - {name: B, runOrder: ` + order + `, actionTypeId: {category: Build, provider: CodeBuild}, inputArtifacts: [{name: code}], configuration: {ProjectName: "#{A.X}"}}
  - name: Two
    actions:
      - {name: C, actionTypeId: {category: Invoke, owner: ThirdParty, provider: HaechiNotify}, configuration: {Message: "#{A.X}"}}
`
	}
	parse(t, given("2", ""))
	for _, c := range [][2]string{{given("1", ""), "does not run before"}, {given("2", "    beforeEntry: {conditions: [{result: SKIP, rules: [{name: r, ruleTypeId: {provider: DeploymentWindow}, configuration: {Cron: '* * * ? * * *'}}]}]}"), "stage One may be skipped"}} {
		if _, err := structure.Parse("p", []byte(c[0]), ""); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("got %v, want %q", err, c[1])
		}
	}
}

// CodePipeline's quotas hold.
func TestQuotas(t *testing.T) {
	p := parse(t, whole)
	p.Haechi, p.Triggers = nil, nil
	for name, spoil := range map[string]func(*structure.Pipeline){
		"2 to 50 stages":       func(p *structure.Pipeline) { p.Stages = p.Stages[:1] },
		"1 to 50 actions":      func(p *structure.Pipeline) { p.Stages[1].Actions = nil },
		"at most 50 variables": func(p *structure.Pipeline) { p.Variables = make([]structure.Variable, 51) },
		"at most 1000 bytes": func(p *structure.Pipeline) {
			p.Stages[2].Actions[0].Configuration["CustomData"] = strings.Repeat("x", 1001)
		},
		"at most 500 actions":       func(p *structure.Pipeline) { p.Stages = crowd() },
		"one condition here":        func(p *structure.Pipeline) { p.Stages[1].Entry.Conditions = nil },
		"1 to 5 rules":              func(p *structure.Pipeline) { p.Stages[1].Entry.Conditions[0].Rules = nil },
		"at most 50 commands":       func(p *structure.Pipeline) { p.Stages[1].Actions[1].Commands = make([]string, 51) },
		"at most 10 environment":    func(p *structure.Pipeline) { p.Stages[1].Actions[1].Environment = make([]structure.Environment, 11) },
		"at most 15 output":         func(p *structure.Pipeline) { p.Stages[1].Actions[1].OutputVariables = make([]string, 16) },
		"the first stage holds":     func(p *structure.Pipeline) { slices.Reverse(p.Stages) },
		`did you mean "Source/AWS/`: func(p *structure.Pipeline) { p.Stages[0].Actions[0].Type.Category = "Sourc" },
		"rolled back in mode": func(p *structure.Pipeline) {
			p.ExecutionMode = structure.Parallel
			p.Stages[1].Failure = &structure.Failure{Result: structure.Rollback}
		},
		"conditions[0].result: nothing is rolled back in mode PARALLEL": func(p *structure.Pipeline) {
			p.ExecutionMode = structure.Parallel
			p.Stages[1].Success = &structure.Conditions{Conditions: []structure.Condition{{Result: structure.Rollback, Rules: p.Stages[1].Entry.Conditions[0].Rules}}}
		},
		"versions count from 1":   func(p *structure.Pipeline) { p.Version = -1 },
		"takes no commands":       func(p *structure.Pipeline) { p.Stages[1].Actions[0].Commands = []string{"x"} },
		"another action makes":    func(p *structure.Pipeline) { p.Stages[1].Actions[1].Outputs = []structure.Output{{Name: "code"}} },
		"cannot be the name of a": func(p *structure.Pipeline) { p.Stages[1].Actions[1].Outputs = []structure.Output{{Name: "a b"}} },
	} {
		q := p.Clone()
		spoil(&q)
		if _, err := structure.Checked(q); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func crowd() (stages []structure.Stage) {
	for range 11 {
		stages = append(stages, structure.Stage{Name: "s", Actions: make([]structure.Action, 50)})
	}
	return stages
}

// A type of one's own can be used once it is known.
func TestOwnTypes(t *testing.T) {
	text := strings.Replace(whole, "{category: Test, provider: CodeBuild}", "{category: Test, owner: Custom, provider: Bench, version: 2}", 1)
	if _, err := structure.Parse("p", []byte(text), ""); err == nil || !strings.Contains(err.Error(), "create-custom-action-type") {
		t.Errorf("an unknown type: %v", err)
	}
	own := structure.Type{ID: structure.TypeID{Category: "Test", Owner: "Custom", Provider: "Bench", Version: "2"}, Inputs: [2]int{1, 1}, Properties: []structure.Property{{Name: "ProjectName", Required: true}}}
	if _, err := structure.Parse("p", []byte(text), "", own); err != nil {
		t.Error(err)
	}
}

// Filters let through what CodePipeline's documentation says they do.
func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"main", []string{"main"}, []string{"main2", "amain", "main/x"}},
		{"feature*", []string{"feature", "feature-1"}, []string{"feature/1"}},
		{"feature/**", []string{"feature/a", "feature/a/b"}, []string{"feature", "x/feature/a"}},
		{"**/*.md", []string{"a/b.md", "a/b/c.md"}, []string{"a/b.mdx"}},
		{"**", []string{"a", "a/b"}, nil},
		{"v?.[0-9]", []string{"v1.0"}, []string{"v1.x", "v12.0"}},
		{"[!a-c]x", []string{"dx"}, []string{"ax", "/x"}},
		{"[]x]", []string{"]", "x"}, []string{"y"}},
		{"{src,lib}/*.go", []string{"src/a.go", "lib/b.go"}, []string{"bin/a.go", "src/a/b.go"}},
		{`a\*`, []string{"a*"}, []string{"ab"}},
		{"a.b", []string{"a.b"}, []string{"axb"}},
		{"[a-]", []string{"a", "-"}, []string{"b"}},
	} {
		g, err := structure.ParseGlob(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
		}
		for _, s := range c.yes {
			if !g.Match(s) {
				t.Errorf("%s does not mean %s", c.pattern, s)
			}
		}
		for _, s := range c.no {
			if g.Match(s) {
				t.Errorf("%s means %s", c.pattern, s)
			}
		}
	}
	for _, bad := range []string{"", "[a", "{a", "a}", "{a,{b}}", `a\`, "[z-a]", "[a/b]", strings.Repeat("x", 256)} {
		if _, err := structure.ParseGlob(bad); err == nil {
			t.Errorf("%q is a pattern", bad)
		}
	}
}

// A push starts a run when one filter lets it through: all that the filter says must hold.
func TestOnPush(t *testing.T) {
	p := parse(t, whole)
	source := p.Sources()[0]
	for _, c := range []struct {
		branch, tag string
		files       []string
		want        bool
	}{
		{"main", "", []string{"src/a.go"}, true},
		{"main", "", []string{"docs/a.txt"}, false},
		{"main", "", []string{"src/README.md"}, false},
		{"main", "", []string{"src/README.md", "src/a.go"}, true},
		{"feature/x/y", "", []string{"src/a.go"}, true},
		{"feature/old1", "", []string{"src/a.go"}, false},
		{"other", "", []string{"src/a.go"}, false},
		{"", "v1", nil, true},
		{"", "nightly", nil, false},
	} {
		got, err := p.OnPush(source, structure.Pushed{Branch: c.branch, Tag: c.tag, Files: func() ([]string, error) { return c.files, nil }})
		if got != c.want || err != nil {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
	broken := errors.New("no files")
	if _, err := p.OnPush(source, structure.Pushed{Branch: "main", Files: func() ([]string, error) { return nil, broken }}); !errors.Is(err, broken) {
		t.Errorf("files that cannot be told: %v", err)
	}
	p.Triggers = nil
	for branch, want := range map[string]bool{"main": true, "other": false} {
		if got, _ := p.OnPush(source, structure.Pushed{Branch: branch}); got != want {
			t.Errorf("without triggers, %s: %v", branch, got)
		}
	}
	source.Configuration["PollForSourceChanges"] = "false"
	if got, _ := p.OnPush(source, structure.Pushed{Branch: "main"}); got {
		t.Error("it is started though it does not look for changes")
	}
}

// A pull request starts a run by what happened to it and where it goes.
func TestOnPull(t *testing.T) {
	p := parse(t, whole)
	source := p.Sources()[0]
	for _, c := range []struct {
		event, branch string
		want          bool
	}{{"OPEN", "main", true}, {"UPDATED", "main", true}, {"CLOSED", "main", false}, {"MERGED", "main", false}, {"OPEN", "other", false}} {
		if got, err := p.OnPull(source, structure.Pulled{Event: c.event, Branch: c.branch}); got != c.want || err != nil {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
	p.Triggers[0].Git.Pull[0].Events = []string{"CLOSED"}
	if got, _ := p.OnPull(source, structure.Pulled{Event: "MERGED", Branch: "main"}); !got {
		t.Error("a merged pull request is not a closed one")
	}
}

// Variables are put in once, and one that there is not is said.
func TestResolve(t *testing.T) {
	v := structure.Values{"Code": {"CommitId": "c0ffee", "Odd": "#{Code.CommitId}"}}
	got, err := v.Resolve("at #{Code.CommitId}, #{Code.Odd}; #{not one} $x")
	if err != nil || got != "at c0ffee, #{Code.CommitId}; #{not one} $x" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := v.ResolveAll(map[string]string{"K": "#{Code.Nothing}"}); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "K: there is no variable #{Code.Nothing}") {
		t.Errorf("missing: %v", err)
	}
}

func TestCheckVariable(t *testing.T) {
	for _, c := range []struct {
		variable, operator, value string
		met                       bool
	}{{"a", "EQ", "a", true}, {"a", "EQ", "b", false}, {"a", "NE", "b", true}, {"abc", "CONTAINS", "b", true}, {"abc", "MATCHES", "b", false}, {"abc", "MATCHES", "a.c|x", true}} {
		met, why, err := structure.CheckVariable(map[string]string{"Variable": c.variable, "Operator": c.operator, "Value": c.value})
		if met != c.met || err != nil || why == "" {
			t.Errorf("%+v: %v, %q, %v", c, met, why, err)
		}
	}
	if _, _, err := structure.CheckVariable(map[string]string{"Operator": "MATCHES", "Value": "("}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a broken expression: %v", err)
	}
}

// No text makes it panic; what is read once is read again the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`{"pipeline": {"name": "p", "stages": []}, "metadata": {}}`))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := structure.Parse("f", text, "f")
		if err != nil {
			_ = diag.Detail(err)
			return
		}
		again, err := structure.Parse("f", p.JSON(), "")
		if err != nil || !structure.Same(p, again) {
			t.Fatalf("read again: %v\n%s", err, p.JSON())
		}
	})
}

// No pattern makes it panic or slow, and one without signs means itself.
func FuzzGlob(f *testing.F) {
	f.Add("feature/**", "feature/a")
	f.Add("[!a-c]{x,y}?", "dxz")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		g, err := structure.ParseGlob(pattern)
		if err != nil {
			return
		}
		_ = g.Match(name)
		if !strings.ContainsAny(pattern, `*?[{}\`) && strings.ToValidUTF8(pattern, "") == pattern && !g.Match(pattern) {
			t.Fatalf("%q does not mean itself", pattern)
		}
	})
}
