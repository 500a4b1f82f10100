package pipeline_test

import (
	"context"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// workshop builds for pipelines, on the same queue as everything: what a build does, its
// configuration's ProjectName says. "fail" fails, "sleep" takes until it is stopped, "refuse" is refused; all others take a moment.
type workshop struct {
	db    *db.DB
	bus   *bus.Bus
	queue *work.Work
	took  time.Duration
	make  func(commit string) (digest string, size int64) // what builds make; nil is nothing that could be read
}

const workshopEnded = "Workshop Ended"

func (w *workshop) Start(tx *db.Tx, a pipeline.ActionRequest) (string, error) {
	if a.Configuration["ProjectName"] == "refuse" {
		return "", fault.Invalid.Errorf("there is no project refuse")
	}
	body, err := json.Marshal(a)
	if err != nil {
		return "", err
	}
	return "workshop:" + a.ID, w.queue.Add(tx, work.Job{ID: "workshop:" + a.ID, Kind: "workshop", Body: body})
}

func (w *workshop) Stop(tx *db.Tx, external, _ string) error {
	_, err := w.queue.Stop(tx, external)
	return err
}

func (w *workshop) Events() []string { return []string{workshopEnded} }

func (w *workshop) Ended(e event.Event) (r pipeline.Result, ok bool, err error) {
	return r, true, json.Unmarshal(e.Detail, &r)
}

func (w *workshop) run(ctx context.Context) error {
	end := func(ctx context.Context, l work.Lease, status pipeline.Status) error {
		var a pipeline.ActionRequest
		if err := json.Unmarshal(l.Body, &a); err != nil {
			return err
		}
		r := pipeline.Result{External: l.ID, Action: a.ID, Status: status, Summary: "built", Level: "walls", Variables: map[string]string{"VERSION": a.Commit[:7]}}
		for _, out := range a.Outputs {
			made := pipeline.Artifact{Name: out.Name, Digest: "sha256:" + strings.Repeat("0", 57) + a.Commit[:7], Size: 1}
			if w.make != nil {
				made.Digest, made.Size = w.make(a.Commit)
			}
			r.Artifacts = append(r.Artifacts, made)
		}
		if status == pipeline.Failed {
			r.Summary, r.Reasons = "the build failed", []pipeline.Reason{{Text: "the build failed", Where: "phase build"}}
		}
		detail, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return w.db.Write(ctx, func(tx *db.Tx) error {
			if err := w.queue.Done(tx, l); err != nil {
				return err
			}
			return w.bus.Publish(tx, event.Event{Type: workshopEnded, Source: "test", Account: account, Region: region, Detail: detail})
		})
	}
	return w.queue.Serve(ctx, work.Worker{
		By: "workshop", Kinds: []string{"workshop"},
		Do: func(ctx context.Context, l work.Lease) error {
			var a pipeline.ActionRequest
			if err := json.Unmarshal(l.Body, &a); err != nil {
				return err
			}
			log := w.queue.Log(ctx, l, a.Stream, nil)
			log.Printf("begun: %s %s\n", a.Type, strings.Join(a.Commands, "; "))
			log.Printf("action %s of stage %s\n", a.Action, a.Stage)
			if err := log.Close(); err != nil {
				return err
			}
			took := w.took
			if a.Configuration["ProjectName"] == "sleep" {
				took = time.Hour
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(took):
			}
			if a.Configuration["ProjectName"] == "fail" {
				return end(ctx, l, pipeline.Failed)
			}
			return end(ctx, l, pipeline.Succeeded)
		},
		GiveUp: func(ctx context.Context, l work.Lease, _ error) error { return end(ctx, l, pipeline.Stopped) },
	})
}
