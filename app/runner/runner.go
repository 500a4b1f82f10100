// Package runner does builds for a server elsewhere: it asks for them, does them in walls of its own, and brings what they made.
//
// It only ever calls; nobody calls it. Its jobs are CodePipeline's (PollForJobs,
// AcknowledgeJob, PutJobSuccessResult, PutJobFailureResult), its files go over
// door/runner. What it writes to a build's log is its sign of life: when the
// server hears nothing for the time of a lease, another one does the build.
package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/redact"
	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/base/sigv4"
	door "github.com/haechi-dev/haechi/door/runner"
	"github.com/haechi-dev/haechi/room/build"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/word/fault"
)

// Config is what a runner needs. All above Log must be given.
type Config struct {
	Client  *remote.Client // who it is, and where the server is
	Machine build.Machine
	Folder  string // for builds at work

	Log     *slog.Logger
	Workers int           // builds at once; 1
	Poll    time.Duration // how often to ask when there was nothing to do; 2 s
	Beat    time.Duration // how often to give a sign of life; 5 s
	Idle    bool          // end when there is nothing to do any more
}

// Runner does builds.
type Runner struct {
	Config
	http *http.Client // for files: without a limit on how long they take
	away atomic.Bool  // the server does not answer
}

// New is a Runner.
func New(c Config) *Runner {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Workers = max(c.Workers, 1)
	if c.Poll == 0 {
		c.Poll = 2 * time.Second
	}
	if c.Beat == 0 {
		c.Beat = 5 * time.Second
	}
	patient := *c.Client.HTTP
	patient.Timeout = 0
	return &Runner{Config: c, http: &patient}
}

// Open is a runner on this machine, as a configuration describes it: what of it
// is about builds, sandbox and outbound counts.
func Open(c *app.Config, client *remote.Client, folder string, log *slog.Logger) (*Runner, error) {
	m, err := c.Machine(filepath.Join(folder, "images"), Exchange(client))
	if err != nil {
		return nil, err
	}
	return New(Config{Client: client, Machine: m, Folder: folder, Log: log}), nil
}

// errIdle ends a runner that has nothing to do.
var errIdle = errors.New("there is nothing to do")

// Run asks for builds and does them until ctx ends. It fails where the server
// does not let it, and where this machine cannot wall builds in: it would take
// them from others, and fail each. That the server cannot be reached it waits out.
func (r *Runner) Run(ctx context.Context) error {
	if r.Machine.Level != nil {
		if _, err := r.Machine.Level(ctx); err != nil {
			return fmt.Errorf("no build can be done here: %w", err)
		}
	}
	if err := os.MkdirAll(r.Folder, 0o700); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for range r.Workers {
		group.Go(func() error { return r.work(ctx) })
	}
	err := group.Wait()
	if errors.Is(err, errIdle) {
		return nil
	}
	return err
}

func (r *Runner) work(ctx context.Context) error {
	for ctx.Err() == nil {
		j, ok, err := r.poll(ctx)
		if err == nil && r.away.CompareAndSwap(true, false) {
			r.Log.Info("the server answers again")
		}
		switch kind := fault.Of(err); {
		case ctx.Err() != nil:
			return nil
		case kind == fault.Denied, kind == fault.Unauthenticated, kind == fault.Invalid, kind == fault.Unsupported:
			return err
		case err != nil:
			if r.away.CompareAndSwap(false, true) { // said once, however long it lasts
				r.Log.Warn("the server does not answer; it is asked until it does", "err", err)
			}
		case ok:
			r.Log.Info("a build", "build", j.build())
			r.do(ctx, j)
			continue
		case r.Idle:
			return errIdle
		}
		select {
		case <-ctx.Done():
		case <-time.After(r.Poll/2 + rand.N(r.Poll)):
		}
	}
	return nil
}

// job is a job as CodePipeline hands it out.
type job struct {
	ID    string `json:"id"`
	Nonce string `json:"nonce"`
	Data  struct {
		Configuration struct {
			Values map[string]string `json:"configuration"`
		} `json:"actionConfiguration"`
	} `json:"data"`
}

func (j job) build() string { return j.Data.Configuration.Values["BuildId"] }

type actionType struct {
	Category string `json:"category"`
	Owner    string `json:"owner"`
	Provider string `json:"provider"`
	Version  string `json:"version"`
}

