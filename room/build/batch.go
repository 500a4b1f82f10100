package build

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// Batch is many builds of one source. Its JSON is CodeBuild's, and Facts.
type Batch struct {
	ID                 string           `json:"id"` // PROJECT:UUID
	ARN                string           `json:"arn"`
	Number             int64            `json:"buildBatchNumber"`
	Started            time.Time        `json:"startTime"`
	Ended              time.Time        `json:"endTime,omitzero"`
	Phase              string           `json:"currentPhase"`
	Status             Status           `json:"buildBatchStatus"`
	SourceVersion      string           `json:"sourceVersion,omitzero"`
	ResolvedVersion    string           `json:"resolvedSourceVersion,omitzero"`
	Project            string           `json:"projectName"`
	Phases             []Phase          `json:"phases"`
	Source             Source           `json:"source"`
	SecondarySources   []Source         `json:"secondarySources,omitzero"`
	SecondaryVersions  []SourceVersion  `json:"secondarySourceVersions,omitzero"`
	Artifacts          *BuildArtifacts  `json:"artifacts,omitzero"`
	SecondaryArtifacts []BuildArtifacts `json:"secondaryArtifacts,omitzero"`
	Cache              Cache            `json:"cache,omitzero"`
	Environment        Environment      `json:"environment"`
	ServiceRole        string           `json:"serviceRole,omitzero"`
	Timeout            int              `json:"buildTimeoutInMinutes"`
	QueuedTimeout      int              `json:"queuedTimeoutInMinutes"`
	Complete           bool             `json:"complete"`
	Initiator          string           `json:"initiator"`
	Config             *BatchConfig     `json:"buildBatchConfig,omitzero"`
	Groups             []Group          `json:"buildGroups,omitzero"`
	Reports            []string         `json:"reportArns,omitzero"`

	Facts *BatchFacts `json:"haechi,omitzero"`
}

// BatchFacts is what CodeBuild does not say of a batch.
type BatchFacts struct {
	Build    Build             `json:"build"` // what each of its builds is made of
	FastFail bool              `json:"fast-fail,omitzero"`
	Members  map[string]Member `json:"members,omitzero"` // by identifier
	Made     *Artifact         `json:"made,omitzero"`    // of all, combined
	Stopping bool              `json:"stopping,omitzero"`
	Reason   *Reason           `json:"reason,omitzero"`
	Tries    int               `json:"tries,omitzero"` // how often it was retried
}

// Member is what one of a batch's builds has of its own.
type Member struct {
	Buildspec string            `json:"buildspec,omitzero"`
	Image     string            `json:"image,omitzero"`
	Compute   string            `json:"compute,omitzero"`
	Fleet     string            `json:"fleet,omitzero"`
	Variables map[string]string `json:"variables,omitzero"`
	Fanout    *FanoutShare      `json:"fanout,omitzero"`
}

// FanoutShare is which part of the work a build of a fan-out has: one of so many, from 0.
type FanoutShare struct {
	Shard  int `json:"shard"`
	Shards int `json:"shards"`
}

// Group is one build of a batch, and those that it was before a retry.
type Group struct {
	Identifier    string    `json:"identifier"`
	DependsOn     []string  `json:"dependsOn,omitzero"`
	IgnoreFailure bool      `json:"ignoreFailure"`
	Current       *Summary  `json:"currentBuildSummary,omitzero"`
	Prior         []Summary `json:"priorBuildSummaryList,omitzero"`
}

// Summary is what a batch says of one of its builds.
type Summary struct {
	ARN       string             `json:"arn"`
	Requested time.Time          `json:"requestedOn"`
	Status    Status             `json:"buildStatus"`
	Primary   *ResolvedArtifact  `json:"primaryArtifact,omitzero"`
	Secondary []ResolvedArtifact `json:"secondaryArtifacts,omitzero"`
}

// ResolvedArtifact is an artifact of one of a batch's builds.
type ResolvedArtifact struct {
	Type       string `json:"type"`
	Location   string `json:"location,omitzero"`
	Identifier string `json:"identifier,omitzero"`
}

// The phases of a batch that builds do not have. The last one is called as the status is.
const (
	downloadBatchspec = "DOWNLOAD_BATCHSPEC"
	combineArtifacts  = "COMBINE_ARTIFACTS"
)

