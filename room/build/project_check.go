package build

import (
	"cmp"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/keeper/shelf"
	"github.com/haechi-dev/haechi/word/fault"
)

// What a project of CodeBuild may ask for and a build here cannot have is
// refused when the project is made, and not passed over when it is built.

// Kept is the only place that artifacts and caches go to, in words of CodeBuild's S3 locations.
const Kept = "haechi"

var (
	projectName  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{1,149}$`) })
	groupName    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._/#-]{1,512}$`) })
	variableName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`) })
	artifactID   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`) })
)

// refused collects what is wrong, the first of it.
type refused struct{ err error }

func (r *refused) unless(ok bool, format string, a ...any) {
	if !ok && r.err == nil {
		r.err = fault.Invalid.Errorf(format, a...)
	}
}

// says tells whether a member holds anything.
func says(v jsontext.Value) bool {
	switch strings.TrimSpace(string(v)) {
	case "", "null", "{}", "[]":
		return false
	}
	return true
}

func isTrue(b *bool) bool { return b != nil && *b }

// Check says what of a project cannot be, and fills in what it leaves open.
func (p *Project) Check() error {
	r := &refused{}
	r.unless(projectName().MatchString(p.Name) || p.Implicit, "a project's name has 2 to 150 letters, digits, - and _, not %.160q", p.Name)
	p.Source.check(r, "source")
	r.unless(p.Source.Type != "NO_SOURCE" || p.Source.Buildspec != "", "a project without a source brings its buildspec: source.buildspec holds the text")
	checkSecondary(r, p)
	p.Artifacts.check(r, "artifacts")
	for i := range p.SecondaryArtifacts {
		a := &p.SecondaryArtifacts[i]
		a.check(r, "secondaryArtifacts")
		r.unless(artifactID().MatchString(a.Identifier), "each of secondaryArtifacts has an artifactIdentifier of letters, digits and _")
	}
	p.Cache.check(r)
	p.Environment.check(r)
	p.Logs.check(r)
	p.Batch.check(r)
	r.unless(!says(p.VPC), "vpcConfig: a build here has no network but the proxy that its fleet's proxyConfiguration describes: leave it out")
	r.unless(!says(p.FileSystems), "fileSystemLocations: nothing but the sources is mounted into builds here: leave it out")
	r.unless(p.EncryptionKey == "" || strings.HasSuffix(p.EncryptionKey, ":alias/aws/s3") || p.EncryptionKey == "alias/aws/s3", "encryptionKey: artifacts lie in this server's data folder, which encrypts them as its disk does: leave it out")
	r.unless(p.Badge == nil || !p.Badge.Enabled, "badgeEnabled: there are no badges here")
	if p.Timeout == 0 {
		p.Timeout = 60
	}
	if p.QueuedTimeout == 0 {
		p.QueuedTimeout = 480
	}
	r.unless(p.Timeout >= 5 && p.Timeout <= 2160, "timeoutInMinutes is from 5 to 2160")
	r.unless(p.QueuedTimeout >= 5 && p.QueuedTimeout <= 480, "queuedTimeoutInMinutes is from 5 to 480")
	r.unless(p.ConcurrentLimit >= 0, "concurrentBuildLimit is above 0")
	r.unless(p.AutoRetryLimit >= 0 && p.AutoRetryLimit <= 10, "autoRetryLimit is from 0 to 10")
	r.unless(len(p.Tags) <= 50, "a project has at most 50 tags")
	return r.err
}

func checkSecondary(r *refused, p *Project) {
	seen := map[string]bool{}
	for i := range p.SecondarySources {
		s := &p.SecondarySources[i]
		s.check(r, "secondarySources")
		r.unless(artifactID().MatchString(s.Identifier) && !seen[s.Identifier], "each of secondarySources has its own sourceIdentifier of letters, digits and _")
		r.unless(s.Type == "CODECOMMIT", "secondarySources are repositories here: type CODECOMMIT")
		seen[s.Identifier] = true
	}
	for _, v := range p.SecondaryVersions {
		r.unless(seen[v.Identifier], "secondarySourceVersions names %q, which is none of secondarySources", v.Identifier)
	}
}

