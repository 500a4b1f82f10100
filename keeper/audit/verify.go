package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
)

// A Problem is where the trail is not as it was written.
type Problem struct {
	Node string
	Seq  int64     // the block; 0 for the chain as a whole
	Time time.Time // of the block, or of the one before what is missing; zero where it is not known
	What string
}

// String is one line for people.
func (p Problem) String() string {
	where := "node " + p.Node
	if p.Seq > 0 {
		where += fmt.Sprintf(", block %d", p.Seq)
	}
	if !p.Time.IsZero() {
		where += ", " + p.Time.UTC().Format(time.RFC3339)
	}
	return where + ": " + p.What
}

// A Report is what Verify found.
type Report struct {
	Chains   []Chain
	Problems []Problem // at most 1,000
	More     int       // problems besides
}

// A Chain is one node's, as far as it is there.
type Chain struct {
	Head
	First    int64
	From, To time.Time // of the records
	Blocks   int64
	Records  int64
}

const mostProblems = 1000

// Verify reads every chain from its beginning and says what is wrong: blocks
// that are missing, at the end, in the middle or altogether; that were changed
// or stand elsewhere than they were written; and chains that are shorter than
// another node, or one of the heads that were noted, has seen them.
func Verify(ctx context.Context, d *db.DB, s *seal.Sealer, noted ...Head) (Report, error) {
	v := &verifier{sealer: s, seen: map[string][]sighting{}}
	for _, h := range noted {
		v.seen[h.Node] = append(v.seen[h.Node], sighting{place{h.Seq, h.MAC}, "a note that was kept outside of the database"})
	}
	err := d.Read(ctx, func(tx *db.Tx) error { return v.all(tx) })
	slices.SortStableFunc(v.report.Problems, func(a, b Problem) int {
		return strings.Compare(a.Node, b.Node)
	})
	return v.report, err
}

// Verify is Verify for the trail's own installation, held against what is noted in its folder.
func (t *Trail) Verify(ctx context.Context) (Report, error) {
	noted, err := ReadHeads(t.config.Folder)
	if err != nil {
		return Report{}, err
	}
	return Verify(ctx, t.config.DB, t.config.Sealer, noted...)
}

type verifier struct {
	sealer *seal.Sealer
	report Report
	seen   map[string][]sighting // how far chains had come, by node
}

// sighting is a block of a chain that somebody has seen.
type sighting struct {
	place
	by string
}

func (v *verifier) problem(node string, seq int64, at int64, format string, a ...any) {
	if len(v.report.Problems) == mostProblems {
		v.report.More++
		return
	}
	p := Problem{Node: node, Seq: seq, What: fmt.Sprintf(format, a...)}
	if at > 0 {
		p.Time = micro(at)
	}
	v.report.Problems = append(v.report.Problems, p)
}

func (v *verifier) all(tx *db.Tx) error {
	heads, err := db.All(tx, scanHead, "SELECT "+headColumns+" FROM audit_heads ORDER BY node")
	if err != nil {
		return err
	}
	nodes, err := db.All(tx, db.Value[string], "SELECT DISTINCT node FROM audit_blocks ORDER BY node")
	if err != nil {
		return err
	}
	if err := v.sightings(tx); err != nil {
		return err
	}
	for _, h := range heads {
		nodes = append(nodes, h.node)
	}
	for node := range v.seen {
		nodes = append(nodes, node)
	}
	slices.Sort(nodes)
	for _, node := range slices.Compact(nodes) {
		h := head{node: node}
		if i := slices.IndexFunc(heads, func(h head) bool { return h.node == node }); i >= 0 {
			h = heads[i]
		}
		if err := v.chain(tx, h); err != nil {
			return err
		}
	}
	return nil
}

// sightings are what each node saw of the others last, and, where it found its
// own chain other than it had left it, of itself.
func (v *verifier) sightings(tx *db.Tx) error {
	newest := map[string]sighting{} // by who saw whom
	err := tx.Each(func(scan db.Scan) error {
		b, err := scanBlock(scan)
		if err != nil || v.sealer.Signed(purpose, b.signed(), b.mac) != nil {
			return err // a changed block is told of where it stands
		}
		for node, at := range readAnchors(b.anchors) {
			key := b.node + " " + node
			if b.kind == kindBreak {
				key += fmt.Sprint(" ", b.seq)
			}
			newest[key] = sighting{at, fmt.Sprintf("block %d of node %s", b.seq, b.node)}
		}
		return nil
	}, "SELECT "+blockColumns+" FROM audit_blocks WHERE anchors <> '' ORDER BY node, seq")
	for key, s := range newest {
		node := strings.Fields(key)[1]
		v.seen[node] = append(v.seen[node], s)
	}
	return err
}

