package codebuild

import (
	"context"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/word/fault"
)

type createProjectInput struct {
	build.Project
	BadgeEnabled bool `json:"badgeEnabled"`
}

type projectOutput struct {
	Project build.Project `json:"project"`
}

func (s *service) askCreateProject(c *wire.Call, in *createProjectInput) []iam.Request {
	return append(c.Ask(s.project(in.Name)), s.files(append(slices.Clone(in.Project.SecondarySources), in.Source), append(in.SecondaryArtifacts, in.Artifacts)...)...)
}

// files asks for what builds do on behalf of whoever says where: read their sources in repositories and buckets, and put
// what they make into buckets. What somebody may not see no build shows them.
func (s *service) files(from []build.Source, to ...build.Artifacts) (asked []iam.Request) {
	for _, f := range from {
		switch f.Type {
		case "S3", "": // an override of the location alone may be of either
			if bucket, key, ok := f.Object(); ok {
				asked = append(asked, iam.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::" + bucket + "/" + key})
			}
		case "CODECOMMIT":
			arn := strings.Replace(s.builds.ARN(f.Repository()), ":codebuild:", ":codecommit:", 1)
			asked = append(asked, iam.Request{Action: "codecommit:GitPull", Resource: arn})
		}
	}
	for _, a := range to {
		if a.Type == "S3" && a.Location != "" && a.Bucket() != build.Kept {
			asked = append(asked, iam.Request{Action: "s3:PutObject", Resource: "arn:aws:s3:::" + a.Bucket() + "/*"})
		}
	}
	return asked
}

func (s *service) createProject(ctx context.Context, _ *wire.Call, in *createProjectInput) (*projectOutput, error) {
	if in.BadgeEnabled {
		in.Badge = &build.Badge{Enabled: true} // to be refused
	}
	in.Webhook = nil
	p, err := s.builds.CreateProject(ctx, in.Project)
	return &projectOutput{p}, err
}

type updateProjectInput struct {
	Name               string                 `json:"name"`
	Description        *string                `json:"description"`
	Source             *build.Source          `json:"source"`
	SecondarySources   *[]build.Source        `json:"secondarySources"`
	SourceVersion      *string                `json:"sourceVersion"`
	SecondaryVersions  *[]build.SourceVersion `json:"secondarySourceVersions"`
	Artifacts          *build.Artifacts       `json:"artifacts"`
	SecondaryArtifacts *[]build.Artifacts     `json:"secondaryArtifacts"`
	Cache              *build.Cache           `json:"cache"`
	Environment        *build.Environment     `json:"environment"`
	ServiceRole        *string                `json:"serviceRole"`
	Timeout            *int                   `json:"timeoutInMinutes"`
	QueuedTimeout      *int                   `json:"queuedTimeoutInMinutes"`
	EncryptionKey      *string                `json:"encryptionKey"`
	Tags               *[]build.Tag           `json:"tags"`
	BadgeEnabled       bool                   `json:"badgeEnabled"`
	Logs               *build.LogsConfig      `json:"logsConfig"`
	Batch              *build.BatchConfig     `json:"buildBatchConfig"`
	ConcurrentLimit    *int                   `json:"concurrentBuildLimit"`
	AutoRetryLimit     *int                   `json:"autoRetryLimit"`
	VPC                jsontext.Value         `json:"vpcConfig"`
	FileSystems        jsontext.Value         `json:"fileSystemLocations"`
}

func (s *service) askUpdateProject(c *wire.Call, in *updateProjectInput) []iam.Request {
	var to []build.Artifacts
	set(&to, in.SecondaryArtifacts)
	if in.Artifacts != nil {
		to = append(slices.Clone(to), *in.Artifacts)
	}
	var from []build.Source
	set(&from, in.SecondarySources)
	if in.Source != nil {
		from = append(slices.Clone(from), *in.Source)
	}
	return append(c.Ask(s.project(in.Name)), s.files(from, to...)...)
}

// set puts what was given in the place of what is there.
func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func (s *service) updateProject(ctx context.Context, _ *wire.Call, in *updateProjectInput) (*projectOutput, error) {
	p, err := s.builds.ChangeProject(ctx, in.Name, func(p *build.Project) error {
		set(&p.Description, in.Description)
		set(&p.Source, in.Source)
		set(&p.SecondarySources, in.SecondarySources)
		set(&p.SourceVersion, in.SourceVersion)
		set(&p.SecondaryVersions, in.SecondaryVersions)
		set(&p.Artifacts, in.Artifacts)
		set(&p.SecondaryArtifacts, in.SecondaryArtifacts)
		set(&p.Cache, in.Cache)
		set(&p.Environment, in.Environment)
		set(&p.ServiceRole, in.ServiceRole)
		set(&p.Timeout, in.Timeout)
		set(&p.QueuedTimeout, in.QueuedTimeout)
		set(&p.EncryptionKey, in.EncryptionKey)
		set(&p.Tags, in.Tags)
		set(&p.ConcurrentLimit, in.ConcurrentLimit)
		set(&p.AutoRetryLimit, in.AutoRetryLimit)
		if in.Logs != nil {
			p.Logs = in.Logs
		}
		if in.Batch != nil {
			p.Batch = in.Batch
		}
		if in.BadgeEnabled {
			p.Badge = &build.Badge{Enabled: true}
		}
		p.VPC, p.FileSystems = in.VPC, in.FileSystems
		if p.ConcurrentLimit == -1 { // CodeBuild's word for none
			p.ConcurrentLimit = 0
		}
		return nil
	})
	return &projectOutput{p}, err
}

func (s *service) deleteProject(ctx context.Context, _ *wire.Call, in *nameInput) (*none, error) {
	return nil, s.builds.DeleteProject(ctx, in.Name)
}

type projectsOutput struct {
	Projects []build.Project `json:"projects"`
	NotFound []string        `json:"projectsNotFound"`
}

func (s *service) batchGetProjects(ctx context.Context, _ *wire.Call, in *namesInput) (*projectsOutput, error) {
	all, none, err := gather(ctx, in.Names, s.builds.Project)
	return &projectsOutput{all, none}, err
}

type listProjectsInput struct {
	SortBy    string `json:"sortBy"`
	SortOrder string `json:"sortOrder"`
	NextToken string `json:"nextToken"`
}

type listProjectsOutput struct {
	NextToken string   `json:"nextToken,omitzero"`
	Projects  []string `json:"projects"`
}

func (s *service) listProjects(ctx context.Context, _ *wire.Call, in *listProjectsInput) (*listProjectsOutput, error) {
	all, err := s.builds.Projects(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(x, y build.Project) int {
		switch in.SortBy {
		case "CREATED_TIME":
			return x.Created.Compare(y.Created)
		case "LAST_MODIFIED_TIME":
			return x.LastModified.Compare(y.LastModified)
		}
		return strings.Compare(x.Name, y.Name)
	})
	if in.SortOrder == "DESCENDING" {
		slices.Reverse(all)
	}
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
	}
	out := &listProjectsOutput{}
	out.Projects, out.NextToken, err = page(names, in.NextToken, 0, 100)
	return out, err
}

