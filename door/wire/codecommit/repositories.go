package codecommit

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

func (s *service) repositories() map[string]wire.Operation {
	return map[string]wire.Operation{
		"CreateRepository":            op(s, s.createRepository),
		"GetRepository":               op(s, s.getRepository),
		"BatchGetRepositories":        wire.Op(s.askNames, s.batchGet),
		"ListRepositories":            wire.Op(wire.AskAll, s.list),
		"DeleteRepository":            op(s, s.deleteRepository),
		"UpdateRepositoryDescription": op(s, s.describe),
		"UpdateRepositoryName":        wire.Op(s.askRename, s.rename),
		"UpdateDefaultBranch":         op(s, s.defaultBranch),
		"CreateBranch":                wire.Op(s.askBranch, s.createBranch),
		"DeleteBranch":                wire.Op(s.askBranch, s.deleteBranch),
		"GetBranch":                   op(s, s.getBranch),
		"ListBranches":                op(s, s.listBranches),
		"ListTagsForResource":         wire.Op(askARN[tagInput], s.listTags),
		"TagResource":                 wire.Op(askARN[tagInput], s.tag),
		"UntagResource":               wire.Op(askARN[tagInput], s.untag),
		"GetRepositoryTriggers":       op(s, s.getTriggers),
		"PutRepositoryTriggers":       op(s, s.putTriggers),
	}
}

type metadata struct {
	Account     string    `json:"accountId"`
	ID          string    `json:"repositoryId"`
	Name        string    `json:"repositoryName"`
	Description string    `json:"repositoryDescription,omitzero"`
	Branch      string    `json:"defaultBranch,omitzero"`
	Modified    time.Time `json:"lastModifiedDate"`
	Created     time.Time `json:"creationDate"`
	URL         string    `json:"cloneUrlHttp,omitzero"`
	ARN         string    `json:"Arn"`
}

type metadataOutput struct {
	Metadata metadata `json:"repositoryMetadata"`
}

// metadata is what is told of a repository. The default branch is told once there is one.
func (s *service) metadata(ctx context.Context, r source.Repository) metadata {
	m := metadata{Account: s.Account, ID: r.ID, Name: r.Name, Description: r.Description, Branch: r.DefaultBranch, Modified: r.Modified, Created: r.Created, ARN: s.Source.ARN(r.Name)}
	if m.Modified.IsZero() {
		m.Modified = r.Created
	}
	if s.URL != nil {
		m.URL = s.URL(r.Name)
	}
	if _, err := s.Source.Ref(ctx, r.Name, "refs/heads/"+r.DefaultBranch); errors.Is(err, fault.NotFound) {
		m.Branch = ""
	}
	return m
}

type createInput struct {
	named
	Description string            `json:"repositoryDescription"`
	Tags        map[string]string `json:"tags"`
	Key         string            `json:"kmsKeyId"`
}

