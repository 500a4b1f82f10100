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

// startInput is what StartBuild and StartBuildBatch are asked with.
type startInput struct {
	Project            string                `json:"projectName"`
	Version            string                `json:"sourceVersion"`
	Token              string                `json:"idempotencyToken"`
	Buildspec          string                `json:"buildspecOverride"`
	Variables          []build.Variable      `json:"environmentVariablesOverride"`
	Artifacts          *build.Artifacts      `json:"artifactsOverride"`
	SecondaryArtifacts []build.Artifacts     `json:"secondaryArtifactsOverride"`
	SecondaryVersions  []build.SourceVersion `json:"secondarySourcesVersionOverride"`
	Cache              *build.Cache          `json:"cacheOverride"`
	Image              string                `json:"imageOverride"`
	ComputeType        string                `json:"computeTypeOverride"`
	EnvironmentType    string                `json:"environmentTypeOverride"`
	Timeout            int                   `json:"timeoutInMinutesOverride"`
	BuildTimeout       int                   `json:"buildTimeoutInMinutesOverride"` // of a batch
	QueuedTimeout      int                   `json:"queuedTimeoutInMinutesOverride"`
	SourceType         string                `json:"sourceTypeOverride"`
	SourceLocation     string                `json:"sourceLocationOverride"`
	AutoRetryLimit     *int                  `json:"autoRetryLimitOverride"`
	ServiceRole        string                `json:"serviceRoleOverride"`
	Fleet              *build.FleetRef       `json:"fleetOverride"`
	Batch              *build.BatchConfig    `json:"buildBatchConfigOverride"`
	CloneDepth         *int                  `json:"gitCloneDepthOverride"`
	Submodules         *build.Submodules     `json:"gitSubmodulesConfigOverride"`

	// What is refused, as in projects.
	SecondarySources jsontext.Value    `json:"secondarySourcesOverride"`
	Auth             jsontext.Value    `json:"sourceAuthOverride"`
	InsecureSSL      *bool             `json:"insecureSslOverride"`
	Certificate      string            `json:"certificateOverride"`
	Privileged       *bool             `json:"privilegedModeOverride"`
	EncryptionKey    string            `json:"encryptionKeyOverride"`
	Logs             *build.LogsConfig `json:"logsConfigOverride"`
	Registry         jsontext.Value    `json:"registryCredentialOverride"`
	Debug            bool              `json:"debugSessionEnabled"`
}

func (s *service) askStart(c *wire.Call, in *startInput) []iam.Request {
	to := in.SecondaryArtifacts
	if in.Artifacts != nil {
		to = append(slices.Clone(to), *in.Artifacts)
	}
	asked := append(c.Ask(s.project(in.Project)), s.files(nil, to...)...)
	if in.SourceLocation == "" {
		return asked
	}
	from := build.Source{Type: in.SourceType, Location: in.SourceLocation}
	if from.Type == "" {
		if p, err := s.builds.Project(context.Background(), in.Project); err == nil { // asks come without a context; it is one row
			from.Type = p.Source.Type
		}
	}
	return append(asked, s.files([]build.Source{from})...)
}

// start is what is asked for, in the room's words.
func (in *startInput) start(c *wire.Call) (build.Start, error) {
	st := build.Start{
		Project: in.Project, Version: in.Version, Who: c.Principal.ARN, Buildspec: in.Buildspec, Variables: in.Variables, Artifacts: in.Artifacts,
		SecondaryArtifacts: in.SecondaryArtifacts, SecondaryVersions: in.SecondaryVersions, Cache: in.Cache, Image: in.Image, ComputeType: in.ComputeType,
		EnvironmentType: in.EnvironmentType, Timeout: in.Timeout + in.BuildTimeout, QueuedTimeout: in.QueuedTimeout, SourceType: in.SourceType,
		SourceLocation: in.SourceLocation, AutoRetryLimit: in.AutoRetryLimit, ServiceRole: in.ServiceRole, Fleet: in.Fleet,
	}
	if in.Token != "" {
		st.Token = c.Principal.ARN + "/" + c.Operation + "/" + in.Token
	}
	st.Restrict = func(p *build.Project) error {
		p.Source.Auth, p.Source.InsecureSSL = in.Auth, in.InsecureSSL
		if in.Submodules != nil {
			p.Source.Submodules = in.Submodules
		}
		if in.CloneDepth != nil {
			p.Source.CloneDepth = *in.CloneDepth
		}
		p.Environment.Certificate, p.Environment.Privileged, p.Environment.Registry = in.Certificate, in.Privileged, in.Registry
		p.EncryptionKey = in.EncryptionKey
		if in.Logs != nil {
			p.Logs = in.Logs
		}
		return p.Check()
	}
	switch {
	case in.Debug:
		return st, fault.Invalid.Errorf("debugSessionEnabled: there are no sessions in builds at work: one that failed is entered afterwards (haechi run shell BUILD), and start-sandbox runs commands in what a project builds in")
	case len(in.SecondarySources) > 0:
		return st, fault.Invalid.Errorf("secondarySourcesOverride: say them in the project")
	}
	return st, nil
}

