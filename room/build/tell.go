package build

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/event"
)

// What the events that tell of builds are called (EventBridge's source and detail-types).
const (
	EventSource  = "aws.codebuild"
	Changed      = "CodeBuild Build State Change"
	PhaseChanged = "CodeBuild Build Phase Change"
	BatchChanged = "CodeBuild Batch Build State Change"
)

// Detail is what a Changed event says: CodeBuild's members, then ours.
type Detail struct {
	Status    Status    `json:"build-status"`
	Project   string    `json:"project-name"`
	Build     string    `json:"build-id"` // its ARN
	Phase     string    `json:"current-phase"`
	Context   string    `json:"current-phase-context"`
	Version   string    `json:"version"`
	Additions Additions `json:"additional-information"`
	Ours      *Told     `json:"haechi,omitzero"`
	Completed string    `json:"completed-phase,omitzero"` // these five of a PhaseChanged event
	How       Status    `json:"completed-phase-status,omitzero"`
	Took      *int64    `json:"completed-phase-duration-seconds,omitzero"`
	Began     string    `json:"completed-phase-start,omitzero"`
	Finished  string    `json:"completed-phase-end,omitzero"`
	Why       string    `json:"completed-phase-context,omitzero"`
}

// Additions are what CodeBuild adds about the build as a whole.
type Additions struct {
	Cache         Cache              `json:"cache"`
	Artifact      *toldArtifact      `json:"artifact,omitzero"`
	Environment   toldEnvironment    `json:"environment"`
	Timeout       int                `json:"timeout-in-minutes"`
	Complete      bool               `json:"build-complete"`
	Initiator     string             `json:"initiator"`
	Started       string             `json:"build-start-time"`
	Source        Source             `json:"source"`
	SourceVersion string             `json:"source-version,omitzero"`
	Logs          *toldLogs          `json:"logs,omitzero"`
	Phases        []toldPhase        `json:"phases,omitzero"`
	Number        int64              `json:"build-number"`
	Exported      []ExportedVariable `json:"exported-environment-variables,omitzero"`
}

type toldArtifact struct {
	SHA256   string `json:"sha256sum,omitzero"`
	Location string `json:"location"`
}

type toldEnvironment struct {
	Image      string     `json:"image"`
	Privileged bool       `json:"privileged-mode"`
	Compute    string     `json:"compute-type"`
	Type       string     `json:"type"`
	Variables  []Variable `json:"environment-variables"`
}

type toldLogs struct {
	Group  string `json:"group-name,omitzero"`
	Stream string `json:"stream-name,omitzero"`
	Link   string `json:"deep-link,omitzero"`
}

type toldPhase struct {
	Context []string `json:"phase-context,omitzero"`
	Began   string   `json:"start-time"`
	Ended   string   `json:"end-time,omitzero"`
	Took    *int64   `json:"duration-in-seconds,omitzero"`
	Type    string   `json:"phase-type"`
	Status  Status   `json:"phase-status,omitzero"`
}

// Told is what CodeBuild does not say, for whoever asked for the build.
type Told struct {
	ID         string             `json:"id"`
	Action     string             `json:"action,omitzero"`
	Repository string             `json:"repository,omitzero"`
	Ref        string             `json:"ref,omitzero"`
	Commit     string             `json:"commit,omitzero"`
	Who        string             `json:"who,omitzero"`
	Level      string             `json:"level,omitzero"`
	Runner     string             `json:"runner,omitzero"`
	Reason     *Reason            `json:"reason,omitzero"`
	Exported   []ExportedVariable `json:"exported,omitzero"`
	Made       []Artifact         `json:"made,omitzero"`
	Reports    []string           `json:"reports,omitzero"`
	Batch      string             `json:"batch,omitzero"`
	Outputs    []Artifact         `json:"outputs,omitzero"` // of a pipeline's action that has ended, by the names that it has for them
	Phases     []Phase            `json:"phases,omitzero"`  // likewise
	Path       string             `json:"path"`             // of the build in the console
}

// Path is where the console shows a build.
func Path(id string) string { return "/builds/" + id }

// clock writes times as CodeBuild's events do: Sep 1, 2017 4:12:29 PM.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("Jan 2, 2006 3:04:05 PM")
}

