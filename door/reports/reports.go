// Package reports takes other tools' reports in, into the hub.
package reports

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/semaphore"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Path is where Handler answers, and Action what that takes.
const (
	Path   = "/haechi/reports"
	Action = "haechi:ImportReport"
)

// Hub keeps the findings.
type Hub interface {
	Import(ctx context.Context, s finding.Scan, findings ...finding.Finding) (hub.Imported, error)
	Present(ctx context.Context, target, branch string) ([]finding.Finding, error)
	PresenceOf(ctx context.Context, ref hub.Ref) ([]hub.Presence, error)
	Get(ctx context.Context, ref hub.Ref) (finding.Finding, error)
	Update(ctx context.Context, u hub.Update) (hub.Updated, error)
	Known(ctx context.Context, target, branch, commit, digest string) (hub.ScanRecord, error)
	Newest(ctx context.Context, target, branch, tool string) (time.Time, error)
	Suppressing
}

// Components keeps what bills of materials list, and has it held against advisories. It fails with
// fault.Conflict where the target's branch is scanned here itself.
type Components interface {
	Keep(ctx context.Context, s finding.Scan, components []component.Component) error
}

// Access knows who has which key and token, and what they may.
type Access interface {
	Secret(ctx context.Context, accessKeyID, token string) (seal.Secret, iam.Principal, error)
	Token(ctx context.Context, purpose access.Purpose, user string, value seal.Secret) (iam.Principal, error)
	Allow(ctx context.Context, requests ...iam.Request) error
}

// Config says where findings go and who may bring them.
type Config struct {
	Hub      Hub
	Access   Access
	Bills    Components                                          // nil: what bills of materials list is not kept
	Own      func(ctx context.Context, target, tool string) bool // whether the server itself looks at the target by that name; nil: at none
	Maker    finding.Maker
	Salt     []byte // of the hash that tells one secret from another
	Folder   string // where a report lies while it is read; "" is the system's
	Now      func() time.Time
	SourceIP func(*http.Request) string
	Log      *slog.Logger
}

// Limits of one request: how large a report may be, and how many are read at once.
const (
	maxBody = 1 << 30
	atOnce  = 4
)

// Door takes reports.
type Door struct {
	Config
	room     *semaphore.Weighted
	verifier sigv4.Verifier
}

// Handler is a door that answers
//
//	POST /haechi/reports?target=&branch=&commit=&tool=&preview=&mapping=&partial=
//
// with the report as the body, signed as AWS's clients sign for the service haechi, or with
// a token for intake as bearer. The report is told by what it holds. A report that is
// torn is refused as a whole; preview=1 tells what an import would do, and does nothing. With partial,
// which says why the sender knows that it is not all, it closes nothing.
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

// ServeHTTP takes one report.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	said, err := d.answer(w, r)
	if err == nil {
		d.write(w, http.StatusOK, said)
		return
	}
	status, code := statusOf(err)
	message := err.Error()
	if status == http.StatusInternalServerError {
		d.Log.Error("a report was not imported", "error", err)
		message = "something went wrong here; the server's log says what"
	}
	w.Header().Set("X-Amzn-Errortype", code)
	d.write(w, status, map[string]string{"__type": code, "message": strings.ToValidUTF8(message, "\uFFFD")})
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
		d.Log.Debug("the sender did not wait for the answer", "error", err)
	}
}

func statusOf(err error) (int, string) {
	switch fault.Of(err) {
	case fault.Invalid:
		return http.StatusBadRequest, "InvalidReportException"
	case fault.Unsupported:
		return http.StatusBadRequest, "UnknownReportException"
	case fault.Limit:
		return http.StatusBadRequest, "LimitExceededException"
	case fault.Conflict:
		return http.StatusConflict, "ConflictException"
	case fault.Unauthenticated:
		return http.StatusForbidden, "UnrecognizedClientException"
	case fault.Denied:
		return http.StatusForbidden, "AccessDeniedException"
	case fault.Unavailable:
		return http.StatusServiceUnavailable, "ServiceUnavailableException"
	case fault.NotFound:
		return http.StatusNotFound, "ResourceNotFoundException"
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable, "ServiceUnavailableException"
	}
	return http.StatusInternalServerError, "InternalException"
}

