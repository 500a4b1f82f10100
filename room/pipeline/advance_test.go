package pipeline

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/event"
)

// errKill is a server that dies before it commits.
var errKill = errors.New("killed")

// storm is a room on a real database in which everything happens in any order, and any transaction may be cut off.
type storm struct {
	*rapid.T
	p      *Pipelines
	name   string       // of the pipeline in this storm
	leases []work.Lease // some of them lost
}

// Whatever comes in whatever order, cut off anywhere: runs of one branch keep their mode's order, no two are in one
// stage, what is at work has one job and one only, a result counts once, each end is told of once, and in the end all have ended.
func TestAdvance(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(bus.Schema(), work.Schema(), Schema())
		log := slog.New(slog.DiscardHandler)
		river := bus.New(d, bus.Config{})
		p := New(Config{DB: d, Bus: river, Queue: work.New(work.Config{DB: d, Log: log}), Account: "111122223333", Region: "eu-west-1", Log: log})
		n := 0
		few(t, map[bool]string{false: "25", true: "8"}[d.Postgres()])
		rapid.Check(t, func(r *rapid.T) {
			n++
			s := &storm{T: r, p: p, name: fmt.Sprint("p", n)}
			s.blow()
		})
	})
}

// few has rapid try so many cases, unless somebody asked for another number.
func few(t *testing.T, checks string) {
	f := flag.Lookup("rapid.checks")
	if f.Value.String() != f.DefValue {
		return
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set("rapid.checks", f.DefValue) })
}

// write is one transaction, which may be cut off.
func (s *storm) write(do func(tx *db.Tx) error) {
	kill := rapid.IntRange(0, 4).Draw(s.T, "kill") == 0
	err := s.p.db.Write(context.Background(), func(tx *db.Tx) error {
		if err := do(tx); err != nil || !kill {
			return err
		}
		return errKill
	})
	if err != nil && !errors.Is(err, errKill) && !errors.Is(err, errRefused) {
		s.Fatal(err)
	}
}

// errRefused is something that one cannot do to a run as it is.
var errRefused = errors.New("refused")

func (s *storm) blow() {
	mode := rapid.SampledFrom([]string{structure.Queued, structure.Superseded, structure.Parallel}).Draw(s.T, "mode")
	for range rapid.IntRange(5, 40).Draw(s.T, "events") {
		switch rapid.IntRange(0, 9).Draw(s.T, "event") {
		case 0, 1:
			s.begin(mode)
		case 2, 3, 4, 5:
			s.work()
		case 6:
			s.decide()
		case 7:
			s.change()
		case 8:
			s.transition()
		case 9: // nothing has happened
			for _, id := range s.all("") {
				s.write(func(tx *db.Tx) error { return s.p.advance(tx, id) })
			}
		}
		s.check(mode)
	}
	s.write(func(tx *db.Tx) error { return nil })
	if _, err := s.exec("DELETE FROM pipeline_transitions"); err != nil {
		s.Fatal(err)
	}
	for rounds := 0; len(s.open()) > 0; rounds++ { // now everything goes well
		if rounds > 200 {
			s.Fatalf("%v never end", s.open())
		}
		for _, id := range s.open() {
			s.write(func(tx *db.Tx) error { return s.p.again(tx, id) })
		}
		for range max(len(s.leases), 1) {
			s.work()
		}
		s.decide()
		s.check(mode)
	}
	s.told()
}

func (s *storm) exec(query string) (n int64, err error) {
	err = s.p.db.Write(context.Background(), func(tx *db.Tx) error { n, err = tx.Exec(query); return err })
	return n, err
}

func (s *storm) begin(mode string) {
	if len(s.open()) > 6 {
		return
	}
	e := drawn(s.T)
	e.ID, e.Pipeline, e.Branch, e.Mode = bus.ID(), s.name, "main", mode
	for i := range e.Stages {
		for j := range e.Stages[i].Actions {
			a := &e.Stages[i].Actions[j]
			a.Type = structure.TypeID{Category: "Test", Owner: "ThirdParty", Provider: "HaechiScan", Version: "1"}
			if a.Runner == runApprove {
				a.Type = structure.TypeID{Category: "Approval", Owner: "AWS", Provider: "Manual", Version: "1"}
			}
		}
	}
	e.Status = Waiting
	s.write(func(tx *db.Tx) error { _, err := s.p.begin(tx, e); return err })
}

