package pipeline

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/lang/jsonpath"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/word/fault"
)

// How whoever calls a webhook proves itself.
const (
	ByHMAC = "GITHUB_HMAC"     // by a signature of the body with the webhook's secret
	ByIP   = "IP"              // by where it calls from
	ByNone = "UNAUTHENTICATED" // by knowing the address
)

// Hook is an address that starts a run of a pipeline when it is called, as CodePipeline's webhooks do.
type Hook struct {
	Name      string            `json:"name"`
	Pipeline  string            `json:"pipeline"`
	Action    string            `json:"action"` // a source of the pipeline
	Filters   []HookFilter      `json:"filters,omitzero"`
	Proof     string            `json:"proof"`          // ByHMAC, ByIP, ByNone
	Range     string            `json:"range,omitzero"` // of addresses, of ByIP
	Tags      map[string]string `json:"tags,omitzero"`
	Triggered time.Time         `json:"triggered,omitzero"` // when it was called last and let through
	Code      string            `json:"code,omitzero"`      // of why that started nothing
	Message   string            `json:"message,omitzero"`
	Token     seal.Secret       `json:"-"` // in its address

	address string // a hash of the token
	sealed  string // the token and the secret
}

// HookFilter lets a call through whose body has a value.
type HookFilter struct {
	Path   string `json:"path"`            // a JSONPath
	Equals string `json:"equals,omitzero"` // {Key} stands for that key of the action's configuration; "": it is enough that there is a value
}

// Mistakes of a webhook that have words of their own.
var (
	ErrFilter = fault.Invalid.Errorf("the filter cannot be used")
	ErrProof  = fault.Invalid.Errorf("the authentication cannot be used")
	ErrHook   = fault.NotFound.Errorf("there is no such webhook")
)

const (
	mostHooks   = 300 // as at AWS
	mostFilters = 5
)

// errHooks says that this server keeps no secrets, and so no webhooks.
var errHooks = fault.Unsupported.Errorf("this server keeps no webhooks")

func hookRow(name string) seal.Row {
	return seal.Row{Table: "pipeline_hooks", ID: name, Column: "secret"}
}

const hookColumns = "token, secret, body"

func scanHook(scan db.Scan) (h Hook, err error) {
	var body []byte
	if err := scan(&h.address, &h.sealed, &body); err != nil {
		return h, err
	}
	return h, json.Unmarshal(body, &h)
}

// addressOf is what a token is found by: who reads the database knows no address.
func addressOf(token seal.Secret) string {
	return derived("webhook", token.Reveal())
}

// seal gives a webhook its token and its secret; unseal opens them.
func (p *Pipelines) seal(h *Hook, secret seal.Secret) (err error) {
	h.address = addressOf(h.Token)
	h.sealed, err = p.config.Sealer.Seal(hookRow(h.Name), seal.Secret(h.Token.Reveal()+"\n"+secret.Reveal()))
	return err
}

func (p *Pipelines) unseal(h *Hook) (secret seal.Secret, err error) {
	if p.config.Sealer == nil {
		return "", errHooks
	}
	both, err := p.config.Sealer.Open(hookRow(h.Name), h.sealed)
	token, text, _ := strings.Cut(both.Reveal(), "\n")
	h.Token = seal.Secret(token)
	return seal.Secret(text), err
}

// PutHook makes a webhook, or changes it; its address stays.
func (p *Pipelines) PutHook(ctx context.Context, h Hook, secret seal.Secret) (Hook, error) {
	if p.config.Sealer == nil {
		return h, errHooks
	}
	d, err := p.Definition(ctx, h.Pipeline)
	if err != nil {
		return h, err
	}
	if err := h.check(d.Structure, secret); err != nil {
		return h, err
	}
	return h, p.db.Write(ctx, func(tx *db.Tx) error {
		was, err := findHook(tx, h.Name)
		switch {
		case err == nil:
			if _, err := p.unseal(&was); err != nil {
				return err
			}
			h.Token, h.Triggered = was.Token, was.Triggered
			if h.Tags == nil {
				h.Tags = was.Tags
			}
		case errors.Is(err, fault.NotFound):
			n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM pipeline_hooks")
			if err != nil {
				return err
			}
			if n >= mostHooks {
				return fault.Limit.Errorf("there are at most %d webhooks", mostHooks)
			}
			h.Token = seal.Secret(strings.ToLower(rand.Text() + rand.Text()))
		default:
			return err
		}
		if err := p.seal(&h, secret); err != nil {
			return err
		}
		return h.keep(tx)
	})
}

