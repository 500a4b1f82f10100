package audit

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// A block is the records that were kept together, and their place in the chain
// of one node.
type block struct {
	node         string
	seq          int64
	kind         string
	began, ended int64 // Unix microseconds: of its first and last record
	records      int64
	anchors      string // how far other chains had come: NODE:SEQ:MAC, one a line
	digest       string // SHA-256 of body
	prev, mac    string
	size         int64
	body         []byte // nil where it was not asked for
}

const (
	blockColumns = "node, seq, kind, began, ended, records, anchors, digest, prev, mac, size"
	purpose      = "audit"
)

func scanBlock(scan db.Scan) (b block, err error) {
	return b, scan(&b.node, &b.seq, &b.kind, &b.began, &b.ended, &b.records, &b.anchors, &b.digest, &b.prev, &b.mac, &b.size)
}

func scanWhole(scan db.Scan) (b block, err error) {
	return b, scan(&b.node, &b.seq, &b.kind, &b.began, &b.ended, &b.records, &b.anchors, &b.digest, &b.prev, &b.mac, &b.size, &b.body)
}

// signed is what a block's signature is of. Its size and its body are not: the
// digest speaks for them, and stays when a body goes for want of room.
func (b *block) signed() []byte {
	return fields("block", b.node, strconv.FormatInt(b.seq, 10), b.kind, strconv.FormatInt(b.began, 10), strconv.FormatInt(b.ended, 10), strconv.FormatInt(b.records, 10), b.anchors, b.digest, b.prev)
}

// A head says where a node's chain begins and ends.
type head struct {
	node    string
	first   int64  // the oldest block that is kept
	prev    string // the signature of the one before it
	seq     int64  // the newest block
	mac     string
	thinned int64 // before this one, reads and strangers may have no body any more
	seal    string
	flowed  int64 // the newest block that is in the journal
}

const headColumns = "node, first, prev, seq, mac, thinned, seal, flowed"

func scanHead(scan db.Scan) (h head, err error) {
	return h, scan(&h.node, &h.first, &h.prev, &h.seq, &h.mac, &h.thinned, &h.seal, &h.flowed)
}

func (h *head) signed() []byte {
	return fields("head", h.node, strconv.FormatInt(h.first, 10), h.prev, strconv.FormatInt(h.seq, 10), h.mac, strconv.FormatInt(h.thinned, 10))
}

// fields are texts, each with its length before it, so that no two lists are written alike.
func fields(all ...string) []byte {
	var b []byte
	for _, text := range all {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return b
}

// add appends a block of entries to the node's own chain.
func (t *Trail) add(tx *db.Tx, kind string, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	text, err := t.lines(entries)
	if err != nil {
		return err
	}
	b := block{node: t.config.Node, kind: kind, records: int64(len(entries)), body: pack(text)}
	b.began, b.ended = entries[0].Time.UnixMicro(), entries[0].Time.UnixMicro()
	for _, e := range entries {
		b.began, b.ended = min(b.began, e.Time.UnixMicro()), max(b.ended, e.Time.UnixMicro())
	}
	if err := t.link(tx, b); err != nil {
		return fmt.Errorf("keeping %s in the audit trail: %w", entries[0].Action, err)
	}
	return nil
}

// link signs b as the next block of its chain and stores it.
func (t *Trail) link(tx *db.Tx, b block) error {
	heads, err := db.All(tx, scanHead, "SELECT "+headColumns+" FROM audit_heads ORDER BY node")
	if err != nil {
		return err
	}
	own, others := t.heads(heads)
	if own, err = t.whole(tx, own); err != nil {
		return err
	}
	b.anchors = t.anchors(tx, others)
	return t.put(tx, own, b)
}

func (t *Trail) put(tx *db.Tx, own head, b block) (err error) {
	sum := sha256.Sum256(b.body)
	b.seq, b.prev, b.digest, b.size = own.seq+1, own.mac, hex.EncodeToString(sum[:]), int64(len(b.body))
	if b.mac, err = t.config.Sealer.Sign(purpose, b.signed()); err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO audit_blocks ("+blockColumns+", body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		b.node, b.seq, b.kind, b.began, b.ended, b.records, b.anchors, b.digest, b.prev, b.mac, b.size, b.body); err != nil {
		return err
	}
	own.seq, own.mac = b.seq, b.mac
	tx.AfterCommit(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.head.seq < b.seq {
			t.head = place{b.seq, b.mac}
		}
	})
	return t.setHead(tx, own)
}

