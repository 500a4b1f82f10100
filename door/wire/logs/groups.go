package logs

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// token writes where the next page of a list begins.
func token(v any) string {
	text, _ := json.Marshal(v) // plain values of ours
	return base64.RawURLEncoding.EncodeToString(text)
}

// untoken reads what token wrote.
func untoken(text string, v any) error {
	plain, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(plain, v)
	}
	if err != nil {
		return fault.Invalid.Errorf("The specified nextToken is invalid.")
	}
	return nil
}

type groupsInput struct {
	Prefix      string   `json:"logGroupNamePrefix"`
	Pattern     string   `json:"logGroupNamePattern"`
	Identifiers []string `json:"logGroupIdentifiers"`
	Class       string   `json:"logGroupClass"`
	Accounts    []string `json:"accountIdentifiers"`
	Limit       int      `json:"limit"`
	NextToken   string   `json:"nextToken"`
}

type groupOutput struct {
	Name      string `json:"logGroupName"`
	Created   int64  `json:"creationTime"`
	Retention int    `json:"retentionInDays,omitzero"`
	Filters   int    `json:"metricFilterCount"`
	ARN       string `json:"arn"`
	Stored    int64  `json:"storedBytes"`
	Class     string `json:"logGroupClass"`
	GroupARN  string `json:"logGroupArn"`
}

type groupsOutput struct {
	Groups    []groupOutput `json:"logGroups"`
	NextToken string        `json:"nextToken,omitzero"`
}

// standard is the only class of groups here.
const standard = "STANDARD"

// visible are the groups that a caller may see with this operation.
func (s *service) visible(ctx context.Context, c *wire.Call, mine func(string) bool) (all []work.Group, err error) {
	groups, err := s.Work.Groups(ctx)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if mine != nil && !mine(g.Name) {
			continue
		}
		may, err := s.may(ctx, c, s.resource(g.Name, ""))
		if err != nil {
			return nil, err
		}
		if may {
			all = append(all, g)
		}
	}
	return all, nil
}

// may tells whether the caller may do what is called on one more resource.
func (s *service) may(ctx context.Context, c *wire.Call, resource string) (bool, error) {
	asked := c.Ask(resource)
	asked[0].Context = c.Context()
	err := s.Gate.Allow(ctx, asked...)
	if errors.Is(err, fault.Denied) {
		return false, nil
	}
	return err == nil, err
}

// askVisible asks for a group that the caller may see, so that whoever sees some gets a list of these; who sees
// none is refused as CloudWatch Logs does.
func (s *service) askVisible(ctx context.Context, c *wire.Call, mine func(string) bool) ([]iam.Request, error) {
	all, err := s.visible(ctx, c, mine)
	if err != nil || len(all) == 0 {
		return c.Ask(s.resource("", "")), err
	}
	return c.Ask(s.resource(all[0].Name, "")), nil
}

func (s *service) askGroups(ctx context.Context, c *wire.Call, in *groupsInput) ([]iam.Request, error) {
	return s.askVisible(ctx, c, nil)
}

