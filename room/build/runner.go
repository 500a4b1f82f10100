package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/river/work"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/word/fault"
)

// A runner is another machine, with a principal of its own. It polls for builds,
// fetches what one needs, brings what it made, and says how it ended; all of it
// with the nonce of its lease. The server believes a runner what its walls and
// its log were, and nothing that it can see for itself.

// Polled is a build that a runner was given.
type Polled struct {
	Job     string // its id here: another one for each time that the build is given away
	Nonce   string
	Build   Build
	Attempt int
}

// Poll leases builds to a runner, at most most.
func (b *Builds) Poll(ctx context.Context, who string, most int) (all []Polled, err error) {
	for len(all) < most {
		l, ok, err := b.config.Work.Claim(ctx, who, Kind)
		if err != nil || !ok {
			return all, err
		}
		made, ok, err := b.take(ctx, l, who)
		if errors.Is(err, work.ErrLost) {
			continue
		}
		if err != nil {
			return all, err
		}
		if !ok {
			continue
		}
		p := Polled{Job: newID(), Nonce: l.Nonce, Build: made, Attempt: l.Attempt}
		if err := b.db.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec("INSERT INTO build_leases (job, build, nonce, who) VALUES (?, ?, ?, ?)", p.Job, made.ID, l.Nonce, who)
			return err
		}); err != nil {
			return all, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Job is what a runner was given, by the job's id.
func (b *Builds) Job(ctx context.Context, job string) (p Polled, err error) {
	id, nonce, _, err := b.lease(ctx, job)
	if err != nil {
		return p, err
	}
	made, err := b.Build(ctx, id)
	return Polled{Job: job, Nonce: nonce, Build: made, Attempt: made.Facts.Attempt}, err
}

func (b *Builds) lease(ctx context.Context, job string) (id, nonce, who string, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		row, err := db.One(tx, func(scan db.Scan) (r [3]string, err error) { return r, scan(&r[0], &r[1], &r[2]) }, "SELECT build, nonce, who FROM build_leases WHERE job = ?", job)
		id, nonce, who = row[0], row[1], row[2]
		return err
	})
	if errors.Is(err, fault.NotFound) {
		err = fault.NotFound.Errorf("there is no job %.100q", job)
	}
	return id, nonce, who, err
}

// held is the lease that a runner has on a build, and the build. A nonce that is
// given must be the lease's.
func (b *Builds) held(ctx context.Context, who, job, nonce string) (l work.Lease, made Build, err error) {
	id, own, holder, err := b.lease(ctx, job)
	if err != nil {
		return l, made, err
	}
	if holder != who {
		return l, made, fault.Denied.Errorf("the job %s is another's", job)
	}
	if nonce != "" && nonce != own {
		return l, made, fault.Invalid.Errorf("the nonce is not that of job %s", job)
	}
	if l, err = b.config.Work.Find(ctx, jobOf(id), own); err != nil {
		return l, made, err
	}
	if made, err = b.Build(ctx, id); err == nil && made.Status.Ended() {
		err = work.ErrLost
	}
	return l, made, err
}

// Acknowledge renews a runner's lease: a sign of life.
func (b *Builds) Acknowledge(ctx context.Context, who, job, nonce string) (Build, error) {
	l, made, err := b.held(ctx, who, job, nonce)
	if err != nil {
		return made, err
	}
	stopped, err := b.config.Work.Renew(ctx, l)
	if err == nil && stopped {
		err = work.ErrLost
	}
	return made, err
}

// leases are what is known of runners' leases while they last.
type leases struct {
	mu  sync.Mutex
	all map[string]*leased // by nonce
}

type leased struct {
	used time.Time
	log  *logger
	task Task
}

// mostLeased bounds what is remembered: who is forgotten is looked up again.
const mostLeased = 200

func (s *leases) find(nonce string) *leased {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[nonce]
	if one != nil {
		one.used = time.Now()
	}
	return one
}

func (s *leases) put(nonce string, one *leased) *leased {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.all[nonce]; have != nil {
		return have
	}
	if s.all == nil {
		s.all = map[string]*leased{}
	}
	for len(s.all) >= mostLeased {
		oldest := ""
		for n, o := range s.all {
			if oldest == "" || o.used.Before(s.all[oldest].used) {
				oldest = n
			}
		}
		delete(s.all, oldest)
	}
	one.used = time.Now()
	s.all[nonce] = one
	return one
}

