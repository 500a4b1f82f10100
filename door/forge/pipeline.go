package forge

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/http"
	"net/netip"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

// PipelinePrefix is where the addresses of pipelines' webhooks begin.
const PipelinePrefix = "/hooks/pipeline/"

// Pipelines know the webhooks of pipelines, and start runs.
type Pipelines interface {
	HookAt(ctx context.Context, token seal.Secret) (pipeline.Hook, seal.Secret, error)
	Called(ctx context.Context, h pipeline.Hook, body any, delivery string) (e pipeline.Execution, started bool, err error)
}

// maxCall is how many bytes a call of a pipeline's webhook may have: all of it is looked into.
const maxCall = 5 << 20

var errCaller = fault.Denied.Errorf("there is no such webhook, or the call does not prove itself as the webhook asks")

// call takes a call of a pipeline's webhook.
func (d *Door) call(w http.ResponseWriter, r *http.Request) (status int, said string, err error) {
	ctx := r.Context()
	body, done, err := d.read(w, r, maxCall)
	if err != nil {
		return 0, "", err
	}
	defer done()
	hook, secret, err := d.Pipelines.HookAt(ctx, seal.Secret(strings.TrimPrefix(r.URL.Path, PipelinePrefix)))
	if err != nil && fault.Of(err) != fault.NotFound {
		return 0, "", err
	}
	if err != nil || !d.proven(hook, secret, r, body) {
		return 0, "", errCaller
	}
	text, err := payload(r.Header, body)
	if err != nil { // curl calls everything a form
		text = body
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return 0, "", fault.Invalid.Errorf("the body is no JSON: %w", err)
	}
	if r.Header.Get("X-Github-Event") == "ping" {
		return http.StatusOK, "pong", nil
	}
	e, started, err := d.Pipelines.Called(ctx, hook, value, r.Header.Get("X-Github-Delivery"))
	switch {
	case err != nil:
		d.Log.Warn("a webhook could start nothing", "webhook", hook.Name, "pipeline", hook.Pipeline, "error", err)
		return 0, "", err
	case !started:
		return http.StatusOK, "the filters let this through to nothing", nil
	}
	d.Log.Info("a webhook has started a run", "webhook", hook.Name, "pipeline", hook.Pipeline, "run", e.Number)
	return http.StatusAccepted, "started", nil
}

// proven tells whether a call proves itself as its webhook asks.
func (d *Door) proven(h pipeline.Hook, secret seal.Secret, r *http.Request, body []byte) bool {
	switch h.Proof {
	case pipeline.ByNone:
		return true
	case pipeline.ByIP:
		allowed, err := netip.ParsePrefix(h.Range)
		if err != nil {
			return false
		}
		from := d.SourceIP(r)
		at, err := netip.ParseAddr(from)
		if port, other := netip.ParseAddrPort(from); other == nil {
			at, err = port.Addr(), nil
		}
		return err == nil && allowed.Contains(at.Unmap())
	case pipeline.ByHMAC: // GitHub sends both; what is older than the second has the first alone
		if claim := r.Header.Get("X-Hub-Signature-256"); claim != "" {
			return sumIs(sha256.New, secret, "sha256=", claim, body)
		}
		return sumIs(sha1.New, secret, "sha1=", r.Header.Get("X-Hub-Signature"), body)
	}
	return false
}

func sumIs(of func() hash.Hash, secret seal.Secret, prefix, claim string, body []byte) bool {
	claim, ok := strings.CutPrefix(claim, prefix)
	m := hmac.New(of, []byte(secret))
	m.Write(body)
	got, err := hex.DecodeString(claim)
	return hmac.Equal(got, m.Sum(nil)) && ok && err == nil && secret != ""
}
