package codepipeline

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type pipelineInput struct {
	Pipeline structure.Pipeline `json:"pipeline"`
	Tags     []tag              `json:"tags"`
}

// askPipeline asks for the pipeline, and for what it does on behalf of whoever makes it: read repositories and buckets, build projects,
// start other pipelines. At AWS its role says that; here nobody has by a pipeline what they have not themselves.
func (s *service) askPipeline(c *wire.Call, in *pipelineInput) []iam.Request {
	asked := c.Ask(s.arn(in.Pipeline.Name))
	for _, st := range in.Pipeline.Stages {
		for _, a := range st.Actions {
			of := func(service, name string) string {
				return "arn:aws:" + service + ":" + s.Region + ":" + s.Account + ":" + name
			}
			if bucket, key, ok := pipeline.ObjectOf(a); ok {
				asked = append(asked, c.AskFor("s3:GetObject", "arn:aws:s3:::"+bucket+"/"+key)...)
			}
			config := a.Configuration
			full := config["FullRepositoryId"]
			switch repository := cmp.Or(full[strings.LastIndexByte(full, '/')+1:], config["RepositoryName"]); {
			case a.Type.Category == structure.Source && repository != "":
				asked = append(asked, c.AskFor("codecommit:GitPull", of("codecommit", repository))...)
			case a.Type.Provider == "CodeBuild" && config["ProjectName"] != "":
				asked = append(asked, c.AskFor("codebuild:StartBuild", of("codebuild", "project/"+config["ProjectName"]))...)
			case a.Type.Provider == "CodePipeline" && config["PipelineName"] != "":
				asked = append(asked, c.AskFor("codepipeline:StartPipelineExecution", s.arn(config["PipelineName"]))...)
			}
		}
	}
	return asked
}

type pipelineOutput struct {
	Pipeline structure.Pipeline `json:"pipeline"`
	Metadata *metadata          `json:"metadata,omitzero"`
	Tags     []tag              `json:"tags,omitzero"`
}

