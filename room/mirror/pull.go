package mirror

import (
	"context"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// pullNews is what events do not tell of yet: a pull request, and what was told last.
type pullNews struct {
	pull   Pull
	told   string
	target string // the commit that it goes to
}

// pullNews are the pull requests that stand otherwise than was told, as far as they have come.
func (m *Mirror) pullNews(ctx context.Context, k kept) (news []pullNews, err error) {
	var all []pullNews
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, func(scan db.Scan) (n pullNews, err error) {
			var body []byte
			if err := scan(&n.told, &body); err != nil {
				return n, err
			}
			return n, json.Unmarshal(body, &n.pull)
		}, "SELECT told, body FROM mirror_pulls WHERE repository = ? ORDER BY number", k.Repository)
		return err
	})
	if err != nil || k.Pulls == NoPulls {
		return nil, err
	}
	for _, n := range all {
		if n.told == n.pull.stands() || n.told == "" && !n.pull.Open || n.pull.Fork && k.Pulls == OwnPulls {
			continue
		}
		if n.target, err = m.ref(ctx, k.Repository, "refs/heads/"+n.pull.Target); err != nil {
			return nil, err
		}
		here, err := m.ref(ctx, k.Repository, "refs/heads/"+n.pull.Branch())
		if err != nil {
			return nil, err
		}
		if n.target == "" || n.pull.Open && here != n.pull.Head {
			continue // it was moved on, and is told of again
		}
		news = append(news, n)
	}
	return news, nil
}

// ref is where a ref is here, or "".
func (m *Mirror) ref(ctx context.Context, repository, ref string) (string, error) {
	id, err := m.config.Source.Ref(ctx, repository, ref)
	if fault.Of(err) == fault.NotFound {
		return "", nil
	}
	return id, err
}

// tellPulls publishes what happened to pull requests, in CodeCommit's words: pipelines and projects that wait for such
// know no other.
func (m *Mirror) tellPulls(tx *db.Tx, repository string, news []pullNews) error {
	const layout = "Mon Jan 02 15:04:05 MST 2006"
	now := m.config.Now()
	for _, n := range news {
		if _, err := tx.Exec("UPDATE mirror_pulls SET told = ? WHERE repository = ? AND number = ?", n.pull.stands(), repository, n.pull.Number); err != nil {
			return err
		}
		d := source.PullDetail{
			Event: "pullRequestCreated", PullRequestID: strconv.FormatInt(n.pull.Number, 10), Title: n.pull.Title, Author: m.who(repository), CallerUserARN: m.who(repository),
			RepositoryNames: []string{repository}, RevisionID: n.pull.Head, SourceReference: "refs/heads/" + n.pull.Branch(), SourceCommit: n.pull.Head,
			DestinationReference: "refs/heads/" + n.pull.Target, DestinationCommit: n.target, PullRequestStatus: "Open", IsMerged: "False",
			LastModifiedDate: n.pull.Updated.In(time.UTC).Format(layout), NotificationBody: n.pull.URL,
		}
		switch {
		case !n.pull.Open:
			d.Event, d.PullRequestStatus = "pullRequestStatusChanged", "Closed"
			if n.pull.Merged != "" {
				d.Event, d.IsMerged, d.MergeCommit = "pullRequestMergeStatusUpdated", "True", n.pull.Merged
			}
		case n.told != "" && n.told != "closed":
			d.Event = "pullRequestSourceBranchUpdated"
		}
		detail, err := json.Marshal(d)
		if err != nil {
			return err
		}
		if err := m.config.Bus.Publish(tx, event.Event{
			Type: source.PullChanged, Source: source.EventSource, Account: m.config.Account, Region: m.config.Region, Time: now,
			Resources: []string{m.config.Source.ARN(repository)}, Detail: detail,
		}); err != nil {
			return err
		}
	}
	return nil
}