func (s *leases) drop(nonce string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, nonce)
}

// known is what a lease's build is to do, and its log, which hides its secrets.
func (b *Builds) known(ctx context.Context, l work.Lease, made Build) (*leased, error) {
	if one := b.leases.find(l.Nonce); one != nil {
		return one, nil
	}
	t, reason, detail, err := b.task(ctx, &made)
	if err != nil {
		return nil, err
	}
	log, err := b.open(context.WithoutCancel(ctx), l, made)
	if err != nil {
		return nil, err
	}
	log.hide(t.hidden())
	if reason != nil { // what is wrong with the build no runner has to find out
		if detail == "" {
			detail = reason.Text
		}
		log.printf("%s\n", detail)
		if err := b.finish(ctx, l, made, performed{reason: reason}, nil, nil, log); err != nil {
			return nil, err
		}
		return nil, work.ErrLost
	}
	if err := b.pass(ctx, l, made.Facts, nil); err != nil {
		return nil, err
	}
	return b.leases.put(l.Nonce, &leased{log: log, task: t}), nil
}

// TaskOf is what a runner has to do for a build, with its secrets.
func (b *Builds) TaskOf(ctx context.Context, who, job, nonce string) (Task, error) {
	l, made, err := b.held(ctx, who, job, nonce)
	if err != nil {
		return Task{}, err
	}
	one, err := b.known(ctx, l, made)
	if err != nil {
		return Task{}, err
	}
	return one.task, nil
}

// SourceOf writes a source of a runner's build to w, packed (see Unpack): "" is the first.
func (b *Builds) SourceOf(ctx context.Context, who, job, nonce, id string, w io.Writer) error {
	l, made, err := b.held(ctx, who, job, nonce)
	if err != nil {
		return err
	}
	one, err := b.known(ctx, l, made)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(one.task.Sources, func(s TaskSource) bool { return s.ID == id })
	if i < 0 {
		return fault.NotFound.Errorf("the build has no source %.100q", id)
	}
	return b.packTo(ctx, one.task.Sources[i], w)
}

// Say adds to the log of a runner's build, renews its lease, and writes down how far the build is.
func (b *Builds) Say(ctx context.Context, who, job, nonce string, text []byte, phases []tool.Phase) error {
	l, made, err := b.held(ctx, who, job, nonce)
	if err != nil {
		return err
	}
	one, err := b.known(ctx, l, made)
	if err != nil {
		return err
	}
	if len(text) > 0 {
		if _, err := one.log.Write(text); err != nil {
			return err
		}
	}
	if len(phases) > 0 {
		return b.pass(ctx, l, nil, bounded(phases, 2*len(phaseNames)))
	}
	stopped, err := b.config.Work.Renew(ctx, l)
	if err == nil && stopped {
		err = work.ErrLost
	}
	return err
}

// CachesOf are the caches that a runner's build finds. Their class is the server's to say.
func (b *Builds) CachesOf(ctx context.Context, who, job, nonce string) (tool.Cache, error) {
	l, made, err := b.held(ctx, who, job, nonce)
	if err != nil {
		return nil, err
	}
	one, err := b.known(ctx, l, made)
	if err != nil {
		return nil, err
	}
	if !one.task.Caches {
		return nil, fault.Denied.Errorf("the project keeps no caches")
	}
	if made, err = b.Build(ctx, made.ID); err != nil { // known has written down whether it is trusted
		return nil, err
	}
	return b.cachesOf(&made), nil
}

// What a runner brings.
const (
	broughtArtifact = "artifact"
	broughtReport   = "report"
	broughtResult   = "result"
)

type brought struct {
	kind, id, name, digest, said string
	size                         int64
}

func scanBrought(scan db.Scan) (r brought, err error) {
	return r, scan(&r.kind, &r.id, &r.name, &r.digest, &r.said, &r.size)
}

// Bring takes an artifact that a runner's build made, as the server hashes it.
// What the buildspec does not name is refused.
func (b *Builds) Bring(ctx context.Context, who, job, nonce, id string, body io.Reader) (digest string, size int64, err error) {
	l, made, err := b.held(ctx, who, job, nonce)
	if err != nil {
		return "", 0, err
	}
	one, err := b.known(ctx, l, made)
	if err != nil {
		return "", 0, err
	}
	if !slices.ContainsFunc(one.task.spec.Artifacts, func(a buildspec.Artifact) bool { return a.ID == id }) {
		return "", 0, fault.Denied.Errorf("the buildspec names no artifact%s", named(clip(id, 100)))
	}
	info, err := b.config.Blobs.Put(ctx, body, b.config.MaxArtifact)
	if err != nil {
		return "", 0, err
	}
	return info.Digest, info.Size, b.note(ctx, l, brought{kind: broughtArtifact, id: id, digest: info.Digest, size: info.Size})
}

