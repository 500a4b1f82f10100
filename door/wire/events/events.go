// Package events answers EventBridge: rules and targets, buses, archives and replays, connections and API destinations.
package events

import (
	_ "embed"
	"errors"
	"strings"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

// Service answers events, for a router.
func Service(router *route.Router) wire.Service {
	s := &service{router}
	return wire.Service{
		Model: wire.MustModel(table),
		Operations: map[string]wire.Operation{
			"PutEvents":        wire.Op(s.askEntries, s.putEvents),
			"TestEventPattern": wire.Op(wire.AskAll, s.testEventPattern),

			"PutRule":               wire.Op(s.askRule, s.putRule),
			"DescribeRule":          wire.Op(s.askNamed, s.describeRule),
			"ListRules":             wire.Op(wire.AskAll, s.listRules),
			"EnableRule":            wire.Op(s.askNamed, s.enableRule),
			"DisableRule":           wire.Op(s.askNamed, s.disableRule),
			"DeleteRule":            wire.Op(s.askNamed, s.deleteRule),
			"ListRuleNamesByTarget": wire.Op(wire.AskAll, s.listRuleNames),
			"PutTargets":            wire.Op(s.askPutTargets, s.putTargets),
			"RemoveTargets":         wire.Op(s.askRemoveTargets, s.removeTargets),
			"ListTargetsByRule":     wire.Op(s.askListTargets, s.listTargets),

			"CreateEventBus":   wire.Op(s.askCreateBus, s.createBus),
			"DescribeEventBus": wire.Op(s.askBus, s.describeBus),
			"ListEventBuses":   wire.Op(wire.AskAll, s.listBuses),
			"UpdateEventBus":   wire.Op(s.askUpdateBus, s.updateBus),
			"DeleteEventBus":   wire.Op(s.askBus, s.deleteBus),
			"PutPermission":    wire.Op(s.askPutPermission, s.putPermission),
			"RemovePermission": wire.Op(s.askRemovePermission, s.removePermission),

			"CreateArchive":   wire.Op(s.askCreateArchive, s.createArchive),
			"DescribeArchive": wire.Op(s.askArchive, s.describeArchive),
			"ListArchives":    wire.Op(wire.AskAll, s.listArchives),
			"UpdateArchive":   wire.Op(s.askUpdateArchive, s.updateArchive),
			"DeleteArchive":   wire.Op(s.askArchive, s.deleteArchive),
			"StartReplay":     wire.Op(s.askStartReplay, s.startReplay),
			"DescribeReplay":  wire.Op(s.askReplay, s.describeReplay),
			"ListReplays":     wire.Op(wire.AskAll, s.listReplays),
			"CancelReplay":    wire.Op(s.askReplay, s.cancelReplay),

			"CreateConnection":      wire.Op(s.askCreateConnection, s.createConnection),
			"DescribeConnection":    wire.Op(s.askConnection, s.describeConnection),
			"ListConnections":       wire.Op(wire.AskAll, s.listConnections),
			"UpdateConnection":      wire.Op(s.askUpdateConnection, s.updateConnection),
			"DeleteConnection":      wire.Op(s.askConnection, s.deleteConnection),
			"DeauthorizeConnection": wire.Op(s.askConnection, s.deauthorizeConnection),

			"CreateApiDestination":   wire.Op(s.askCreateDestination, s.createDestination),
			"DescribeApiDestination": wire.Op(s.askDestination, s.describeDestination),
			"ListApiDestinations":    wire.Op(wire.AskAll, s.listDestinations),
			"UpdateApiDestination":   wire.Op(s.askUpdateDestination, s.updateDestination),
			"DeleteApiDestination":   wire.Op(s.askDestination, s.deleteDestination),

			"TagResource":         wire.Op(s.askTag, s.tag),
			"UntagResource":       wire.Op(s.askUntag, s.untag),
			"ListTagsForResource": wire.Op(s.askTags, s.listTags),
		},
		Faults: wire.Faults{
			fault.Invalid:     {"ValidationException"},
			fault.NotFound:    {"ResourceNotFoundException"},
			fault.Exists:      {"ResourceAlreadyExistsException"},
			fault.Conflict:    {"IllegalStatusException", "ConcurrentModificationException"},
			fault.Limit:       {"PolicyLengthExceededException", "LimitExceededException"},
			fault.Unsupported: {"ValidationException"},
		},
	}
}

type service struct{ router *route.Router }

// none is an answer that says nothing.
type none struct{}

// paging is what every list can be asked for.
type paging struct {
	NextToken string
	Limit     int
}

func (p paging) page() route.Page { return route.Page{After: p.NextToken, Limit: p.Limit} }

// said is err in the words of the model where its kind alone does not tell.
func said(err error) error {
	var pattern *route.BadPattern
	if errors.As(err, &pattern) {
		return wire.Errorf("InvalidEventPatternException", "Event pattern is not valid. Reason: %s", pattern)
	}
	return err
}

// bus is the name of the bus that a name or an ARN of ours means.
func (s *service) bus(text string) (string, error) {
	if !strings.HasPrefix(text, "arn:") {
		if text == "" {
			text = route.DefaultBus
		}
		return text, nil
	}
	_, name, _ := strings.Cut(text, ":event-bus/")
	if text != s.router.BusARN(name) {
		return "", fault.NotFound.Errorf("Event bus %s does not exist.", text)
	}
	return name, nil
}

// unsupported refuses what is asked for and not done here.
func unsupported(members ...string) error {
	for i := 0; i+1 < len(members); i += 2 {
		if members[i+1] != "" {
			return fault.Invalid.Errorf("%s is not supported here.", members[i])
		}
	}
	return nil
}

// askOnRule asks about a rule; whether the bus is ours is seen later.
func (s *service) askOnRule(c *wire.Call, bus, rule string) []iam.Request {
	name, err := s.bus(bus)
	if err != nil {
		name = bus
	}
	return c.Ask(s.router.RuleARN(name, rule))
}
