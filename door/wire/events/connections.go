package events

import (
	"cmp"
	"context"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/route"
)

type nameInput struct{ Name string }

type connectionSettings struct {
	Name                             string
	Description                      *string
	AuthorizationType                string
	AuthParameters                   *authParameters
	InvocationConnectivityParameters jsontext.Value
	KmsKeyIdentifier                 string
}

// authParameters are route's, and what of the model is not supported.
type authParameters struct {
	Basic        *route.BasicAuth       `json:"BasicAuthParameters"`
	APIKey       *route.APIKeyAuth      `json:"ApiKeyAuthParameters"`
	OAuth        *route.OAuth           `json:"OAuthParameters"`
	HTTP         *route.ConnectionExtra `json:"InvocationHttpParameters"`
	Connectivity jsontext.Value         `json:"ConnectivityParameters"`
}

func (in *connectionSettings) supported() error {
	private := ""
	if in.AuthParameters != nil {
		private = string(in.AuthParameters.Connectivity)
	}
	return unsupported("KmsKeyIdentifier", in.KmsKeyIdentifier, "InvocationConnectivityParameters", string(in.InvocationConnectivityParameters), "ConnectivityParameters", private)
}

func (in *connectionSettings) apply(c *route.Connection) {
	if in.Description != nil {
		c.Description = *in.Description
	}
	if in.AuthorizationType != "" {
		if in.AuthorizationType != c.Type {
			c.Auth = route.AuthParameters{HTTP: c.Auth.HTTP}
		}
		c.Type = in.AuthorizationType
	}
	if a := in.AuthParameters; a != nil {
		merge(&c.Auth, a)
	}
}

// merge changes what is given and leaves the rest, as UpdateConnection does.
func merge(c *route.AuthParameters, a *authParameters) {
	if b := a.Basic; b != nil {
		if c.Basic == nil {
			c.Basic = &route.BasicAuth{}
		}
		c.Basic.Username, c.Basic.Password = cmp.Or(b.Username, c.Basic.Username), cmp.Or(b.Password, c.Basic.Password)
	}
	if k := a.APIKey; k != nil {
		if c.APIKey == nil {
			c.APIKey = &route.APIKeyAuth{}
		}
		c.APIKey.Name, c.APIKey.Value = cmp.Or(k.Name, c.APIKey.Name), cmp.Or(k.Value, c.APIKey.Value)
	}
	if o := a.OAuth; o != nil {
		if c.OAuth == nil {
			c.OAuth = &route.OAuth{}
		}
		c.OAuth.Client = route.OAuthClient{ID: cmp.Or(o.Client.ID, c.OAuth.Client.ID), Secret: cmp.Or(o.Client.Secret, c.OAuth.Client.Secret)}
		c.OAuth.Endpoint, c.OAuth.Method = cmp.Or(o.Endpoint, c.OAuth.Endpoint), cmp.Or(o.Method, c.OAuth.Method)
		if o.HTTP != nil {
			c.OAuth.HTTP = o.HTTP
		}
	}
	if a.HTTP != nil {
		c.HTTP = a.HTTP
	}
}

// connectionState is what most operations answer.
type connectionState struct {
	ConnectionArn, ConnectionState string
	CreationTime, LastModifiedTime time.Time
	LastAuthorizedTime             *time.Time `json:"LastAuthorizedTime,omitzero"`
}

func stateOf(c route.Connection) connectionState {
	return connectionState{c.ARN, c.State, c.Created, c.Changed, stamp(c.Authorized)}
}

func (s *service) askConnection(c *wire.Call, in *nameInput) []iam.Request {
	return c.Ask(s.router.ConnectionARN(in.Name))
}

func (s *service) askCreateConnection(c *wire.Call, in *connectionSettings) []iam.Request {
	return c.Ask(s.router.ConnectionARN(in.Name))
}

func (s *service) askUpdateConnection(c *wire.Call, in *connectionSettings) []iam.Request {
	return c.Ask(s.router.ConnectionARN(in.Name))
}

func (s *service) createConnection(ctx context.Context, _ *wire.Call, in *connectionSettings) (*connectionState, error) {
	if err := in.supported(); err != nil {
		return nil, err
	}
	c := route.Connection{Name: in.Name}
	in.apply(&c)
	c, err := s.router.CreateConnection(ctx, c)
	out := stateOf(c)
	out.LastAuthorizedTime = nil // not in the model's answer to this one
	return &out, err
}

func (s *service) updateConnection(ctx context.Context, _ *wire.Call, in *connectionSettings) (*connectionState, error) {
	if err := in.supported(); err != nil {
		return nil, err
	}
	c, err := s.router.UpdateConnection(ctx, in.Name, in.apply)
	out := stateOf(c)
	return &out, err
}

