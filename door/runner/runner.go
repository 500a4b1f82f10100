// Package runner hands the files of builds to machines elsewhere, takes what they made, and gives it out again.
//
// Jobs themselves are CodePipeline's: a runner polls for them, acknowledges them
// and says how they ended. What AWS's workers have S3 for is here: what is to be
// done, the sources, the log, caches, artifacts and reports. Every call is signed
// as AWS's clients sign, and bears the nonce of the job's lease.
package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/room/build"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/word/fault"
)

// Where the door answers, and what it asks for.
const (
	Prefix    = "/haechi/jobs/"      // PREFIX JOB / task, source, log, phases, cache, artifact, report, result
	Artifacts = "/haechi/artifacts/" // PREFIX BUILD / FILE
	Shells    = "/haechi/shells/"    // PREFIX BUILD: a command for the folder of a build that failed; PREFIX BUILD / terminal

	NonceHeader = "X-Haechi-Nonce" // of the job's lease
	KeyHeader   = "X-Haechi-Key"   // of the cache that was found
	ExitTrailer = "X-Haechi-Exit"  // how a command ended
)

// Mine tells whether a request is for this door.
func Mine(path string) bool {
	return strings.HasPrefix(path, Prefix) || strings.HasPrefix(path, Artifacts) || strings.HasPrefix(path, Shells)
}

// Access knows who has which key, and what they may.
type Access interface {
	Secret(ctx context.Context, accessKeyID, token string) (seal.Secret, iam.Principal, error)
	Allow(ctx context.Context, requests ...iam.Request) error
}

// Config is what the door needs.
type Config struct {
	Builds   *build.Builds
	Access   Access
	Now      func() time.Time
	SourceIP func(*http.Request) string
	Log      *slog.Logger
	Visited  func(context.Context, Visit) error // keeps a record of it; an error keeps them out. nil: nobody does
}

type door struct {
	Config
	verifier sigv4.Verifier
	mux      *http.ServeMux
}

// Bounds of what is read as a whole.
const (
	maxLog    = 4 << 20
	maxResult = 64 << 20
)

// Handler is the door.
func Handler(c Config) http.Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.SourceIP == nil {
		c.SourceIP = func(r *http.Request) string { return r.RemoteAddr }
	}
	if c.Visited == nil {
		c.Visited = func(context.Context, Visit) error { return nil }
	}
	d := &door{Config: c, mux: http.NewServeMux()}
	const reads, brings = "codepipeline:AcknowledgeJob", "codepipeline:PutJobSuccessResult"
	for pattern, one := range map[string]struct {
		action string
		do     func(*call) error
	}{
		"GET " + Prefix + "{job}/task":      {reads, (*call).task},
		"GET " + Prefix + "{job}/source":    {reads, (*call).source},
		"GET " + Prefix + "{job}/cache":     {reads, (*call).openCache},
		"POST " + Prefix + "{job}/log":      {reads, (*call).log},
		"POST " + Prefix + "{job}/phases":   {reads, (*call).phases},
		"POST " + Prefix + "{job}/cache":    {brings, (*call).saveCache},
		"POST " + Prefix + "{job}/artifact": {brings, (*call).artifact},
		"POST " + Prefix + "{job}/report":   {brings, (*call).report},
		"POST " + Prefix + "{job}/result":   {brings, (*call).result},
	} {
		d.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { d.serve(w, r, one.action, "*", one.do) })
	}
	d.mux.HandleFunc("GET "+Artifacts+"{build}/{file...}", d.fetch)
	d.mux.HandleFunc("POST "+Shells+"{build}", d.shell)
	d.mux.HandleFunc("GET "+Shells+"{build}/terminal", d.terminal)
	return d
}

// ServeHTTP answers one call.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.mux.ServeHTTP(w, r) }

// call is one call on its way.
type call struct {
	*door
	w   http.ResponseWriter
	r   *http.Request
	who string
	sum string // of the body, as it was signed
}

func (c *call) job() string   { return c.r.PathValue("job") }
func (c *call) nonce() string { return c.r.Header.Get(NonceHeader) }

// began tells whether an answer is on its way: then nothing else can be said.
type began struct {
	http.ResponseWriter
	yes bool
}

func (b *began) WriteHeader(status int) {
	if !b.yes {
		b.yes = true
		b.ResponseWriter.WriteHeader(status)
	}
}
func (b *began) Write(p []byte) (int, error) {
	b.yes = true
	return b.ResponseWriter.Write(p)
}

func (d *door) serve(w http.ResponseWriter, r *http.Request, action, resource string, do func(*call) error) {
	answer := &began{ResponseWriter: w}
	c := &call{door: d, w: answer, r: r}
	err := c.admit(action, resource)
	if err == nil {
		err = do(c)
	}
	switch {
	case err == nil:
		if !answer.yes {
			c.say(struct{}{})
		}
	case answer.yes:
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	default:
		c.refuse(err)
	}
}

