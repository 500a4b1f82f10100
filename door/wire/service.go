package wire

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// A Service is one AWS service as far as we answer it.
type Service struct {
	Model *Model
	// Operations are those we answer, by the model's names. What else the
	// model has is answered with 501.
	Operations map[string]Operation
	// Faults says which of the service's codes each kind of error is. Where
	// there are several, the first that the operation's model lists is taken,
	// else the first.
	Faults Faults
	// ByMember: what breaks a constraint is told by a code of the operation's that is about that member alone, where
	// there is one: TitleRequiredException, InvalidTitleException.
	ByMember bool
	// Prefix of IAM actions, where it is not the name the service signs with.
	Prefix string
}

// Faults are a service's codes for our kinds of error.
type Faults map[fault.Kind][]string

// An Operation is how one operation is answered. Op and OpenOp make them.
type Operation struct {
	decode func([]byte) (any, error)
	asks   func(context.Context, *Call, any) ([]iam.Request, error)
	answer func(context.Context, *Call, any) (any, error)
	loose  []string
}

// Op answers an operation with typed values. Their JSON names are the names on
// the wire (for SDKs' names: the member's, unless the model gives it another);
// times are time.Time. asks says what the caller must be allowed to do, and is
// asked before answer is called; it must ask at least one thing. The principal
// may be left out: it is the caller.
func Op[In, Out any](asks func(*Call, *In) []iam.Request, answer func(context.Context, *Call, *In) (*Out, error)) Operation {
	return OpOn(func(_ context.Context, c *Call, in *In) ([]iam.Request, error) { return asks(c, in), nil }, answer)
}

// OpOn is Op for an operation whose resource has to be looked up before it can
// be asked for. Nobody learns from an error of asks what is there and what is not: a
// resource that is not there is asked for by the name it would have.
func OpOn[In, Out any](asks func(context.Context, *Call, *In) ([]iam.Request, error), answer func(context.Context, *Call, *In) (*Out, error)) Operation {
	o := open(answer)
	o.asks = func(ctx context.Context, c *Call, in any) ([]iam.Request, error) { return asks(ctx, c, in.(*In)) }
	return o
}

// OpenOp is Op for the few operations that everybody may call whom we know,
// whatever their policies say.
func OpenOp[In, Out any](answer func(context.Context, *Call, *In) (*Out, error)) Operation {
	return open(answer)
}

func open[In, Out any](answer func(context.Context, *Call, *In) (*Out, error)) Operation {
	return Operation{
		decode: func(text []byte) (any, error) {
			in := new(In)
			return in, json.Unmarshal(text, in)
		},
		answer: func(ctx context.Context, c *Call, in any) (any, error) {
			out, err := answer(ctx, c, in.(*In))
			if out == nil {
				return struct{}{}, err
			}
			return out, err
		},
	}
}

// Loose is o without a look into the elements of the named members of the
// input: the list is counted, and each element handed on as it came. It is for
// batches, where one bad element must not cost the others.
func (o Operation) Loose(members ...string) Operation {
	o.loose = append(slices.Clone(o.loose), members...)
	return o
}

// A Call is who calls what, from where, and when.
type Call struct {
	Principal iam.Principal
	Service   string // as it signs: securityhub
	Operation string
	Region    string // of the credential scope
	RequestID string
	Time      time.Time
	SourceIP  string
	UserAgent string
	TLS       bool

	prefix string
}

// Ask asks for the operation itself on each of the resources, or on * where
// none is given.
func (c *Call) Ask(resources ...string) []iam.Request {
	return c.AskFor(c.prefix+":"+c.Operation, resources...)
}

// AskFor is Ask for an action of another name.
func (c *Call) AskFor(action string, resources ...string) []iam.Request {
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	asked := make([]iam.Request, len(resources))
	for i, r := range resources {
		asked[i] = iam.Request{Principal: c.Principal, Action: action, Resource: r}
	}
	return asked
}

// AskAll asks for the operation on everything: for operations whose action
// knows no single resource.
func AskAll[In any](c *Call, _ *In) []iam.Request { return c.Ask() }

// Context are the condition keys of the call itself, for whoever has to ask for
// more than an operation's asks do.
func (c *Call) Context() map[string][]string {
	context := make(map[string][]string, 8)
	c.fill(context)
	return context
}

func (c *Call) fill(context map[string][]string) {
	put := func(key, value string) {
		if _, said := context[key]; !said && value != "" {
			context[key] = []string{value}
		}
	}
	put("aws:currenttime", c.Time.UTC().Format(time.RFC3339))
	put("aws:epochtime", strconv.FormatInt(c.Time.Unix(), 10))
	put("aws:securetransport", strconv.FormatBool(c.TLS))
	put("aws:sourceip", c.SourceIP)
	put("aws:useragent", c.UserAgent)
	put("aws:requestedregion", c.Region)
}

// known adds the keys that every request has to what an operation asked.
func (c *Call) known(asked []iam.Request) []iam.Request {
	all := make([]iam.Request, len(asked))
	for i, r := range asked {
		r = r.Known()
		c.fill(r.Context)
		all[i] = r
	}
	return all
}

// check finds what is wrong with a service before anybody calls it.
func (s *Service) check() error {
	if s.Model == nil {
		return fmt.Errorf("a service without a model")
	}
	if _, err := s.Model.routes(); err != nil {
		return err
	}
	for name := range s.Operations {
		o := s.Model.Operations[name]
		if o == nil {
			return fmt.Errorf("%s has no operation %s", s.Model.Signing, name)
		}
		for _, shape := range []string{o.Input, o.Output} {
			t := s.Model.Shapes[shape]
			if t == nil {
				continue
			}
			if t.Payload != "" {
				return fmt.Errorf("%s of %s: %s has a payload of its own, which is not spoken here", name, s.Model.Signing, shape)
			}
			for _, m := range t.Members {
				if m.In == "headers" || m.In == "statusCode" || shape == o.Output && m.In != "" {
					return fmt.Errorf("%s of %s: member %s of %s is at %s, which is not spoken here", name, s.Model.Signing, m.Name, shape, m.In)
				}
			}
		}
	}
	return nil
}
