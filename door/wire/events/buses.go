package events

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/fault"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

type busInput struct{ Name string }

// busSettings are what a bus can be made with.
type busSettings struct {
	Name, EventSourceName, Description, KmsKeyIdentifier string
	DeadLetterConfig                                     *route.DeadLetter
	LogConfig                                            jsontext.Value
	Tags                                                 []tagItem
}

func (b *busSettings) supported() error {
	return unsupported("EventSourceName", b.EventSourceName, "KmsKeyIdentifier", b.KmsKeyIdentifier, "LogConfig", string(b.LogConfig))
}

func (s *service) askBus(c *wire.Call, in *busInput) []iam.Request {
	name, err := s.bus(in.Name)
	if err != nil {
		return c.Ask(in.Name)
	}
	return c.Ask(s.router.BusARN(name))
}

func (s *service) askCreateBus(c *wire.Call, in *busSettings) []iam.Request {
	return c.Ask(s.router.BusARN(in.Name))
}

func (s *service) askUpdateBus(c *wire.Call, in *busSettings) []iam.Request {
	return c.Ask(s.router.BusARN(in.Name))
}

type createBusOutput struct {
	EventBusArn      string
	Description      string            `json:"Description,omitzero"`
	DeadLetterConfig *route.DeadLetter `json:"DeadLetterConfig,omitzero"`
}

func (s *service) createBus(ctx context.Context, _ *wire.Call, in *busSettings) (*createBusOutput, error) {
	if err := in.supported(); err != nil {
		return nil, err
	}
	arn, err := s.router.CreateBus(ctx, route.EventBus{Name: in.Name, Description: in.Description, DeadLetter: in.DeadLetterConfig, Tags: tagsOf(in.Tags)})
	return &createBusOutput{arn, in.Description, in.DeadLetterConfig}, err
}

// busOutput is a bus as it is listed, and as it is described.
type busOutput struct {
	Name, Arn        string
	Description      string            `json:"Description,omitzero"`
	Policy           string            `json:"Policy,omitzero"`
	CreationTime     *time.Time        `json:"CreationTime,omitzero"`
	LastModifiedTime *time.Time        `json:"LastModifiedTime,omitzero"`
	DeadLetterConfig *route.DeadLetter `json:"DeadLetterConfig,omitzero"`
}

func busOf(b route.EventBus) busOutput {
	return busOutput{b.Name, b.ARN, b.Description, string(b.Policy), stamp(b.Created), stamp(b.Changed), b.DeadLetter}
}

func (s *service) describeBus(ctx context.Context, _ *wire.Call, in *busInput) (*busOutput, error) {
	name, err := s.bus(in.Name)
	if err != nil {
		return nil, err
	}
	b, err := s.router.EventBus(ctx, name)
	out := busOf(b)
	return &out, err
}

type listInput struct {
	NamePrefix string
	paging
}

type listBusesOutput struct {
	EventBuses []busOutput
	NextToken  string `json:"NextToken,omitzero"`
}

func (s *service) listBuses(ctx context.Context, _ *wire.Call, in *listInput) (*listBusesOutput, error) {
	buses, next, err := s.router.Buses(ctx, in.NamePrefix, in.page())
	out := &listBusesOutput{[]busOutput{}, next}
	for _, b := range buses {
		b.DeadLetter = nil // the model has it for one bus alone
		out.EventBuses = append(out.EventBuses, busOf(b))
	}
	return out, err
}

type updateBusOutput struct {
	Arn, Name        string
	Description      string            `json:"Description,omitzero"`
	DeadLetterConfig *route.DeadLetter `json:"DeadLetterConfig,omitzero"`
}

func (s *service) updateBus(ctx context.Context, _ *wire.Call, in *busSettings) (*updateBusOutput, error) {
	if err := in.supported(); err != nil {
		return nil, err
	}
	name, err := s.bus(in.Name)
	if err != nil {
		return nil, err
	}
	err = s.router.UpdateBus(ctx, name, func(b *route.EventBus) error {
		b.Description, b.DeadLetter = in.Description, in.DeadLetterConfig
		return nil
	})
	return &updateBusOutput{s.router.BusARN(name), name, in.Description, in.DeadLetterConfig}, err
}