func (s *service) createRepository(ctx context.Context, c *wire.Call, in *createInput) (*metadataOutput, error) {
	if in.Key != "" {
		return nil, s.code(c, fault.Unsupported.Errorf("repositories lie on the server's own disk, under no key of KMS"), "EncryptionKeyInvalidIdException", "EncryptionKeyNotFoundException")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	r, err := s.Source.Create(ctx, source.Repository{Name: in.Repository, Description: in.Description, Tags: in.Tags})
	if err != nil {
		return nil, s.when(c, err, fault.Limit, "InvalidRepositoryDescriptionException")
	}
	return &metadataOutput{s.metadata(ctx, r)}, nil
}

func (s *service) getRepository(ctx context.Context, _ *wire.Call, in *named) (*metadataOutput, error) {
	r, err := s.Source.Repository(ctx, in.Repository)
	if err != nil {
		return nil, err
	}
	return &metadataOutput{s.metadata(ctx, r)}, nil
}

// askAll asks for several repositories.
func (s *service) askAll(c *wire.Call, names []string) []iam.Request {
	var arns []string
	for _, n := range names {
		arns = append(arns, s.Source.ARN(n))
	}
	return c.Ask(arns...)
}

type names struct {
	Names []string `json:"repositoryNames"`
}

func (s *service) askNames(c *wire.Call, in *names) []iam.Request {
	return s.askAll(c, in.Names)
}

type batchOutput struct {
	Repositories []metadata `json:"repositories"`
	NotFound     []string   `json:"repositoriesNotFound"`
}

func (s *service) batchGet(ctx context.Context, _ *wire.Call, in *names) (*batchOutput, error) {
	if len(in.Names) > 100 {
		return nil, wire.Errorf("MaximumRepositoryNamesExceededException", "at most 100 repositories at once")
	}
	out := &batchOutput{Repositories: []metadata{}, NotFound: []string{}}
	for _, name := range in.Names {
		r, err := s.Source.Repository(ctx, name)
		if errors.Is(err, fault.NotFound) {
			out.NotFound = append(out.NotFound, name)
			continue
		}
		if err != nil {
			return nil, err
		}
		out.Repositories = append(out.Repositories, s.metadata(ctx, r))
	}
	return out, nil
}

type listInput struct {
	Token string `json:"nextToken"`
	By    string `json:"sortBy"`
	Order string `json:"order"`
}

type idPair struct {
	Name string `json:"repositoryName"`
	ID   string `json:"repositoryId"`
}

type listOutput struct {
	Repositories []idPair `json:"repositories"`
	Token        string   `json:"nextToken,omitzero"`
}

func (s *service) list(ctx context.Context, _ *wire.Call, in *listInput) (*listOutput, error) {
	var all []source.Repository
	for after := ""; ; {
		some, err := s.Source.Repositories(ctx, after, 1000)
		if err != nil {
			return nil, err
		}
		if len(some) == 0 {
			break
		}
		all, after = append(all, some...), some[len(some)-1].Name
	}
	if in.By == "lastModifiedDate" {
		slices.SortStableFunc(all, func(a, b source.Repository) int { return a.Modified.Compare(b.Modified) })
	}
	if in.Order == "descending" {
		slices.Reverse(all)
	}
	part, next, err := page(all, in.Token, 1000, 1000)
	out := &listOutput{Repositories: []idPair{}, Token: next}
	for _, r := range part {
		out.Repositories = append(out.Repositories, idPair{r.Name, r.ID})
	}
	return out, err
}

type deletedOutput struct {
	ID string `json:"repositoryId,omitzero"`
}

func (s *service) deleteRepository(ctx context.Context, _ *wire.Call, in *named) (*deletedOutput, error) {
	r, err := s.Source.Delete(ctx, in.Repository)
	if errors.Is(err, fault.NotFound) { // as often as one likes
		return &deletedOutput{}, nil
	}
	return &deletedOutput{r.ID}, err
}

type describeInput struct {
	named
	Description string `json:"repositoryDescription"`
}

func (s *service) describe(ctx context.Context, c *wire.Call, in *describeInput) (*struct{}, error) {
	_, err := s.Source.Change(ctx, in.Repository, func(r *source.Repository) error { r.Description = in.Description; return nil })
	return nil, s.when(c, err, fault.Limit, "InvalidRepositoryDescriptionException")
}

type renameInput struct {
	Old string `json:"oldName"`
	New string `json:"newName"`
}

func (s *service) askRename(c *wire.Call, in *renameInput) []iam.Request {
	return c.Ask(s.Source.ARN(in.Old), s.Source.ARN(in.New))
}

func (s *service) rename(ctx context.Context, _ *wire.Call, in *renameInput) (*struct{}, error) {
	return nil, s.Source.Rename(ctx, in.Old, in.New)
}

type defaultInput struct {
	named
	Branch string `json:"defaultBranchName"`
}

func (s *service) defaultBranch(ctx context.Context, c *wire.Call, in *defaultInput) (*struct{}, error) {
	if _, err := s.Source.Repository(ctx, in.Repository); err != nil {
		return nil, err
	}
	if _, err := s.Source.Ref(ctx, in.Repository, "refs/heads/"+in.Branch); err != nil {
		return nil, s.when(c, err, fault.NotFound, "BranchDoesNotExistException")
	}
	_, err := s.Source.Change(ctx, in.Repository, func(r *source.Repository) error { r.DefaultBranch = in.Branch; return nil })
	return nil, err
}

type branchInput struct {
	named
	Branch string `json:"branchName"`
	Commit string `json:"commitId"`
}

// askBranch asks with the branch, for policies that tell branches apart.
func (s *service) askBranch(c *wire.Call, in *branchInput) []iam.Request {
	return s.askRef(c, in.Repository, in.Branch)
}

// keyReferences is the condition key that names the ref of a change.
const keyReferences = "codecommit:references"

func (s *service) askRef(c *wire.Call, repository, branch string) []iam.Request {
	asked := c.Ask(s.Source.ARN(repository))
	for i := range asked {
		asked[i].Context = map[string][]string{keyReferences: {fullRef(branch)}}
	}
	return asked
}

func fullRef(branch string) string {
	if strings.HasPrefix(branch, "refs/") {
		return branch
	}
	return "refs/heads/" + branch
}

func (s *service) createBranch(ctx context.Context, c *wire.Call, in *branchInput) (*struct{}, error) {
	if err := s.full(c, in.Commit); err != nil {
		return nil, err
	}
	if _, err := s.Source.Repository(ctx, in.Repository); err != nil {
		return nil, err
	}
	err := s.Source.CreateBranch(ctx, in.Repository, in.Branch, in.Commit, c.Principal.ARN)
	switch {
	case errors.Is(err, fault.NotFound):
		return nil, s.code(c, err, "CommitDoesNotExistException")
	case errors.Is(err, fault.Exists):
		return nil, s.code(c, err, "BranchNameExistsException")
	}
	return nil, s.when(c, err, fault.Invalid, "InvalidBranchNameException")
}

type branchInfo struct {
	Name   string `json:"branchName"`
	Commit string `json:"commitId"`
}

type deletedBranchOutput struct {
	Deleted *branchInfo `json:"deletedBranch,omitzero"`
}

func (s *service) deleteBranch(ctx context.Context, c *wire.Call, in *branchInput) (*deletedBranchOutput, error) {
	r, err := s.Source.Repository(ctx, in.Repository)
	if err != nil {
		return nil, err
	}
	if in.Branch == r.DefaultBranch {
		return nil, s.code(c, fault.Denied.Errorf("%s is the default branch of %s: it stays", in.Branch, in.Repository), "DefaultBranchCannotBeDeletedException")
	}
	commit, err := s.Source.DeleteBranch(ctx, in.Repository, in.Branch, c.Principal.ARN)
	if errors.Is(err, fault.NotFound) {
		return &deletedBranchOutput{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &deletedBranchOutput{&branchInfo{in.Branch, commit}}, nil
}

type branchOutput struct {
	Branch branchInfo `json:"branch"`
}

func (s *service) getBranch(ctx context.Context, c *wire.Call, in *branchInput) (*branchOutput, error) {
	if _, err := s.Source.Repository(ctx, in.Repository); err != nil {
		return nil, err
	}
	if !git.ValidRef("refs/heads/" + in.Branch) {
		return nil, s.code(c, fault.Invalid.Errorf("%q cannot be a branch", in.Branch), "InvalidBranchNameException")
	}
	id, err := s.Source.Ref(ctx, in.Repository, "refs/heads/"+in.Branch)
	if err != nil {
		return nil, s.when(c, err, fault.NotFound, "BranchDoesNotExistException")
	}
	return &branchOutput{branchInfo{in.Branch, id}}, nil
}

type listBranchesInput struct {
	named
	Token string `json:"nextToken"`
}

type listBranchesOutput struct {
	Branches []string `json:"branches"`
	Token    string   `json:"nextToken,omitzero"`
}

func (s *service) listBranches(ctx context.Context, _ *wire.Call, in *listBranchesInput) (*listBranchesOutput, error) {
	refs, err := s.Source.Refs(ctx, in.Repository, "refs/heads/", "", 1_000_000)
	if err != nil {
		return nil, err
	}
	part, next, err := page(refs, in.Token, 1000, 1000)
	out := &listBranchesOutput{Branches: []string{}, Token: next}
	for _, r := range part {
		out.Branches = append(out.Branches, strings.TrimPrefix(r.Name, "refs/heads/"))
	}
	return out, err
}

type tagInput struct {
	ARN  string            `json:"resourceArn"`
	Tags map[string]string `json:"tags"`
	Keys []string          `json:"tagKeys"`
}

func (in tagInput) arn() string { return in.ARN }

func askARN[In interface{ arn() string }](c *wire.Call, in *In) []iam.Request {
	return c.Ask((*in).arn())
}

// named is the repository that an ARN names.
func (s *service) named(arn string) (string, error) {
	name := arn[strings.LastIndexByte(arn, ':')+1:]
	if s.Source.ARN(name) != arn {
		return "", wire.Errorf("InvalidResourceArnException", "%q is the ARN of no repository here", arn)
	}
	return name, nil
}

type tagsOutput struct {
	Tags map[string]string `json:"tags"`
}

func (s *service) listTags(ctx context.Context, _ *wire.Call, in *tagInput) (*tagsOutput, error) {
	name, err := s.named(in.ARN)
	if err != nil {
		return nil, err
	}
	r, err := s.Source.Repository(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &tagsOutput{Tags: map[string]string{}}
	maps.Copy(out.Tags, r.Tags)
	return out, nil
}

func checkTags(tags map[string]string) error {
	if len(tags) > 50 {
		return wire.Errorf("TooManyTagsException", "a repository has at most 50 tags")
	}
	for key := range tags {
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return wire.Errorf("InvalidSystemTagUsageException", "tags that begin with aws: are AWS's own")
		}
	}
	return nil
}

func (s *service) changeTags(ctx context.Context, arn string, change func(map[string]string)) error {
	name, err := s.named(arn)
	if err != nil {
		return err
	}
	_, err = s.Source.Change(ctx, name, func(r *source.Repository) error {
		tags := maps.Clone(r.Tags)
		if tags == nil {
			tags = map[string]string{}
		}
		change(tags)
		r.Tags = tags
		return checkTags(tags)
	})
	return err
}

func (s *service) tag(ctx context.Context, _ *wire.Call, in *tagInput) (*struct{}, error) {
	return nil, s.changeTags(ctx, in.ARN, func(tags map[string]string) { maps.Copy(tags, in.Tags) })
}

func (s *service) untag(ctx context.Context, _ *wire.Call, in *tagInput) (*struct{}, error) {
	return nil, s.changeTags(ctx, in.ARN, func(tags map[string]string) {
		for _, key := range in.Keys {
			delete(tags, key)
		}
	})
}

type triggersOutput struct {
	ID       string `json:"configurationId"`
	Triggers []any  `json:"triggers"`
}

func (s *service) getTriggers(ctx context.Context, _ *wire.Call, in *named) (*triggersOutput, error) {
	r, err := s.Source.Repository(ctx, in.Repository)
	if err != nil {
		return nil, err
	}
	return &triggersOutput{ID: r.ID, Triggers: []any{}}, nil
}

type triggersInput struct {
	named
	Triggers []jsontext.Value `json:"triggers"`
}

type putTriggersOutput struct {
	ID string `json:"configurationId"`
}

// putTriggers takes an empty list only: whom to tell of pushes is said by rules over events, which do it.
func (s *service) putTriggers(ctx context.Context, c *wire.Call, in *triggersInput) (*putTriggersOutput, error) {
	r, err := s.Source.Repository(ctx, in.Repository)
	if err != nil {
		return nil, err
	}
	if len(in.Triggers) > 0 {
		return nil, s.code(c, fault.Unsupported.Errorf("whom to tell of pushes is said by a rule over events here: aws events put-rule, with the pattern {\"source\":[\"aws.codecommit\"],\"resources\":[\"%s\"]}", s.Source.ARN(r.Name)), "InvalidRepositoryTriggerDestinationArnException")
	}
	return &putTriggersOutput{r.ID}, nil
}