func (s *Source) check(r *refused, at string) {
	switch s.Type {
	case "CODECOMMIT":
		r.unless(s.Repository() != "", "%s.location names a repository here, or its clone address", at)
	case "CODEPIPELINE", "NO_SOURCE":
		r.unless(s.Location == "", "%s.location: a source of type %s has none", at, s.Type)
	case "S3":
		_, _, ok := s.Object()
		r.unless(ok, "%s.location is BUCKET/KEY of a zip in a bucket of this server", at)
	case "":
		r.unless(false, "%s.type is missing: CODECOMMIT, CODEPIPELINE, S3 or NO_SOURCE", at)
	default:
		r.unless(false, "%s.type %.40s: builds here take repositories (CODECOMMIT) and buckets (S3) of this server; what lies elsewhere is mirrored first (docs/forges.md)", at, s.Type)
	}
	r.unless(s.CloneDepth >= 0, "%s.gitCloneDepth is at least 0, which is all of the history", at)
	r.unless(!says(s.Auth), "%s.auth: repositories of this server need none", at)
	r.unless(!isTrue(s.ReportStatus), "%s.reportBuildStatus: forges are told by pipelines (docs/forges.md)", at)
	r.unless(!isTrue(s.InsecureSSL), "%s.insecureSsl: there is nothing here that it would be for", at)
	r.unless(!strings.HasPrefix(s.Buildspec, "arn:"), "%s.buildspec: give the text itself, or a path in the source", at)
	r.unless(len(s.Buildspec) <= maxBuildspec, "%s.buildspec is longer than %d bytes", at, maxBuildspec)
}

// Repository is the name of the repository that a source names: by itself, by
// an address that it is cloned from, or by its ARN.
func (s *Source) Repository() string {
	name := s.Location
	if strings.HasPrefix(name, "arn:aws:codecommit:") {
		name = name[strings.LastIndexByte(name, ':')+1:]
	}
	name = strings.TrimSuffix(strings.TrimSuffix(name, "/"), ".git")
	for _, before := range []string{"/v1/repos/", "/git/"} {
		if i := strings.LastIndex(name, before); i >= 0 {
			name = name[i+len(before):]
		}
	}
	if strings.ContainsAny(name, "/: ") {
		return ""
	}
	return name
}

func (a *Artifacts) check(r *refused, at string) {
	switch a.Type {
	case "NO_ARTIFACTS", "CODEPIPELINE":
	case "S3":
		a.Location = cmp.Or(a.Location, Kept)
		r.unless(shelf.ValidBucket(a.Bucket()), "%s.location is the name of a bucket here, or left out", at)
		r.unless(len(a.Path)+len(a.Name) <= 800, "%s.path and name are longer than 800 characters", at)
	default:
		r.unless(false, "%s.type is S3, CODEPIPELINE or NO_ARTIFACTS, not %.40q", at, a.Type)
	}
	r.unless(slices.Contains([]string{"", "NONE", "BUILD_ID"}, a.NamespaceType), "%s.namespaceType is NONE or BUILD_ID", at)
	r.unless(slices.Contains([]string{"", "NONE", "ZIP"}, a.Packaging), "%s.packaging is NONE or ZIP", at)
	r.unless(a.BucketOwnerAccess == "" || a.BucketOwnerAccess == "NONE", "%s.bucketOwnerAccess: there is no bucket", at)
}

// on tells whether the cache is kept at all.
func (c Cache) on() bool { return c.Type == "S3" || slices.Contains(c.Modes, "LOCAL_CUSTOM_CACHE") }

func (c *Cache) check(r *refused) {
	switch c.Type {
	case "":
		c.Type = "NO_CACHE"
	case "NO_CACHE":
	case "S3":
		r.unless(c.Location == "" || c.Location == Kept, "cache.location: caches are kept by this server and go to no bucket: leave it out, or write %q", Kept)
		c.Location = Kept
	case "LOCAL":
		for _, m := range c.Modes {
			r.unless(m == "LOCAL_CUSTOM_CACHE" || m == "LOCAL_SOURCE_CACHE", "cache.modes: %.40s: there is LOCAL_CUSTOM_CACHE, for what the buildspec names", m)
		}
	default:
		r.unless(false, "cache.type is NO_CACHE, LOCAL or S3 (kept by this server), not %.40q", c.Type)
	}
	r.unless(len(c.Namespace) <= 200, "cache.cacheNamespace is longer than 200 characters")
}

func (e *Environment) check(r *refused) {
	switch e.Type {
	case "LINUX_CONTAINER":
	case "ARM_CONTAINER":
		r.unless(runtime.GOARCH == "arm64", "environment.type ARM_CONTAINER: this server is no ARM machine")
	default:
		r.unless(false, "environment.type is LINUX_CONTAINER, not %.40q", e.Type)
	}
	r.unless(e.Image != "", "environment.image is missing: %q is this server's own toolchain", OwnImage)
	if e.ComputeType == "" {
		e.ComputeType = "BUILD_GENERAL1_SMALL"
	}
	r.unless(computeMemory(e.ComputeType) > 0, "environment.computeType %.40q is none of BUILD_GENERAL1_SMALL, _MEDIUM, _LARGE, _XLARGE and _2XLARGE", e.ComputeType)
	r.unless(!isTrue(e.Privileged), "environment.privilegedMode: no build here may reach beyond its walls")
	r.unless(e.Certificate == "", "environment.certificate: builds trust the machine's own certificates: leave it out")
	r.unless(!says(e.Registry), "environment.registryCredential: images are taken from where no password is needed: leave it out")
	r.unless(!says(e.DockerServer), "environment.dockerServer: there is none here")
	r.unless(!says(e.ComputeConfig), "environment.computeConfiguration: say it with computeType")
	checkVariables(r, e.Variables)
}

