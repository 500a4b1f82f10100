package wire

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// maxOpenBody bounds calls that nobody signed: a role's name and a web identity token.
const maxOpenBody = 64 << 10

// Mine tells whether a request is for this door: it bears a signature, or the
// marks of a call that AWS's clients send without one. It may look into the
// start of the body, which stays as it was.
func Mine(r *http.Request) bool {
	if sigv4.Signed(r) || r.Header.Get("X-Amz-Target") != "" {
		return true
	}
	if r.Method != http.MethodPost || r.URL.Path != "/" || !isForm(r) || r.Body == nil {
		return false
	}
	head := make([]byte, 4096)
	n, err := io.ReadFull(r.Body, head)
	head = head[:n]
	var rest io.Reader = r.Body
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		rest = failed{err}
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), r.Body}
	return bytes.HasPrefix(head, []byte("Action=AssumeRoleWith")) || bytes.Contains(head, []byte("&Action=AssumeRoleWith"))
}

type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

func isForm(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// An exchange is one call on its way through the door.
type exchange struct {
	*Handler
	r        *http.Request
	call     Call
	key      string // access key id, as claimed
	service  *Service
	protocol Protocol // guessed until the service is known

	asked   []iam.Request // of the gate
	refused bool
	input   []byte // checked
	output  any
}

// ServeHTTP authenticates a call, finds its operation, reads its input, asks
// whether it is allowed, and answers it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{Handler: h, r: r, protocol: guess(r)}
	x.call = Call{RequestID: newID(), Time: h.cfg.Now(), SourceIP: h.cfg.SourceIP(r), UserAgent: r.UserAgent(), TLS: r.TLS != nil}
	a, failed := x.answer(r.Context())
	if failed != nil {
		a = x.failure(failed)
	}
	if h.cfg.Heard != nil {
		if err := h.cfg.Heard(r.Context(), x.heard(a, failed)); err != nil {
			a = x.failure(x.broken("keeping a record of a call", fault.Unavailable.Wrap(err)))
		}
	}
	a.send(w, r, x.call.RequestID)
}

func (x *exchange) failure(failed *Error) *answer {
	var m *Model
	if x.service != nil {
		m = x.service.Model
	}
	return failure(x.protocol, m, failed, x.call.RequestID)
}