// setHead signs and stores a head.
func (t *Trail) setHead(tx *db.Tx, h head) (err error) {
	if h.seal, err = t.config.Sealer.Sign(purpose, h.signed()); err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO audit_heads ("+headColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (node) DO UPDATE SET first = excluded.first, prev = excluded.prev, seq = excluded.seq, mac = excluded.mac, thinned = excluded.thinned, seal = excluded.seal",
		h.node, h.first, h.prev, h.seq, h.mac, h.thinned, h.seal, h.flowed)
	return err
}

// heads is the node's own head, or that of a chain yet to begin, and the others'.
func (t *Trail) heads(all []head) (own head, others []head) {
	own = head{node: t.config.Node, first: 1}
	for _, h := range all {
		if h.node == own.node {
			own = h
		} else {
			others = append(others, h)
		}
	}
	return own, others
}

func (t *Trail) known() place {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head
}

// whole is a head to go on from. Where it is not what this node signed or
// where the node has seen its chain longer, somebody touched the database, or
// put an older one in its place: a block of its own says so for good, as going
// on from a head that was set back would hide it.
func (t *Trail) whole(tx *db.Tx, own head) (head, error) {
	known := t.known()
	bad := t.config.Sealer.Signed(purpose, own.signed(), own.seal)
	if bad == nil && (own.seq > known.seq || own.seq == known.seq && own.mac == known.mac) {
		return own, nil
	}
	last, err := db.One(tx, scanBlock, "SELECT "+blockColumns+" FROM audit_blocks WHERE node = ? ORDER BY seq DESC LIMIT 1", own.node)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return own, err
	}
	if own.seal == "" && last.seq == 0 && known.seq == 0 {
		return own, nil // it begins
	}
	seq := max(own.seq, last.seq, known.seq)
	t.config.Log.Error("the audit trail is not as this node left it: haechi audit verify tells more", "known", known.seq, "found", own.seq)
	now := t.config.Now().UnixMicro()
	next := own
	next.first, next.seq, next.mac = max(own.first, 1), seq, last.mac
	b := block{node: own.node, kind: kindBreak, began: now, ended: now, body: pack(nil)}
	if known.seq > 0 {
		b.anchors = anchor(own.node, known)
	}
	if err := t.put(tx, next, b); err != nil {
		return own, err
	}
	return db.One(tx, scanHead, "SELECT "+headColumns+" FROM audit_heads WHERE node = ?", own.node)
}

func anchor(node string, p place) string {
	return node + ":" + strconv.FormatInt(p.seq, 10) + ":" + p.mac
}

// anchors say how far the other chains had come, where that is news since this
// node said so last.
func (t *Trail) anchors(tx *db.Tx, others []head) string {
	now := t.seen(others)
	if t.said(now) {
		return ""
	}
	tx.AfterCommit(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.anchored = now
	})
	return now
}

// seen is how far the other chains have come.
func (t *Trail) seen(others []head) string {
	all := make([]string, 0, len(others))
	for _, h := range others {
		if h.seq > 0 {
			all = append(all, anchor(h.node, place{h.seq, h.mac}))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func (t *Trail) said(anchors string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.anchored == anchors
}

// readAnchors is what anchors wrote.
func readAnchors(text string) map[string]place {
	all := map[string]place{}
	for line := range strings.Lines(text) {
		node, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		n, mac, ok := strings.Cut(rest, ":")
		if seq, err := strconv.ParseInt(n, 10, 64); ok && err == nil {
			all[node] = place{seq, mac}
		}
	}
	return all
}

// A body's first byte says how it is packed.
const (
	plain    = 'p'
	deflated = 'd'
	maxBody  = 256 << 20
)

func pack(text []byte) []byte {
	if len(text) > 4<<10 {
		var b bytes.Buffer
		b.WriteByte(deflated)
		w, err := flate.NewWriter(&b, flate.BestSpeed)
		if err == nil {
			_, err = w.Write(text)
		}
		if err == nil && w.Close() == nil {
			return b.Bytes()
		}
	}
	return append([]byte{plain}, text...)
}

// unpack is the records of a body.
func unpack(body []byte) ([]byte, error) {
	switch {
	case len(body) == 0:
		return nil, nil
	case body[0] == plain:
		return body[1:], nil
	case body[0] != deflated:
		return nil, fault.Invalid.Errorf("the records are packed in no way that is known")
	}
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(body[1:])), maxBody))
	if err != nil {
		return nil, fault.Invalid.Errorf("the records cannot be unpacked: %w", err)
	}
	return text, nil
}

func micro(n int64) time.Time { return time.UnixMicro(n).UTC() }