// kindBatch is the kind of the jobs that read a batch's buildspec and that combine what it made.
const kindBatch = "Build/Haechi/Batch/1"

func jobOfBatch(t Batch) string {
	return fmt.Sprintf("batch/%s/%d/%s", uuidOf(t.ID), t.Facts.Tries, t.Phase)
}

func scanBatch(scan db.Scan) (t Batch, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return t, err
	}
	return t, json.Unmarshal(body, &t)
}

func findBatch(tx *db.Tx, id string) (Batch, error) {
	t, err := db.One(tx, scanBatch, "SELECT body FROM build_batches WHERE id = ?", bare(id, "build-batch/"))
	if errors.Is(err, fault.NotFound) {
		return t, fault.NotFound.Errorf("there is no batch of builds %.200q", id)
	}
	return t, err
}

func keepBatch(tx *db.Tx, t Batch) error {
	body, err := json.Marshal(t)
	if err != nil {
		return err
	}
	due := int64(0)
	if !t.Status.Ended() {
		minutes := 480
		if t.Config != nil && t.Config.Timeout > 0 {
			minutes = t.Config.Timeout
		}
		due = t.Phases[0].Started.Add(time.Duration(minutes) * time.Minute).UnixMicro()
	}
	_, err = tx.Exec(`INSERT INTO build_batches (id, project, number, status, created, due, body) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET status = excluded.status, due = excluded.due, body = excluded.body`, t.ID, t.Project, t.Number, string(t.Status), t.Started.UnixMicro(), due, body)
	return err
}

func (t *Batch) enter(phase string, now time.Time) {
	t.leave(Succeeded, now)
	t.Phase = phase
	t.Phases = append(t.Phases, Phase{Type: phase, Status: InProgress, Started: now})
}

func (t *Batch) leave(how Status, now time.Time, why ...Context) {
	if n := len(t.Phases); n > 0 && t.Phases[n-1].Status == InProgress {
		t.Phases[n-1].end(how, now, why...)
	}
}

// end ends a batch.
func (t *Batch) end(how Status, now time.Time) {
	phase := how
	if how == Succeeded || how == Stopped {
		t.leave(how, now)
	} else {
		t.leave(how, now, t.context()...)
		phase = Failed
	}
	t.Phase, t.Status, t.Ended, t.Complete = string(phase), how, now, true
	t.Phases = append(t.Phases, Phase{Type: string(phase), Status: how, Started: now})
	t.Phases[len(t.Phases)-1].end(how, now)
}

func (t *Batch) context() []Context {
	if r := t.Facts.Reason; r != nil {
		return []Context{r.context()}
	}
	return nil
}

// due are the groups whose builds can begin: nobody has, and all that they
// depend on is done, or may fail. It is pure.
func (t *Batch) due() (start []int) {
	for i, g := range t.Groups {
		if g.Current == nil && !slices.ContainsFunc(g.DependsOn, func(id string) bool { return !t.passed(id) }) {
			start = append(start, i)
		}
	}
	return start
}

// passed tells whether a build of the batch lets those begin that depend on it.
func (t *Batch) passed(identifier string) bool {
	for _, g := range t.Groups {
		if g.Identifier == identifier {
			return g.Current != nil && (g.Current.Status == Succeeded || g.IgnoreFailure && g.Current.Status.Ended())
		}
	}
	return false
}

// failed tells whether a build failed that must not.
func (t *Batch) failed() bool {
	return slices.ContainsFunc(t.Groups, func(g Group) bool {
		return g.Current != nil && g.Current.Status.Ended() && g.Current.Status != Succeeded && !g.IgnoreFailure
	})
}

// busy are the groups whose builds are under way.
func (t *Batch) busy() (at []int) {
	for i, g := range t.Groups {
		if g.Current != nil && !g.Current.Status.Ended() {
			at = append(at, i)
		}
	}
	return at
}