func (s *storm) read(query string, args ...any) (all []Execution) {
	err := s.p.db.Read(context.Background(), func(tx *db.Tx) (err error) {
		all, err = db.All(tx, scanRun, query, args...)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return all
}

// all are the ids of the storm's runs, of a status or of any.
func (s *storm) all(status Status) (ids []string) {
	for _, e := range s.read("SELECT body FROM pipeline_runs WHERE pipeline = ? ORDER BY number", s.name) {
		if status == "" || e.Status == status {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

func (s *storm) open() (ids []string) {
	for _, e := range s.read("SELECT body FROM pipeline_runs WHERE pipeline = ? ORDER BY number", s.name) {
		if !e.Status.Ended() {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// work lets a worker take a job, or end one, also one whose lease it has lost.
func (s *storm) work() {
	ctx := context.Background()
	kinds := []string{"Test/ThirdParty/HaechiScan/1", "Rule/AWS/LambdaInvoke/1"}
	for range 3 {
		if l, ok, err := s.p.config.Queue.Claim(ctx, "me", kinds...); err != nil {
			s.Fatal(err)
		} else if ok {
			s.leases = append(s.leases, l)
		}
	}
	if len(s.leases) == 0 {
		return
	}
	i := rapid.IntRange(0, len(s.leases)-1).Draw(s.T, "lease")
	l := s.leases[i]
	if now, err := s.p.config.Queue.Find(ctx, l.ID, l.Nonce); errors.Is(err, work.ErrLost) {
		s.leases = slices.Delete(s.leases, i, i+1) // its holder finds out below
	} else if now.Stopped {
		l.Stopped = true
	}
	if l.Stopped {
		_ = s.p.finish(ctx, l, outcome{status: Abandoned, summary: "stopped"})
		return
	}
	if rapid.IntRange(0, 5).Draw(s.T, "dies") == 0 { // its worker dies; another takes it
		if err := s.p.config.Queue.Release(ctx, l, s.p.config.Now().Add(-1), false); err != nil {
			s.Fatal(err)
		}
		return
	}
	o := outcome{status: rapid.SampledFrom([]Status{Succeeded, Succeeded, Succeeded, Failed}).Draw(s.T, "result"), summary: "done"}
	if o.status == Failed {
		o.reasons = []Reason{{Text: "failed"}}
	}
	var body jobBody
	if err := json.Unmarshal(l.Body, &body); err != nil {
		s.Fatal(err)
	}
	s.write(func(tx *db.Tx) error {
		if err := s.p.config.Queue.Done(tx, l); errors.Is(err, work.ErrLost) {
			return errRefused
		} else if err != nil {
			return err
		}
		return s.p.end(tx, body.Run, l.ID, o)
	})
}

// decide answers a question.
func (s *storm) decide() {
	for _, id := range s.open() {
		e := s.read("SELECT body FROM pipeline_runs WHERE id = ?", id)[0]
		for i := range e.Stages {
			for _, a := range e.Stages[i].Actions {
				if a.Approval == nil || a.Status != InProgress {
					continue
				}
				yes := rapid.IntRange(0, 3).Draw(s.T, "yes") > 0
				s.write(func(tx *db.Tx) error {
					e, err := find(tx, id)
					if err != nil {
						return err
					}
					st := e.Stage(e.Stages[i].Name)
					if err := e.vote(st, st.Action(a.Name), Answer{Who: "arn:bob", Yes: yes}, s.p); err != nil {
						return errRefused
					}
					return s.p.moveOn(tx, e)
				})
				return
			}
		}
	}
}

// change stops a run, tries one again, or overrides a condition.
func (s *storm) change() {
	ids := s.all("")
	if len(ids) == 0 {
		return
	}
	ctx, id := context.Background(), ids[rapid.IntRange(0, len(ids)-1).Draw(s.T, "run")]
	switch rapid.IntRange(0, 3).Draw(s.T, "change") {
	case 0:
		_ = s.p.StopFor(ctx, id, rapid.Bool().Draw(s.T, "abandon"), "", "")
	case 1:
		_, _ = s.p.RetryStage(ctx, id, "", rapid.SampledFrom([]string{structure.FailedActions, structure.AllActions}).Draw(s.T, "mode"))
	default:
		_ = s.p.Override(ctx, id, rapid.SampledFrom([]string{"A", "B", "C"}).Draw(s.T, "stage"), rapid.SampledFrom([]string{BeforeEntry, OnSuccess}).Draw(s.T, "when"), "")
	}
}

func (s *storm) transition() {
	stage := rapid.SampledFrom([]string{"A", "B"}).Draw(s.T, "stage")
	if rapid.Bool().Draw(s.T, "close") {
		s.write(func(tx *db.Tx) error {
			_, err := tx.Exec("INSERT INTO pipeline_transitions (pipeline, stage, kind, reason, who, at) VALUES (?, ?, 'Inbound', 'closed', '', 0) ON CONFLICT (pipeline, stage, kind) DO NOTHING", s.name, stage)
			return err
		})
		return
	}
	s.write(func(tx *db.Tx) error {
		_, err := tx.Exec("DELETE FROM pipeline_transitions WHERE pipeline = ?", s.name)
		return err
	})
}

// check is what holds at every moment.
func (s *storm) check(mode string) {
	runs := s.read("SELECT body FROM pipeline_runs WHERE pipeline = ? ORDER BY number", s.name)
	var jobs []string
	err := s.p.db.Read(context.Background(), func(tx *db.Tx) (err error) {
		jobs, err = db.All(tx, db.Value[string], "SELECT id FROM work_jobs")
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	in, want := map[string]int64{}, []string{}
	for _, e := range runs {
		inOrder(s.T, e)
		for _, st := range e.Stages {
			if st.Status == InProgress && mode != structure.Parallel {
				if other := in[st.Name]; other != 0 {
					s.Fatalf("runs %d and %d are in stage %s", other, e.Number, st.Name)
				}
				in[st.Name] = e.Number
			}
			for _, a := range st.Actions {
				if a.Status == InProgress && e.Status.Ended() {
					s.Fatalf("run %d is %s, and %s is at work", e.Number, e.Status, a.Name)
				}
				if a.Status == InProgress && a.Runner == runScan {
					want = append(want, a.ID)
				}
			}
			for _, c := range []*Condition{st.Entry, st.Success, st.Failure} {
				for i := 0; c != nil && i < len(c.Rules); i++ {
					if r := c.Rules[i]; r.Status == InProgress && r.Type.Provider == "LambdaInvoke" {
						want = append(want, r.ID)
					}
				}
			}
		}
	}
	if mode == structure.Queued {
		s.queued(runs)
	}
	for _, id := range want {
		if !slices.Contains(jobs, id) {
			s.Fatalf("%s is at work, and has no job", id)
		}
	}
	for _, id := range jobs {
		if !slices.Contains(want, id) && s.mine(runs, id) {
			s.Fatalf("job %s is nobody's", id)
		}
	}
}

// queued holds that no run entered a stage before one that had waited for it longer.
func (s *storm) queued(runs []Execution) {
	for i := range runs {
		for j := range runs[:i] {
			older, newer := &runs[j], &runs[i]
			waits := older.Status == Waiting || older.held() >= 0
			if older.Kind == Rollback || newer.Kind == Rollback || !waits || newer.Status.Ended() || newer.Attempt > 1 || older.Attempt > 1 {
				continue
			}
			if older.reached() < newer.reached() {
				s.Fatalf("run %d waits for stage %s, and run %d, which came later, is in %s", older.Number, older.front(), newer.Number, newer.front())
			}
		}
	}
}

// mine tells whether an id is one of these runs'.
func (s *storm) mine(runs []Execution, id string) bool {
	for i := range runs {
		if _, a := runs[i].find(id); a != nil {
			return true
		}
		if _, r := runs[i].rule(id); r != nil {
			return true
		}
	}
	return false
}

// told holds the events against the runs: each run was told to begin first, each end once, and the last word is how it is.
func (s *storm) told() {
	end := event.Event{ID: bus.ID(), Type: "end", Source: "test", Account: "111122223333", Region: "eu-west-1"}
	if err := s.p.db.Write(context.Background(), func(tx *db.Tx) error { return s.p.config.Bus.Publish(tx, end) }); err != nil {
		s.Fatal(err)
	}
	states := map[string][]string{}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	name := bus.ID()
	err := s.p.config.Bus.Follow(ctx, name, func(_ context.Context, e event.Event) error {
		if e.ID == end.ID {
			cancel()
		}
		var d Detail
		if e.Type == Changed {
			if err := json.Unmarshal(e.Detail, &d); err != nil {
				return err
			}
		}
		if d.Pipeline == s.name {
			states[d.ID] = append(states[d.ID], d.State)
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	_ = s.p.config.Bus.Forget(context.Background(), name)
	for _, e := range s.read("SELECT body FROM pipeline_runs WHERE pipeline = ?", s.name) {
		list := states[e.ID]
		if len(list) == 0 || list[len(list)-1] != map[Status]string{Succeeded: "SUCCEEDED", Failed: "FAILED", Stopped: "STOPPED", Superseded: "SUPERSEDED"}[e.Status] {
			s.Fatalf("run %d is %s, and %v was told", e.Number, e.Status, list)
		}
		open := false
		for _, state := range list {
			switch ends := state != "STARTED" && state != "STOPPING"; {
			case ends && !open && state != "SUPERSEDED":
				s.Fatalf("run %d: an end is told twice, or without a beginning: %v", e.Number, list)
			case ends:
				open = false
			case state == "STARTED" && open:
				s.Fatalf("run %d: it is told to begin twice: %v", e.Number, list)
			default:
				open = true
			}
		}
	}
}
