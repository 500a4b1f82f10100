package inspector2

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/word/fault"
)

type filterInput struct {
	ARN         string            `json:"filterArn"`
	Action      string            `json:"action"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Reason      string            `json:"reason"`
	Criteria    criteria          `json:"filterCriteria"`
	Tags        map[string]string `json:"tags"`
}

type arnOutput struct {
	ARN string `json:"arn"`
}

type arnInput struct {
	ARN string `json:"arn"`
}

type filter struct {
	ARN         string            `json:"arn"`
	Owner       string            `json:"ownerId"`
	Name        string            `json:"name"`
	Criteria    criteria          `json:"criteria"`
	Action      string            `json:"action"`
	Created     time.Time         `json:"createdAt"`
	Updated     time.Time         `json:"updatedAt"`
	Description string            `json:"description,omitzero"`
	Reason      string            `json:"reason,omitzero"`
	Tags        map[string]string `json:"tags,omitzero"`
}

func (s *service) filterARN(id string) string {
	return "arn:aws:inspector2:" + s.Region + ":" + s.Account + ":owner/" + s.Account + "/filter/" + id
}

// filterID is the last part of a filter's ARN.
func filterID(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

func (s *service) askUpdateFilter(c *wire.Call, in *filterInput) []iam.Request { return c.Ask(in.ARN) }

func (s *service) askDeleteFilter(c *wire.Call, in *arnInput) []iam.Request { return c.Ask(in.ARN) }

// suppress puts a filter in force in the hub, and gives the suppressor's ID.
func (s *service) suppress(ctx context.Context, c *wire.Call, f inspect.Filter) (string, error) {
	var asked criteria
	if err := json.Unmarshal(f.Criteria, &asked); err != nil {
		return "", err
	}
	pattern, err := asked.pattern()
	if err != nil {
		return "", err
	}
	reason := f.Reason
	if reason == "" {
		reason = f.Description
	}
	if reason == "" {
		reason = "the filter " + f.Name + " of Inspector suppresses it"
	}
	made, _, err := s.Hub.AddSuppressor(ctx, hub.Suppressor{Name: f.Name, Pattern: pattern, Acceptance: hub.Acceptance{Kind: "risk-accepted", Reason: reason, Owner: c.Principal.ARN, By: c.Principal.ARN}}, true)
	return made.ID, err
}

// release takes a suppressor out of force; one that is gone already is none.
func (s *service) release(ctx context.Context, id, by string) error {
	if id == "" {
		return nil
	}
	err := s.Hub.RemoveSuppressor(ctx, id, by)
	if fault.Of(err) == fault.NotFound {
		err = nil
	}
	return err
}

func (s *service) createFilter(ctx context.Context, c *wire.Call, in *filterInput) (*arnOutput, error) {
	if _, err := in.Criteria.predicate(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(in.Criteria, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	list, err := s.Inspect.Filters(ctx)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(list, func(f inspect.Filter) bool { return f.Name == in.Name }) {
		return nil, fault.Exists.Errorf("there is a filter %q", in.Name)
	}
	f := inspect.Filter{Name: in.Name, Suppress: in.Action == "SUPPRESS", Description: in.Description, Reason: in.Reason, Criteria: text, Tags: in.Tags}
	if f.Suppress {
		if f.Suppressor, err = s.suppress(ctx, c, f); err != nil {
			return nil, err
		}
	}
	made, err := s.Inspect.AddFilter(ctx, f)
	if err != nil {
		if undone := s.release(context.WithoutCancel(ctx), f.Suppressor, c.Principal.ARN); undone != nil {
			return nil, undone
		}
		return nil, err
	}
	return &arnOutput{s.filterARN(made.ID)}, nil
}

func (s *service) updateFilter(ctx context.Context, c *wire.Call, in *filterInput) (*arnOutput, error) {
	was, err := s.Inspect.Filter(ctx, filterID(in.ARN))
	if err != nil {
		return nil, err
	}
	now := was
	if in.Criteria != nil {
		if _, err := in.Criteria.predicate(); err != nil {
			return nil, err
		}
		if now.Criteria, err = json.Marshal(in.Criteria, json.Deterministic(true)); err != nil {
			return nil, err
		}
	}
	for _, one := range []struct {
		to   *string
		text string
	}{{&now.Name, in.Name}, {&now.Description, in.Description}, {&now.Reason, in.Reason}} {
		if one.text != "" {
			*one.to = one.text
		}
	}
	if in.Action != "" {
		now.Suppress = in.Action == "SUPPRESS"
	}
	if err := s.renew(ctx, c, was, &now); err != nil {
		return nil, err
	}
	err = s.Inspect.ChangeFilter(ctx, was.ID, func(f *inspect.Filter) {
		f.Name, f.Description, f.Reason, f.Criteria, f.Suppress, f.Suppressor = now.Name, now.Description, now.Reason, now.Criteria, now.Suppress, now.Suppressor
	})
	return &arnOutput{in.ARN}, err
}

// renew puts what became of a filter in force in the place of what it was.
func (s *service) renew(ctx context.Context, c *wire.Call, was inspect.Filter, now *inspect.Filter) error {
	same := now.Name == was.Name && now.Reason == was.Reason && now.Description == was.Description && string(now.Criteria) == string(was.Criteria)
	if same && now.Suppress == was.Suppress {
		return nil
	}
	if now.Suppress { // what cannot be put in force does not take the former out
		var asked criteria
		if err := json.Unmarshal(now.Criteria, &asked); err != nil {
			return err
		}
		if _, err := asked.pattern(); err != nil {
			return err
		}
	}
	if err := s.release(ctx, was.Suppressor, c.Principal.ARN); err != nil {
		return err
	}
	now.Suppressor = ""
	var err error
	if now.Suppress {
		now.Suppressor, err = s.suppress(ctx, c, *now)
	}
	return err
}

func (s *service) deleteFilter(ctx context.Context, c *wire.Call, in *arnInput) (*arnOutput, error) {
	f, err := s.Inspect.Filter(ctx, filterID(in.ARN))
	if err != nil {
		return nil, err
	}
	if err := s.release(ctx, f.Suppressor, c.Principal.ARN); err != nil {
		return nil, err
	}
	return &arnOutput{in.ARN}, s.Inspect.RemoveFilter(ctx, f.ID)
}

type filtersInput struct {
	ARNs       []string `json:"arns"`
	Action     string   `json:"action"`
	NextToken  string   `json:"nextToken"`
	MaxResults int      `json:"maxResults"`
}

type filtersOutput struct {
	Filters   []filter `json:"filters"`
	NextToken string   `json:"nextToken,omitzero"`
}

func actionOf(f inspect.Filter) string {
	if f.Suppress {
		return "SUPPRESS"
	}
	return "NONE"
}

func (s *service) listFilters(ctx context.Context, _ *wire.Call, in *filtersInput) (*filtersOutput, error) {
	all, err := s.Inspect.Filters(ctx)
	if err != nil {
		return nil, err
	}
	var list []filter
	for _, f := range all {
		one := filter{ARN: s.filterARN(f.ID), Owner: s.Account, Name: f.Name, Action: actionOf(f), Created: f.Created, Updated: f.Updated, Description: f.Description, Reason: f.Reason, Tags: f.Tags}
		if err := json.Unmarshal(f.Criteria, &one.Criteria); err != nil {
			return nil, err
		}
		if (in.Action == "" || in.Action == one.Action) && (len(in.ARNs) == 0 || slices.Contains(in.ARNs, one.ARN)) {
			list = append(list, one)
		}
	}
	out := &filtersOutput{}
	out.Filters, out.NextToken, err = page(list, in.NextToken, in.MaxResults, 100)
	return out, err
}