// advanceBatch moves a batch on as far as it goes: after its buildspec was read,
// after each of its builds, after it was stopped, and as often as one likes.
func (b *Builds) advanceBatch(tx *db.Tx, id string) error {
	t, err := findBatch(tx, id)
	if err != nil || t.Status.Ended() || t.Phase != string(InProgress) {
		return err
	}
	if err := b.look(tx, &t); err != nil {
		return err
	}
	now := b.config.Now().UTC()
	end := t.Facts.Stopping || t.failed() && t.Facts.FastFail
	if end {
		for _, i := range t.busy() {
			stopped, err := b.stop(tx, bare(t.Groups[i].Current.ARN, "build/"), "its batch ends")
			if err != nil {
				return err
			}
			t.Groups[i].Current = summary(stopped)
		}
	} else {
		for _, i := range t.due() {
			if err := b.beginMember(tx, &t, i); err != nil {
				return err
			}
		}
	}
	if len(t.busy()) == 0 {
		if err := b.closeBatch(tx, &t, now); err != nil {
			return err
		}
	}
	return keepBatch(tx, t)
}

// look reads how the builds of a batch are.
func (b *Builds) look(tx *db.Tx, t *Batch) error {
	for _, i := range t.busy() {
		made, err := find(tx, t.Groups[i].Current.ARN)
		if err != nil {
			return err
		}
		t.Groups[i].Current = summary(made)
		for _, r := range made.Reports {
			if !slices.Contains(t.Reports, r) {
				t.Reports = append(t.Reports, r)
			}
		}
	}
	return nil
}

func summary(made Build) *Summary {
	s := &Summary{ARN: made.ARN, Requested: made.Started, Status: made.Status}
	if made.Artifacts != nil {
		s.Primary = &ResolvedArtifact{Type: "S3", Location: made.Artifacts.Location}
	}
	for _, a := range made.SecondaryArtifacts {
		s.Secondary = append(s.Secondary, ResolvedArtifact{Type: "S3", Location: a.Location, Identifier: a.Identifier})
	}
	return s
}

// beginMember begins one of a batch's builds.
func (b *Builds) beginMember(tx *db.Tx, t *Batch, i int) error {
	g := &t.Groups[i]
	m := t.Facts.Members[g.Identifier]
	made := again(t.Facts.Build)
	made.Facts.Retried, made.Facts.Outputs = "", nil
	made.BatchARN, made.Initiator = t.ARN, t.Initiator
	made.Facts.Batch, made.Facts.Member, made.Facts.MemberEnv, made.Facts.Fanout = t.ID, g.Identifier, m.Variables, m.Fanout
	if m.Buildspec != "" {
		made.Source.Buildspec = m.Buildspec
	}
	if m.Image != "" {
		made.Environment.Image = m.Image
	}
	if m.Compute != "" {
		made.Environment.ComputeType = m.Compute
	}
	if m.Fleet != "" {
		made.Environment.Fleet = &FleetRef{ARN: m.Fleet}
	}
	begun, err := b.begin(tx, made)
	if err != nil {
		return err
	}
	g.Current = summary(begun)
	return nil
}

// closeBatch ends a batch of which nothing is under way, or has its artifacts combined first.
func (b *Builds) closeBatch(tx *db.Tx, t *Batch, now time.Time) error {
	switch {
	case t.Facts.Stopping:
		t.end(Stopped, now)
	case t.failed():
		var names []string
		for _, g := range t.Groups {
			if g.Current != nil && g.Current.Status != Succeeded && !g.IgnoreFailure {
				names = append(names, g.Identifier)
			}
		}
		t.Facts.Reason = &Reason{Code: "BUILD_FAILED", Text: fmt.Sprintf("builds of the batch failed: %s", joined(names, 10)), Do: "see their logs"}
		t.end(Failed, now)
	case t.Config != nil && isTrue(t.Config.CombineArtifacts):
		t.enter(combineArtifacts, now)
		return b.config.Work.Add(tx, work.Job{ID: jobOfBatch(*t), Kind: kindBatch, Body: []byte(t.ID)})
	default:
		t.end(Succeeded, now)
	}
	return b.tellBatch(tx, *t)
}

// joined are names, the first of them.
func joined(names []string, most int) string {
	text := ""
	for i, n := range names {
		switch {
		case i == most:
			return fmt.Sprintf("%s and %d more", text, len(names)-most)
		case i > 0:
			text += ", "
		}
		text += n
	}
	return text
}