// detail is what is said of a build in all its events.
func (b *Builds) detail(made Build) Detail {
	e := made.Environment
	d := Detail{
		Status: made.Status, Project: made.Project, Build: made.ARN, Phase: made.Phase, Context: "[]", Version: "1",
		Additions: Additions{
			Cache: made.Cache, Timeout: made.Timeout, Complete: made.Complete, Initiator: made.Initiator, Started: clock(made.Started), Number: made.Number,
			Source: made.Source, SourceVersion: made.SourceVersion, Environment: toldEnvironment{e.Image, false, e.ComputeType, e.Type, slices.Clone(e.Variables)}, Exported: made.Exported,
		},
	}
	d.Additions.Source.Buildspec = "" // may be long
	if !isText(made.Source.Buildspec) {
		d.Additions.Source.Buildspec = made.Source.Buildspec
	}
	if a := made.Artifacts; a != nil {
		d.Additions.Artifact = &toldArtifact{a.SHA256, a.Location}
	}
	if l := made.Logs; l != nil {
		d.Additions.Logs = &toldLogs{l.Group, l.Stream, l.DeepLink}
	}
	for _, p := range made.Phases {
		t := toldPhase{Began: clock(p.Started), Ended: clock(p.Ended), Took: p.Duration, Type: p.Type, Status: p.Status}
		if p.Status == InProgress {
			t.Status = ""
		}
		for _, c := range p.Contexts {
			t.Context = append(t.Context, c.Code+": "+c.Message)
		}
		d.Additions.Phases = append(d.Additions.Phases, t)
	}
	f := made.Facts
	d.Ours = &Told{
		ID: made.ID, Action: f.Action, Repository: f.Repository, Ref: f.Ref, Commit: f.Commit, Who: f.Who, Level: f.Level, Runner: f.Runner, Reason: f.Reason,
		Exported: made.Exported, Made: f.Made, Reports: made.Reports, Batch: f.Batch, Path: Path(made.ID),
	}
	if made.Status.Ended() {
		d.Ours.Outputs, d.Ours.Phases = made.outputs(), made.Phases
	}
	return d
}

// tellState publishes that a build's status changed.
func (b *Builds) tellState(tx *db.Tx, made Build) error {
	return b.tell(tx, Changed, made.ARN, b.detail(made))
}

// tellPhase publishes that a phase of a build has ended.
func (b *Builds) tellPhase(tx *db.Tx, made Build, p Phase) error {
	d := b.detail(made)
	d.Ours.Made, d.Ours.Exported, d.Ours.Outputs, d.Ours.Phases = nil, nil, nil, nil
	d.Completed, d.How, d.Took, d.Began, d.Finished, d.Why = p.Type, p.Status, p.Duration, clock(p.Started), clock(p.Ended), "[]"
	if len(p.Contexts) > 0 {
		d.Why = "[" + p.Contexts[0].Code + ": " + p.Contexts[0].Message + "]"
	}
	return b.tell(tx, PhaseChanged, made.ARN, d)
}

// BatchDetail is what a BatchChanged event says.
type BatchDetail struct {
	Status  Status       `json:"batch-status"`
	Project string       `json:"project-name"`
	Batch   string       `json:"build-batch-id"` // its ARN
	Phase   string       `json:"current-phase"`
	Version string       `json:"version"`
	Number  int64        `json:"build-batch-number"`
	Builds  []toldMember `json:"build-groups,omitzero"`
	Ours    *Told        `json:"haechi,omitzero"`
}

type toldMember struct {
	Identifier string `json:"identifier"`
	Build      string `json:"build-id,omitzero"`
	Status     Status `json:"build-status,omitzero"`
}

// tellBatch publishes that a batch's status changed.
func (b *Builds) tellBatch(tx *db.Tx, t Batch) error {
	d := BatchDetail{Status: t.Status, Project: t.Project, Batch: t.ARN, Phase: t.Phase, Version: "1", Number: t.Number}
	for _, g := range t.Groups {
		m := toldMember{Identifier: g.Identifier}
		if g.Current != nil {
			m.Build, m.Status = g.Current.ARN, g.Current.Status
		}
		d.Builds = append(d.Builds, m)
	}
	f := t.Facts.Build.Facts
	d.Ours = &Told{ID: t.ID, Action: f.Action, Repository: f.Repository, Ref: f.Ref, Commit: f.Commit, Who: f.Who, Reason: t.Facts.Reason, Reports: t.Reports, Path: Path(t.ID)}
	if t.Facts.Made != nil {
		d.Ours.Made = []Artifact{*t.Facts.Made}
	}
	if t.Status.Ended() {
		d.Ours.Outputs, d.Ours.Phases = t.outputs(), t.Phases
	}
	return b.tell(tx, BatchChanged, t.ARN, d)
}

func (b *Builds) tell(tx *db.Tx, what, arn string, said any) error {
	detail, err := json.Marshal(said, json.Deterministic(true))
	if err != nil {
		return err
	}
	return b.config.Bus.Publish(tx, event.Event{
		Type: what, Source: EventSource, Account: b.config.Account, Region: b.config.Region, Time: b.config.Now(), Resources: []string{arn}, Detail: detail,
	})
}