// admit asks who it is, and whether they may.
func (c *call) admit(action, resource string) error {
	claim, err := sigv4.Parse(c.r)
	if err == nil {
		err = claim.Timely(c.Now())
	}
	if err != nil {
		return fault.Unauthenticated.Errorf("the signature: %w", err)
	}
	if claim.Service != "haechi" {
		return fault.Unauthenticated.Errorf("this is signed for the service %.40q: sign it for haechi", claim.Service)
	}
	secret, who, err := c.Access.Secret(c.r.Context(), claim.AccessKey, claim.Token)
	if err != nil {
		return fault.Unauthenticated.Errorf("the access key or its session is not known")
	}
	c.sum = c.r.Header.Get("X-Amz-Content-Sha256")
	switch {
	case c.sum == "" && c.r.Method == http.MethodGet:
		c.sum = sigv4.Hash(nil)
	case c.sum == "":
		return fault.Invalid.Errorf("the header X-Amz-Content-Sha256 is missing: what is sent is signed with its sum")
	}
	if err := c.verifier.VerifySum(c.r, claim, secret.Reveal(), c.Now(), c.sum); err != nil {
		return fault.Unauthenticated.Errorf("the signature: %w", err)
	}
	c.who = who.ARN
	return c.Access.Allow(c.r.Context(), iam.Request{Principal: who, Action: action, Resource: resource, Context: map[string][]string{"aws:SourceIp": {c.SourceIP(c.r)}}})
}

// body is a small body, as it was signed.
func (c *call) body(most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(c.r.Body, most+1))
	switch {
	case err != nil:
		return nil, fault.Invalid.Errorf("the body did not come to its end: %w", err)
	case int64(len(text)) > most:
		return nil, fault.Limit.Errorf("the body is larger than %d bytes", most)
	case sigv4.Hash(text) != c.sum:
		return nil, fault.Unauthenticated.Errorf("the body is not the one that was signed")
	}
	return text, nil
}

func (c *call) say(what any) {
	text, err := json.Marshal(what, json.Deterministic(true))
	if err != nil {
		c.refuse(err)
		return
	}
	c.w.Header().Set("Content-Type", "application/json")
	_, _ = c.w.Write(text) // whoever hung up does not hear it
}

func (c *call) refuse(err error) {
	status, code := http.StatusInternalServerError, "InternalException"
	switch kind := fault.Of(err); {
	case errors.Is(err, work.ErrLost):
		status, code = http.StatusConflict, "JobLostException"
	case kind == fault.Invalid, kind == fault.Unsupported:
		status, code = http.StatusBadRequest, "ValidationException"
	case kind == fault.Limit:
		status, code = http.StatusRequestEntityTooLarge, "LimitExceededException"
	case kind == fault.Conflict:
		status, code = http.StatusConflict, "ConflictException"
	case kind == fault.NotFound:
		status, code = http.StatusNotFound, "ResourceNotFoundException"
	case kind == fault.Unauthenticated:
		status, code = http.StatusForbidden, "UnrecognizedClientException"
	case kind == fault.Denied:
		status, code = http.StatusForbidden, "AccessDeniedException"
	case kind == fault.Unavailable || c.r.Context().Err() != nil:
		status, code = http.StatusServiceUnavailable, "ServiceUnavailableException"
	}
	message := err.Error()
	if status == http.StatusInternalServerError {
		c.Log.Error("a runner was not answered", "path", c.r.URL.Path, "error", err)
		message = "something went wrong here; the server's log says what"
	}
	text, _ := json.Marshal(map[string]string{"__type": code, "message": strings.ToValidUTF8(message, "\uFFFD")}, json.Deterministic(true)) // two texts always are JSON
	c.w.Header().Set("Content-Type", "application/json")
	c.w.Header().Set("X-Amzn-Errortype", code)
	c.w.WriteHeader(status)
	_, _ = c.w.Write(text)
}

func (c *call) task() error {
	t, err := c.Builds.TaskOf(c.r.Context(), c.who, c.job(), c.nonce())
	if err == nil {
		c.w.Header().Set("Cache-Control", "no-store") // it holds secrets
		c.say(t)
	}
	return err
}

func (c *call) source() error {
	c.w.Header().Set("Content-Type", "application/x-tar")
	return c.Builds.SourceOf(c.r.Context(), c.who, c.job(), c.nonce(), c.r.URL.Query().Get("id"), c.w)
}

func (c *call) log() error {
	text, err := c.body(maxLog)
	if err != nil {
		return err
	}
	return c.Builds.Say(c.r.Context(), c.who, c.job(), c.nonce(), text, nil)
}

func (c *call) phases() error {
	text, err := c.body(maxResult)
	if err != nil {
		return err
	}
	var phases []tool.Phase
	if err := json.Unmarshal(text, &phases); err != nil {
		return fault.Invalid.Errorf("phases: %w", err)
	}
	return c.Builds.Say(c.r.Context(), c.who, c.job(), c.nonce(), nil, phases)
}

