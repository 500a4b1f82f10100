package work

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/haechi-dev/haechi/word/fault"
)

// Worker says how jobs of some kinds are done here.
type Worker struct {
	By       string // who holds what is taken, for people
	Kinds    []string
	Workers  int // jobs at once; 2
	Attempts int // how often a job is tried when it is our fault; 3
	// Do does a job and ends it (Done) in the transaction that keeps its result. ctx ends when the lease is lost,
	// when Stop was asked for, or when the server ends. An error that is not permanent (fault) is tried again.
	Do func(ctx context.Context, l Lease) error
	// GiveUp ends a job that Do has not: why is ErrStopped, or the error of the last attempt.
	GiveUp func(ctx context.Context, l Lease, why error) error
}

// Serve takes jobs and does them until ctx ends.
func (w *Work) Serve(ctx context.Context, s Worker) error {
	if s.Workers <= 0 {
		s.Workers = 2
	}
	if s.Attempts <= 0 {
		s.Attempts = 3
	}
	group, ctx := errgroup.WithContext(ctx)
	for range s.Workers {
		group.Go(func() error { w.serve(ctx, s); return nil })
	}
	return group.Wait()
}

func (w *Work) serve(ctx context.Context, s Worker) {
	for ctx.Err() == nil {
		news := w.Changed()
		l, ok, err := w.Claim(ctx, s.By, s.Kinds...)
		if err != nil && ctx.Err() == nil {
			w.config.Log.Error("looking for work", "err", err)
		}
		if ok {
			w.do(ctx, s, l)
			continue
		}
		select {
		case <-ctx.Done():
		case <-news:
		case <-time.After(w.config.Poll/2 + rand.N(w.config.Poll)):
		}
	}
}

// do does one job, under a heartbeat.
func (w *Work) do(ctx context.Context, s Worker, l Lease) {
	jobCtx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		w.beat(jobCtx, l, cancel)
	}()
	err := guard(func() error {
		if l.Stopped {
			cancel(ErrStopped)
			return ErrStopped
		}
		return s.Do(jobCtx, l)
	})
	cause := context.Cause(jobCtx)
	cancel(nil)
	<-over

	// What is to be said of the job is said even when we are to end.
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	switch {
	case err == nil, errors.Is(err, ErrLost), errors.Is(cause, ErrLost):
		err = nil
	case errors.Is(cause, ErrStopped):
		err = s.GiveUp(ctx, l, ErrStopped)
	case cause != nil: // the server ends
		err = w.Release(ctx, l, time.UnixMicro(0), false)
	case !fault.Permanent(err) && l.Attempt < s.Attempts:
		w.config.Log.Warn("a job is tried again", "job", l.ID, "attempt", l.Attempt, "err", err)
		err = w.Release(ctx, l, w.config.Now().Add(time.Duration(l.Attempt)*w.config.Poll), true)
	default:
		w.config.Log.Error("a job failed", "job", l.ID, "attempt", l.Attempt, "err", err)
		err = s.GiveUp(ctx, l, err)
	}
	if err != nil && !errors.Is(err, ErrLost) {
		w.config.Log.Error("ending a job", "job", l.ID, "err", err)
	}
}

// beat keeps the lease, and ends the job when it is lost or its end was asked for.
func (w *Work) beat(ctx context.Context, l Lease, cancel context.CancelCauseFunc) {
	renewed := w.config.Now()
	for {
		news := w.Changed()
		select {
		case <-ctx.Done():
			return
		case <-news:
		case <-time.After(w.config.Lease / 3):
		}
		stopped, err := w.look(ctx, l, &renewed)
		switch {
		case errors.Is(err, ErrLost):
			cancel(ErrLost)
			return
		case err == nil && stopped:
			cancel(ErrStopped)
			return
		case err != nil && ctx.Err() == nil && w.config.Now().Sub(renewed) > w.config.Lease:
			cancel(ErrLost) // it may be another's by now: better to stop than to do it twice
			return
		}
	}
}

// look renews the lease when a third of it has gone, and otherwise only reads how the job stands.
func (w *Work) look(ctx context.Context, l Lease, renewed *time.Time) (stopped bool, err error) {
	now := w.config.Now()
	if now.Sub(*renewed) < w.config.Lease/3 {
		found, err := w.Find(ctx, l.ID, l.Nonce)
		return found.Stopped, err
	}
	stopped, err = w.Renew(ctx, l)
	if err == nil {
		*renewed = now
	}
	return stopped, err
}

// guard makes a panic the error of the one job that it is in.
func guard(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it broke: %v\n%s", r, debug.Stack())
		}
	}()
	return do()
}
