// Package forge takes webhooks in: GitHub's, GitLab's and Gitea's, and those that start pipelines.
package forge

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/semaphore"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/room/mirror"
	"github.com/haechi-dev/haechi/word/fault"
)

// Prefix is where Handler answers, and Action what a delivery is called in the audit trail.
const (
	Prefix = "/hooks/forge/"
	Action = "haechi:TakeDelivery"
)

// Mirror knows the secrets of repositories, and keeps what forges tell.
type Mirror interface {
	Secret(ctx context.Context, repository string) (mirror.Kind, seal.Secret, error)
	Take(ctx context.Context, repository string, d mirror.Delivery) (fresh bool, err error)
}

// Config says who keeps what comes.
type Config struct {
	Mirror    Mirror
	Pipelines Pipelines // nil: there are no webhooks of pipelines
	SourceIP  func(*http.Request) string
	Log       *slog.Logger
}

const (
	maxBody = 25 << 20         // GitHub sends no more
	atOnce  = 64 << 20         // bytes of all deliveries that are being read, from whoever says that they are some
	maxTime = 30 * time.Second // of reading one
)

// Door answers.
type Door struct {
	Config
	room *semaphore.Weighted
}

// Handler is a door that answers
//
//	POST /hooks/forge/REPOSITORY
//	POST /hooks/pipeline/TOKEN
//
// with what a forge signed with the repository's own secret: GitHub and Gitea by an
// HMAC, GitLab by the secret itself. Whoever does not know it cannot tell from the answer whether there is such a repository.
// The second starts a pipeline, when the call proves itself as that webhook asks.
func Handler(c Config) *Door {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.SourceIP == nil {
		c.SourceIP = func(r *http.Request) string { return r.RemoteAddr }
	}
	return &Door{Config: c, room: semaphore.NewWeighted(atOnce)}
}

// ServeHTTP takes one delivery.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	take := d.take
	if d.Pipelines != nil && strings.HasPrefix(r.URL.Path, PipelinePrefix) {
		take = d.call
	}
	status, said, err := take(w, r)
	if err != nil {
		status, said = statusOf(err), err.Error()
		if status == http.StatusInternalServerError {
			d.Log.Error("a delivery was not taken", "error", err)
			said = "something went wrong here; the server's log says what"
		}
	}
	text, err := json.Marshal(map[string]string{"message": strings.ToValidUTF8(said, "\uFFFD")})
	if err != nil {
		text = nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // whoever asked is gone
}

func statusOf(err error) int {
	switch fault.Of(err) {
	case fault.Invalid, fault.Unsupported:
		return http.StatusBadRequest
	case fault.Limit:
		return http.StatusRequestEntityTooLarge
	case fault.Unauthenticated, fault.Denied:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusMethodNotAllowed
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

var errWrong = fault.Denied.Errorf("the signature is not that of a repository that follows this forge: the secret here (haechi forge add says it) and there must be the same")

func (d *Door) take(w http.ResponseWriter, r *http.Request) (status int, said string, err error) {
	body, done, err := d.read(w, r, maxBody)
	if err != nil {
		return 0, "", err
	}
	defer done()
	ctx, repository := r.Context(), strings.TrimPrefix(r.URL.Path, Prefix)
	kind, secret, err := d.Mirror.Secret(ctx, repository)
	if err != nil && fault.Of(err) != fault.NotFound {
		return 0, "", err
	}
	unknown := err != nil
	if unknown {
		kind, secret = claimed(r.Header), "of nobody" // as much work as for one that is there
	}
	if !signed(kind, secret, r.Header, body) || unknown {
		return 0, "", errWrong
	}
	text, err := payload(r.Header, body)
	if err != nil {
		return 0, "", err
	}
	delivery, err := Parse(kind, r.Header, text)
	if err != nil {
		return 0, "", err
	}
	fresh, err := d.Mirror.Take(ctx, repository, delivery)
	if err != nil {
		return 0, "", err
	}
	d.Log.Info("a forge has told something", "repository", repository, "event", delivery.Event, "delivery", delivery.ID, "fresh", fresh)
	if !fresh {
		return http.StatusOK, "taken before", nil
	}
	return http.StatusAccepted, "taken", nil
}

// Room is taken as bytes come: whoever says that a large body follows, and sends none, keeps nobody out.
const (
	firstStep = 4 << 10
	waits     = 10 * time.Second // for room
)

// read reads a body; done makes room for others'.
func (d *Door) read(w http.ResponseWriter, r *http.Request, most int64) (body []byte, done func(), err error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, nil, fault.Conflict.Errorf("deliveries are posted")
	}
	if r.ContentLength > most {
		return nil, nil, fault.Limit.Errorf("a delivery has at most %d MB", most>>20)
	}
	var held int64
	done = func() { d.room.Release(held) }
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(maxTime)) // a connection that has none has the server's
	for from := http.MaxBytesReader(w, r.Body, most); ; {
		if int64(len(body)) == held {
			step := max(held, firstStep)
			if err := d.acquire(r.Context(), step); err != nil {
				done()
				return nil, nil, fault.Unavailable.Errorf("too much is being read: send it again later")
			}
			held += step
			body = slices.Grow(body, int(held)-len(body))
		}
		n, err := from.Read(body[len(body):held])
		body = body[:len(body)+n]
		if err == io.EOF {
			return body, done, nil
		}
		if err != nil {
			done()
			return nil, nil, fault.Limit.Errorf("a delivery has at most %d MB, and comes to its end within %s", most>>20, maxTime)
		}
	}
}

func (d *Door) acquire(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, waits)
	defer cancel()
	return d.room.Acquire(ctx, n)
}

// claimed is which kind of forge a delivery looks like.
func claimed(h http.Header) mirror.Kind {
	switch {
	case h.Get("X-Gitlab-Token") != "":
		return mirror.GitLab
	case h.Get("X-Gitea-Signature") != "":
		return mirror.Gitea
	}
	return mirror.GitHub
}

// signed tells whether who sent a body knows the secret.
func signed(kind mirror.Kind, secret seal.Secret, h http.Header, body []byte) bool {
	if kind == mirror.GitLab {
		// Hashed, so that the comparison does not tell the length.
		got, want := sha256.Sum256([]byte(h.Get("X-Gitlab-Token"))), sha256.Sum256([]byte(secret))
		return subtle.ConstantTimeCompare(got[:], want[:]) == 1
	}
	claim, ok := h.Get("X-Gitea-Signature"), true
	if kind == mirror.GitHub {
		claim, ok = strings.CutPrefix(h.Get("X-Hub-Signature-256"), "sha256=")
	}
	return sumIs(sha256.New, secret, "", claim, body) && ok
}

// payload is the JSON of a delivery, which may come as a form.
func payload(h http.Header, body []byte) (jsontext.Value, error) {
	if strings.HasPrefix(h.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, err := url.ParseQuery(string(body))
		if err != nil || form.Get("payload") == "" {
			return nil, fault.Invalid.Errorf("the form has no payload: let the webhook send application/json")
		}
		body = []byte(form.Get("payload"))
	}
	return body, nil
}
