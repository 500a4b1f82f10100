package build

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/shelf"
	"github.com/haechi-dev/haechi/word/fault"
)

// Status is what became of a build, a batch or a phase, in CodeBuild's words.
type Status string

// The statuses.
const (
	InProgress Status = "IN_PROGRESS"
	Succeeded  Status = "SUCCEEDED"
	Failed     Status = "FAILED"
	Fault      Status = "FAULT" // it is ours, not the build's
	TimedOut   Status = "TIMED_OUT"
	Stopped    Status = "STOPPED"
)

// Ended tells whether nothing will change any more.
func (s Status) Ended() bool { return s != InProgress && s != "" }

// The phases of a build, in their order.
const (
	Submitted       = "SUBMITTED"
	Queued          = "QUEUED"
	Provisioning    = "PROVISIONING"
	DownloadSource  = "DOWNLOAD_SOURCE"
	Install         = "INSTALL"
	PreBuild        = "PRE_BUILD"
	Building        = "BUILD"
	PostBuild       = "POST_BUILD"
	UploadArtifacts = "UPLOAD_ARTIFACTS"
	Finalizing      = "FINALIZING"
	Completed       = "COMPLETED"
)

var phaseNames = []string{Submitted, Queued, Provisioning, DownloadSource, Install, PreBuild, Building, PostBuild, UploadArtifacts, Finalizing, Completed}

// Build is one run of a project. Its JSON is CodeBuild's, and Facts, which are ours.
type Build struct {
	ID                 string             `json:"id"` // PROJECT:UUID
	ARN                string             `json:"arn"`
	Number             int64              `json:"buildNumber"` // from 1, within the project
	Started            time.Time          `json:"startTime"`   // when it was asked for
	Ended              time.Time          `json:"endTime,omitzero"`
	Phase              string             `json:"currentPhase"`
	Status             Status             `json:"buildStatus"`
	SourceVersion      string             `json:"sourceVersion,omitzero"`
	ResolvedVersion    string             `json:"resolvedSourceVersion,omitzero"`
	Project            string             `json:"projectName"`
	Phases             []Phase            `json:"phases"`
	Source             Source             `json:"source"`
	SecondarySources   []Source           `json:"secondarySources,omitzero"`
	SecondaryVersions  []SourceVersion    `json:"secondarySourceVersions,omitzero"`
	Artifacts          *BuildArtifacts    `json:"artifacts,omitzero"`
	SecondaryArtifacts []BuildArtifacts   `json:"secondaryArtifacts,omitzero"`
	Cache              Cache              `json:"cache,omitzero"`
	Environment        Environment        `json:"environment"`
	ServiceRole        string             `json:"serviceRole,omitzero"`
	Logs               *LogsLocation      `json:"logs,omitzero"`
	Timeout            int                `json:"timeoutInMinutes"`
	QueuedTimeout      int                `json:"queuedTimeoutInMinutes"`
	Complete           bool               `json:"buildComplete"`
	Initiator          string             `json:"initiator"`
	Exported           []ExportedVariable `json:"exportedEnvironmentVariables,omitzero"`
	Reports            []string           `json:"reportArns,omitzero"`
	BatchARN           string             `json:"buildBatchArn,omitzero"`
	AutoRetry          *AutoRetry         `json:"autoRetryConfig,omitzero"`

	Facts *Facts `json:"haechi,omitzero"`
}

