package source

import (
	"context"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/event"
)

// What happens to a pull request, in CodeCommit's words; HappenedTarget is ours.
const (
	HappenedCreated  = "PULL_REQUEST_CREATED"
	HappenedStatus   = "PULL_REQUEST_STATUS_CHANGED"
	HappenedSource   = "PULL_REQUEST_SOURCE_REFERENCE_UPDATED"
	HappenedTarget   = "PULL_REQUEST_DESTINATION_REFERENCE_UPDATED"
	HappenedMerged   = "PULL_REQUEST_MERGE_STATE_CHANGED"
	HappenedRuleMade = "PULL_REQUEST_APPROVAL_RULE_CREATED"
	HappenedRule     = "PULL_REQUEST_APPROVAL_RULE_UPDATED"
	HappenedRuleGone = "PULL_REQUEST_APPROVAL_RULE_DELETED"
	HappenedOverride = "PULL_REQUEST_APPROVAL_RULE_OVERRIDDEN"
	HappenedApproval = "PULL_REQUEST_APPROVAL_STATE_CHANGED"
)

// What the events that tell of pull requests, comments and templates are called (EventBridge's detail-type).
const (
	PullChanged     = "CodeCommit Pull Request State Change"
	PullCommented   = "CodeCommit Comment on Pull Request"
	CommitCommented = "CodeCommit Comment on Commit"
	TemplateChanged = "CodeCommit Approval Rule Template Change"
)

// Happened is a line of a pull request's story.
type Happened struct {
	Number   int64     `json:"-"` // within the pull request
	Type     string    `json:"type"`
	Who      string    `json:"who,omitzero"` // ARN
	At       time.Time `json:"at"`
	Revision string    `json:"revision,omitzero"`
	State    State     `json:"state,omitzero"`
	Head     string    `json:"head,omitzero"`
	OldHead  string    `json:"oldHead,omitzero"`
	Target   string    `json:"target,omitzero"`
	Base     string    `json:"base,omitzero"`
	Rule     string    `json:"rule,omitzero"`
	RuleID   string    `json:"ruleId,omitzero"`
	Content  string    `json:"content,omitzero"`
	Verdict  string    `json:"verdict,omitzero"` // APPROVE, REVOKE; OVERRIDE
	Why      string    `json:"why,omitzero"`
	Merge    *Merge    `json:"merge,omitzero"`
}

// note keeps a line of a pull request's story.
func (s *Source) note(tx *db.Tx, p Pull, h Happened) error {
	h.At = s.config.Now().UTC()
	body, err := json.Marshal(h)
	if err != nil {
		return err
	}
	number, err := db.One(tx, db.Value[int64], "SELECT COALESCE(MAX(number), 0) + 1 FROM source_pull_events WHERE pull = ?", p.Number)
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO source_pull_events (pull, number, body) VALUES (?, ?, ?)", p.Number, number, body)
	return err
}

// Story is what happened to a pull request, the oldest first.
func (s *Source) Story(ctx context.Context, number int64) (all []Happened, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := findPull(tx, number); err != nil {
			return err
		}
		all, err = db.All(tx, func(scan db.Scan) (h Happened, err error) {
			var body []byte
			if err := scan(&h.Number, &body); err != nil {
				return h, err
			}
			n := h.Number
			err = json.Unmarshal(body, &h)
			h.Number = n
			return h, err
		}, "SELECT number, body FROM source_pull_events WHERE pull = ? ORDER BY number", number)
		return err
	})
	return all, err
}

// PullDetail is what a PullChanged event says, in CodeCommit's words, then in ours.
type PullDetail struct {
	Event                string   `json:"event"`
	PullRequestID        string   `json:"pullRequestId"`
	Title                string   `json:"title"`
	Description          string   `json:"description,omitzero"`
	Author               string   `json:"author"`
	CallerUserARN        string   `json:"callerUserArn,omitzero"`
	RepositoryNames      []string `json:"repositoryNames"`
	RevisionID           string   `json:"revisionId"`
	SourceReference      string   `json:"sourceReference"`
	SourceCommit         string   `json:"sourceCommit"`
	DestinationReference string   `json:"destinationReference"`
	DestinationCommit    string   `json:"destinationCommit"`
	PullRequestStatus    string   `json:"pullRequestStatus"` // Open, Closed
	IsMerged             string   `json:"isMerged"`          // True, False
	MergeOption          string   `json:"mergeOption,omitzero"`
	CreationDate         string   `json:"creationDate"`
	LastModifiedDate     string   `json:"lastModifiedDate"`
	ApprovalStatus       string   `json:"approvalStatus,omitzero"`
	ApprovalRuleName     string   `json:"approvalRuleName,omitzero"`
	OverrideStatus       string   `json:"overrideStatus,omitzero"`
	NotificationBody     string   `json:"notificationBody"`

	MergeCommit string `json:"mergeCommitId,omitzero"`
	Reviewed    bool   `json:"reviewed,omitzero"` // merged with everything that is asked for
}

// tellPull publishes that something happened to a pull request; change adds to what is said.
func (s *Source) tellPull(tx *db.Tx, p Pull, what, by string, change func(*PullDetail)) error {
	const layout = "Mon Jan 02 15:04:05 MST 2006"
	d := PullDetail{
		Event: what, PullRequestID: strconv.FormatInt(p.Number, 10), Title: p.Title, Description: p.Description, Author: p.Author.ARN, CallerUserARN: by,
		RepositoryNames: []string{p.Repository}, RevisionID: p.Revision.ID, SourceReference: p.Source, SourceCommit: p.Revision.Head,
		DestinationReference: p.Target, DestinationCommit: p.Revision.Target, PullRequestStatus: "Open", IsMerged: "False",
		CreationDate: p.Created.Format(layout), LastModifiedDate: p.Updated.Format(layout),
	}
	if p.State != Open {
		d.PullRequestStatus = "Closed"
	}
	if m := p.Merge; m != nil {
		d.IsMerged, d.MergeOption, d.MergeCommit, d.Reviewed = "True", string(m.Option), m.Commit, m.Reviewed
	}
	if change != nil {
		change(&d)
	}
	d.NotificationBody = "A pull request event occurred in the repository " + p.Repository + ": " + what + ", pull request " + d.PullRequestID + ", " + p.Title
	return s.publish(tx, PullChanged, p.Repository, d)
}

// publish tells the river of something in a repository.
func (s *Source) publish(tx *db.Tx, kind, repository string, detail any) error {
	text, err := json.Marshal(detail, json.Deterministic(true))
	if err != nil {
		return err
	}
	return s.config.Bus.Publish(tx, event.Event{
		Type: kind, Source: EventSource, Account: s.config.Account, Region: s.config.Region, Time: s.config.Now(),
		Resources: []string{s.ARN(repository)}, Detail: text,
	})
}
