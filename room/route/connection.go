package route

import (
	"context"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// Connection is how API destinations say who calls. What is secret in it is
// written and never read back.
type Connection struct {
	Name        string         `json:"Name"`
	ARN         string         `json:"ConnectionArn"`
	Description string         `json:"Description,omitzero"`
	State       string         `json:"ConnectionState"`   // AUTHORIZED or DEAUTHORIZED
	Type        string         `json:"AuthorizationType"` // BASIC, API_KEY or OAUTH_CLIENT_CREDENTIALS
	Auth        AuthParameters `json:"AuthParameters"`
	Created     time.Time      `json:"CreationTime"`
	Changed     time.Time      `json:"LastModifiedTime"`
	Authorized  time.Time      `json:"LastAuthorizedTime"`
}

// AuthParameters are EventBridge's.
type AuthParameters struct {
	Basic  *BasicAuth       `json:"BasicAuthParameters,omitzero"`
	APIKey *APIKeyAuth      `json:"ApiKeyAuthParameters,omitzero"`
	OAuth  *OAuth           `json:"OAuthParameters,omitzero"`
	HTTP   *ConnectionExtra `json:"InvocationHttpParameters,omitzero"`
}

// BasicAuth is a user and a password.
type BasicAuth struct {
	Username string `json:"Username,omitzero"`
	Password string `json:"Password,omitzero"`
}

// APIKeyAuth is a header with a key in it.
type APIKeyAuth struct {
	Name  string `json:"ApiKeyName,omitzero"`
	Value string `json:"ApiKeyValue,omitzero"`
}

// OAuth asks an endpoint for a token, with a client's credentials.
type OAuth struct {
	Client   OAuthClient      `json:"ClientParameters,omitzero"`
	Endpoint string           `json:"AuthorizationEndpoint,omitzero"`
	Method   string           `json:"HttpMethod,omitzero"`
	HTTP     *ConnectionExtra `json:"OAuthHttpParameters,omitzero"`
}

// OAuthClient is who asks for a token.
type OAuthClient struct {
	ID     string `json:"ClientID,omitzero"`
	Secret string `json:"ClientSecret,omitzero"`
}

// ConnectionExtra is what a connection adds to each call.
type ConnectionExtra struct {
	Header []Parameter `json:"HeaderParameters,omitzero"`
	Query  []Parameter `json:"QueryStringParameters,omitzero"`
	Body   []Parameter `json:"BodyParameters,omitzero"`
}

// Parameter is one addition.
type Parameter struct {
	Key    string `json:"Key,omitzero"`
	Value  string `json:"Value,omitzero"`
	Secret bool   `json:"IsValueSecret,omitzero"`
}

// public is what may be shown of a.
func (a AuthParameters) public() AuthParameters {
	if a.Basic != nil {
		a.Basic = &BasicAuth{Username: a.Basic.Username}
	}
	if a.APIKey != nil {
		a.APIKey = &APIKeyAuth{Name: a.APIKey.Name}
	}
	if a.OAuth != nil {
		o := *a.OAuth
		o.Client.Secret, o.HTTP = "", o.HTTP.public()
		a.OAuth = &o
	}
	a.HTTP = a.HTTP.public()
	return a
}

func (e *ConnectionExtra) public() *ConnectionExtra {
	if e == nil {
		return nil
	}
	hide := func(list []Parameter) []Parameter {
		var out []Parameter
		for _, p := range list {
			if p.Secret {
				p.Value = ""
			}
			out = append(out, p)
		}
		return out
	}
	return &ConnectionExtra{hide(e.Header), hide(e.Query), hide(e.Body)}
}

// secrets are the texts that must never be shown.
func (a AuthParameters) secrets() (list []string) {
	if a.Basic != nil {
		list = append(list, a.Basic.Password)
	}
	if a.APIKey != nil {
		list = append(list, a.APIKey.Value)
	}
	extras := []*ConnectionExtra{a.HTTP}
	if a.OAuth != nil {
		list = append(list, a.OAuth.Client.Secret)
		extras = append(extras, a.OAuth.HTTP)
	}
	for _, e := range extras {
		if e == nil {
			continue
		}
		for _, p := range append(append(append([]Parameter{}, e.Header...), e.Query...), e.Body...) {
			if p.Secret {
				list = append(list, p.Value)
			}
		}
	}
	return list
}

func (c *Connection) check() error {
	if err := checkName("connection", c.Name, 64); err != nil {
		return err
	}
	a := c.Auth
	switch c.Type {
	case "BASIC":
		if a.Basic == nil || a.Basic.Username == "" || a.Basic.Password == "" {
			return fault.Invalid.Errorf("connection %s: BASIC needs BasicAuthParameters with Username and Password", c.Name)
		}
	case "API_KEY":
		if a.APIKey == nil || a.APIKey.Name == "" || a.APIKey.Value == "" || !validHeader(a.APIKey.Name) {
			return fault.Invalid.Errorf("connection %s: API_KEY needs ApiKeyAuthParameters with ApiKeyName and ApiKeyValue", c.Name)
		}
	case "OAUTH_CLIENT_CREDENTIALS":
		o := a.OAuth
		if o == nil || o.Client.ID == "" || o.Client.Secret == "" {
			return fault.Invalid.Errorf("connection %s: OAUTH_CLIENT_CREDENTIALS needs OAuthParameters with ClientParameters", c.Name)
		}
		if err := checkURL(o.Endpoint); err != nil || !strings.HasPrefix(o.Endpoint, "https://") {
			return fault.Invalid.Errorf("connection %s: AuthorizationEndpoint is not an https address", c.Name)
		}
		if o.Method != "GET" && o.Method != "POST" && o.Method != "PUT" {
			return fault.Invalid.Errorf("connection %s: HttpMethod %q is not GET, POST or PUT", c.Name, o.Method)
		}
	default:
		return fault.Invalid.Errorf("connection %s: unknown AuthorizationType %q", c.Name, c.Type)
	}
	return nil
}

// validHeader tells whether a header can have that name: HTTP's token.
func validHeader(name string) bool { return validName(name, 512, "!#$%&'*+-.^_`|~") }

// CreateConnection makes a connection.
func (r *Router) CreateConnection(ctx context.Context, c Connection) (Connection, error) {
	if err := c.check(); err != nil {
		return c, err
	}
	err := r.change(ctx, func(tx *db.Tx) error {
		if _, _, err := r.readConnection(tx, c.Name); fault.Of(err) != fault.NotFound {
			return orElse(err, fault.Exists.Errorf("Connection %s already exists.", c.Name))
		}
		now := r.config.Now()
		c.ARN = r.arn("connection/" + c.Name + "/" + bus.ID())
		c.Created, c.Changed, c.Authorized, c.State = now, now, now, "AUTHORIZED"
		return r.writeConnection(tx, c)
	})
	c.Auth = c.Auth.public()
	return c, err
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// UpdateConnection changes a connection. change sees it with its secrets.
func (r *Router) UpdateConnection(ctx context.Context, name string, change func(*Connection)) (c Connection, err error) {
	err = r.change(ctx, func(tx *db.Tx) error {
		_, c, err = r.readConnection(tx, name)
		if err != nil {
			return err
		}
		change(&c)
		if err := c.check(); err != nil {
			return err
		}
		c.Changed, c.Authorized, c.State = r.config.Now(), r.config.Now(), "AUTHORIZED"
		return r.writeConnection(tx, c)
	})
	c.Auth = c.Auth.public()
	return c, err
}

// DeauthorizeConnection forgets a connection's secrets.
func (r *Router) DeauthorizeConnection(ctx context.Context, name string) (c Connection, err error) {
	err = r.change(ctx, func(tx *db.Tx) error {
		c, _, err = r.readConnection(tx, name)
		if err != nil {
			return err
		}
		c.State, c.Changed = "DEAUTHORIZED", r.config.Now()
		return r.writeConnection(tx, c)
	})
	return c, err
}

// DeleteConnection deletes a connection. API destinations that have it stay, and fail.
func (r *Router) DeleteConnection(ctx context.Context, name string) (c Connection, err error) {
	err = r.change(ctx, func(tx *db.Tx) error {
		c, _, err = r.readConnection(tx, name)
		if err != nil {
			return err
		}
		c.State = "DELETING"
		_, err = tx.Exec("DELETE FROM route_connections WHERE name = ?", name)
		return err
	})
	return c, err
}

// Connection is one connection, without its secrets.
func (r *Router) Connection(ctx context.Context, name string) (c Connection, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		c, _, err = r.readConnection(tx, name)
		return err
	})
	return c, err
}

