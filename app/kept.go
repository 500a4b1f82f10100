package app

import (
	"context"

	"github.com/haechi-dev/haechi/door/console"
)

// kept says what takes room on disk, and how long it stays.
func (a *App) kept(ctx context.Context) ([]console.Kept, error) {
	size, err := a.DB.Size(ctx)
	if err != nil {
		return nil, err
	}
	events, err := a.Bus.Stats(ctx)
	if err != nil {
		return nil, err
	}
	return []console.Kept{
		{Name: "state: findings, history, users, rules", Size: size, Count: -1},
		{Name: "events on the bus", For: a.Bus.Retention(), Size: -1, Count: events.Events},
	}, nil
}
