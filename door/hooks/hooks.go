// Package hooks answers CloudFormation's hooks and Kubernetes' admission: whether what is about to be made keeps the rules.
package hooks

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/semaphore"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Prefix is where Handler answers, and Action what it takes to ask.
const (
	Prefix = "/hooks/"
	Action = "haechi:JudgeInfrastructure"
)

// Hub keeps what was refused, so that people can make an exception of it.
type Hub interface {
	Import(ctx context.Context, s finding.Scan, findings ...finding.Finding) (hub.Imported, error)
	Get(ctx context.Context, ref hub.Ref) (finding.Finding, error)
}

// Access knows who has which token, and what they may.
type Access interface {
	Token(ctx context.Context, purpose access.Purpose, user string, value seal.Secret) (iam.Principal, error)
	Allow(ctx context.Context, requests ...iam.Request) error
}

// Config says by which rules, and who may ask.
type Config struct {
	Hub      Hub
	Access   Access
	Rules    func() []iac.Rule  // that count now
	Policy   func() gate.Policy // what stops, as in a pipeline
	Maker    finding.Maker
	Fetch    *http.Client // of the templates that CloudFormation keeps in S3; nil fetches none
	Now      func() time.Time
	SourceIP func(*http.Request) string
	Log      *slog.Logger
}

// Limits of one request.
const (
	maxBody = 8 << 20 // Kubernetes sends at most 3 MB, CloudFormation's templates are at most 1 MB
	atOnce  = 8
)

// Door answers.
type Door struct {
	Config
	room *semaphore.Weighted
}