func (s *service) deleteBus(ctx context.Context, _ *wire.Call, in *busInput) (*none, error) {
	return nil, s.router.DeleteBus(ctx, in.Name)
}

type putPermissionInput struct {
	EventBusName, Action, Principal, Policy string
	StatementID                             string `json:"StatementId"`
	Condition                               *struct{ Type, Key, Value string }
}

type removePermissionInput struct {
	EventBusName         string
	StatementID          string `json:"StatementId"`
	RemoveAllPermissions bool
}

func (s *service) askPutPermission(c *wire.Call, in *putPermissionInput) []iam.Request {
	return s.askBus(c, &busInput{in.EventBusName})
}

func (s *service) askRemovePermission(c *wire.Call, in *removePermissionInput) []iam.Request {
	return s.askBus(c, &busInput{in.EventBusName})
}

// policy is a bus's policy as these operations change it: by statement.
type policy struct {
	Version   string
	Statement []jsontext.Value
}

type statement struct {
	Sid, Effect string
	Principal   any
	Action      string
	Resource    string
	Condition   map[string]map[string]string `json:"Condition,omitzero"`
}

func (s *service) putPermission(ctx context.Context, _ *wire.Call, in *putPermissionInput) (*none, error) {
	name, err := s.bus(in.EventBusName)
	if err != nil {
		return nil, err
	}
	if in.Policy != "" {
		if in.StatementID != "" || in.Action != "" || in.Principal != "" || in.Condition != nil {
			return nil, fault.Invalid.Errorf("Policy stands alone: no StatementId, Action, Principal or Condition besides it.")
		}
		return nil, s.router.UpdateBus(ctx, name, func(b *route.EventBus) error {
			b.Policy = jsontext.Value(in.Policy)
			return nil
		})
	}
	if in.StatementID == "" || in.Principal == "" || in.Action != "events:PutEvents" {
		return nil, fault.Invalid.Errorf("StatementId, Principal and the Action events:PutEvents are needed, or a Policy.")
	}
	return nil, s.router.UpdateBus(ctx, name, func(b *route.EventBus) error {
		return changePolicy(b, in.StatementID, s.statement(name, in))
	})
}

func (s *service) statement(bus string, in *putPermissionInput) *statement {
	st := &statement{Sid: in.StatementID, Effect: "Allow", Principal: in.Principal, Action: in.Action, Resource: s.router.BusARN(bus)}
	if in.Principal != "*" {
		st.Principal = map[string]string{"AWS": "arn:aws:iam::" + in.Principal + ":root"}
	}
	if c := in.Condition; c != nil {
		st.Condition = map[string]map[string]string{c.Type: {c.Key: c.Value}}
	}
	return st
}

// changePolicy replaces the statement of that id, adds it, or removes it if there is none to put.
func changePolicy(b *route.EventBus, id string, put *statement) error {
	p := policy{Version: "2012-10-17"}
	if b.Policy != nil {
		if err := json.Unmarshal(b.Policy, &p); err != nil {
			return fault.Invalid.Errorf("the policy of event bus %s cannot be changed by statement: %w", b.Name, err)
		}
	}
	before := len(p.Statement)
	p.Statement = slices.DeleteFunc(p.Statement, func(s jsontext.Value) bool {
		var one struct{ Sid string }
		return json.Unmarshal(s, &one) == nil && one.Sid == id
	})
	if put == nil && len(p.Statement) == before {
		return fault.NotFound.Errorf("Statement with the provided id does not exist.")
	}
	if put != nil {
		text, err := json.Marshal(put)
		if err != nil {
			return err
		}
		p.Statement = append(p.Statement, text)
	}
	b.Policy = nil
	if len(p.Statement) == 0 {
		return nil
	}
	text, err := json.Marshal(p)
	b.Policy = text
	return err
}

func (s *service) removePermission(ctx context.Context, _ *wire.Call, in *removePermissionInput) (*none, error) {
	name, err := s.bus(in.EventBusName)
	if err != nil {
		return nil, err
	}
	return nil, s.router.UpdateBus(ctx, name, func(b *route.EventBus) error {
		if in.RemoveAllPermissions {
			b.Policy = nil
			return nil
		}
		return changePolicy(b, in.StatementID, nil)
	})
}
