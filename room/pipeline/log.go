package pipeline

import "context"

// stream is where the queue keeps what a run logs.
func stream(run string) string { return "pipeline/" + run }

// Log is what a run has logged from an offset on, a few MiB of it at most, and
// the offset to go on from; done is true when there is no more and will be none.
func (p *Pipelines) Log(ctx context.Context, id string, from int64) (text []byte, next int64, done bool, err error) {
	if _, err := p.Execution(ctx, id); err != nil {
		return nil, 0, false, err
	}
	return p.config.Queue.Read(ctx, stream(id), from)
}

// Follow gives the log from an offset on to take, as it grows, until the run
// has ended, ctx ends or take gives an error.
func (p *Pipelines) Follow(ctx context.Context, id string, from int64, take func(text []byte, next int64) error) error {
	if _, err := p.Execution(ctx, id); err != nil {
		return err
	}
	return p.config.Queue.Follow(ctx, stream(id), from, take)
}