// computeMemory is the memory of a compute type, or 0 where there is no such.
func computeMemory(name string) uint64 {
	return map[string]uint64{
		"BUILD_GENERAL1_SMALL": 4 << 30, "BUILD_GENERAL1_MEDIUM": 8 << 30, "BUILD_GENERAL1_LARGE": 16 << 30,
		"BUILD_GENERAL1_XLARGE": 72 << 30, "BUILD_GENERAL1_2XLARGE": 144 << 30,
	}[name]
}

func checkVariables(r *refused, all []Variable) {
	seen := map[string]bool{}
	for i := range all {
		v := &all[i]
		if v.Type == "" {
			v.Type = Plain
		}
		r.unless(variableName().MatchString(v.Name), "environmentVariables: %.80q is no name of a variable", v.Name)
		r.unless(!strings.HasPrefix(v.Name, "CODEBUILD_"), "environmentVariables: names that begin with CODEBUILD_ are the server's: %s", v.Name)
		r.unless(slices.Contains([]string{Plain, ParameterStore, SecretsManager}, v.Type), "environmentVariables: %s: type is PLAINTEXT, PARAMETER_STORE or SECRETS_MANAGER", v.Name)
		r.unless(!seen[v.Name], "environmentVariables: %s is there twice", v.Name)
		r.unless(!strings.ContainsRune(v.Value, 0), "environmentVariables: %s holds a zero byte", v.Name)
		seen[v.Name] = true
	}
	r.unless(len(all) <= 500, "environmentVariables: at most 500")
}

func (l *LogsConfig) check(r *refused) {
	if l == nil {
		return
	}
	r.unless(l.CloudWatch == nil || l.CloudWatch.Status != "DISABLED", "logsConfig.cloudWatchLogs: every build's log is kept here, and cannot be switched off")
	if c := l.CloudWatch; c != nil {
		r.unless(c.Group == "" || groupName().MatchString(c.Group), "logsConfig.cloudWatchLogs.groupName: %.80q: letters, digits and . - _ / #, at most 512", c.Group)
		r.unless(len(c.Stream) <= 400 && !strings.ContainsAny(c.Stream, ":*"), "logsConfig.cloudWatchLogs.streamName: %.80q: no : and no *, at most 400 bytes", c.Stream)
	}
	r.unless(l.S3 == nil || l.S3.Status != "ENABLED", "logsConfig.s3Logs: logs are kept by this server and go to no bucket")
}

func (b *BatchConfig) check(r *refused) {
	if b == nil {
		return
	}
	r.unless(b.Timeout == 0 || b.Timeout >= 5 && b.Timeout <= 2160, "buildBatchConfig.timeoutInMins is from 5 to 2160")
	r.unless(slices.Contains([]string{"", "REPORT_INDIVIDUAL_BUILDS", "REPORT_AGGREGATED_BATCH"}, b.ReportMode), "buildBatchConfig.batchReportMode is REPORT_INDIVIDUAL_BUILDS or REPORT_AGGREGATED_BATCH")
	if x := b.Restrictions; x != nil {
		r.unless(x.MaximumBuilds >= 0 && x.MaximumBuilds <= maxBatch, "buildBatchConfig.restrictions.maximumBuildsAllowed is at most %d", maxBatch)
		for _, c := range x.ComputeTypes {
			r.unless(computeMemory(c) > 0, "buildBatchConfig.restrictions: %.40q is no compute type", c)
		}
	}
}

// The bounds of what is asked for.
const (
	maxBuildspec = 64 << 10
	maxBatch     = 100
)

// OwnImage is this server's own toolchain as an image. CodeBuild's own images stand for it, too.
const OwnImage = "haechi/host"

// hostImage tells whether an image is this server's own toolchain.
func hostImage(image string) bool {
	return image == "" || image == OwnImage || strings.HasPrefix(image, "aws/codebuild/") || strings.HasPrefix(image, "public.ecr.aws/codebuild/")
}

// repositoryProject is the project that a repository has when nobody made one.
func repositoryProject(name string) Project {
	return Project{
		Name: name, Implicit: true,
		Description:   fmt.Sprintf("builds the repository %s by its buildspec.yml", name),
		Source:        Source{Type: "CODECOMMIT", Location: name},
		Artifacts:     Artifacts{Type: "S3", Location: Kept, Packaging: "ZIP"},
		Cache:         Cache{Type: "LOCAL", Modes: []string{"LOCAL_CUSTOM_CACHE"}},
		Environment:   Environment{Type: "LINUX_CONTAINER", Image: OwnImage, ComputeType: "BUILD_GENERAL1_MEDIUM"},
		Timeout:       60,
		QueuedTimeout: 480,
	}
}
