package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/lang/iam"
)

// Keys knows who has which access key. It is asked once a call, before the
// signature is verified.
type Keys interface {
	// Secret is the secret of an access key and who has it. token is the
	// session token that came with it, or "": whoever answers checks that it
	// belongs to the key. An unknown key is fault.NotFound, as are a key that
	// is off and a wrong token; a session that is over is fault.Unauthenticated.
	Secret(ctx context.Context, accessKeyID, token string) (seal.Secret, iam.Principal, error)
}

// Gate decides what a caller may do. It is asked before an operation is
// answered, with everything that the operation asks for.
type Gate interface {
	// Allow is nil if every request is allowed, and fault.Denied with words
	// for the caller if one is not.
	Allow(ctx context.Context, requests ...iam.Request) error
}

// Limits bound what one call may cost before it is understood. Zero values
// stand for the defaults.
type Limits struct {
	Body     int64 // bytes, compressed or not; 32 MiB
	Depth    int   // levels of nesting; 64
	Elements int   // of one list or map; 10,000
}

// Config is what a handler is made of.
type Config struct {
	Keys     Keys
	Gate     Gate
	Services []Service
	Log      *slog.Logger     // or slog.Default
	Now      func() time.Time // or time.Now
	Limits   Limits
	// SourceIP is the address a call comes from, or nil for the connection's:
	// whoever trusts proxies knows better.
	SourceIP func(*http.Request) string
	// Heard, if not nil, is told of every call before the caller gets the
	// answer. Where it fails, the caller is told that the service is unavailable.
	Heard func(context.Context, Heard) error
}

// Heard is one call and what came of it.
type Heard struct {
	Call    Call   // as far as it was understood
	Key     string // access key id, as claimed
	Action  string // prefix:Operation, as IAM would say it
	Asked   []iam.Request
	Status  int
	Code    string         // of the error, or ""
	Reason  string         // the error's message, as the caller got it
	Refused bool           // the caller is not known, or may not
	Input   jsontext.Value // secrets and all: whoever keeps it hides them
	Output  func() jsontext.Value
}

// A Handler answers calls of AWS's protocols.
type Handler struct {
	cfg      Config
	services map[string]*Service
	verifier sigv4.Verifier
}

// New checks the services against their models and makes a handler of them.
func New(cfg Config) (*Handler, error) {
	if cfg.Keys == nil || cfg.Gate == nil {
		return nil, errors.New("wire: no keys, or no gate")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.SourceIP == nil {
		cfg.SourceIP = remote
	}
	cfg.Limits = cfg.Limits.orDefaults()
	h := &Handler{cfg: cfg, services: map[string]*Service{}}
	for _, s := range cfg.Services {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("wire: %w", err)
		}
		if s.Prefix == "" {
			s.Prefix = s.Model.Signing
		}
		if h.services[s.Model.Signing] != nil {
			return nil, fmt.Errorf("wire: two services sign as %s", s.Model.Signing)
		}
		h.services[s.Model.Signing] = &s
	}
	return h, nil
}

func (l Limits) orDefaults() Limits {
	if l.Body == 0 {
		l.Body = 32 << 20
	}
	if l.Depth == 0 {
		l.Depth = 64
	}
	if l.Elements == 0 {
		l.Elements = 10_000
	}
	return l
}