type metadata struct {
	ARN     string    `json:"pipelineArn"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

// shown is a structure as CodePipeline knows them: it has a role, and nothing of ours.
func (s *service) shown(p structure.Pipeline) structure.Pipeline {
	p.Haechi = nil
	p.RoleARN = cmp.Or(p.RoleARN, "arn:aws:iam::"+s.Account+":role/haechi")
	for _, t := range p.Triggers { // MERGED is ours
		for i := range t.Git.Pull {
			t.Git.Pull[i].Events = slices.DeleteFunc(slices.Clone(t.Git.Pull[i].Events), func(e string) bool { return e == structure.Merged })
		}
	}
	return p
}

func tagsOf(m map[string]string) []tag {
	all := []tag{}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, tag{key, m[key]})
	}
	return all
}

func fromTags(tags []tag) (map[string]string, error) {
	m := map[string]string{}
	for _, t := range tags {
		if _, twice := m[t.Key]; twice {
			return nil, wire.Errorf("InvalidTagsException", "the tag %q stands there twice", t.Key)
		}
		m[t.Key] = t.Value
	}
	if len(m) > 50 {
		return nil, wire.Errorf("TooManyTagsException", "a pipeline has at most 50 tags")
	}
	return m, nil
}

// structural says what is wrong with a structure in CodePipeline's words.
func structural(err error) error {
	var wrong structure.Problem
	if !errors.As(err, &wrong) {
		return err
	}
	code := "InvalidStructureException"
	for _, step := range wrong.Path {
		switch step {
		case "actions":
			code = "InvalidActionDeclarationException"
		case "stages":
			code = "InvalidStageDeclarationException"
		}
	}
	return wire.Errorf(code, "%s", wrong.Error())
}

func (s *service) create(ctx context.Context, c *wire.Call, in *pipelineInput) (*pipelineOutput, error) {
	tags, err := fromTags(in.Tags)
	if err != nil {
		return nil, err
	}
	in.Pipeline.PipelineType = cmp.Or(in.Pipeline.PipelineType, "V1") // as at AWS
	d, err := s.Runs.Create(ctx, in.Pipeline, tags, c.Principal.ARN)
	if err != nil {
		return nil, structural(err)
	}
	return &pipelineOutput{Pipeline: s.shown(d.Structure), Tags: tagsOf(d.Tags)}, nil
}

func (s *service) update(ctx context.Context, _ *wire.Call, in *pipelineInput) (*pipelineOutput, error) {
	was, err := s.Runs.Definition(ctx, in.Pipeline.Name)
	if errors.Is(err, fault.NotFound) {
		return nil, wire.Errorf("InvalidStructureException", "there is no pipeline '%s'", in.Pipeline.Name)
	}
	if err != nil {
		return nil, err
	}
	in.Pipeline.PipelineType = cmp.Or(in.Pipeline.PipelineType, was.Structure.PipelineType)
	d, err := s.Runs.Update(ctx, in.Pipeline)
	if errors.Is(err, fault.Conflict) {
		return nil, wire.Errorf("ValidationException", "%v", err)
	}
	if err != nil {
		return nil, structural(err)
	}
	return &pipelineOutput{Pipeline: s.shown(d.Structure)}, nil
}

func (s *service) get(ctx context.Context, _ *wire.Call, in *nameInput) (*pipelineOutput, error) {
	if _, err := s.defined(ctx, in.Name); err != nil {
		return nil, err
	}
	d, err := s.Runs.DefinitionAt(ctx, in.Name, in.Version)
	if errors.Is(err, fault.NotFound) {
		return nil, wire.Errorf("PipelineVersionNotFoundException", "Pipeline '%s' has no version %d", in.Name, in.Version)
	}
	if err != nil {
		return nil, err
	}
	return &pipelineOutput{Pipeline: s.shown(d.Structure), Metadata: &metadata{s.arn(in.Name), d.Created, d.Updated}}, nil
}

func (s *service) delete(ctx context.Context, c *wire.Call, in *nameInput) (*nothing, error) {
	return nil, s.Runs.Delete(ctx, in.Name, c.Principal.ARN)
}

type listInput struct {
	MaxResults int    `json:"maxResults"`
	NextToken  string `json:"nextToken"`
}

type summary struct {
	Name    string    `json:"name"`
	Version int       `json:"version"`
	Type    string    `json:"pipelineType"`
	Mode    string    `json:"executionMode"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

type listOutput struct {
	Pipelines []summary `json:"pipelines"`
	NextToken string    `json:"nextToken,omitzero"`
}

// list gives pipelines by name; the token is the name that the page before ended with.
func (s *service) list(ctx context.Context, _ *wire.Call, in *listInput) (*listOutput, error) {
	most := cmp.Or(in.MaxResults, 1000)
	all, err := s.Runs.Definitions(ctx, in.NextToken, most+1)
	if err != nil {
		return nil, err
	}
	out := &listOutput{Pipelines: []summary{}}
	for i, d := range all {
		if i == most {
			out.NextToken = out.Pipelines[i-1].Name
			break
		}
		p := d.Structure
		out.Pipelines = append(out.Pipelines, summary{p.Name, p.Version, p.PipelineType, p.ExecutionMode, d.Created, d.Updated})
	}
	return out, nil
}

type tagInput struct {
	ARN  string   `json:"resourceArn"`
	Tags []tag    `json:"tags"`
	Keys []string `json:"tagKeys"`
}

type tagsOutput struct {
	Tags []tag `json:"tags"`
}

// tagged is the pipeline that an ARN names.
func (s *service) tagged(ctx context.Context, arn string) (pipeline.Definition, error) {
	name, err := s.own(arn)
	if err != nil {
		return pipeline.Definition{}, err
	}
	d, err := s.Runs.Definition(ctx, name)
	if errors.Is(err, fault.NotFound) {
		err = wire.Errorf("ResourceNotFoundException", "there is no pipeline '%s'", name)
	}
	return d, err
}

func (s *service) tags(ctx context.Context, _ *wire.Call, in *tagInput) (*tagsOutput, error) {
	if name, ok := s.ownHook(in.ARN); ok {
		h, err := s.Runs.Hook(ctx, name)
		return &tagsOutput{tagsOf(h.Tags)}, hookGone(name, err)
	}
	d, err := s.tagged(ctx, in.ARN)
	return &tagsOutput{tagsOf(d.Tags)}, err
}

// ownHook is the name within the ARN of a webhook.
func (s *service) ownHook(arn string) (string, bool) { return strings.CutPrefix(arn, s.hookARN("")) }

func hookGone(name string, err error) error {
	if errors.Is(err, fault.NotFound) {
		return wire.Errorf("ResourceNotFoundException", "there is no webhook '%s'", name)
	}
	return err
}

func (s *service) tag(ctx context.Context, _ *wire.Call, in *tagInput) (*nothing, error) {
	add, err := fromTags(in.Tags)
	if err != nil {
		return nil, err
	}
	if name, ok := s.ownHook(in.ARN); ok {
		return nil, hookGone(name, s.Runs.TagHook(ctx, name, add, nil))
	}
	d, err := s.tagged(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return nil, s.Runs.Tag(ctx, d.Structure.Name, add, nil)
}

func (s *service) untag(ctx context.Context, _ *wire.Call, in *tagInput) (*nothing, error) {
	if name, ok := s.ownHook(in.ARN); ok {
		return nil, hookGone(name, s.Runs.TagHook(ctx, name, nil, in.Keys))
	}
	d, err := s.tagged(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return nil, s.Runs.Tag(ctx, d.Structure.Name, nil, in.Keys)
}