// Facts is what CodeBuild does not say of a build, or not there.
type Facts struct {
	Action          string              `json:"action,omitzero"`   // that asked for it: RUN/ACTION/ATTEMPT of a pipeline
	Pipeline        string              `json:"pipeline,omitzero"` // whose action that is
	Repository      string              `json:"repository,omitzero"`
	Ref             string              `json:"ref,omitzero"` // refs/heads/…, "" where it is built by its commit alone
	Commit          string              `json:"commit,omitzero"`
	Claimed         bool                `json:"claimed,omitzero"`   // the one who asked says that the ref is protected; that is looked at again
	Protected       bool                `json:"protected,omitzero"` // the ref was protected when the build began
	Trusted         bool                `json:"trusted,omitzero"`   // and so is the buildspec: the build may have secrets
	Why             string              `json:"untrusted,omitzero"` // why it may not
	Override        bool                `json:"override,omitzero"`  // whoever started it brought a buildspec or variables of their own
	Spec            string              `json:"spec,omitzero"`      // the buildspec, where it is not the source's
	SpecDigest      string              `json:"spec-digest,omitzero"`
	Commands        []string            `json:"commands,omitzero"`         // of a pipeline's action, in place of a buildspec
	OutputVariables []string            `json:"output-variables,omitzero"` // of these commands
	OutputFiles     map[string][]string `json:"output-files,omitzero"`     // of these commands, by the artifact's name
	Inputs          []Input             `json:"inputs,omitzero"`
	Object          string              `json:"object,omitzero"`  // BUCKET/KEY that the source is
	Outputs         []string            `json:"outputs,omitzero"` // names that a pipeline has for the artifacts
	Who             string              `json:"who,omitzero"`     // ARN of the one who started it
	Runner          string              `json:"runner,omitzero"`  // ARN of the principal whose machine did it; "" is this server
	Attempt         int                 `json:"attempt,omitzero"`
	Level           string              `json:"level,omitzero"` // of isolation
	Image           string              `json:"image,omitzero"` // digest of the image that it ran in
	Made            []Artifact          `json:"made,omitzero"`
	Downloads       []Download          `json:"downloads,omitzero"`
	Critical        []Step              `json:"critical,omitzero"` // what took the time, the longest first
	Reason          *Reason             `json:"reason,omitzero"`   // why it did not succeed
	Batch           string              `json:"batch,omitzero"`    // id of its batch, and who it is there
	Member          string              `json:"member,omitzero"`
	MemberEnv       map[string]string   `json:"member-env,omitzero"`
	Cached          []CacheUse          `json:"cached,omitzero"`
	Retried         string              `json:"retried,omitzero"`     // the build that this one repeats
	Stream          string              `json:"stream,omitzero"`      // that it logs to; "" is its own
	Least           string              `json:"least-level,omitzero"` // of isolation that its pipeline allows; "" is the server's
	Fanout          *FanoutShare        `json:"fanout,omitzero"`
	Hook            *Hook               `json:"hook,omitzero"`  // the push or pull request that started it
	Event           string              `json:"event,omitzero"` // which event that was, and of which project
	Told            int                 `json:"told,omitzero"`  // how many of its phases were told of

	Artifacts       Artifacts   `json:"artifacts,omitzero"` // what the project wants kept
	Secondary       []Artifacts `json:"secondary,omitzero"`
	ConcurrentLimit int         `json:"concurrent-limit,omitzero"`
}

// Input is an artifact that a pipeline hands a build. The first one is its source.
type Input struct {
	Name   string `json:"name"`
	Digest string `json:"digest,omitzero"` // in base/blob; "" is the commit's own files
	Size   int64  `json:"size,omitzero"`

	Repository string `json:"repository,omitzero"` // whose commit that is; "" is the build's own
	Commit     string `json:"commit,omitzero"`
	Clone      bool   `json:"clone,omitzero"` // its history comes along
}

// Artifact is what a build made, as this server has it.
type Artifact struct {
	Name       string `json:"name"` // "" is the primary one
	File       string `json:"file"` // what it is called when it is fetched
	Digest     string `json:"digest"`
	Size       int64  `json:"size"`
	Repository string `json:"repository,omitzero"` // its descent
	Commit     string `json:"commit,omitzero"`
	Build      string `json:"build"`

	Bucket string `json:"bucket,omitzero"` // where it lies under its name, too
	Key    string `json:"key,omitzero"`

	objects []shelf.Object // that it makes there
}

// Download is what a build fetched through the proxy, or was not let.
type Download struct {
	Method string `json:"method,omitzero"`
	URL    string `json:"url"`
	Digest string `json:"digest,omitzero"`
	Size   int64  `json:"size,omitzero"`
	Status int    `json:"status,omitzero"`
	Denied string `json:"denied,omitzero"` // why it went nowhere
}

// Step is one part of a build and how long it took.
type Step struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// CacheUse is a cache that a build read or wrote.
type CacheUse struct {
	Key    string `json:"key"`
	Class  string `json:"class"`
	Digest string `json:"digest"`
	Saved  bool   `json:"saved,omitzero"`
}

// Reason is why a build did not succeed: what, where, and what to do.
type Reason struct {
	Code  string `json:"code"` // CodeBuild's, where it has one: YAML_FILE_ERROR
	Text  string `json:"text"`
	Where string `json:"where,omitzero"`
	Do    string `json:"do,omitzero"`
}

// Phase is one phase of a build.
type Phase struct {
	Type     string    `json:"phaseType"`
	Status   Status    `json:"phaseStatus,omitzero"`
	Started  time.Time `json:"startTime"`
	Ended    time.Time `json:"endTime,omitzero"`
	Duration *int64    `json:"durationInSeconds,omitzero"`
	Contexts []Context `json:"contexts,omitzero"`
}

// Context says why a phase ended as it did.
type Context struct {
	Code    string `json:"statusCode"`
	Message string `json:"message"`
}

