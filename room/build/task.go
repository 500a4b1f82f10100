package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/lang/buildspec"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/egress"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// Builder does one build in a folder; tool/build is the first.
type Builder interface {
	Run(ctx context.Context, p tool.Plan, log io.Writer) (tool.Result, error)
}

// Pair is a variable and its value.
type Pair = tool.Variable

// Task is all that whoever does a build has to know. It holds secrets, and is
// told only to who has the lease.
type Task struct {
	Build      string       `json:"build"` // its id
	Project    string       `json:"project"`
	Number     int64        `json:"number"`
	SpecName   string       `json:"spec-name"`
	Spec       string       `json:"spec"` // the text
	Facts      tool.Facts   `json:"facts"`
	Env        []Pair       `json:"env,omitzero"`
	Variables  []Pair       `json:"variables,omitzero"`
	Secrets    []Pair       `json:"secrets,omitzero"`
	Parameters []Pair       `json:"parameters,omitzero"` // of the parameter store, that are no secrets; masked all the same
	Token      string       `json:"token,omitzero"`      // for TokenFile
	Sources    []TaskSource `json:"sources,omitzero"`
	Image      string       `json:"image,omitzero"` // "" is the machine's own toolchain
	Egress     egress.Rules `json:"egress,omitzero"`
	Seconds    int          `json:"seconds"` // that it may take
	Memory     uint64       `json:"memory,omitzero"`
	Least      string       `json:"least-level,omitzero"` // of isolation
	Caches     bool         `json:"caches,omitzero"`      // whether what the buildspec names is kept

	spec *buildspec.Spec
}

// TaskSource is a source that is fetched before the build.
type TaskSource struct {
	ID     string   `json:"id,omitzero"`     // "" is the first one; else it lies in src_ID
	Clones []string `json:"clones,omitzero"` // folders of it that are clones: "" is itself, the others submodules

	repository, commit string // of our own repositories
	branch             string // refs/heads/… that the commit is from, or ""
	digest             string // or a zip in base/blob
	clone              bool   // its history comes along
	depth              int    // so many commits of it; 0 is all
	modules            []module
}

// specName is what a build's buildspec is called in what is said of it.
func (b *Builds) specName(made *Build) string {
	switch spec := made.Source.Buildspec; {
	case made.Facts.Commands != nil:
		return "commands"
	case isText(spec):
		return "buildspec"
	case spec != "":
		return spec
	}
	return buildspec.File
}

// specOf reads a build's buildspec. A mistake in it, and that it is not there, are people's (see mistake).
func (b *Builds) specOf(ctx context.Context, made *Build) (*buildspec.Spec, string, error) {
	text, err := b.specText(ctx, made)
	if err != nil {
		return nil, "", err
	}
	spec, err := tool.Parse(b.specName(made), []byte(text))
	return spec, text, err
}

func (b *Builds) specText(ctx context.Context, made *Build) (string, error) {
	if made.Facts.Commands != nil {
		return commandsSpec(made.Facts.Commands, made.Facts.OutputVariables, made.Facts.OutputFiles)
	}
	if isText(made.Source.Buildspec) {
		return made.Source.Buildspec, nil
	}
	name := b.specName(made)
	files, done, err := b.sourceFS(ctx, made)
	if err != nil {
		return "", err
	}
	defer done()
	if !fs.ValidPath(name) {
		return "", fault.Invalid.Errorf("%.200q is no path of a buildspec in the source", name)
	}
	info, err := fs.Stat(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.Invalid.Errorf("the source has no %s", name)
	}
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > 1<<20 {
		return "", fault.Invalid.Errorf("%s is no file, or larger than 1 MiB", name)
	}
	text, err := fs.ReadFile(files, name)
	return string(text), err
}

// mistake is the reason for an error that people have to mend, or nil.
func mistake(err error) *Reason {
	if err == nil || !fault.Permanent(err) {
		return nil
	}
	r := &Reason{Code: "YAML_FILE_ERROR", Text: err.Error(), Do: "mend the file"}
	var at *diag.Error
	if errors.As(err, &at) {
		r.Text, r.Where = at.Message, at.Place.String()
		if at.Hint != "" {
			r.Do = at.Hint
		}
	}
	return r
}