// Connections lists connections whose names begin with prefix, without secrets.
func (r *Router) Connections(ctx context.Context, prefix string, p Page) (list []Connection, next string, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, scanJSON[Connection], "SELECT body FROM route_connections WHERE name >= ? AND name < ? AND name > ? ORDER BY name LIMIT ?", prefix, beyond(prefix), p.After, p.limit()+1)
		return err
	})
	list, next = cut(list, p, func(c Connection) string { return c.Name })
	return list, next, err
}

func connectionRow(name string) seal.Row {
	return seal.Row{Table: "route_connections", ID: name, Column: "sealed"}
}

func (r *Router) writeConnection(tx *db.Tx, c Connection) error {
	sealed := ""
	if c.State == "AUTHORIZED" {
		full, err := json.Marshal(c.Auth, json.Deterministic(true))
		if err != nil {
			return err
		}
		if r.config.Seal == nil {
			return fault.Unsupported.Errorf("there is no root key to seal secrets with")
		}
		if sealed, err = r.config.Seal.Seal(connectionRow(c.Name), seal.Secret(full)); err != nil {
			return err
		}
	}
	c.Auth = c.Auth.public()
	body, err := json.Marshal(c, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO route_connections (name, body, sealed) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body, sealed = excluded.sealed", c.Name, body, sealed)
	return err
}

// readConnection reads a connection as it may be shown, and in full.
func (r *Router) readConnection(tx *db.Tx, name string) (public, full Connection, err error) {
	row, err := db.One(tx, scanSealed, "SELECT body, sealed FROM route_connections WHERE name = ?", name)
	if fault.Of(err) == fault.NotFound {
		return public, full, fault.NotFound.Errorf("Connection '%s' does not exist.", name)
	}
	if err != nil {
		return public, full, err
	}
	if err := json.Unmarshal(row.body, &public); err != nil {
		return public, full, err
	}
	full = public
	if row.sealed == "" || r.config.Seal == nil {
		return public, full, nil
	}
	text, err := r.config.Seal.Open(connectionRow(name), row.sealed)
	if err != nil {
		return public, full, err
	}
	full.Auth = AuthParameters{}
	return public, full, json.Unmarshal([]byte(text.Reveal()), &full.Auth)
}

// connectionName is the name in a connection's ARN.
func connectionName(arn string) string {
	_, rest, _ := resource(arn)
	name, _, _ := strings.Cut(strings.TrimPrefix(rest, "connection/"), "/")
	return name
}