// BuildArtifacts is where an artifact of a build is.
type BuildArtifacts struct {
	Location           string `json:"location"`
	SHA256             string `json:"sha256sum,omitzero"` // hex
	OverrideName       *bool  `json:"overrideArtifactName,omitzero"`
	EncryptionDisabled *bool  `json:"encryptionDisabled,omitzero"`
	Identifier         string `json:"artifactIdentifier,omitzero"`
}

// LogsLocation is where a build's log is to be found.
type LogsLocation struct {
	Group      string          `json:"groupName,omitzero"`
	Stream     string          `json:"streamName,omitzero"`
	ARN        string          `json:"cloudWatchLogsArn,omitzero"`
	DeepLink   string          `json:"deepLink,omitzero"`
	CloudWatch *CloudWatchLogs `json:"cloudWatchLogs,omitzero"`
}

// ExportedVariable is a variable that a build hands on.
type ExportedVariable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// AutoRetry says how often a build is tried again by itself.
type AutoRetry struct {
	Limit    int    `json:"autoRetryLimit"`
	Number   int    `json:"autoRetryNumber"`
	Next     string `json:"nextAutoRetry,omitzero"` // ARNs
	Previous string `json:"previousAutoRetry,omitzero"`
}

// Stream is where river/work keeps the log of a build.
func (b *Build) Stream() string { return cmp.Or(b.Facts.Stream, "build/"+uuidOf(b.ID)) }

// uuidOf is the part of a build's id that is its own.
func uuidOf(id string) string {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i] == ':' {
			return id[i+1:]
		}
	}
	return id
}

// enter ends the phase that a build is in, if it is in one, and begins the next.
func (b *Build) enter(phase string, now time.Time) {
	b.leave(Succeeded, now)
	b.Phase = phase
	p := Phase{Type: phase, Started: now}
	if phase == Completed { // nothing happens in it
		b.Phases = append(b.Phases, p)
		return
	}
	p.Status = InProgress
	b.Phases = append(b.Phases, p)
}

// leave ends the phase that a build is in.
func (b *Build) leave(how Status, now time.Time, why ...Context) {
	if len(b.Phases) == 0 {
		return
	}
	last := &b.Phases[len(b.Phases)-1]
	if last.Status != InProgress {
		return
	}
	last.end(how, now, why...)
}

func (p *Phase) end(how Status, now time.Time, why ...Context) {
	seconds := int64(now.Sub(p.Started) / time.Second)
	p.Status, p.Ended, p.Duration, p.Contexts = how, now, &seconds, append(p.Contexts, why...)
}

// critical are the phases of a build by what they took, the longest first.
func (b *Build) critical() []Step {
	var steps []Step
	for _, p := range b.Phases {
		if p.Ended.IsZero() {
			continue
		}
		steps = append(steps, Step{p.Type, p.Ended.Sub(p.Started).Seconds()})
	}
	slices.SortStableFunc(steps, func(a, b Step) int {
		switch {
		case a.Seconds > b.Seconds:
			return -1
		case a.Seconds < b.Seconds:
			return 1
		}
		return 0
	})
	return steps
}

func scanBuild(scan db.Scan) (b Build, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return b, err
	}
	return b, json.Unmarshal(body, &b)
}

// find is the build of an id, or of an ARN.
func find(tx *db.Tx, id string) (Build, error) {
	b, err := db.One(tx, scanBuild, "SELECT body FROM build_builds WHERE id = ?", bare(id, "build/"))
	if errors.Is(err, fault.NotFound) {
		return b, fault.NotFound.Errorf("there is no build %.200q", id)
	}
	return b, err
}

// bare is an id without what an ARN has before it.
func bare(id, before string) string {
	if i := len("arn:aws:codebuild:"); len(id) > i && id[:i] == "arn:aws:codebuild:" {
		for j := i; j+len(before) <= len(id); j++ {
			if id[j:j+len(before)] == before {
				return id[j+len(before):]
			}
		}
	}
	return id
}

// keep writes a build down. due is when somebody has to look after it though nothing happens.
func keep(tx *db.Tx, b Build, due time.Time) error {
	body, err := json.Marshal(b)
	if err != nil {
		return err
	}
	at := int64(0)
	if !due.IsZero() {
		at = due.UnixMicro()
	}
	_, err = tx.Exec(`INSERT INTO build_builds (id, uuid, project, number, status, phase, batch, created, ended, due, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET status = excluded.status, phase = excluded.phase, ended = excluded.ended, due = excluded.due, body = excluded.body`,
		b.ID, uuidOf(b.ID), b.Project, b.Number, string(b.Status), b.Phase, b.Facts.Batch, b.Started.UnixMicro(), micro(b.Ended), at, body)
	return err
}

func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