func (h Hook) keep(tx *db.Tx) error {
	body, err := json.Marshal(h, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO pipeline_hooks (name, token, secret, body) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET secret = excluded.secret, body = excluded.body", h.Name, h.address, h.sealed, body)
	return err
}

var hookName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9.@_-]{1,100}$`) })

// check refuses a webhook that could never start anything, or that anybody could use by mistake.
func (h Hook) check(s structure.Pipeline, secret seal.Secret) error {
	if !hookName().MatchString(h.Name) {
		return fault.Invalid.Errorf("%q cannot be the name of a webhook", clip(h.Name, 100))
	}
	a := sourceOf(s, h.Action)
	if a == nil {
		return fault.Invalid.Errorf("pipeline %s has no source action %q", s.Name, clip(h.Action, 100))
	}
	if len(h.Filters) > mostFilters {
		return fault.Limit.Errorf("a webhook has at most %d filters, not %d", mostFilters, len(h.Filters))
	}
	for _, f := range h.Filters {
		if _, err := jsonpath.Parse(f.Path); err != nil {
			return fmt.Errorf("%w: %w", ErrFilter, err)
		}
		if _, err := f.wants(a.Configuration); err != nil {
			return fmt.Errorf("%w: %w", ErrFilter, err)
		}
	}
	has := map[bool]string{true: "one", false: "none"}
	_, err := netip.ParsePrefix(h.Range)
	switch h.Proof {
	case ByHMAC:
		if secret == "" || h.Range != "" {
			return fmt.Errorf("%w: %s needs a secret token, and no range of addresses", ErrProof, ByHMAC)
		}
	case ByIP:
		if secret != "" || err != nil {
			return fmt.Errorf("%w: %s needs a range of addresses such as 192.0.2.0/24, and no secret token", ErrProof, ByIP)
		}
	case ByNone:
		if secret != "" || h.Range != "" {
			return fmt.Errorf("%w: %s has neither a secret token (there is %s) nor a range of addresses (there is %s)", ErrProof, ByNone, has[secret != ""], has[h.Range != ""])
		}
	default:
		return fmt.Errorf("%w: %q is no authentication of webhooks: %s, %s or %s", ErrProof, clip(h.Proof, 50), ByHMAC, ByIP, ByNone)
	}
	return nil
}

// sourceOf is the source action of that name, or nil.
func sourceOf(s structure.Pipeline, name string) *structure.Action {
	for _, a := range s.Sources() {
		if a.Name == name {
			return &a
		}
	}
	return nil
}

var placeholder = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\{([A-Za-z0-9_-]{1,50})\}`) })

// wants is what a filter compares with, for an action's configuration.
func (f HookFilter) wants(configuration map[string]string) (string, error) {
	var missing string
	text := placeholder().ReplaceAllStringFunc(f.Equals, func(key string) string {
		value, ok := configuration[key[1:len(key)-1]]
		if !ok {
			missing = cmp.Or(missing, key)
		}
		return value
	})
	if missing != "" {
		return "", fault.Invalid.Errorf("%s stands for a key that the configuration of the action does not have", missing)
	}
	return text, nil
}

// lets tells whether a body has what a filter asks for.
func (f HookFilter) lets(configuration map[string]string, body any) (bool, error) {
	path, err := jsonpath.Parse(f.Path)
	if err != nil {
		return false, err
	}
	want, err := f.wants(configuration)
	if err != nil {
		return false, err
	}
	found, err := path.Find(body)
	if err != nil {
		return false, err
	}
	for _, value := range found {
		if text, ok := jsonpath.Text(value); f.Equals == "" || ok && text == want {
			return true, nil
		}
	}
	return false, nil
}

func findHook(tx *db.Tx, name string) (Hook, error) {
	h, err := db.One(tx, scanHook, "SELECT "+hookColumns+" FROM pipeline_hooks WHERE name = ?", name)
	if errors.Is(err, fault.NotFound) {
		err = ErrHook
	}
	return h, err
}

