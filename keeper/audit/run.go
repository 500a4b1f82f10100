package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/record"
)

// Run writes the reads that wait, once a second and at the end, hands what was
// kept to the journal, notes how far the chains have come, and lets go of what
// is too old.
func (t *Trail) Run(ctx context.Context) error {
	tick := time.NewTicker(batch / 2)
	defer tick.Stop()
	var noted string
	var tidied, anchored time.Time
	for {
		select {
		case <-tick.C:
		case <-t.full:
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			_, err := t.note(ctx, noted)
			return errors.Join(t.Flush(ctx), t.flow(ctx), err)
		}
		err := errors.Join(t.Flush(ctx), t.flow(ctx))
		var failed error
		noted, failed = t.note(ctx, noted)
		if now := t.config.Now(); now.Sub(tidied) > time.Hour {
			err = errors.Join(err, t.tidy(ctx))
			tidied = now
		}
		if now := t.config.Now(); now.Sub(anchored) > time.Minute {
			err = errors.Join(err, t.anchor(ctx))
			anchored = now
		}
		if err := errors.Join(err, failed); err != nil && ctx.Err() == nil {
			t.config.Log.Warn("the audit trail could not be written or handed on: it is tried again", "error", err)
		}
	}
}

// anchor writes down how far the other nodes have come where this one has had
// nothing else to write since, so that no chain's end is without a witness for long.
func (t *Trail) anchor(ctx context.Context) error {
	return t.config.DB.Write(ctx, func(tx *db.Tx) error {
		heads, err := db.All(tx, scanHead, "SELECT "+headColumns+" FROM audit_heads ORDER BY node")
		if err != nil {
			return err
		}
		own, others := t.heads(heads)
		if own.seq == 0 || t.said(t.seen(others)) {
			return nil
		}
		// That another wrote an anchor is no reason for one: two nodes would go on so for ever.
		news := false
		for _, h := range others {
			kind, err := db.One(tx, db.Value[string], "SELECT kind FROM audit_blocks WHERE node = ? AND seq = ?", h.node, h.seq)
			if err != nil && !errors.Is(err, fault.NotFound) {
				return err
			}
			news = news || kind != kindAnchor
		}
		if !news {
			return nil
		}
		now := t.config.Now().UnixMicro()
		return t.link(tx, block{node: own.node, kind: kindAnchor, began: now, ended: now, body: pack(nil)})
	})
}

// flow hands the node's blocks to its journal, in order. One that was handed
// over before a crash is known there by its id.
func (t *Trail) flow(ctx context.Context) error {
	if t.config.Journal == nil {
		return nil
	}
	for {
		some, err := t.unflowed(ctx)
		if err != nil || len(some) == 0 {
			return err
		}
		for _, b := range some {
			if err := t.hand(ctx, b); err != nil {
				return err
			}
		}
		last := some[len(some)-1].seq
		err = t.config.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec("UPDATE audit_heads SET flowed = ? WHERE node = ? AND flowed < ?", last, t.config.Node, last)
			return err
		})
		if err != nil {
			return err
		}
	}
}

func (t *Trail) unflowed(ctx context.Context) (some []block, err error) {
	err = t.config.DB.Read(ctx, func(tx *db.Tx) error {
		some, err = db.All(tx, scanWhole, "SELECT "+blockColumns+", body FROM audit_blocks WHERE node = ? AND seq > (SELECT flowed FROM audit_heads WHERE node = ?) ORDER BY seq LIMIT 100", t.config.Node, t.config.Node)
		return err
	})
	return some, err
}