func (d *Door) answer(w http.ResponseWriter, r *http.Request) (*Answer, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, fault.Invalid.Errorf("a report comes with POST")
	}
	letIn, suppress, err := d.admit(r)
	if err != nil {
		return nil, err
	}
	asked, err := d.asked(r)
	if err != nil {
		return nil, err
	}
	asked.vex, asked.own = suppress, true
	if !d.room.TryAcquire(1) {
		return nil, fault.Unavailable.Errorf("%d reports are being read: try again", atOnce)
	}
	defer d.room.Release(1)
	file, size, sum, err := d.spool(w, r)
	if err != nil {
		return nil, err
	}
	defer func() {
		file.Close()
		os.Remove(file.Name())
	}()
	if err := letIn(sum); err != nil {
		return nil, err
	}
	asked.scan.Digest = d.digest(asked, sum)
	return d.take(r.Context(), asked, file, size)
}

// admit asks who it is and whether they may, before a byte of the body is read. What comes
// back holds the signature against the body's sum, and tells whether they may suppress findings.
func (d *Door) admit(r *http.Request) (letIn func(sum string) error, suppress bool, err error) {
	var who iam.Principal
	letIn = func(string) error { return nil }
	if sigv4.Signed(r) {
		claim, err := sigv4.Parse(r)
		if err == nil {
			err = claim.Timely(d.Now())
		}
		if err != nil {
			return nil, false, fault.Unauthenticated.Errorf("the signature: %w", err)
		}
		if claim.Service != "haechi" {
			return nil, false, fault.Unauthenticated.Errorf("this is signed for the service %.40q: sign it for haechi", claim.Service)
		}
		secret, principal, err := d.Access.Secret(r.Context(), claim.AccessKey, claim.Token)
		if err != nil {
			return nil, false, fault.Unauthenticated.Errorf("the access key or its session is not known")
		}
		// Whoever does not have the secret is not let in to fill the disk: most requests say their body's sum.
		if said := r.Header.Get("X-Amz-Content-Sha256"); said != "" {
			if err := d.verifier.VerifySum(r, claim, secret.Reveal(), d.Now(), said); err != nil {
				return nil, false, fault.Unauthenticated.Errorf("the signature: %w", err)
			}
		}
		who = principal
		letIn = func(sum string) error {
			if err := d.verifier.VerifySum(r, claim, secret.Reveal(), d.Now(), sum); err != nil {
				return fault.Unauthenticated.Errorf("the signature: %w", err)
			}
			return nil
		}
	} else {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "bearer") {
			return nil, false, fault.Unauthenticated.Errorf("a signature or a token is required: Authorization: Bearer")
		}
		principal, err := d.Access.Token(r.Context(), access.Intake, "", seal.Secret(strings.TrimSpace(token)))
		if err != nil {
			return nil, false, fault.Unauthenticated.Errorf("the token is not valid")
		}
		who = principal
	}
	from := map[string][]string{"aws:SourceIp": {d.SourceIP(r)}}
	if err := d.Access.Allow(r.Context(), iam.Request{Principal: who, Action: Action, Resource: "*", Context: from}); err != nil {
		return nil, false, err
	}
	return letIn, d.Access.Allow(r.Context(), Suppresses(who, from)) == nil, nil
}

// Suppresses is the question whether somebody may suppress findings: then what a report says of other tools' findings counts.
func Suppresses(who iam.Principal, context map[string][]string) iam.Request {
	all := maps.Clone(context)
	if all == nil {
		all = map[string][]string{}
	}
	all["securityhub:ASFFSyntaxPath/Workflow.Status"] = []string{string(finding.Suppressed)}
	return iam.Request{Principal: who, Action: "securityhub:BatchUpdateFindings", Resource: "*", Context: all}
}

// spool writes the body to a file of its own, and tells its SHA-256.
func (d *Door) spool(w http.ResponseWriter, r *http.Request) (file *os.File, size int64, sum string, err error) {
	if r.Header.Get("Content-Encoding") != "" {
		return nil, 0, "", fault.Unsupported.Errorf("Content-Encoding is not supported: send the report as it is")
	}
	file, err = os.CreateTemp(d.Folder, "report-*")
	if err != nil {
		return nil, 0, "", fmt.Errorf("making room for a report: %w", err)
	}
	_ = os.Remove(file.Name()) // so that nothing is left of it, whatever happens; where that cannot be, it is removed when it was read
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(file, h), http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		return file, size, hex.EncodeToString(h.Sum(nil)), nil
	}
	file.Close()
	os.Remove(file.Name())
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, 0, "", fault.Limit.Errorf("the report is larger than %d bytes", maxBody)
	}
	return nil, 0, "", fault.Invalid.Errorf("the report did not come to its end: %w", err)
}