func (c *call) cacheKey() tool.CacheKey {
	q := c.r.URL.Query()
	return tool.CacheKey{Version: q.Get("version"), Key: q.Get("key")}
}

func (c *call) openCache() error {
	caches, err := c.Builds.CachesOf(c.r.Context(), c.who, c.job(), c.nonce())
	if err != nil {
		return err
	}
	entry, found, err := caches.Open(c.r.Context(), c.cacheKey(), c.r.URL.Query().Get("prefix") != "")
	if err != nil {
		return err
	}
	defer entry.Close()
	c.w.Header().Set("Content-Type", "application/octet-stream")
	c.w.Header().Set(KeyHeader, strconv.QuoteToASCII(found))
	_, err = io.Copy(c.w, entry)
	return err
}

func (c *call) saveCache() error {
	caches, err := c.Builds.CachesOf(c.r.Context(), c.who, c.job(), c.nonce())
	if err != nil {
		return err
	}
	return caches.Save(c.r.Context(), c.cacheKey(), c.signedBody())
}

// signedBody is a large body: at its end it fails where it is not the one that was signed.
func (c *call) signedBody() io.Reader { return &summed{from: c.r.Body, want: c.sum, hash: newHash()} }

func (c *call) artifact() error {
	digest, size, err := c.Builds.Bring(c.r.Context(), c.who, c.job(), c.nonce(), c.r.URL.Query().Get("id"), c.signedBody())
	if err == nil {
		c.say(Kept{digest, size})
	}
	return err
}

// Kept is what the server has of an artifact that it was brought.
type Kept struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

func (c *call) report() error {
	q := c.r.URL.Query()
	return c.Builds.BringReport(c.r.Context(), c.who, c.job(), c.nonce(), q.Get("group"), q.Get("name"), c.signedBody())
}

func (c *call) result() error {
	text, err := c.body(maxResult)
	if err != nil {
		return err
	}
	var d build.Done
	if err := json.Unmarshal(text, &d); err != nil {
		return fault.Invalid.Errorf("the result: %w", err)
	}
	return c.Builds.BringResult(c.r.Context(), c.who, c.job(), c.nonce(), d)
}

// ofBuild does what is asked of the build in the path, for whoever may do so with its project.
func (d *door) ofBuild(w http.ResponseWriter, r *http.Request, action string, do func(*call, build.Build) error) {
	made, err := d.Builds.ByUUID(r.Context(), r.PathValue("build"))
	resource := "*"
	if err == nil {
		resource = d.Builds.ARN("project/" + made.Project)
	}
	d.serve(w, r, action, resource, func(c *call) error {
		if err != nil {
			return err
		}
		return do(c, made)
	})
}

// fetch gives out an artifact, to whoever may see its build.
func (d *door) fetch(w http.ResponseWriter, r *http.Request) {
	d.ofBuild(w, r, "codebuild:BatchGetBuilds", func(c *call, made build.Build) error {
		for _, a := range made.Facts.Made {
			if a.File == r.PathValue("file") {
				_, file, err := d.Builds.Artifact(r.Context(), made.ID, a.Name)
				if err != nil {
					return err
				}
				return c.send(file, a)
			}
		}
		return fault.NotFound.Errorf("the build has made no %.200q", r.PathValue("file"))
	})
}

// shell runs a command in the folder of a build that failed, and gives out what it says as it comes.
func (d *door) shell(w http.ResponseWriter, r *http.Request) {
	d.ofBuild(w, r, "codebuild:StartCommandExecution", func(c *call, made build.Build) error {
		text, err := c.body(64 << 10)
		if err != nil {
			return err
		}
		h := c.w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Trailer", ExitTrailer)
		exit, err := d.Builds.Shell(r.Context(), c.who, made.ID, string(text), flushing{c.w, http.NewResponseController(w)})
		if err != nil && fault.Of(err) != fault.Limit {
			return err
		}
		if err != nil {
			fmt.Fprintf(c.w, "%v\n", err)
		}
		c.w.WriteHeader(http.StatusOK)
		h.Set(ExitTrailer, strconv.Itoa(exit))
		return nil
	})
}

// flushing sends on at once what is written.
type flushing struct {
	w io.Writer
	c *http.ResponseController
}

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if err == nil {
		err = f.c.Flush()
	}
	return n, err
}

// send gives out a file as an attachment: nothing that a build made is shown as a page of ours.
func (c *call) send(file *os.File, a build.Artifact) error {
	defer file.Close()
	h := c.w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(a.File)}))
	h.Set("Content-Security-Policy", "sandbox")
	h.Set("Etag", fmt.Sprintf("%q", a.Digest))
	h.Set("X-Amz-Meta-Codebuild-Buildarn", a.Build)
	http.ServeContent(c.w, c.r, "", time.Time{}, file)
	return nil
}