func (r *Runner) pipeline(ctx context.Context, operation string, in, out any) error {
	return r.Client.JSON(ctx, "codepipeline", "CodePipeline_20150709."+operation, in, out)
}

func (r *Runner) poll(ctx context.Context) (j job, ok bool, err error) {
	part := strings.Split(build.Kind, "/")
	var got struct {
		Jobs []job `json:"jobs"`
	}
	err = r.pipeline(ctx, "PollForJobs", map[string]any{"actionTypeId": actionType{part[0], part[1], part[2], part[3]}, "maxBatchSize": 1}, &got)
	if err != nil || len(got.Jobs) == 0 {
		return j, false, err
	}
	return got.Jobs[0], true, nil
}

// do does one build, and says how it ended.
func (r *Runner) do(ctx context.Context, j job) {
	var status struct {
		Status string `json:"status"`
	}
	err := r.pipeline(ctx, "AcknowledgeJob", map[string]string{"jobId": j.ID, "nonce": j.Nonce}, &status)
	if err == nil {
		err = r.build(ctx, j)
	}
	var nothing struct{}
	// What is to be said of the job is said even when we are to end.
	last, done := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer done()
	switch {
	case err == nil:
		err = r.pipeline(last, "PutJobSuccessResult", map[string]any{"jobId": j.ID, "executionDetails": map[string]any{"summary": "done", "externalExecutionId": j.build()}}, &nothing)
	case errors.Is(err, errLost):
	case ctx.Err() != nil:
		// Somebody else will do it when the lease is over.
	default:
		r.Log.Error("a build could not be done", "build", j.build(), "err", err)
		failed := map[string]string{"type": "SystemUnavailable", "message": oneLine(err)}
		err = r.pipeline(last, "PutJobFailureResult", map[string]any{"jobId": j.ID, "failureDetails": failed}, &nothing)
	}
	switch {
	case errors.Is(err, errLost):
		r.Log.Warn("the build is another's by now, or was stopped", "build", j.build())
	case err != nil && ctx.Err() == nil:
		r.Log.Error("saying how a build ended", "build", j.build(), "err", err)
	}
}

func oneLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return strings.ToValidUTF8(text[:min(len(text), 1000)], "")
}