func (s *service) describeGroups(ctx context.Context, c *wire.Call, in *groupsInput) (*groupsOutput, error) {
	if in.Prefix != "" && in.Pattern != "" {
		return nil, fault.Invalid.Errorf("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	var names []string
	for _, one := range in.Identifiers {
		names = append(names, s.nameOf(one))
	}
	all, err := s.visible(ctx, c, func(name string) bool {
		return strings.HasPrefix(name, in.Prefix) && strings.Contains(name, in.Pattern) && (names == nil || slices.Contains(names, name)) && s.here(in.Class, in.Accounts)
	})
	if err != nil {
		return nil, err
	}
	part, next, err := groupPage(all, in.NextToken, cmp.Or(in.Limit, 50))
	out := &groupsOutput{Groups: []groupOutput{}, NextToken: next}
	for _, g := range part {
		out.Groups = append(out.Groups, groupOutput{
			Name: g.Name, Created: millis(g.Made), Retention: s.days(), ARN: s.arn(g.Name) + ":*", Stored: g.Size, Class: standard, GroupARN: s.arn(g.Name),
		})
	}
	return out, err
}

// days is how long logs are kept, in whole days.
func (s *service) days() int { return int((s.Kept + 24*time.Hour - 1) / (24 * time.Hour)) }

// here tells whether groups of a class and of some accounts are those of this server.
func (s *service) here(class string, accounts []string) bool {
	return (class == "" || class == standard) && (len(accounts) == 0 || slices.Contains(accounts, s.Account))
}

// groupPage is the part of a list by name that comes after a token: the last name that was told.
func groupPage(all []work.Group, after string, limit int) ([]work.Group, string, error) {
	if after != "" {
		var last string
		if err := untoken(after, &last); err != nil {
			return nil, "", err
		}
		all = slices.DeleteFunc(all, func(g work.Group) bool { return g.Name <= last })
	}
	if len(all) <= limit {
		return all, "", nil
	}
	return all[:limit], token(all[limit-1].Name), nil
}

type listInput struct {
	Pattern   string   `json:"logGroupNamePattern"`
	Class     string   `json:"logGroupClass"`
	Accounts  []string `json:"accountIdentifiers"`
	Limit     int      `json:"limit"`
	NextToken string   `json:"nextToken"`

	// What groups here have none of.
	Sources []struct{} `json:"dataSources"`
	Indexes []string   `json:"fieldIndexNames"`
	Tags    []struct{} `json:"logGroupTags"`
}

type listedGroup struct {
	Name  string `json:"logGroupName"`
	ARN   string `json:"logGroupArn"`
	Class string `json:"logGroupClass"`
}

type listOutput struct {
	Groups    []listedGroup `json:"logGroups"`
	NextToken string        `json:"nextToken,omitzero"`
}

func (s *service) askList(ctx context.Context, c *wire.Call, in *listInput) ([]iam.Request, error) {
	return s.askVisible(ctx, c, nil)
}

func (s *service) listGroups(ctx context.Context, c *wire.Call, in *listInput) (*listOutput, error) {
	all, err := s.visible(ctx, c, func(name string) bool {
		return listed(name, in.Pattern) && s.here(in.Class, in.Accounts) && len(in.Sources)+len(in.Indexes)+len(in.Tags) == 0
	})
	if err != nil {
		return nil, err
	}
	part, next, err := groupPage(all, in.NextToken, cmp.Or(in.Limit, 50))
	out := &listOutput{Groups: []listedGroup{}, NextToken: next}
	for _, g := range part {
		out.Groups = append(out.Groups, listedGroup{g.Name, s.arn(g.Name), standard})
	}
	return out, err
}

// listed tells whether a name has one of the texts between |, or begins with one that ^ comes before.
func listed(name, pattern string) bool {
	if pattern == "" {
		return true
	}
	for one := range strings.SplitSeq(pattern, "|") {
		if prefix, ok := strings.CutPrefix(one, "^"); ok && strings.HasPrefix(name, prefix) || !ok && strings.Contains(name, one) {
			return true
		}
	}
	return false
}

type streamsInput struct {
	named
	Prefix     string `json:"logStreamNamePrefix"`
	OrderBy    string `json:"orderBy"`
	Descending bool   `json:"descending"`
	Limit      int    `json:"limit"`
	NextToken  string `json:"nextToken"`
}

type streamOutput struct {
	Name     string `json:"logStreamName"`
	Created  int64  `json:"creationTime"`
	First    int64  `json:"firstEventTimestamp,omitzero"`
	Last     int64  `json:"lastEventTimestamp,omitzero"`
	Ingested int64  `json:"lastIngestionTime,omitzero"`
	ARN      string `json:"arn"`
	Stored   int64  `json:"storedBytes"`
}

type streamsOutput struct {
	Streams   []streamOutput `json:"logStreams"`
	NextToken string         `json:"nextToken,omitzero"`
}

// streamPlace is the last stream that was told.
type streamPlace struct {
	Name string    `json:"n"`
	Last time.Time `json:"t,omitzero"`
}

func (s *service) describeStreams(ctx context.Context, _ *wire.Call, in *streamsInput) (*streamsOutput, error) {
	group, err := s.find(ctx, in.named)
	if err != nil {
		return nil, err
	}
	q := work.StreamQuery{Group: group, Prefix: in.Prefix, ByTime: in.OrderBy == "LastEventTime", Descending: in.Descending}
	if q.ByTime && q.Prefix != "" {
		return nil, fault.Invalid.Errorf("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	if in.NextToken != "" {
		var last streamPlace
		if err := untoken(in.NextToken, &last); err != nil {
			return nil, err
		}
		q.After = &work.Stream{Name: last.Name, Last: last.Last}
	}
	limit := cmp.Or(in.Limit, 50)
	q.Limit = limit + 1 // one more, to see whether there are
	all, err := s.Work.Streams(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &streamsOutput{Streams: []streamOutput{}}
	if len(all) > limit {
		all = all[:limit]
		out.NextToken = token(streamPlace{all[limit-1].Name, all[limit-1].Last})
	}
	for _, one := range all {
		out.Streams = append(out.Streams, streamOutput{
			Name: one.Name, Created: millis(one.Made), First: millis(one.First), Last: millis(one.Last), Ingested: millis(one.Last), ARN: s.resource(group, one.Name), Stored: one.Size,
		})
	}
	return out, nil
}