type buildOutput struct {
	Build build.Build `json:"build"`
}

// said is a build as CodeBuild has it.
func said(made build.Build) build.Build {
	made.Facts = nil
	return made
}

func (s *service) startBuild(ctx context.Context, c *wire.Call, in *startInput) (*buildOutput, error) {
	st, err := in.start(c)
	if err != nil {
		return nil, err
	}
	made, err := s.builds.Start(ctx, st)
	return &buildOutput{said(made)}, err
}

// checkID refuses what can be no id of a build or a batch, and no ARN of one: that there is none is another answer.
func checkID(id string) error {
	name, one, ok := strings.Cut(id[strings.LastIndexByte(id, '/')+1:], ":")
	if !ok || name == "" || one == "" {
		return fault.Invalid.Errorf("%.200q is no id of a build: PROJECT:UUID is meant, or its ARN", id)
	}
	return nil
}

func (s *service) stopBuild(ctx context.Context, _ *wire.Call, in *idInput) (*buildOutput, error) {
	if err := checkID(in.ID); err != nil {
		return nil, err
	}
	made, err := s.builds.Stop(ctx, in.ID)
	return &buildOutput{said(made)}, err
}

type retryInput struct {
	ID    string `json:"id"`
	Token string `json:"idempotencyToken"`
	Type  string `json:"retryType"` // of a batch
}

func (s *service) askRetry(c *wire.Call, in *retryInput) []iam.Request {
	return c.Ask(s.projectOf(in.ID))
}

func (in *retryInput) token(c *wire.Call) string {
	if in.Token == "" {
		return ""
	}
	return c.Principal.ARN + "/" + c.Operation + "/" + in.Token
}

func (s *service) retryBuild(ctx context.Context, c *wire.Call, in *retryInput) (*buildOutput, error) {
	if err := checkID(in.ID); err != nil {
		return nil, err
	}
	made, err := s.builds.Retry(ctx, in.ID, in.token(c), c.Principal.ARN)
	return &buildOutput{said(made)}, err
}

type buildsOutput struct {
	Builds   []build.Build `json:"builds"`
	NotFound []string      `json:"buildsNotFound"`
}

func (s *service) batchGetBuilds(ctx context.Context, _ *wire.Call, in *idsInput) (*buildsOutput, error) {
	all, none, err := gather(ctx, in.IDs, s.builds.Build)
	for i := range all {
		all[i] = said(all[i])
	}
	return &buildsOutput{all, none}, err
}

type deletedOutput struct {
	Status  string    `json:"statusCode,omitzero"` // of a batch
	Deleted []string  `json:"buildsDeleted,omitzero"`
	Kept    []keptOne `json:"buildsNotDeleted"`
}

type keptOne struct {
	ID   string `json:"id"`
	Code string `json:"statusCode"`
}

func (s *service) batchDeleteBuilds(ctx context.Context, _ *wire.Call, in *idsInput) (*deletedOutput, error) {
	deleted, kept, err := s.builds.Delete(ctx, in.IDs...)
	if err != nil {
		return nil, err
	}
	out := &deletedOutput{Deleted: deleted, Kept: []keptOne{}}
	for _, id := range in.IDs {
		if why := kept[id]; why != "" {
			out.Kept = append(out.Kept, keptOne{id, why})
		}
	}
	return out, nil
}