// links is how far the reading of one chain has come.
type links struct {
	head
	sealed bool // the head is as it was signed
	last   block
	found  map[int64]string // signatures of the blocks that somebody saw
	wanted map[int64]bool
	counts Chain
}

func (v *verifier) chain(tx *db.Tx, h head) error {
	l := &links{head: h, found: map[int64]string{}, wanted: map[int64]bool{}}
	for _, s := range v.seen[h.node] {
		l.wanted[s.seq] = true
	}
	switch err := v.sealer.Signed(purpose, h.signed(), h.seal); {
	case h.seal == "":
	case err != nil:
		v.problem(h.node, 0, 0, "its head, which says where the chain begins and ends: %v", err)
	default:
		l.sealed = true
		l.last = block{seq: h.first - 1, mac: h.prev}
	}
	err := tx.Each(func(scan db.Scan) error {
		b, err := scanWhole(scan)
		if err != nil {
			return err
		}
		v.block(l, b)
		return nil
	}, "SELECT "+blockColumns+", body FROM audit_blocks WHERE node = ? ORDER BY seq", h.node)
	if err != nil {
		return err
	}
	v.end(l)
	return nil
}

// block holds one block against the one before it.
func (v *verifier) block(l *links, b block) {
	first := l.counts.Blocks == 0
	switch {
	case first && !l.sealed:
	case b.seq != l.last.seq+1:
		v.problem(b.node, l.last.seq+1, l.last.ended, "%s missing before %s", blocks(b.seq-l.last.seq-1), micro(b.began).Format(time.RFC3339))
	case b.prev != l.last.mac:
		v.problem(b.node, b.seq, b.ended, "it does not follow the block before it: one of them was changed or stood elsewhere")
	}
	sum := sha256.Sum256(b.body)
	switch err := v.sealer.Signed(purpose, b.signed(), b.mac); {
	case errors.Is(err, seal.UnknownKey):
		v.problem(b.node, b.seq, b.ended, "it was signed under a root key that is not here")
	case err != nil:
		v.problem(b.node, b.seq, b.ended, "it was changed, or stood elsewhere")
	case len(b.body) == 0 && b.seq < l.thinned && (b.kind == kindRead || b.kind == kindStranger): // for want of room
	case len(b.body) == 0:
		v.problem(b.node, b.seq, b.ended, "its %d records were taken out", b.records)
	case hex.EncodeToString(sum[:]) != b.digest:
		v.problem(b.node, b.seq, b.ended, "its records were changed")
	case b.kind == kindBreak:
		v.problem(b.node, b.seq, b.ended, "the node found its chain other than it had left it, and went on from here")
	}
	if l.wanted[b.seq] {
		l.found[b.seq] = b.mac
	}
	if first {
		l.counts = Chain{First: b.seq, From: micro(b.began)}
	}
	l.counts.Blocks++
	l.counts.Records += b.records
	l.counts.To = micro(max(b.ended, l.last.ended))
	b.body = nil
	l.last = b
}

// end holds the end of a chain against what its head and others say of it.
func (v *verifier) end(l *links) {
	switch {
	case l.counts.Blocks == 0:
	case l.seal == "":
		v.problem(l.node, 0, 0, "its head is missing, which says where the chain begins and ends")
	case l.sealed && l.head.seq < l.last.seq:
		v.problem(l.node, l.head.seq+1, l.last.ended, "the head was set back: it ends before the last %s", blocks(l.last.seq-l.head.seq))
	}
	if l.sealed && l.head.seq > l.last.seq {
		v.problem(l.node, l.last.seq+1, l.last.ended, "the end was cut off: %s missing", blocks(l.head.seq-l.last.seq))
	}
	if l.counts.Blocks > 0 {
		l.counts.Head = Head{l.node, l.last.seq, l.last.mac}
		v.report.Chains = append(v.report.Chains, l.counts)
	}
	for _, s := range v.seen[l.node] {
		v.sighted(l, s)
	}
}

func (v *verifier) sighted(l *links, s sighting) {
	switch mac, ok := l.found[s.seq]; {
	case ok && mac == s.mac:
	case ok:
		v.problem(l.node, s.seq, 0, "%s saw another block here: an older state was put back and went on, or it was written anew", s.by)
	case l.counts.Blocks == 0:
		v.problem(l.node, 0, 0, "the whole chain is missing: %s saw its block %d", s.by, s.seq)
	case s.seq > l.last.seq:
		v.problem(l.node, l.last.seq+1, l.last.ended, "the chain ends here, and %s saw its block %d: the end was cut off, or an older state was put back", s.by, s.seq)
	case s.seq < l.first || s.seq < l.counts.First: // it went for its age
	}
	// What is missing in the middle is told of there.
}

func blocks(n int64) string {
	if n == 1 {
		return "1 block is"
	}
	return fmt.Sprintf("%d blocks are", n)
}
