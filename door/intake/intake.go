// Package intake takes log lines in: over HTTP as Firehose and log shippers send them, and from files.
package intake

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/semaphore"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/record"
)

// Action is what sending records takes.
const Action = "haechi:PutRecords"

// Journal keeps the records of a request, all or none; a request id that it has kept it answers with nil; "" is none.
type Journal interface {
	Append(ctx context.Context, requestID string, records ...record.Record) error
}

// Access knows who has a token, and whether they may. It compares in constant time.
type Access interface {
	Token(ctx context.Context, purpose access.Purpose, user string, value seal.Secret) (iam.Principal, error)
	Allow(ctx context.Context, requests ...iam.Request) error
}

// Config says where records go and who may send them.
type Config struct {
	Journal Journal
	Access  Access
	Items   Items
	Now     func() time.Time
	Log     *slog.Logger
}

// Prefix is the path below which Handler answers.
const Prefix = "/intake/"

// Limits of one request. Firehose's own are below them.
const (
	maxBody    = 64 << 20 // before and after decompression
	maxRecords = 500_000
	maxRecord  = 1 << 20 // bytes
)

type door struct {
	Config
	room *semaphore.Weighted // bytes of requests that are held in memory
}

const heldBytes = 4 * maxBody

// Handler answers below Prefix:
//
//	POST /intake/firehose           Firehose's HTTP endpoint contract, with a token as access key
//	POST /intake/items              configuration items, a snapshot or a change of AWS Config, with a bearer token
//	POST /intake/lines?source=NAME  JSON lines, plain lines or a CloudTrail file, plain or gzip, with a bearer token
//
// The first and the last take what the other takes inside: CloudTrail files, CloudWatch Logs
// subscription payloads, EventBridge events. Nobody gets any answer without a token whose
// owner may do Action. A request is kept whole or not at all, and once per request id.
func Handler(c Config) http.Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d := &door{Config: c, room: semaphore.NewWeighted(heldBytes)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+Prefix+"firehose", d.answer(Action, d.firehose))
	mux.HandleFunc("POST "+Prefix+"lines", d.answer(Action, d.lines))
	mux.HandleFunc("POST "+Prefix+"items", d.answer(ItemsAction, d.items))
	mux.HandleFunc(Prefix, d.answer(Action, func(*http.Request, sender) (reply, error) {
		return reply{}, fault.NotFound.Errorf("there is nothing here but POST %[1]sfirehose, POST %[1]slines and POST %[1]sitems", Prefix)
	}))
	return mux
}

// sender is who sends, and what the request is called.
type sender struct {
	user    string
	request string
}

// reply is the answer in Firehose's shape; the other route says the same, and how many records it took.
type reply struct {
	RequestID    string              `json:"requestId"`
	Timestamp    int64               `json:"timestamp"` // Unix milliseconds
	Records      *int                `json:"records,omitzero"`
	Items        *inventory.Imported `json:"items,omitzero"`
	ErrorMessage string              `json:"errorMessage,omitzero"`
}

const (
	headerRequest = "X-Amz-Firehose-Request-Id"
	headerKey     = "X-Amz-Firehose-Access-Key"
	maxRequestID  = 256
)

func (d *door) answer(action string, take func(*http.Request, sender) (reply, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(headerRequest)
		if len(id) > maxRequestID {
			id = ""
		}
		said, err := d.admit(w, r, id, action, take)
		said.RequestID, said.Timestamp = cmp.Or(said.RequestID, id), d.Now().UnixMilli()
		status := http.StatusOK
		if err != nil {
			status, said.ErrorMessage = statusOf(err), message(err)
			d.Log.Warn("log records were refused", "path", r.URL.Path, "request", said.RequestID, "status", status, "error", err)
		}
		d.write(w, status, said)
	}
}

// admit asks who it is and whether they may, before it reads a byte of the body.
func (d *door) admit(w http.ResponseWriter, r *http.Request, id, action string, take func(*http.Request, sender) (reply, error)) (reply, error) {
	who, err := d.Access.Token(r.Context(), access.Intake, "", seal.Secret(tokenOf(r)))
	if err != nil {
		return reply{}, err
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	if err := d.Access.Allow(r.Context(), iam.Request{Principal: who, Action: action, Resource: "*", Context: map[string][]string{"aws:SourceIp": {host}}}); err != nil {
		return reply{}, err
	}
	weight := weigh(r)
	if !d.room.TryAcquire(weight) {
		return reply{}, fault.Unavailable.Errorf("too much is being sent at once: try again")
	}
	defer d.room.Release(weight)
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	return take(r, sender{user: who.Name, request: id})
}

func tokenOf(r *http.Request) string {
	if key := r.Header.Get(headerKey); key != "" {
		return key
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// weigh guesses how many bytes a request will be in memory.
func weigh(r *http.Request) int64 {
	n := r.ContentLength
	if r.Header.Get("Content-Encoding") != "" {
		n *= 10
	}
	if n < 0 || n > maxBody {
		return maxBody
	}
	return max(n, 64<<10)
}

func statusOf(err error) int {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge
	}
	switch fault.Of(err) {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Denied:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Limit:
		return http.StatusRequestEntityTooLarge
	case fault.Unsupported:
		return http.StatusUnsupportedMediaType
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// message is what the sender is told: an inner fault is for the log alone.
func message(err error) string {
	const most = 8192 // Firehose's limit
	text := err.Error()
	switch statusOf(err) {
	case http.StatusInternalServerError:
		text = "something went wrong here; the server's log says what"
	case http.StatusServiceUnavailable:
		text = "the records cannot be kept now: try again"
	case http.StatusUnauthorized:
		text = "a valid token is required: " + headerKey + ", or Authorization: Bearer"
	}
	return text[:min(len(text), most)]
}

func (d *door) write(w http.ResponseWriter, status int, said reply) {
	text, err := json.Marshal(said, jsontext.AllowInvalidUTF8(true)) // what a sender sent may be in it
	if err != nil {
		http.Error(w, "{}", http.StatusInternalServerError) // texts and numbers always marshal
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	w.WriteHeader(status)
	if _, err := w.Write(text); err != nil {
		d.Log.Debug("the sender did not wait for the answer", "error", err)
	}
}

// body reads a request's body, which may be compressed as its header says.
func body(r *http.Request) ([]byte, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, wrongBody(err)
	}
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return text, nil
	case "gzip":
		return inflate(text, maxBody)
	default:
		return nil, fault.Unsupported.Errorf("Content-Encoding %q is not supported: gzip or none is", encoding)
	}
}

func wrongBody(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fault.Limit.Errorf("the body is larger than %d bytes", maxBody)
	}
	return fault.Invalid.Errorf("reading the body: %w", err)
}

// inflate is what is in gzip, if that is no more than most bytes.
func inflate(text []byte, most int) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, fault.Invalid.Errorf("this is not gzip: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, int64(most)+1))
	switch {
	case err != nil:
		return nil, fault.Invalid.Errorf("this is not gzip: %w", err)
	case len(plain) > most:
		return nil, fault.Limit.Errorf("it inflates to more than %d bytes: send less at once", most)
	}
	return plain, nil
}

func isGzip(text []byte) bool { return len(text) > 2 && text[0] == 0x1f && text[1] == 0x8b }

// keep appends records under a sender's request id, if it has one. Ids of different senders are different.
func (d *door) keep(ctx context.Context, s sender, records []record.Record) error {
	if s.request == "" {
		return d.Journal.Append(ctx, "", records...)
	}
	return d.Journal.Append(ctx, fmt.Sprintf("%s %s", s.user, s.request), records...)
}