type listInput struct {
	Project   string `json:"projectName"`
	SortOrder string `json:"sortOrder"`
	NextToken string `json:"nextToken"`
	Most      int    `json:"maxResults"`
	Filter    struct {
		Status build.Status `json:"status"`
	} `json:"filter"`
}

func (s *service) askListBuilds(c *wire.Call, in *listInput) []iam.Request {
	if in.Project == "" {
		return c.Ask()
	}
	return c.Ask(s.project(in.Project))
}

// query is what is asked for, one more than a page of it, to see whether there are more.
func (in *listInput) query() build.Query {
	return build.Query{Project: in.Project, Status: in.Filter.Status, After: in.NextToken, Ascending: in.SortOrder == "ASCENDING", Limit: in.size() + 1}
}

func (in *listInput) size() int {
	if in.Most > 0 {
		return in.Most
	}
	return 100
}

type idsOutput struct {
	IDs       []string `json:"ids"`
	NextToken string   `json:"nextToken,omitzero"`
}

// cut makes a page of ids.
func (in *listInput) cut(ids []string) *idsOutput {
	out := &idsOutput{IDs: ids}
	if n := in.size(); len(ids) > n {
		out.IDs, out.NextToken = ids[:n], ids[n-1]
	}
	return out
}

func (s *service) listBuilds(ctx context.Context, _ *wire.Call, in *listInput) (*idsOutput, error) {
	if in.Project != "" {
		if _, err := s.builds.Project(ctx, in.Project); err != nil {
			return nil, err
		}
	}
	all, err := s.builds.Builds(ctx, in.query())
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(all))
	for i, b := range all {
		ids[i] = b.ID
	}
	return in.cut(ids), nil
}

type batchOutput struct {
	Batch build.Batch `json:"buildBatch"`
}

// saidBatch is a batch as CodeBuild has it.
func saidBatch(t build.Batch) build.Batch {
	t.Facts = nil
	return t
}

func (s *service) startBatch(ctx context.Context, c *wire.Call, in *startInput) (*batchOutput, error) {
	st, err := in.start(c)
	if err != nil {
		return nil, err
	}
	t, err := s.builds.StartBatch(ctx, st, in.Batch)
	return &batchOutput{saidBatch(t)}, err
}

func (s *service) stopBatch(ctx context.Context, _ *wire.Call, in *idInput) (*batchOutput, error) {
	if err := checkID(in.ID); err != nil {
		return nil, err
	}
	t, err := s.builds.StopBatch(ctx, in.ID)
	return &batchOutput{saidBatch(t)}, err
}

func (s *service) retryBatch(ctx context.Context, c *wire.Call, in *retryInput) (*batchOutput, error) {
	if err := checkID(in.ID); err != nil {
		return nil, err
	}
	t, err := s.builds.RetryBatch(ctx, in.ID, in.token(c), in.Type == "RETRY_ALL_BUILDS")
	return &batchOutput{saidBatch(t)}, err
}

func (s *service) deleteBatch(ctx context.Context, _ *wire.Call, in *idInput) (*deletedOutput, error) {
	deleted, err := s.builds.DeleteBatch(ctx, in.ID)
	return &deletedOutput{Status: "BATCH_DELETED", Deleted: deleted, Kept: []keptOne{}}, err
}

type batchesOutput struct {
	Batches  []build.Batch `json:"buildBatches"`
	NotFound []string      `json:"buildBatchesNotFound"`
}

func (s *service) batchGetBatches(ctx context.Context, _ *wire.Call, in *idsInput) (*batchesOutput, error) {
	all, none, err := gather(ctx, in.IDs, s.builds.Batch)
	for i := range all {
		all[i] = saidBatch(all[i])
	}
	return &batchesOutput{all, none}, err
}

func (s *service) listBatches(ctx context.Context, _ *wire.Call, in *listInput) (*idsOutput, error) {
	if in.Project != "" {
		if _, err := s.builds.Project(ctx, in.Project); err != nil {
			return nil, err
		}
	}
	all, err := s.builds.Batches(ctx, in.query())
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(all))
	for i, t := range all {
		ids[i] = t.ID
	}
	return in.cut(ids), nil
}
