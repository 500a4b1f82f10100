package app

import (
	"context"

	"github.com/haechi-dev/haechi/door/console"
	"github.com/haechi-dev/haechi/word/finding"
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
	deliveries, err := a.Route.Counts(ctx)
	if err != nil {
		return nil, err
	}
	findings, err := a.Hub.Counts(ctx)
	if err != nil {
		return nil, err
	}
	repositories, err := a.Source.Repositories(ctx, "", mostCounted)
	if err != nil {
		return nil, err
	}
	told, resolved := int64(0), int64(0)
	for _, c := range deliveries {
		told += c.N
	}
	for _, c := range findings {
		if c.Status == finding.Resolved {
			resolved += int64(c.Count)
		}
	}
	records, recorded, err := a.Audit.Size(ctx)
	if err != nil {
		return nil, err
	}
	keep, journal := a.Config.Retention, a.Journal.Stats()
	artifacts, artifactBytes, caches, cacheBytes, err := a.Builds.Size(ctx)
	if err != nil {
		return nil, err
	}
	objects, shelved, shelfMost, err := a.Shelf.Size(ctx)
	if err != nil {
		return nil, err
	}
	logged, err := a.Work.Kept(ctx)
	if err != nil {
		return nil, err
	}
	place := ""
	if a.bucket != nil {
		place = a.bucket.String()
	}
	return []console.Kept{
		{Name: "the database, with all that has no size here", For: -1, Size: size, Count: -1},
		{Name: "events on the bus", For: a.Bus.Retention(), Size: -1, Count: events.Events},
		{Name: "deliveries, and dead letters", For: keep.Deliveries, Size: -1, Count: told},
		{Name: "logs of runs and builds, before they are packed, and results of scans", For: keep.Logs, Size: logged, Count: -1},
		{Name: "artifacts of builds", Place: place, For: keep.Logs, Size: artifactBytes, Count: artifacts},
		{Name: "caches of builds", Place: place, For: -1, Size: cacheBytes, Most: a.Builds.CacheBytes(), Count: caches},
		{Name: "files in buckets", Place: place, For: -1, Size: shelved, Most: shelfMost, Count: objects},
		{Name: "reports of tests and coverage", For: keep.Reports, Size: -1, Count: -1},
		{Name: "log records", For: journal.MaxAge, Size: journal.Bytes, Most: journal.MaxBytes, Count: -1},
		{Name: "the audit trail", For: keep.Audit, Size: recorded, Most: keep.AuditBytes, Count: records},
		{Name: "resolved findings", Size: -1, Count: resolved},
		{Name: "repositories of git", Size: -1, Count: int64(len(repositories))},
	}, nil
}