// build does what a job asks for and brings what came of it.
func (r *Runner) build(ctx context.Context, j job) error {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &session{Runner: r, job: j, cancel: cancel}
	var t build.Task
	if err := s.json(ctx, http.MethodGet, "task", nil, nil, &t); err != nil {
		return err
	}
	at, done, err := build.MakeRoom(r.Folder)
	if err != nil {
		return err
	}
	defer done()
	for _, source := range t.Sources {
		if err := s.fetch(ctx, source, at); err != nil {
			return err
		}
	}
	if len(t.Sources) == 0 {
		if _, err := at.SourceDir(build.TaskSource{}); err != nil {
			return err
		}
	}
	voice := s.speak(ctx, t)
	at.Cache, at.Changed = cache{s}, voice.changed
	d, err := r.Machine.Do(ctx, t, at, voice)
	if err := errors.Join(err, voice.end()); err != nil {
		if lost := context.Cause(ctx); errors.Is(lost, errLost) {
			return errLost
		}
		return err
	}
	if err := s.bring(ctx, d, at); err != nil {
		return err
	}
	r.Log.Info("a build has ended", "build", j.build(), "status", d.Status, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// bring hands over what a build made, and what became of it.
func (s *session) bring(ctx context.Context, d build.Done, at build.Room) error {
	outputs, err := at.Outputs(d.Result)
	if err != nil {
		return err
	}
	for _, a := range d.Artifacts {
		var kept door.Kept
		if err := s.upload(ctx, "artifact", url.Values{"id": {a.ID}}, outputs[a.ID], &kept); err != nil {
			return fmt.Errorf("bringing an artifact: %w", err)
		}
	}
	for _, l := range at.Left(d.Result) {
		file, err := l.Open()
		if err != nil {
			s.Log.Warn("a report cannot be read", "report", l.Name, "err", err) // the server misses it, and says so
			continue
		}
		err = s.send(ctx, "report", url.Values{"group": {l.Group}, "name": {l.Name}}, file, &struct{}{})
		file.Close()
		if err != nil {
			return fmt.Errorf("bringing a report: %w", err)
		}
	}
	for i := range d.Artifacts {
		d.Artifacts[i].File = "" // where it lay here is nobody's business
	}
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return s.json(ctx, http.MethodPost, "result", nil, text, &struct{}{})
}

// session is one job at the server's door.
type session struct {
	*Runner
	job    job
	cancel context.CancelCauseFunc
}

// errLost says that the server has given the job to another, or stopped it.
var errLost = errors.New("the job is another's by now")

// call calls the door; body is read as often as it is tried, which is once.
func (s *session) call(ctx context.Context, method, what string, query url.Values, body io.Reader, size int64, sum string) (*http.Response, error) {
	address := strings.TrimSuffix(s.Client.Endpoint, "/") + door.Prefix + s.job.ID + "/" + what
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.ContentLength = size
		r.Header.Set("Content-Type", "application/octet-stream")
	}
	r.Header.Set(door.NonceHeader, s.job.Nonce)
	r.Header.Set("X-Amz-Content-Sha256", sum) // so that the server knows who it is before it reads a large body
	c := s.Client
	sigv4.Signer{AccessKey: c.Key, Secret: c.Secret.Reveal(), Token: c.Token, Region: c.Region, Service: "haechi"}.Sign(r, sum, c.Now())
	response, err := s.http.Do(r)
	if err != nil {
		return nil, fault.Unavailable.Errorf("%s cannot be reached: %w", c.Endpoint, err)
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	var said struct{ Message string }
	_ = json.Unmarshal(text, &said, json.MatchCaseInsensitiveNames(true)) // what is no JSON says nothing
	if response.Header.Get("X-Amzn-Errortype") == "JobLostException" || response.StatusCode == http.StatusNotFound && what != "cache" {
		s.cancel(errLost)
		return nil, errLost
	}
	kind := fault.Internal
	switch response.StatusCode {
	case http.StatusNotFound:
		kind = fault.NotFound
	case http.StatusForbidden:
		kind = fault.Denied
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		kind = fault.Unavailable
	}
	return nil, kind.Errorf("%s: %s %s", what, response.Status, said.Message)
}

// json calls the door with a small body, again and again for a while when the server cannot be reached.
func (s *session) json(ctx context.Context, method, what string, query url.Values, body []byte, out any) error {
	for wait := 200 * time.Millisecond; ; wait *= 2 {
		err := s.once(ctx, method, what, query, body, out)
		if fault.Of(err) != fault.Unavailable || wait > 10*time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

func (s *session) once(ctx context.Context, method, what string, query url.Values, body []byte, out any) error {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	response, err := s.call(ctx, method, what, query, reader, int64(len(body)), sigv4.Hash(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 256<<20))
	if err != nil {
		return fault.Unavailable.Errorf("%s: %w", what, err)
	}
	return json.Unmarshal(text, out)
}

// fetch lays out a source.
func (s *session) fetch(ctx context.Context, source build.TaskSource, at build.Room) error {
	dir, err := at.SourceDir(source)
	if err != nil {
		return err
	}
	response, err := s.call(ctx, http.MethodGet, "source", url.Values{"id": {source.ID}}, nil, 0, sigv4.Hash(nil))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := build.Unpack(ctx, response.Body, dir); err != nil {
		return err
	}
	return source.Freshen(dir)
}

// upload sends a file of this machine.
func (s *session) upload(ctx context.Context, what string, query url.Values, name string, out any) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return s.send(ctx, what, query, file, out)
}

// send sends a file, which is read twice and never held: once for the signature.
func (s *session) send(ctx context.Context, what string, query url.Values, file io.ReadSeeker, out any) error {
	sum, size, err := sumOf(file)
	if err != nil {
		return err
	}
	response, err := s.call(ctx, http.MethodPost, what, query, io.NopCloser(file), size, sum)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}

// hide hides a task's secrets in what goes to w.
func hide(t build.Task, w io.Writer) *redact.Writer {
	var all []redact.Value
	for _, v := range append(slices.Concat(t.Secrets, t.Parameters), tool.Variable{Name: "token", Value: t.Token}) {
		all = append(all, redact.Value{Name: v.Name, Text: v.Value})
	}
	set, _ := redact.New(all...)
	return set.Writer(w)
}