// task is what has to be done for a build, or why it cannot be.
func (b *Builds) task(ctx context.Context, made *Build) (t Task, reason *Reason, detail string, err error) {
	f := made.Facts
	if f.Protected, f.Trusted, f.Why, err = b.trust(ctx, made); err != nil {
		return t, nil, "", err
	}
	spec, text, err := b.specOf(ctx, made)
	if reason := mistake(err); reason != nil {
		return t, reason, diag.Detail(err), nil
	}
	if err != nil {
		return t, nil, "", err
	}
	t = Task{
		Build: made.ID, Project: made.Project, Number: made.Number, SpecName: b.specName(made), Spec: text, spec: spec, Seconds: made.Timeout * 60, Facts: b.factsOf(made),
		Memory: computeMemory(made.Environment.ComputeType), Caches: made.Cache.on(), Least: f.Least,
	}
	if !hostImage(made.Environment.Image) {
		t.Image = made.Environment.Image
	}
	if err := b.db.Read(ctx, func(tx *db.Tx) (err error) { t.Egress, err = b.egressOf(tx, made.Environment); return err }); err != nil {
		if fault.Of(err) == fault.NotFound {
			return t, &Reason{Code: "CLIENT_ERROR", Text: err.Error(), Where: "environment.fleet", Do: "name a fleet that there is"}, "", nil
		}
		return t, nil, "", err
	}
	if t.Sources, err = b.sourcesOf(ctx, made); err != nil {
		if reason := mistake(err); reason != nil {
			reason.Code = "CLIENT_ERROR"
			if reason.Where == "" {
				reason.Do = "see whether the source is there"
			}
			return t, reason, "", nil
		}
		return t, nil, "", err
	}
	for _, v := range made.Environment.Variables {
		if v.Type == Plain {
			t.Variables = append(t.Variables, Pair{Name: v.Name, Value: v.Value})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.MemberEnv)) {
		t.Variables = append(t.Variables, Pair{Name: name, Value: f.MemberEnv[name]})
	}
	if t.Secrets, t.Parameters, reason, err = b.secrets(ctx, made, spec); err != nil || reason != nil {
		return t, reason, "", err
	}
	token, err := b.token(ctx, *made)
	if err != nil {
		return t, nil, "", err
	}
	if token != "" {
		t.Token, t.Env = token.Reveal(), b.identityEnv(*made)
	}
	return t, nil, "", nil
}

// factsOf are what CodeBuild's variables say of a build.
func (b *Builds) factsOf(made *Build) tool.Facts {
	f := made.Facts
	facts := tool.Facts{
		Region: b.config.Region, ID: made.ID, ARN: made.ARN, Number: made.Number, Image: made.Environment.Image, Initiator: made.Initiator, LogPath: uuidOf(made.ID),
		Resolved: f.Commit, SourceVersion: made.SourceVersion, Started: made.Started, Batch: f.Member,
	}
	if f.Repository != "" {
		facts.SourceURL = b.config.Page("/git/" + f.Repository)
	}
	if f.Fanout != nil {
		facts.Shard, facts.Shards = f.Fanout.Shard, f.Fanout.Shards
	}
	for _, s := range made.SecondarySources {
		if facts.Secondary == nil {
			facts.Secondary = map[string]tool.Source{}
		}
		facts.Secondary[s.Identifier] = tool.Source{URL: b.config.Page("/git/" + s.Repository()), Version: secondaryVersion(made, s.Identifier)}
	}
	for _, in := range f.Inputs[min(len(f.Inputs), 1):] {
		if facts.Secondary == nil {
			facts.Secondary = map[string]tool.Source{}
		}
		facts.Secondary[in.Name] = tool.Source{}
	}
	switch h := f.Hook; {
	case h != nil:
		facts.Actor, facts.BaseRef, facts.HeadRef, facts.Event, facts.Trigger, facts.MergeCommit, facts.PreviousCommit = h.Actor, h.Base, h.Head, h.Event, h.trigger(), h.Merge, h.Before
	case strings.HasPrefix(f.Ref, "refs/heads/"):
		facts.HeadRef, facts.Trigger = f.Ref, "branch/"+strings.TrimPrefix(f.Ref, "refs/heads/")
	case strings.HasPrefix(f.Ref, "refs/tags/"):
		facts.HeadRef, facts.Trigger = f.Ref, "tag/"+strings.TrimPrefix(f.Ref, "refs/tags/")
	}
	return facts
}

func secondaryVersion(made *Build, id string) string {
	for _, v := range made.SecondaryVersions {
		if v.Identifier == id {
			return v.Version
		}
	}
	return ""
}

// wanted is a variable whose value is elsewhere.
type wanted struct{ name, kind, reference string }