func (s *service) deleteConnection(ctx context.Context, _ *wire.Call, in *nameInput) (*connectionState, error) {
	c, err := s.router.DeleteConnection(ctx, in.Name)
	out := stateOf(c)
	return &out, err
}

func (s *service) deauthorizeConnection(ctx context.Context, _ *wire.Call, in *nameInput) (*connectionState, error) {
	c, err := s.router.DeauthorizeConnection(ctx, in.Name)
	out := stateOf(c)
	return &out, err
}

// connectionView is a connection as it is listed; Description and AuthParameters are for the one described.
type connectionView struct {
	Name              string
	Description       string                `json:"Description,omitzero"`
	AuthParameters    *route.AuthParameters `json:"AuthParameters,omitzero"`
	AuthorizationType string
	connectionState
}

func (s *service) describeConnection(ctx context.Context, _ *wire.Call, in *nameInput) (*connectionView, error) {
	c, err := s.router.Connection(ctx, in.Name)
	return &connectionView{c.Name, c.Description, &c.Auth, c.Type, stateOf(c)}, err
}

type listConnectionsInput struct {
	NamePrefix, ConnectionState string
	paging
}

type listConnectionsOutput struct {
	Connections []connectionView
	NextToken   string `json:"NextToken,omitzero"`
}

func (s *service) listConnections(ctx context.Context, _ *wire.Call, in *listConnectionsInput) (*listConnectionsOutput, error) {
	list, next, err := s.router.Connections(ctx, in.NamePrefix, in.page())
	out := &listConnectionsOutput{[]connectionView{}, next}
	for _, c := range list {
		if in.ConnectionState == "" || in.ConnectionState == c.State {
			out.Connections = append(out.Connections, connectionView{Name: c.Name, AuthorizationType: c.Type, connectionState: stateOf(c)})
		}
	}
	return out, err
}

type destinationInput struct {
	Name               string
	Description        *string
	ConnectionArn      string
	InvocationEndpoint string
	HTTPMethod         string `json:"HttpMethod"`
	Rate               *int   `json:"InvocationRateLimitPerSecond"`
}

func (in *destinationInput) apply(d *route.Destination) {
	if in.Description != nil {
		d.Description = *in.Description
	}
	d.Connection, d.Endpoint, d.Method = cmp.Or(in.ConnectionArn, d.Connection), cmp.Or(in.InvocationEndpoint, d.Endpoint), cmp.Or(in.HTTPMethod, d.Method)
	if in.Rate != nil {
		d.Rate = *in.Rate
	}
}

type destinationState struct {
	ApiDestinationArn, ApiDestinationState string
	CreationTime, LastModifiedTime         time.Time
}

func (s *service) askDestination(c *wire.Call, in *nameInput) []iam.Request {
	return c.Ask(s.router.DestinationARN(in.Name))
}

func (s *service) askCreateDestination(c *wire.Call, in *destinationInput) []iam.Request {
	return c.Ask(s.router.DestinationARN(in.Name))
}

func (s *service) askUpdateDestination(c *wire.Call, in *destinationInput) []iam.Request {
	return c.Ask(s.router.DestinationARN(in.Name))
}

func (s *service) createDestination(ctx context.Context, _ *wire.Call, in *destinationInput) (*destinationState, error) {
	d := route.Destination{Name: in.Name}
	in.apply(&d)
	d, err := s.router.CreateDestination(ctx, d)
	return &destinationState{d.ARN, d.State, d.Created, d.Changed}, err
}

func (s *service) updateDestination(ctx context.Context, _ *wire.Call, in *destinationInput) (*destinationState, error) {
	d, err := s.router.UpdateDestination(ctx, in.Name, in.apply)
	return &destinationState{d.ARN, d.State, d.Created, d.Changed}, err
}

func (s *service) deleteDestination(ctx context.Context, _ *wire.Call, in *nameInput) (*none, error) {
	return &none{}, s.router.DeleteDestination(ctx, in.Name)
}

func (s *service) describeDestination(ctx context.Context, _ *wire.Call, in *nameInput) (*route.Destination, error) {
	d, err := s.router.Destination(ctx, in.Name)
	return &d, err
}

type listDestinationsInput struct {
	NamePrefix, ConnectionArn string
	paging
}

type listDestinationsOutput struct {
	ApiDestinations []route.Destination
	NextToken       string `json:"NextToken,omitzero"`
}

func (s *service) listDestinations(ctx context.Context, _ *wire.Call, in *listDestinationsInput) (*listDestinationsOutput, error) {
	list, next, err := s.router.Destinations(ctx, in.NamePrefix, in.ConnectionArn, in.page())
	for i := range list {
		list[i].Description = "" // the model has it for one alone
	}
	return &listDestinationsOutput{notNil(list), next}, err
}
