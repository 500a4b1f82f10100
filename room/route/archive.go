package route

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// Archive keeps the events of a bus, so that they can be replayed.
type Archive struct {
	Name        string    `json:"ArchiveName"`
	Bus         string    `json:"bus"`
	Description string    `json:"Description,omitzero"`
	Pattern     string    `json:"EventPattern,omitzero"` // "" keeps everything
	Days        int       `json:"RetentionDays"`         // 0 is for ever
	Created     time.Time `json:"CreationTime"`
	Size        int64     `json:"SizeBytes"`  // when it was read
	Events      int64     `json:"EventCount"` // when it was read
}

func (a *Archive) check() error {
	if err := checkName("archive", a.Name, 48); err != nil {
		return err
	}
	if a.Days < 0 {
		return fault.Invalid.Errorf("archive %s: RetentionDays is less than 0", a.Name)
	}
	if a.Pattern == "" {
		return nil
	}
	_, err := parsePattern(a.Pattern)
	return err
}

func (a *Archive) live() (liveArchive, error) {
	live := liveArchive{name: a.Name}
	var err error
	if a.Pattern != "" {
		live.pattern, err = parsePattern(a.Pattern)
	}
	return live, err
}

// ArchiveARN is the address of an archive.
func (r *Router) ArchiveARN(name string) string { return r.arn("archive/" + name) }

// CreateArchive makes an archive of a bus. It keeps what comes from now on.
func (r *Router) CreateArchive(ctx context.Context, a Archive) (Archive, error) {
	a.Bus = busName(a.Bus)
	if err := a.check(); err != nil {
		return a, err
	}
	err := r.change(ctx, func(tx *db.Tx) error {
		if err := r.busExists(tx, a.Bus); err != nil {
			return err
		}
		if _, err := readArchive(tx, a.Name); fault.Of(err) != fault.NotFound {
			return orElse(err, fault.Exists.Errorf("Archive %s already exists.", a.Name))
		}
		a.Created = r.config.Now()
		return writeArchive(tx, a)
	})
	return a, err
}

// UpdateArchive changes an archive.
func (r *Router) UpdateArchive(ctx context.Context, name string, change func(*Archive)) (a Archive, err error) {
	err = r.change(ctx, func(tx *db.Tx) error {
		if a, err = readArchive(tx, name); err != nil {
			return err
		}
		bus := a.Bus
		change(&a)
		a.Name, a.Bus = name, bus
		if err := a.check(); err != nil {
			return err
		}
		return writeArchive(tx, a)
	})
	return a, err
}

// DeleteArchive deletes an archive and what it keeps.
func (r *Router) DeleteArchive(ctx context.Context, name string) error {
	return r.change(ctx, func(tx *db.Tx) error {
		if _, err := readArchive(tx, name); err != nil {
			return err
		}
		if _, err := tx.Exec("DELETE FROM route_archived WHERE archive = ?", name); err != nil {
			return err
		}
		_, err := tx.Exec("DELETE FROM route_archives WHERE name = ?", name)
		return err
	})
}

// Archive is one archive, with what it holds.
func (r *Router) Archive(ctx context.Context, name string) (a Archive, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		if a, err = readArchive(tx, name); err != nil {
			return err
		}
		return measure(tx, &a)
	})
	return a, err
}

// Archives lists the archives whose names begin with prefix, of one bus if that is not "".
func (r *Router) Archives(ctx context.Context, prefix, bus string, p Page) (list []Archive, next string, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, scanJSON[Archive], "SELECT body FROM route_archives WHERE name >= ? AND name < ? AND name > ? AND (bus = ? OR ? = '') ORDER BY name LIMIT ?",
			prefix, beyond(prefix), p.After, bus, bus, p.limit()+1)
		for i := range list {
			if err == nil {
				err = measure(tx, &list[i])
			}
		}
		return err
	})
	list, next = cut(list, p, func(a Archive) string { return a.Name })
	return list, next, err
}

func measure(tx *db.Tx, a *Archive) error {
	return tx.Each(func(scan db.Scan) error { return scan(&a.Events, &a.Size) },
		"SELECT COUNT(*), COALESCE(SUM(size), 0) FROM route_archived WHERE archive = ?", a.Name)
}

func writeArchive(tx *db.Tx, a Archive) error {
	a.Size, a.Events = 0, 0
	body, err := json.Marshal(a, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO route_archives (name, bus, body) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET bus = excluded.bus, body = excluded.body", a.Name, a.Bus, body)
	return err
}

func readArchive(tx *db.Tx, name string) (Archive, error) {
	a, err := db.One(tx, scanJSON[Archive], "SELECT body FROM route_archives WHERE name = ?", name)
	if fault.Of(err) == fault.NotFound {
		err = fault.NotFound.Errorf("Archive %s does not exist.", name)
	}
	return a, err
}

// archive keeps an arrival in the archives of its bus, unless it is a replay.
func (r *Router) archive(tx *db.Tx, b *liveBus, a arrival) error {
	if a.event.ReplayName != "" {
		return nil
	}
	for _, archive := range b.archives {
		if archive.pattern != nil && !archive.pattern.Match(a.body) {
			continue
		}
		if _, err := tx.Exec("INSERT INTO route_archived (archive, time, id, size, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (archive, time, id) DO NOTHING",
			archive.name, a.event.Time.UnixMicro(), a.event.ID, len(a.body), []byte(a.body)); err != nil {
			return fmt.Errorf("archive %s: %w", archive.name, err)
		}
	}
	return nil
}

// archived is an event where it lies in an archive.
type archived struct {
	time  int64
	id    string
	event event.Event
	body  []byte
}

func scanArchived(scan db.Scan) (a archived, err error) {
	if err := scan(&a.time, &a.id, &a.body); err != nil {
		return a, err
	}
	err = json.Unmarshal(a.body, &a.event)
	return a, err
}