// elsewhere are the variables that the buildspec and the project read from elsewhere.
func elsewhere(made *Build, spec *buildspec.Spec) (all []wanted) {
	for _, name := range slices.Sorted(maps.Keys(spec.Parameters)) {
		all = append(all, wanted{name, ParameterStore, spec.Parameters[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Secrets)) {
		all = append(all, wanted{name, SecretsManager, reference(spec.Secrets[name])})
	}
	for _, v := range made.Environment.Variables {
		all = slices.DeleteFunc(all, func(w wanted) bool { return w.name == v.Name }) // what is said later wins
		if v.Type != Plain {
			all = append(all, wanted{v.Name, v.Type, v.Value})
		}
	}
	return all
}

// secrets are the values of these variables: secrets, and parameters that are none. A build that may not have a
// secret fails, and says why: one that went on without would do something else than what is written.
func (b *Builds) secrets(ctx context.Context, made *Build, spec *buildspec.Spec) (secrets, plain []Pair, no *Reason, err error) {
	all := elsewhere(made, spec)
	if len(all) > 0 && b.config.Secrets == nil {
		return nil, nil, &Reason{Code: "SECRETS_REFUSED", Text: "there are no secrets here", Where: b.specName(made), Do: "leave the variables out"}, nil
	}
	var refused []string
	for _, w := range all {
		if w.kind == SecretsManager && !made.Facts.Trusted {
			refused = append(refused, w.name) // not even looked at
			continue
		}
		value, secret, err := b.valueOf(ctx, made, w)
		switch {
		case err != nil && !fault.Permanent(err):
			return nil, nil, nil, err
		case errors.Is(err, fault.Denied):
			return nil, nil, &Reason{Code: "SECRETS_REFUSED", Text: fmt.Sprintf("the variable %s has no value: %v", w.name, err), Where: b.specName(made), Do: "ask whoever keeps the secret to let this repository have it, or leave the variable out"}, nil
		case err != nil:
			return nil, nil, &Reason{Code: "SECRETS_ERROR", Text: fmt.Sprintf("the variable %s has no value: %v", w.name, err), Where: b.specName(made), Do: "see whether the secret is there"}, nil
		case secret && !made.Facts.Trusted:
			refused = append(refused, w.name)
		case secret:
			secrets = append(secrets, Pair{Name: w.name, Value: value.Reveal()})
		default:
			plain = append(plain, Pair{Name: w.name, Value: value.Reveal()})
		}
	}
	if len(refused) > 0 {
		return nil, nil, &Reason{
			Code: "SECRETS_REFUSED", Text: fmt.Sprintf("the build asks for secrets (%s), and gets none: %s", joined(refused, 5), made.Facts.Why),
			Where: b.specName(made), Do: "secrets go to builds of protected branches with the buildspec of that branch: merge first, or leave the variables out",
		}, nil
	}
	return secrets, plain, nil, nil
}

// valueOf is the value of a variable that is elsewhere, and whether it is a secret.
func (b *Builds) valueOf(ctx context.Context, made *Build, w wanted) (value seal.Secret, secret bool, err error) {
	if w.kind == ParameterStore {
		return b.config.Secrets.Parameter(ctx, made.ID, w.reference)
	}
	value, err = b.config.Secrets.Secret(ctx, made.ID, w.reference)
	return value, true, err
}

// reference writes a reference to a secret as buildspecs have it.
func reference(s buildspec.Secret) string {
	return strings.TrimRight(s.ID+":"+s.Key+":"+s.Stage+":"+s.Version, ":")
}

// commandsSpec is the buildspec of an action that brings its commands itself.
func commandsSpec(commands, exported []string, outputs map[string][]string) (string, error) {
	type artifact struct {
		Files []string `json:"files"`
	}
	type phase struct {
		Commands []string `json:"commands"`
	}
	var spec struct {
		Version string `json:"version"`
		Env     struct {
			Exported []string `json:"exported-variables,omitzero"`
		} `json:"env,omitzero"`
		Phases    map[string]phase `json:"phases"`
		Artifacts *struct {
			Files     []string            `json:"files"`
			Secondary map[string]artifact `json:"secondary-artifacts,omitzero"`
		} `json:"artifacts,omitzero"`
	}
	spec.Version, spec.Env.Exported, spec.Phases = "0.2", exported, map[string]phase{"build": {commands}}
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		if spec.Artifacts == nil {
			spec.Artifacts = &struct {
				Files     []string            `json:"files"`
				Secondary map[string]artifact `json:"secondary-artifacts,omitzero"`
			}{Files: outputs[name]}
			if len(outputs) == 1 {
				break
			}
			spec.Artifacts.Secondary = map[string]artifact{}
		}
		spec.Artifacts.Secondary[name] = artifact{outputs[name]}
	}
	text, err := json.Marshal(spec, json.Deterministic(true))
	return string(text), err
}

// hidden is what no log may hold.
func (t *Task) hidden() []Pair {
	all := slices.Concat(t.Secrets, t.Parameters)
	if t.Token != "" {
		all = append(all, Pair{Name: "token", Value: t.Token})
	}
	return all
}

// limit is how long a build may take from now.
func (t *Task) limit() time.Duration { return time.Duration(t.Seconds) * time.Second }