// BringReport takes a report of a security tool that a runner's build left.
func (b *Builds) BringReport(ctx context.Context, who, job, nonce, group, name string, body io.Reader) error {
	l, made, err := b.held(ctx, who, job, nonce)
	if err != nil {
		return err
	}
	one, err := b.known(ctx, l, made)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(one.task.spec.Reports, func(g buildspec.ReportGroup) bool { return g.Name == group && g.Security() }) {
		return fault.Denied.Errorf("the buildspec names no reports of security tools %.100q", group)
	}
	if len(name) > 1000 {
		return fault.Invalid.Errorf("the name of a report is longer than 1,000 characters")
	}
	info, err := b.config.Blobs.Put(ctx, body, maxReportSize)
	if err != nil {
		return err
	}
	return b.note(ctx, l, brought{kind: broughtReport, id: group, name: name, digest: info.Digest, size: info.Size})
}

// BringResult takes what a runner says of its build. It counts when the runner
// says that its job has ended (Succeed).
func (b *Builds) BringResult(ctx context.Context, who, job, nonce string, d Done) error {
	l, _, err := b.held(ctx, who, job, nonce)
	if err != nil {
		return err
	}
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return b.note(ctx, l, brought{kind: broughtResult, said: string(text)})
}

func (b *Builds) note(ctx context.Context, l work.Lease, r brought) error {
	return b.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := b.config.Work.Hold(tx, l); err != nil {
			return err
		}
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM build_brought WHERE build = ? AND nonce = ?", string(l.Body), l.Nonce)
		if err == nil && n > 500 {
			err = fault.Limit.Errorf("a build brings at most 500 files")
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO build_brought (build, nonce, kind, id, name, digest, said, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (build, nonce, kind, id, name) DO UPDATE SET digest = excluded.digest, said = excluded.said, size = excluded.size`,
			string(l.Body), l.Nonce, r.kind, r.id, r.name, r.digest, r.said, r.size)
		return err
	})
}

// Succeed ends a runner's job: its build is what it brought, as far as that is true.
func (b *Builds) Succeed(ctx context.Context, who, job string) error {
	l, made, err := b.held(ctx, who, job, "")
	if err != nil {
		return err
	}
	one, err := b.known(ctx, l, made)
	if err != nil {
		return err
	}
	var rows []brought
	if err := b.db.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = db.All(tx, scanBrought, "SELECT kind, id, name, digest, said, size FROM build_brought WHERE build = ? AND nonce = ? ORDER BY kind, id, name", made.ID, l.Nonce)
		return err
	}); err != nil {
		return err
	}
	i := slices.IndexFunc(rows, func(r brought) bool { return r.kind == broughtResult })
	if i < 0 {
		return fault.Conflict.Errorf("the job %s has brought no result", job)
	}
	var d performed
	if err := json.Unmarshal([]byte(rows[i].said), &d.Done); err != nil {
		return fault.Invalid.Errorf("the result of job %s cannot be read: %w", job, err)
	}
	outs, left := b.believed(ctx, &d, one.task, rows)
	if d.reason != nil {
		one.log.printf("%s\n", d.reason.Text)
	}
	if made, err = b.Build(ctx, made.ID); err != nil {
		return err
	}
	err = b.finish(ctx, l, made, d, outs, left, one.log)
	if err == nil {
		b.leases.drop(l.Nonce)
	}
	return err
}

// Fail ends a runner's job that came to nothing: the machine's fault, in its words.
func (b *Builds) Fail(ctx context.Context, who, job, why string) error {
	l, made, err := b.held(ctx, who, job, "")
	if err != nil {
		return err
	}
	if one := b.leases.find(l.Nonce); one != nil {
		if err := one.log.close(); err != nil {
			return err
		}
		b.leases.drop(l.Nonce)
	}
	return b.endJob(ctx, l, func(tx *db.Tx) error {
		now, err := find(tx, made.ID)
		if err != nil || now.Status.Ended() {
			return err
		}
		_, err = b.cut(tx, now, Fault, Reason{Code: "INTERNAL_SERVICE_ERROR", Text: clip("the runner gave up: "+why, 2000), Do: "retry it; the runner's own log says more"})
		return err
	})
}

// believed holds what a runner says against what it brought and what the
// buildspec names. A runner that says something else than it brought gets a build
// that failed, with the words for it.
func (b *Builds) believed(ctx context.Context, d *performed, t Task, rows []brought) (outs []output, left []Left) {
	no := func(format string, a ...any) {
		if d.reason == nil {
			d.reason = &Reason{Code: "RUNNER_REFUSED", Text: fmt.Sprintf(format, a...), Where: "the runner", Do: "see to the runner: it may not be trusted"}
		}
	}
	came := map[string]brought{}
	for _, r := range rows {
		if r.kind == broughtArtifact {
			came[r.id] = r
		}
	}
	for _, a := range d.Artifacts {
		r, ok := came[a.ID]
		if !ok {
			no("the runner says that it made the artifact%s, and brought none", named(clip(a.ID, 100)))
			continue
		}
		delete(came, a.ID)
		outs = append(outs, output{id: a.ID, name: clip(a.Name, 500), digest: a.Digest, open: func() (io.ReadCloser, error) { return b.config.Blobs.Open(ctx, r.digest) }})
	}
	for id := range came {
		no("the runner brought the artifact%s, and does not say so", named(id))
	}
	status := d.Status
	if !contains([]string{string(tool.Succeeded), string(tool.Failed), string(tool.TimedOut), string(tool.Fault)}, string(status)) {
		no("the runner says that the build is %.40q, which is no end of one", string(status))
	}
	if status == tool.Succeeded {
		for _, a := range t.spec.Artifacts {
			if !slices.ContainsFunc(d.Artifacts, func(m tool.Artifact) bool { return m.ID == a.ID }) {
				no("the buildspec names the artifact%s, and the runner brought none", named(a.ID))
			}
		}
	}
	hidden, _ := hiding(t.Secrets)
	d.Exported = slices.DeleteFunc(d.Exported, func(v tool.Variable) bool {
		return !contains(t.spec.Exported, v.Name) || hidden.String(v.Value) != v.Value || len(v.Value) > 32<<10
	})
	d.Reason, d.Do, d.Where = hidden.String(clip(d.Reason, 2000)), clip(d.Do, 500), clip(d.Where, 100)
	d.Phases = bounded(d.Phases, 2*len(phaseNames))
	d.Reports = slices.DeleteFunc(d.Reports, func(r tool.Report) bool {
		return !slices.ContainsFunc(t.spec.Reports, func(g buildspec.ReportGroup) bool { return g.Name == r.Group && g.Security() == (r.Tests == nil) })
	})
	for _, g := range t.spec.Reports {
		if status == tool.Succeeded && !slices.ContainsFunc(d.Reports, func(r tool.Report) bool { return r.Group == g.Name }) {
			no("the buildspec names the reports %s, and the runner brought none", g.Name)
		}
	}
	return outs, b.leftBrought(ctx, t, rows)
}

// leftBrought are the reports of security tools that a runner brought.
func (b *Builds) leftBrought(ctx context.Context, t Task, rows []brought) (left []Left) {
	for _, r := range rows {
		if r.kind != broughtReport {
			continue
		}
		format := ""
		if i := slices.IndexFunc(t.spec.Reports, func(g buildspec.ReportGroup) bool { return g.Name == r.id }); i >= 0 {
			format = t.spec.Reports[i].Format
		}
		left = append(left, Left{Group: r.id, Format: format, Name: r.name, Open: func() (*os.File, error) { return b.config.Blobs.Open(ctx, r.digest) }})
	}
	return left
}

// Left are the reports of security tools of a task that was done at a place, for a runner to bring.
func (at Room) Left(r tool.Result) []Left { return leftOf(r, at) }

// Outputs are the artifacts of a task that was done at a place, for a runner to bring.
func (at Room) Outputs(r tool.Result) (files map[string]string, err error) {
	files = map[string]string{}
	for _, a := range r.Artifacts {
		if rel, err := filepath.Rel(at.Out, a.File); err != nil || strings.HasPrefix(rel, "..") {
			return nil, fmt.Errorf("the artifact%s lies elsewhere", named(a.ID))
		}
		files[a.ID] = a.File
	}
	return files, nil
}