// Handler is a door that answers
//
//	POST /hooks/cloudformation        the request of a CloudFormation Lambda hook, as it came
//	POST /hooks/kubernetes            an AdmissionReview (v1)
//	POST /hooks/kubernetes/TOKEN      the same, for an API server that cannot send a header
//
// with a token for intake as bearer.
func Handler(c Config) *Door {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.SourceIP == nil {
		c.SourceIP = func(r *http.Request) string { return r.RemoteAddr }
	}
	return &Door{Config: c, room: semaphore.NewWeighted(atOnce)}
}

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	said, err := d.answer(w, r)
	if err == nil {
		d.write(w, http.StatusOK, said)
		return
	}
	status := statusOf(err)
	message := err.Error()
	if status == http.StatusInternalServerError {
		d.Log.Error("a hook was not answered", "error", err)
		message = "something went wrong here; the server's log says what"
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="haechi"`)
	}
	d.write(w, status, map[string]string{"message": strings.ToValidUTF8(message, "\uFFFD")})
}

func statusOf(err error) int {
	switch fault.Of(err) {
	case fault.Invalid, fault.Unsupported, fault.Limit:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Denied:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func (d *Door) write(w http.ResponseWriter, status int, said any) {
	text, err := json.Marshal(said, json.Deterministic(true))
	if err != nil {
		status, text = http.StatusInternalServerError, []byte("{}")
		d.Log.Error("an answer cannot be written", "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(text); err != nil {
		d.Log.Debug("the caller did not wait for the answer", "error", err)
	}
}

func (d *Door) answer(w http.ResponseWriter, r *http.Request) (any, error) {
	kind, token, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Prefix), "/")
	answer := map[string]func(context.Context, []byte) (any, error){"cloudformation": d.cloudFormation, "kubernetes": d.kubernetes}[kind]
	if answer == nil || token != "" && kind != "kubernetes" {
		return nil, fault.NotFound.Errorf("hooks are answered at %scloudformation and %skubernetes", Prefix, Prefix)
	}
	if err := d.admit(r, token); err != nil { // before a byte of the body is read
		return nil, err
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, fault.Invalid.Errorf("a hook asks with POST")
	}
	if !d.room.TryAcquire(1) {
		return nil, fault.Unavailable.Errorf("%d requests are being judged: try again", atOnce)
	}
	defer d.room.Release(1)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, fault.Limit.Errorf("the request is larger than %d MB", maxBody>>20)
		}
		return nil, fault.Invalid.Errorf("reading the request: %w", err)
	}
	return answer(r.Context(), body)
}

// admit asks who it is and whether they may.
func (d *Door) admit(r *http.Request, token string) error {
	if token == "" {
		scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "bearer") {
			return fault.Unauthenticated.Errorf("a token is required: Authorization: Bearer")
		}
		token = strings.TrimSpace(bearer)
	}
	who, err := d.Access.Token(r.Context(), access.Intake, "", seal.Secret(token))
	if err != nil {
		return fault.Unauthenticated.Errorf("the token is not valid")
	}
	return d.Access.Allow(r.Context(), iam.Request{Principal: who, Action: Action, Resource: "*", Context: map[string][]string{"aws:SourceIp": {d.SourceIP(r)}}})
}

// judged is what the rules say about a request.
type judged struct {
	stops    []finding.Finding
	warns    []finding.Finding // that do not stop, or cannot be known
	excepted int
}

// judge holds documents against the rules, and by the gate's policy. alone says that
// only one resource is seen: what other resources decide is then unknown. Nothing is
// kept of a dry run.
func (d *Door) judge(ctx context.Context, target string, docs []*guard.Document, alone, dry bool) (judged, error) {
	scan := finding.Scan{Tool: "iac", Target: target}
	var all []finding.Finding
	for _, doc := range docs {
		for _, v := range iac.Judge(doc, d.Rules(), d.Now()) {
			if alone && v.Status == guard.Fail && !v.Rule.Policy.Alone() {
				v.Status = guard.Unsure
				v.Failures = nil
			}
			if v.Err != nil {
				return judged{}, fault.Internal.Errorf("the rule %s cannot be evaluated: %w", v.Rule.Policy.ID, v.Err)
			}
			if v.Status == guard.Fail || v.Status == guard.Unsure {
				all = append(all, d.Maker.Own(scan, iac.Finding(doc, v), d.Now()))
			}
		}
	}
	var j judged
	open := all[:0:0]
	for _, f := range all {
		excepted, err := d.excepted(ctx, f)
		switch {
		case err != nil:
			return judged{}, err
		case excepted:
			j.excepted++
		default:
			open = append(open, f)
		}
	}
	verdict := d.Policy().Judge(nil, nil, open)
	j.stops = verdict.Blocking
	for _, f := range open {
		if !slices.ContainsFunc(j.stops, func(s finding.Finding) bool { return s.ID == f.ID }) {
			j.warns = append(j.warns, f)
		}
	}
	if !dry && len(j.stops) > 0 {
		if _, err := d.Hub.Import(ctx, scan, j.stops...); err != nil {
			d.Log.Error("what a hook refused was not kept", "error", err)
		}
	}
	return j, nil
}

// excepted tells whether people have let a finding be.
func (d *Door) excepted(ctx context.Context, f finding.Finding) (bool, error) {
	if _, ok := f.ProductFields[finding.FieldAllow]; ok {
		return false, nil // who makes the resource writes its metadata: a proposal
	}
	known, err := d.Hub.Get(ctx, hub.RefOf(f))
	switch {
	case fault.Of(err) == fault.NotFound:
		return false, nil
	case err != nil:
		return false, err
	}
	return known.Status() == finding.Suppressed, nil
}

// told is a finding in one line.
func told(f finding.Finding) string {
	fix := ""
	if f.Remediation != nil && f.Remediation.Recommendation != nil {
		fix = f.Remediation.Recommendation.Text
	}
	return strings.Join(strings.Fields(string(f.Label())+" "+strings.TrimPrefix(f.GeneratorID, "iac/")+" "+f.ProductFields[iac.FieldResource]+": "+f.Title+". "+fix), " ")
}

// message is findings one a line, up to so many bytes.
func message(all []finding.Finding, most int) string {
	var b strings.Builder
	for i, f := range all {
		line := told(f) + "\n"
		if b.Len()+len(line) > most-40 {
			b.WriteString("and " + count(len(all)-i) + " more")
			break
		}
		b.WriteString(line)
	}
	return finding.Shorten(strings.TrimRight(b.String(), "\n"), most)
}
