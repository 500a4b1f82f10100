// Package logs answers CloudWatch Logs: the logs of builds and of pipelines' actions, as aws logs asks for them.
package logs

import (
	"context"
	_ "embed"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

// Config is whom the service asks.
type Config struct {
	Work    *work.Work
	Gate    wire.Gate // says which groups a caller sees
	Account string
	Region  string
	Kept    time.Duration // how long a log is kept after its last line; 90 days
	Now     func() time.Time
}

type service struct {
	Config
	tails   atomic.Int32  // sessions that are under way
	queries chan struct{} // those that are being answered, each has room for one
}

// Service answers what is about groups, streams and their events. Events come from builds and pipelines alone:
// nobody puts any, and nobody but retention takes any away.
func Service(c Config) wire.Service {
	if c.Kept == 0 {
		c.Kept = 90 * 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &service{Config: c, queries: make(chan struct{}, 2)}
	return wire.Service{
		Model: wire.MustModel(table),
		Operations: map[string]wire.Operation{
			"DescribeLogGroups":   wire.OpOn(s.askGroups, s.describeGroups),
			"ListLogGroups":       wire.OpOn(s.askList, s.listGroups),
			"DescribeLogStreams":  wire.Op(on[streamsInput](s), s.describeStreams),
			"GetLogEvents":        wire.Op(s.askEvents, s.getEvents),
			"FilterLogEvents":     wire.Op(on[filterInput](s), s.filterEvents),
			"ListTagsForResource": wire.Op(s.askTags, s.tags),
			"ListTagsLogGroup":    wire.Op(on[groupInput](s), s.groupTags),
			"TestMetricFilter":    wire.Op(wire.AskAll, s.testFilter),
			"StartQuery":          wire.Op(s.askQuery, s.startQuery),
			"GetQueryResults":     wire.Op(wire.AskAll, s.queryResults),
			"GetLogRecord":        wire.Op(s.askRecord, s.record),
			"StartLiveTail":       wire.StreamOp(s.askTail, s.tail),
		},
		Faults: wire.Faults{
			fault.Invalid:     {"InvalidParameterException"},
			fault.Conflict:    {"InvalidParameterException"},
			fault.NotFound:    {"ResourceNotFoundException", "InvalidParameterException"},
			fault.Limit:       {"LimitExceededException", "InvalidParameterException"},
			fault.Unavailable: {"ServiceUnavailableException"},
		},
	}
}

// named names a group, in the one way or the other.
type named struct {
	Group      string `json:"logGroupName"`
	Identifier string `json:"logGroupIdentifier"`
}

func (n named) group() named { return n }

type grouped interface{ group() named }

type groupInput struct{ named }

// arn is the ARN of a group, as it stands in lists.
func (s *service) arn(group string) string {
	return "arn:aws:logs:" + s.Region + ":" + s.Account + ":log-group:" + group
}

// resource is what policies speak of: a stream of a group, or the group with all of its streams, which then have no name.
func (s *service) resource(group, stream string) string {
	return s.arn(group) + ":log-stream:" + stream
}

// on asks for an operation on the group that an input names.
func on[In any, P interface {
	*In
	grouped
}](s *service) func(*wire.Call, *In) []iam.Request {
	return func(c *wire.Call, in *In) []iam.Request {
		return c.Ask(s.resource(s.name(P(in).group()), ""))
	}
}

// name is the name of a group, or what was said in its place where that is no group of this server.
func (s *service) name(n named) string {
	if n.Identifier == "" {
		return n.Group
	}
	return s.nameOf(n.Identifier)
}

// nameOf is the name that an identifier has: itself, or within an ARN.
func (s *service) nameOf(identifier string) string {
	rest, ok := strings.CutPrefix(identifier, s.arn(""))
	if !ok {
		return identifier
	}
	return strings.TrimSuffix(rest, ":*")
}

// find is a group that there is.
func (s *service) find(ctx context.Context, n named) (string, error) {
	if (n.Group == "") == (n.Identifier == "") {
		return "", fault.Invalid.Errorf("Must provide either logGroupName or logGroupIdentifier, and not both")
	}
	name := s.name(n)
	some, err := s.Work.Streams(ctx, work.StreamQuery{Group: name, Limit: 1})
	if err == nil && len(some) == 0 {
		err = fault.NotFound.Errorf("The specified log group does not exist.")
	}
	return name, err
}

func (s *service) stream(ctx context.Context, group, name string) (work.Stream, error) {
	one, err := s.Work.Stream(ctx, group, name)
	if errors.Is(err, fault.NotFound) {
		err = fault.NotFound.Errorf("The specified log stream does not exist.")
	}
	return one, err
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

type tagsOutput struct {
	Tags map[string]string `json:"tags"`
}

type resourceInput struct {
	ARN string `json:"resourceArn"`
}

func (s *service) askTags(c *wire.Call, in *resourceInput) []iam.Request {
	return c.Ask(s.resource(s.nameOf(in.ARN), ""))
}

// tags says that a group that there is has no tags: nobody can give it any.
func (s *service) tags(ctx context.Context, _ *wire.Call, in *resourceInput) (*tagsOutput, error) {
	_, err := s.find(ctx, named{Identifier: in.ARN})
	return &tagsOutput{map[string]string{}}, err
}

func (s *service) groupTags(ctx context.Context, _ *wire.Call, in *groupInput) (*tagsOutput, error) {
	_, err := s.find(ctx, in.named)
	return &tagsOutput{map[string]string{}}, err
}