// Hook is the webhook of that name; ErrHook if there is none.
func (p *Pipelines) Hook(ctx context.Context, name string) (h Hook, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error { h, err = findHook(tx, name); return err })
	if err == nil {
		_, err = p.unseal(&h)
	}
	return h, err
}

// Hooks are the webhooks whose names come after the given one, at most limit.
func (p *Pipelines) Hooks(ctx context.Context, after string, limit int) (all []Hook, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanHook, "SELECT "+hookColumns+" FROM pipeline_hooks WHERE name > ? ORDER BY name LIMIT ?", after, limit)
		return err
	})
	for i := range all {
		if err == nil {
			_, err = p.unseal(&all[i])
		}
	}
	return all, err
}

// DeleteHook takes a webhook away; that there is none is fine.
func (p *Pipelines) DeleteHook(ctx context.Context, name string) error {
	return p.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("DELETE FROM pipeline_hooks WHERE name = ?", name)
		return err
	})
}

// TagHook changes a webhook's tags.
func (p *Pipelines) TagHook(ctx context.Context, name string, add map[string]string, remove []string) error {
	return p.db.Write(ctx, func(tx *db.Tx) error {
		h, err := findHook(tx, name)
		if err != nil {
			return err
		}
		if h.Tags, err = tagged(h.Tags, add, remove); err != nil {
			return err
		}
		return h.keep(tx)
	})
}

// HookAt is the webhook of an address, and its secret; ErrHook if there is none.
func (p *Pipelines) HookAt(ctx context.Context, token seal.Secret) (h Hook, secret seal.Secret, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		h, err = db.One(tx, scanHook, "SELECT "+hookColumns+" FROM pipeline_hooks WHERE token = ?", addressOf(token))
		return err
	})
	if errors.Is(err, fault.NotFound) {
		return h, "", ErrHook
	}
	if err == nil {
		secret, err = p.unseal(&h)
	}
	return h, secret, err
}

// Called starts a run, if the body of a call that proved itself has what the webhook's filters ask for. The same
// delivery, where calls name it, starts one run. What starts nothing though it should is told with the webhook.
func (p *Pipelines) Called(ctx context.Context, h Hook, body any, delivery string) (e Execution, started bool, err error) {
	e, started, err = p.called(ctx, h, body, delivery)
	if err == nil && !started {
		return e, false, nil
	}
	noted := p.db.Write(ctx, func(tx *db.Tx) error {
		now, gone := findHook(tx, h.Name)
		if gone != nil {
			return ignoreGone(gone)
		}
		now.Triggered, now.Code, now.Message = p.config.Now().UTC(), "", ""
		if err != nil {
			now.Code, now.Message = strconv.Itoa(hookCode(err)), clip(err.Error(), 500)
		}
		return now.keep(tx)
	})
	if err == nil {
		err = noted
	}
	return e, started, err
}

// hookCode is what a call that could start nothing is answered with.
func hookCode(err error) int {
	switch fault.Of(err) {
	case fault.NotFound:
		return 404
	case fault.Invalid, fault.Unsupported:
		return 400
	case fault.Limit:
		return 429
	}
	return 500
}

func (p *Pipelines) called(ctx context.Context, h Hook, body any, delivery string) (e Execution, started bool, err error) {
	d, err := p.Definition(ctx, h.Pipeline)
	if err != nil {
		return e, false, err
	}
	a := sourceOf(d.Structure, h.Action)
	if a == nil {
		return e, false, fault.NotFound.Errorf("pipeline %s has no source action %s any more", h.Pipeline, h.Action)
	}
	for _, f := range h.Filters {
		lets, err := f.lets(a.Configuration, body)
		if err != nil || !lets {
			return e, false, err
		}
	}
	if delivery != "" {
		delivery = derived("hook", h.Name, delivery)
	}
	arn := p.ARN("webhook:" + h.Name)
	e, err = p.Begin(ctx, Start{Pipeline: h.Pipeline, Who: arn, Token: delivery, Trigger: Trigger{Type: "Webhook", Detail: arn}})
	return e, err == nil, err
}
