package build

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// Action is what a pipeline asks for: an action of CodeBuild's, or commands.
type Action struct {
	ID              string // RUN/ACTION/ATTEMPT: asked again with the same, it is the same build
	Pipeline        string
	Configuration   map[string]string // ProjectName, PrimarySource, BatchEnabled, CombineArtifacts, EnvironmentVariables
	Commands        []string          // in place of a buildspec
	Repository      string
	Branch          string
	Commit          string
	Protected       bool // whether the branch is, and all that the pipeline does comes from it
	Inputs          []Input
	Outputs         []string            // names of the artifacts that it waits for
	OutputFiles     map[string][]string // of commands
	OutputVariables []string            // of commands
	Variables       []Variable
	Who             string
	Timeout         int    // minutes; 0 is the project's
	Stream          string // that the build logs to; "" is its own
	LogGroup        string // by which aws logs finds the log of commands, with LogName
	LogName         string
	Least           string // level of isolation that the pipeline allows; "" is the server's
	Role            string // ARN; "" is the project's
	Pull            string // number of the pull request that it is of, or ""
}

// Begin begins what a pipeline asks for, in the transaction that writes the
// action down, and answers its id. What is wrong with the action is
// fault.Invalid or fault.NotFound.
func (b *Builds) Begin(tx *db.Tx, a Action) (id string, err error) {
	known, err := db.All(tx, db.Value[string], "SELECT build FROM build_actions WHERE action = ?", a.ID)
	if err != nil || len(known) > 0 {
		return strings.Join(known, ""), err
	}
	p, err := b.actionProject(tx, a)
	if err != nil {
		return "", err
	}
	if err := p.Check(); err != nil {
		return "", err
	}
	made := b.fromProject(p)
	made.Initiator, made.SourceVersion, made.ResolvedVersion = "codepipeline/"+a.Pipeline, refOf(a.Branch), a.Commit
	f := made.Facts
	f.Action, f.Pipeline, f.Claimed, f.Who = a.ID, a.Pipeline, a.Protected, a.Who
	f.Repository, f.Ref, f.Commit = a.Repository, refOf(a.Branch), a.Commit
	f.Stream, f.Least = a.Stream, a.Least
	f.Commands, f.OutputFiles, f.OutputVariables, f.Outputs = a.Commands, a.OutputFiles, a.OutputVariables, a.Outputs
	if f.Inputs, err = ordered(a); err != nil {
		return "", err
	}
	if a.LogGroup != "" {
		made.Logs = &LogsLocation{Group: a.LogGroup, Stream: a.LogName, CloudWatch: &CloudWatchLogs{Status: "ENABLED"}}
	}
	if a.Role != "" {
		made.ServiceRole = a.Role
	}
	if a.Pull != "" {
		f.Hook = &Hook{Head: f.Ref, Commit: a.Commit, Pull: a.Pull}
		made.SourceVersion = "pr/" + a.Pull
	}
	if a.Timeout > 0 {
		made.Timeout = a.Timeout
	}
	if strings.EqualFold(a.Configuration["BatchEnabled"], "true") {
		combine := strings.EqualFold(a.Configuration["CombineArtifacts"], "true")
		if len(a.Outputs) > 0 && !combine {
			return "", fault.Invalid.Errorf("an action whose builds are a batch has one artifact only when they are combined: CombineArtifacts: true")
		}
		config := BatchConfig{}
		if p.Batch != nil {
			config = *p.Batch
		}
		config.CombineArtifacts = &combine
		t, err := b.beginBatch(tx, made, &config)
		return t.ID, err
	}
	if made, err = b.begin(tx, made); err != nil {
		return "", err
	}
	return made.ID, nil
}

// refOf is the full name of a branch, or of what is one already.
func refOf(branch string) string {
	if strings.HasPrefix(branch, "refs/") || branch == "" {
		return branch
	}
	return "refs/heads/" + branch
}

// actionProject is the project that an action names, as the pipeline has it.
func (b *Builds) actionProject(tx *db.Tx, a Action) (p Project, err error) {
	name := a.Configuration["ProjectName"]
	if name == "" && a.Commands == nil && a.Repository == "" {
		return p, fault.Invalid.Errorf("the action names no project: ProjectName")
	}
	if name == "" {
		name = a.Repository
	}
	if p, err = b.project(tx, name, name == a.Repository); err != nil {
		return p, err
	}
	if p.Source.Type == "CODECOMMIT" && p.Source.Repository() != a.Repository && a.Pipeline == a.Repository {
		// The pipeline is what the repository's file says: whoever may push there would have what the project is given.
		return p, fault.Invalid.Errorf("the project %s is the repository %s's: the pipeline of %s may build its own, and projects whose source is CODEPIPELINE", p.Name, p.Source.Repository(), a.Repository)
	}
	was := p.Source
	p.Source, p.SecondarySources, p.SecondaryVersions = Source{Type: "CODEPIPELINE", Buildspec: was.Buildspec, CloneDepth: was.CloneDepth, Submodules: was.Submodules}, nil, nil
	if p.Artifacts.Type != "NO_ARTIFACTS" || len(a.Outputs) > 0 {
		p.Artifacts.Type, p.Artifacts.Location = "CODEPIPELINE", ""
	}
	variables := a.Variables
	if text := a.Configuration["EnvironmentVariables"]; text != "" {
		var more []Variable
		if err := json.Unmarshal([]byte(text), &more); err != nil {
			return p, fault.Invalid.Errorf("EnvironmentVariables is a list of {name, value, type} in JSON: %w", err)
		}
		variables = append(slices.Clone(variables), more...)
	}
	p.Environment.Variables = merged(p.Environment.Variables, variables)
	return p, nil
}

// ordered are the inputs of an action, the one with the sources first.
func ordered(a Action) ([]Input, error) {
	inputs := slices.Clone(a.Inputs)
	first := a.Configuration["PrimarySource"]
	if first == "" || len(inputs) == 0 {
		return inputs, nil
	}
	i := slices.IndexFunc(inputs, func(in Input) bool { return in.Name == first })
	if i < 0 {
		return nil, fault.Invalid.Errorf("PrimarySource %q is none of the action's input artifacts", first)
	}
	one := inputs[i]
	return slices.Insert(slices.Delete(inputs, i, i+1), 0, one), nil
}

// Halt ends what Begin began.
func (b *Builds) Halt(tx *db.Tx, id, reason string) error {
	_, err := find(tx, id)
	if errors.Is(err, fault.NotFound) {
		t, err := findBatch(tx, id)
		if err != nil || t.Status.Ended() {
			return err
		}
		return b.stopBatch(tx, t, reason)
	}
	if err != nil {
		return err
	}
	_, err = b.stop(tx, id, reason)
	return err
}

// outputs are a build's artifacts as its pipeline calls them.
func (b *Build) outputs() (all []Artifact) {
	for _, name := range b.Facts.Outputs {
		if a, ok := outputOf(b.Facts.Outputs, b.Facts.Made, name); ok {
			a.Name = name
			all = append(all, a)
		}
	}
	return all
}

// outputs is a batch's combined artifact as its pipeline calls it.
func (t *Batch) outputs() []Artifact {
	names := t.Facts.Build.Facts.Outputs
	if t.Facts.Made == nil || len(names) == 0 {
		return nil
	}
	one := *t.Facts.Made
	one.Name = names[0]
	return []Artifact{one}
}