func (s *service) invalidateCache(ctx context.Context, _ *wire.Call, in *projectInput) (*none, error) {
	return nil, s.builds.InvalidateCache(ctx, in.Project)
}

type webhookInput struct {
	Project      string                `json:"projectName"`
	BranchFilter *string               `json:"branchFilter"`
	FilterGroups *[][]build.Filter     `json:"filterGroups"`
	BuildType    string                `json:"buildType"`
	Policy       *build.ApprovalPolicy `json:"pullRequestBuildPolicy"`
	Scope        jsontext.Value        `json:"scopeConfiguration"`
}

type webhookOutput struct {
	Webhook *build.Webhook `json:"webhook"`
}

func (s *service) askWebhook(c *wire.Call, in *webhookInput) []iam.Request {
	return c.Ask(s.project(in.Project))
}

// setWebhook makes or changes a webhook: the filters that say which pushes and
// pull requests are built. Nobody calls it; what happens here is known here.
func (s *service) setWebhook(ctx context.Context, c *wire.Call, in *webhookInput) (*webhookOutput, error) {
	p, err := s.builds.ChangeProject(ctx, in.Project, func(p *build.Project) error {
		switch {
		case len(in.Scope) > 0:
			return fault.Invalid.Errorf("scopeConfiguration: a webhook is of the project's own repository")
		case p.Source.Type != "CODECOMMIT":
			return fault.Invalid.Errorf("the project %s has no repository whose pushes could be heard: its source is %s", p.Name, p.Source.Type)
		case c.Operation == "CreateWebhook" && p.Webhook != nil:
			return fault.Exists.Errorf("the project %s has a webhook already", p.Name)
		case c.Operation == "UpdateWebhook" && p.Webhook == nil:
			return fault.NotFound.Errorf("the project %s has no webhook", p.Name)
		}
		if p.Webhook == nil {
			p.Webhook = &build.Webhook{}
		}
		if in.BranchFilter != nil {
			p.Webhook.BranchFilter, p.Webhook.FilterGroups = *in.BranchFilter, nil
		}
		if in.FilterGroups != nil {
			if p.Webhook.FilterGroups = *in.FilterGroups; in.BranchFilter == nil {
				p.Webhook.BranchFilter = ""
			}
		}
		if in.BuildType != "" {
			p.Webhook.BuildType = in.BuildType
		}
		if in.Policy != nil {
			p.Webhook.Policy = in.Policy
		}
		return nil
	})
	return &webhookOutput{p.Webhook}, err
}

func (s *service) deleteWebhook(ctx context.Context, _ *wire.Call, in *projectInput) (*none, error) {
	_, err := s.builds.ChangeProject(ctx, in.Project, func(p *build.Project) error {
		if p.Webhook == nil {
			return fault.NotFound.Errorf("the project %s has no webhook", p.Name)
		}
		p.Webhook = nil
		return nil
	})
	return nil, err
}

type imagesOutput struct {
	Platforms []platform `json:"platforms"`
}

type platform struct {
	Platform  string     `json:"platform"`
	Languages []language `json:"languages"`
}

type language struct {
	Language string  `json:"language"`
	Images   []image `json:"images"`
}

type image struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Versions    []string `json:"versions"`
}

func (s *service) images(context.Context, *wire.Call, *none) (*imagesOutput, error) {
	own := image{build.OwnImage, "the toolchain of the server or of the runner that builds; CodeBuild's own images stand for it, too", []string{build.OwnImage}}
	return &imagesOutput{[]platform{{"DEBIAN", []language{{"BASE", []image{own}}}}}}, nil
}

type credentialsOutput struct {
	Infos []none `json:"sourceCredentialsInfos"`
}

func (s *service) importCredentials(context.Context, *wire.Call, *none) (*none, error) {
	return nil, fault.Unsupported.Errorf("builds take repositories of this server, and need no credentials for that: mirror what lies on GitHub, GitLab or Bitbucket (docs/forges.md)")
}

func (s *service) listCredentials(context.Context, *wire.Call, *none) (*credentialsOutput, error) {
	return &credentialsOutput{[]none{}}, nil
}