// heard is what is told of the call, and of what comes of it.
func (x *exchange) heard(a *answer, failed *Error) Heard {
	if x.call.Operation == "" {
		x.call.Operation = x.meant()
	}
	told := Heard{Call: x.call, Key: x.key, Asked: x.asked, Status: a.status, Refused: x.refused, Input: x.input, Action: x.call.prefix + ":" + x.call.Operation}
	if x.call.prefix == "" {
		told.Action = x.call.Service + ":" + x.call.Operation
	}
	if failed != nil {
		told.Code, told.Reason = failed.Code, failed.Message
		if x.protocol == Query && failed.query != "" {
			told.Code = failed.query
		}
	}
	told.Output = func() jsontext.Value {
		text, err := json.Marshal(x.output, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
		if x.output == nil || err != nil {
			return nil
		}
		return text
	}
	return told
}

func (x *exchange) answer(ctx context.Context) (*answer, *Error) {
	claim, err := sigv4.Parse(x.r)
	var body []byte
	var failed *Error
	switch {
	case err == nil:
		body, failed = x.authenticate(ctx, claim)
	case sigv4.ReasonOf(err) == sigv4.Missing:
		body, failed = x.unsigned()
	default:
		failed = refused(err)
	}
	if failed != nil {
		x.refused = failed.status == http.StatusUnauthorized || failed.status == http.StatusForbidden
		return nil, failed
	}
	if x.service == nil {
		return nil, notImplemented("the service %q is not answered here", clip(x.call.Service))
	}
	if body, failed = x.inflate(body); failed != nil {
		return nil, failed
	}
	input, failed := x.dispatch(body)
	if failed != nil {
		return nil, failed
	}
	if claim == nil && !x.service.Model.Operations[x.call.Operation].Open {
		x.refused = true
		return nil, missing()
	}
	return x.perform(ctx, input)
}

// meant is the operation that a call that was refused before it was read
// would have been, as far as its address and headers say it.
func (x *exchange) meant() string {
	if x.service == nil {
		return ""
	}
	m := x.service.Model
	name := ""
	switch m.Protocol {
	case JSON:
		name = m.targetOf(x.r.Header)
	case RestJSON:
		name, _, _ = m.match(x.r.Method, rawPath(x.r))
	}
	if m.Operations[name] == nil {
		return ""
	}
	return name
}

// authenticate finds who signed and reads what was signed.
func (x *exchange) authenticate(ctx context.Context, claim *sigv4.Claim) ([]byte, *Error) {
	x.key, x.call.Service, x.call.Region = claim.AccessKey, claim.Service, claim.Region
	if x.service = x.services[claim.Service]; x.service != nil {
		x.protocol, x.call.prefix = x.service.Model.Protocol, x.service.Prefix
	}
	if err := claim.Timely(x.call.Time); err != nil {
		return nil, refused(err)
	}
	secret, principal, err := x.cfg.Keys.Secret(ctx, claim.AccessKey, claim.Token)
	switch {
	case err == nil:
	case errors.Is(err, fault.NotFound):
		return nil, unknownKey()
	case errors.Is(err, fault.Unauthenticated):
		return nil, expiredToken()
	default:
		return nil, x.broken("looking up an access key", err)
	}
	body, err := x.verifier.Read(x.r, claim, secret.Reveal(), x.call.Time, x.cfg.Limits.Body)
	if err != nil {
		return nil, refused(err)
	}
	x.call.Principal = principal
	return body, nil
}

// unsigned reads a call that bears no signature. Only the calls that give
// someone a first session are sent so, to sts and by their action.
func (x *exchange) unsigned() ([]byte, *Error) {
	if x.r.Method != http.MethodPost || !isForm(x.r) || x.r.Body == nil {
		return nil, missing()
	}
	x.protocol = Query
	body, err := io.ReadAll(io.LimitReader(x.r.Body, maxOpenBody+1))
	if err != nil || len(body) > maxOpenBody {
		return nil, tooLarge(fmt.Sprintf("no more than %d bytes without a signature", maxOpenBody))
	}
	form, failed := parseForm(string(body))
	if failed != nil {
		return nil, failed
	}
	if !strings.HasPrefix(form.Get("Action"), "AssumeRoleWith") {
		return nil, missing()
	}
	x.call.Service = "sts"
	if x.service = x.services["sts"]; x.service != nil {
		x.call.prefix = x.service.Prefix
	}
	return body, nil
}

// inflate undoes the compression of a body, whose bytes were verified as they came.
func (x *exchange) inflate(body []byte) ([]byte, *Error) {
	switch encoding := x.r.Header.Get("Content-Encoding"); {
	case encoding == "" || encoding == "identity" || len(body) == 0:
		return body, nil
	case encoding != "gzip":
		return nil, unreadable("only gzip is read as Content-Encoding")
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, unreadable("the body is no gzip")
	}
	plain, err := io.ReadAll(io.LimitReader(z, x.cfg.Limits.Body+1))
	switch {
	case err != nil:
		return nil, unreadable("the body is no gzip")
	case int64(len(plain)) > x.cfg.Limits.Body:
		return nil, tooLarge(fmt.Sprintf("no more than %d bytes, decompressed", x.cfg.Limits.Body))
	}
	return plain, nil
}

// dispatch finds the operation and writes its input as JSON, not yet checked.
func (x *exchange) dispatch(body []byte) ([]byte, *Error) {
	m := x.service.Model
	if m.Protocol != Query {
		if d := deepest(body); d > x.cfg.Limits.Depth {
			return nil, unreadable(fmt.Sprintf("nested %d levels deep, %d are allowed", d, x.cfg.Limits.Depth))
		}
	}
	var input []byte
	var err error
	switch m.Protocol {
	case JSON:
		if x.call.Operation = m.targetOf(x.r.Header); len(bytes.TrimSpace(body)) == 0 {
			body = []byte("{}")
		}
		if m.Operations[x.call.Operation] == nil {
			return nil, unknownOperation(m.Protocol, "unknown operation")
		}
		return body, nil
	case RestJSON:
		var labels map[string]string
		x.call.Operation, labels, err = m.match(x.r.Method, rawPath(x.r))
		if err != nil {
			return nil, x.broken("routing", err)
		}
		o := m.Operations[x.call.Operation]
		if o == nil {
			return nil, unknownOperation(m.Protocol, "no operation has this method and path")
		}
		query, err := url.ParseQuery(x.r.URL.RawQuery)
		if err != nil {
			return nil, unreadable("the query cannot be read")
		}
		input, err = m.restJSON(o.Input, labels, query, x.r.Header, body)
		if err != nil {
			return nil, unreadable(err.Error())
		}
		return input, nil
	}
	text := string(body)
	if len(body) == 0 {
		text = x.r.URL.RawQuery
	}
	form, failed := parseForm(text)
	if failed != nil {
		return nil, failed
	}
	name, version := form.Get("Action"), form.Get("Version")
	o := m.Operations[name]
	if o == nil || version != "" && version != m.Version {
		return nil, unknownOperation(m.Protocol, fmt.Sprintf("Could not find operation %s for version %s", clip(name), clip(version)))
	}
	x.call.Operation = name
	if input, err = m.formJSON(o.Input, form, x.cfg.Limits.Depth); err != nil {
		return nil, unreadable(err.Error())
	}
	return input, nil
}

// perform checks the input, asks the gate, and answers.
func (x *exchange) perform(ctx context.Context, input []byte) (a *answer, failed *Error) {
	s, name := x.service, x.call.Operation
	o, answered := s.Operations[name]
	if !answered {
		return nil, notImplemented("%s of %s is not answered here", name, s.Model.Signing)
	}
	defer func() {
		if p := recover(); p != nil {
			a, failed = nil, x.broken("answering", fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	in, failed := x.read(o, input)
	if failed != nil {
		return nil, failed
	}
	if failed := x.allowed(ctx, o, in); failed != nil {
		return nil, failed
	}
	out, err := o.answer(ctx, &x.call, in)
	if err != nil {
		failed = s.translate(name, err)
		if failed.status >= 500 && failed.status != http.StatusNotImplemented {
			x.broken("answering", err)
		}
		return nil, failed
	}
	if _, stream := out.(*streamed); !stream {
		x.output = out
	}
	if a, err = success(s.Model, name, out, x.call.RequestID, x.cfg.Limits); err != nil {
		return nil, x.broken("writing the answer", err)
	}
	a.broken = func(err error) { x.broken("sending events", err) }
	return a, nil
}

// read checks the input against its shape and makes a typed value of it.
func (x *exchange) read(o Operation, input []byte) (any, *Error) {
	w := walk{model: x.service.Model, limits: x.cfg.Limits, way: inward, loose: o.loose}
	checked, err := w.do(x.service.Model.Operations[x.call.Operation].Input, input)
	if err != nil {
		return nil, unreadable(err.Error())
	}
	if n := len(w.problems); n > 0 {
		plural := "s"
		if n == 1 {
			plural = ""
		}
		err := fault.Invalid.Errorf("%d validation error%s detected: %s", n, plural, strings.Join(w.problems, "; "))
		if code := x.service.memberCode(x.call.Operation, w.first, w.missing); code != "" {
			err = Errorf(code, "%v", err)
		}
		return nil, x.service.translate(x.call.Operation, err)
	}
	x.input = checked
	in, err := o.decode(checked)
	if err != nil {
		return nil, unreadable(err.Error())
	}
	return in, nil
}

// allowed asks the gate everything that the operation asks. An operation that
// should ask and does not is a mistake of ours, and nobody passes.
func (x *exchange) allowed(ctx context.Context, o Operation, in any) *Error {
	if o.asks == nil {
		return nil
	}
	asked, err := o.asks(ctx, &x.call, in)
	if err != nil {
		return x.broken("looking up what is asked for", err)
	}
	if len(asked) == 0 {
		return x.broken("asking the gate", errors.New("the operation asks nothing"))
	}
	for i := range asked {
		switch asked[i].Principal {
		case iam.Principal{}: // a keeper says what has to be allowed, and not to whom
			asked[i].Principal = x.call.Principal
		case x.call.Principal:
		default:
			return x.broken("asking the gate", errors.New("the operation asks for another principal"))
		}
	}
	x.asked = asked
	err = x.cfg.Gate.Allow(ctx, x.call.known(asked)...)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fault.Denied):
		x.refused = true
		return denied(err.Error())
	}
	return x.broken("asking the gate", err)
}

// broken logs what is ours to mend, and tells the caller only that it is.
func (x *exchange) broken(doing string, err error) *Error {
	x.cfg.Log.Error("a call failed", "doing", doing, "service", x.call.Service, "operation", x.call.Operation, "request", x.call.RequestID, "err", err)
	if x.service != nil {
		return x.service.translate(x.call.Operation, fault.Internal.Wrap(err))
	}
	return (&Service{Model: &Model{}}).translate("", fault.Internal.Wrap(err))
}

// guess is the protocol of a call whose service is not known yet.
func guess(r *http.Request) Protocol {
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		return JSON
	case isForm(r) || strings.Contains(r.URL.RawQuery, "Action="):
		return Query
	}
	return RestJSON
}

func rawPath(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	return r.URL.EscapedPath()
}

func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// newID is a random UUID: the request id that is in the answer and in the log.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func clip(s string) string { return s[:min(len(s), 60)] }