func (t *Trail) hand(ctx context.Context, b block) error {
	text, err := unpack(b.body)
	if err != nil {
		t.config.Log.Error("a block of the audit trail cannot be read: haechi audit verify tells more", "block", b.seq, "error", err)
		return nil
	}
	var all []record.Record
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		var r struct {
			Time time.Time `json:"eventTime"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			continue // changed in the database: Verify says so
		}
		all = append(all, record.Record{Time: r.Time, Source: "aws.cloudtrail", Text: line, Fields: map[string]string{"from": "haechi"}})
	}
	if err := t.config.Journal.Append(ctx, "audit:"+b.node+":"+b.mac, all...); err != nil {
		return fmt.Errorf("handing the audit trail to the journal: %w", err)
	}
	return nil
}

// tidy lets go of what is too old, and of reads and strangers where there is
// too much, of everything else last.
func (t *Trail) tidy(ctx context.Context) error {
	return t.config.DB.Write(ctx, func(tx *db.Tx) error {
		heads, err := db.All(tx, scanHead, "SELECT "+headColumns+" FROM audit_heads ORDER BY node")
		if err != nil {
			return err
		}
		for _, h := range heads {
			if t.config.Sealer.Signed(purpose, h.signed(), h.seal) != nil {
				continue // somebody touched it: nothing of it goes
			}
			before := t.config.Now().Add(-t.config.Kept).UnixMicro()
			if err := t.forget(tx, &h, before); err != nil {
				return err
			}
			if err := t.thin(tx, h); err != nil {
				return err
			}
		}
		return nil
	})
}

// forget takes the blocks off a chain's beginning that ended before a time; the newest stays.
func (t *Trail) forget(tx *db.Tx, h *head, before int64) error {
	last, err := db.All(tx, scanBlock, "SELECT "+blockColumns+" FROM audit_blocks WHERE node = ? AND seq < (SELECT COALESCE(MIN(seq), ?) FROM audit_blocks WHERE node = ? AND ended >= ?) AND seq < ? ORDER BY seq DESC LIMIT 1", h.node, h.seq, h.node, before, h.seq)
	if err != nil || len(last) == 0 {
		return err
	}
	h.first, h.prev = last[0].seq+1, last[0].mac
	if _, err := tx.Exec("DELETE FROM audit_blocks WHERE node = ? AND seq < ?", h.node, h.first); err != nil {
		return err
	}
	return t.setHead(tx, *h)
}

// thin takes the records out of a chain's oldest reads, then forgets its oldest blocks, until it takes no more than its share.
func (t *Trail) thin(tx *db.Tx, h head) error {
	sizes, err := db.All(tx, scanBlock, "SELECT "+blockColumns+" FROM audit_blocks WHERE node = ? AND size > 0 ORDER BY seq", h.node)
	if err != nil {
		return err
	}
	total := int64(0)
	for _, b := range sizes {
		total += b.size
	}
	if total <= t.config.Most {
		return nil
	}
	for _, b := range sizes {
		if total <= t.config.Most*9/10 {
			break
		}
		if b.kind == kindRead || b.kind == kindStranger {
			total -= b.size
			h.thinned = b.seq + 1
		}
	}
	if _, err := tx.Exec("UPDATE audit_blocks SET body = ?, size = 0 WHERE node = ? AND seq < ? AND kind IN (?, ?)", []byte{}, h.node, h.thinned, kindRead, kindStranger); err != nil {
		return err
	}
	before := int64(0)
	for _, b := range sizes {
		if total <= t.config.Most*9/10 || b.kind == kindRead || b.kind == kindStranger {
			continue
		}
		total -= b.size
		before = b.ended + 1
	}
	if err := t.setHead(tx, h); err != nil || before == 0 {
		return err
	}
	return t.forget(tx, &h, before)
}

// Size is how many records there are, and what they take in bytes.
func (t *Trail) Size(ctx context.Context) (records, bytes int64, err error) {
	err = t.config.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.Each(func(scan db.Scan) error { return scan(&records, &bytes) }, "SELECT COALESCE(SUM(records), 0), COALESCE(SUM(size), 0) FROM audit_blocks")
	})
	return records, bytes, err
}

// Limits are how long records stay, and how many bytes of them.
func (t *Trail) Limits() (time.Duration, int64) { return t.config.Kept, t.config.Most }
