package hub

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/finding"
)

// node is a claim of a finding, and the problem that it is tied to, if it is.
type node struct {
	row   *row
	claim claim
	tie   *tied
}

func (n *node) key() nodeKey { return nodeKey{n.row.seq, n.claim.name} }

type nodeKey struct {
	finding int64
	claim   string
}

// tied is what is kept of a claim that is part of a problem.
type tied struct {
	problem      int64 // negative until it has a number
	kind, reason string
	other        int64 // the finding that it was held against
	who          string
	at           int64
	dirty        bool
}

const (
	maxMarked    = 100 // findings with one mark; what has more of it is told by something else
	maxWitnesses = 200 // of one problem
)

// claimed notes that what a finding says is wrong is new, or is said in another way.
func (b *batch) claimed(r *row, f *finding.Finding) {
	switch {
	case r.isNew():
		b.claims = append(b.claims, r)
	case !sameClaims(&r.finding, f):
		b.claims = append(b.claims, r)
		if b.unclaimed == nil {
			b.unclaimed = map[*row]bool{}
		}
		b.unclaimed[r] = true
	}
}

// claimFields are the product fields that claims are made of.
var claimFields = [...]string{finding.FieldTarget, finding.FieldFile, finding.FieldLine, finding.FieldCWE, finding.FieldSecret, finding.FieldPackage, finding.FieldInstalled, finding.FieldExcerpt, "haechi/purl", "haechi/places", "haechi/report/parameter"}

func sameClaims(a, b *finding.Finding) bool {
	for _, name := range claimFields {
		if a.ProductFields[name] != b.ProductFields[name] {
			return false
		}
	}
	return slices.EqualFunc(a.Vulnerabilities, b.Vulnerabilities, func(v, w finding.Vulnerability) bool {
		return v.ID == w.ID && slices.Equal(v.Related, w.Related) && slices.EqualFunc(v.Packages, w.Packages, func(p, q finding.Package) bool { return p.Name == q.Name && p.Version == q.Version })
	})
}

// knot is the work of tying the claims of one batch.
type knot struct {
	*batch
	nodes    map[nodeKey]*node
	marked   map[int64][]*node // by the hash of a mark
	problems map[int64][]*node
	untied   map[nodeKey]bool
	gone     []nodeKey
	refs     []*row // those that were asked for
	fresh    int64  // problems without a number
}

func (b *batch) knot() *knot {
	return &knot{batch: b, nodes: map[nodeKey]*node{}, marked: map[int64][]*node{}, problems: map[int64][]*node{}, untied: map[nodeKey]bool{}}
}

// tieClaims writes down what the findings of the batch claim, and ties those that others claim too.
func (b *batch) tieClaims() error {
	if len(b.claims) == 0 {
		return nil
	}
	k := b.knot()
	var changed []int64
	var work []*node
	done := map[*row]bool{}
	for _, r := range b.claims {
		if done[r] || r.seq == 0 {
			continue
		}
		done[r] = true
		if b.unclaimed[r] {
			changed = append(changed, r.seq)
		}
		for _, c := range claimsOf(&r.finding) {
			work = append(work, &node{row: r, claim: c})
		}
	}
	if err := k.forget(changed); err != nil {
		return err
	}
	if err := k.lookUp(work); err != nil {
		return err
	}
	k.loosen(changed)
	work, err := k.mark(work)
	if err != nil {
		return err
	}
	for _, n := range work {
		k.join(n)
	}
	return k.store()
}

// forget takes back the marks of findings that say something else now.
func (k *knot) forget(seqs []int64) error {
	for part := range slices.Chunk(seqs, chunk) {
		if _, err := k.tx.Exec("DELETE FROM hub_marks WHERE finding IN ("+marks(len(part))+")", anys(part)...); err != nil {
			return fmt.Errorf("writing marks: %w", err)
		}
	}
	return nil
}

// lookUp reads what else has the marks of the work, and what that is tied to.
func (k *knot) lookUp(work []*node) error {
	var hashes []int64
	seen := map[int64]bool{}
	for _, n := range work {
		for _, m := range n.claim.marks {
			if h := m.hash(); !seen[h] {
				seen[h] = true
				hashes = append(hashes, h)
			}
		}
	}
	var found []nodeKey
	var at []int64
	for part := range slices.Chunk(hashes, chunk) {
		if _, err := db.All(k.tx, func(scan db.Scan) (x struct{}, err error) {
			var key nodeKey
			var hash int64
			err = scan(&hash, &key.finding, &key.claim)
			found, at = append(found, key), append(at, hash)
			return x, err
		}, "SELECT mark, finding, claim FROM hub_marks WHERE mark IN ("+marks(len(part))+")", anys(part)...); err != nil {
			return fmt.Errorf("reading marks: %w", err)
		}
	}
	for _, n := range work {
		if k.unclaimed[n.row] {
			found = append(found, n.key())
		}
	}
	for r := range k.unclaimed {
		found = append(found, nodeKey{r.seq, ""})
	}
	if err := k.load(found); err != nil {
		return err
	}
	for i, hash := range at {
		if n := k.nodes[found[i]]; n != nil {
			k.marked[hash] = append(k.marked[hash], n)
		}
	}
	for _, list := range k.marked {
		slices.SortFunc(list, compareNodes)
	}
	return nil
}

// load reads claims, the problems they are tied to with all that is in these, and which of them were untied.
func (k *knot) load(keys []nodeKey) error {
	var seqs []int64
	seen := map[int64]bool{}
	for _, key := range keys {
		if !seen[key.finding] {
			seen[key.finding] = true
			seqs = append(seqs, key.finding)
		}
	}
	if len(seqs) == 0 {
		return nil
	}
	type member struct {
		nodeKey
		tied
	}
	var members []member
	var problems []int64
	for part := range slices.Chunk(seqs, chunk) {
		some, err := db.All(k.tx, db.Value[int64], "SELECT problem FROM hub_ties WHERE finding IN ("+marks(len(part))+")", anys(part)...)
		if err != nil {
			return fmt.Errorf("reading ties: %w", err)
		}
		problems = append(problems, some...)
		if _, err := db.All(k.tx, func(scan db.Scan) (x struct{}, err error) {
			var key nodeKey
			err = scan(&key.finding, &key.claim)
			k.untied[key] = true
			return x, err
		}, "SELECT finding, claim FROM hub_untied WHERE finding IN ("+marks(len(part))+")", anys(part)...); err != nil {
			return fmt.Errorf("reading what was untied: %w", err)
		}
	}
	slices.Sort(problems)
	for part := range slices.Chunk(slices.Compact(problems), chunk) {
		list, err := db.All(k.tx, func(scan db.Scan) (m member, err error) {
			return m, scan(&m.finding, &m.claim, &m.problem, &m.kind, &m.reason, &m.other, &m.who, &m.at)
		}, "SELECT finding, claim, problem, kind, reason, other, who, at FROM hub_ties WHERE problem IN ("+marks(len(part))+")", anys(part)...)
		if err != nil {
			return fmt.Errorf("reading ties: %w", err)
		}
		members = append(members, list...)
	}
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.finding, b.finding), cmp.Compare(a.claim, b.claim))
	})
	for _, m := range members {
		if !seen[m.finding] {
			seen[m.finding] = true
			seqs = append(seqs, m.finding)
		}
	}
	rows, err := k.bySeq(seqs)
	if err != nil {
		return err
	}
	bySeq := map[int64]*row{}
	for _, r := range rows {
		bySeq[r.seq] = r
	}
	add := func(key nodeKey) *node {
		r := bySeq[key.finding]
		if r == nil || k.nodes[key] != nil {
			return k.nodes[key]
		}
		n := &node{row: r, claim: claimNamed(&r.finding, key.claim)}
		k.nodes[key] = n
		return n
	}
	for _, key := range keys {
		add(key)
	}
	for _, m := range members {
		if n := add(m.nodeKey); n != nil && n.tie == nil {
			t := m.tied
			n.tie = &t
			k.problems[t.problem] = append(k.problems[t.problem], n)
		}
	}
	return nil
}

func claimNamed(f *finding.Finding, name string) claim {
	for _, c := range claimsOf(f) {
		if c.name == name {
			return c
		}
	}
	return claim{name: name}
}

// loosen unties findings that say something else now: what they were tied for may be true no more. What
// people tied, and what is tied for its place, stays: code moves at each scan, and not for all tools at once.
func (k *knot) loosen(seqs []int64) {
	changed := map[int64]bool{}
	for _, seq := range seqs {
		changed[seq] = true
	}
	var loose []*node
	for key, n := range k.nodes {
		byPlace := n.tie != nil && len(n.claim.marks) > 0 && (n.tie.kind == TieWeakness || n.tie.kind == TieRoute)
		if changed[key.finding] && n.tie != nil && n.tie.who == "" && !byPlace {
			loose = append(loose, n)
		}
	}
	slices.SortFunc(loose, compareNodes)
	for _, n := range loose {
		if n.tie != nil {
			k.leave(n)
		}
	}
}

func compareNodes(a, b *node) int {
	return cmp.Or(cmp.Compare(a.row.seq, b.row.seq), cmp.Compare(a.claim.name, b.claim.name))
}

// mark writes the marks of the work, and gives those nodes that have one.
func (k *knot) mark(work []*node) (marked []*node, err error) {
	type row struct {
		hash int64
		nodeKey
	}
	var rows []row
	for _, n := range work {
		if known := k.nodes[n.key()]; known != nil {
			known.claim = n.claim
			n = known
		}
		k.nodes[n.key()] = n
		written := false
		for _, m := range n.claim.marks {
			hash := m.hash()
			if len(k.marked[hash]) >= maxMarked {
				continue
			}
			written = true
			k.marked[hash] = append(k.marked[hash], n)
			rows = append(rows, row{hash, n.key()})
		}
		if written {
			marked = append(marked, n)
		}
	}
	return marked, insert(k.tx, "hub_marks", "mark, finding, claim", "ON CONFLICT (mark, finding, claim) DO NOTHING", len(rows), func(i int) []any {
		return []any{rows[i].hash, rows[i].finding, rows[i].claim}
	})
}

// join ties a claim to those that say the same.
func (k *knot) join(n *node) {
	if k.untied[n.key()] {
		return
	}
	alike, groups, first := k.partners(n)
	if len(alike) == 0 || !fit(groups) {
		return
	}
	union := slices.Concat(groups...)
	if !slices.Contains(union, n) {
		union = append(union, n)
	}
	if len(union) > maxWitnesses || !worth(union, first) {
		return
	}
	for _, m := range k.bind(union) {
		j, other := first, n
		switch {
		case m == n:
			other = alike[0]
		case slices.Contains(alike, m):
			j = judge(n, m)
		}
		m.tie.kind, m.tie.reason, m.tie.other, m.tie.at = j.kind, j.reason, other.row.seq, k.at.UnixMicro()
	}
}

// bind makes nodes one problem, the oldest of those that they are of already or else a new one, and gives
// those that were of none.
func (k *knot) bind(union []*node) (added []*node) {
	problem := int64(0)
	for _, m := range union {
		if m.tie != nil && (problem == 0 || (m.tie.problem > 0) == (problem > 0) && m.tie.problem < problem || m.tie.problem > 0 && problem < 0) {
			problem = m.tie.problem
		}
	}
	if problem == 0 {
		k.fresh++
		problem = -k.fresh
	}
	for _, m := range union {
		switch {
		case m.tie == nil:
			m.tie = &tied{problem: problem, dirty: true}
			added = append(added, m)
		case m.tie.problem != problem:
			delete(k.problems, m.tie.problem)
			m.tie.problem, m.tie.dirty = problem, true
		}
	}
	k.problems[problem] = union
	return added
}

// partners are the claims that say the same as n, in the groups that are one problem already; those that hold
// something that says it is another thing are not among them.
func (k *knot) partners(n *node) (alike []*node, groups [][]*node, first judgement) {
	seen := map[*node]bool{n: true}
	barred := map[int64]bool{}
	var candidates []*node
	for _, m := range n.claim.marks {
		for _, o := range k.marked[m.hash()] {
			if seen[o] || o.row == n.row || k.untied[o.key()] {
				continue
			}
			seen[o] = true
			switch j := judge(n, o); {
			case j.verdict == same:
				candidates = append(candidates, o)
			case j.verdict == differ && o.tie != nil:
				barred[o.tie.problem] = true
			}
		}
	}
	in := map[int64]bool{}
	if n.tie != nil {
		in[n.tie.problem] = true
		groups = append(groups, k.problems[n.tie.problem])
	}
	for _, o := range candidates {
		if o.tie != nil && barred[o.tie.problem] {
			continue
		}
		if len(alike) == 0 {
			first = judge(n, o)
		}
		alike = append(alike, o)
		switch {
		case o.tie == nil:
			groups = append(groups, []*node{o})
		case !in[o.tie.problem]:
			in[o.tie.problem] = true
			groups = append(groups, k.problems[o.tie.problem])
		}
	}
	return alike, groups, first
}

// fit tells whether groups can be one problem: whether nothing in one says that it is not what is in another.
func fit(groups [][]*node) bool {
	for i, g := range groups {
		for _, h := range groups[i+1:] {
			for _, x := range g {
				for _, y := range h {
					if judge(x, y).verdict == differ {
						return false
					}
				}
			}
		}
	}
	return true
}

// worth tells whether there is anything to tie: several tools say it. A tool that reports two things holds
// them to be two; only a secret is one wherever it stands.
func worth(union []*node, j judgement) bool {
	if j.kind == TieSecret {
		return true
	}
	for _, n := range union {
		if n.tie != nil && n.tie.who != "" || toolOf(n) != toolOf(union[0]) {
			return true
		}
	}
	return false
}

func toolOf(n *node) string {
	return cmp.Or(n.row.finding.ProductFields[finding.FieldTool], n.row.finding.ProductARN)
}

// leave takes a claim out of its problem. What is left falls apart where only the one that went held it together.
func (k *knot) leave(n *node) {
	problem := n.tie.problem
	rest := slices.DeleteFunc(slices.Clone(k.problems[problem]), func(m *node) bool { return m == n })
	k.gone = append(k.gone, n.key())
	n.tie = nil
	k.problems[problem] = nil
	kept := false
	for _, part := range components(rest) {
		kind := judgement{kind: part[0].tie.kind}
		if len(part) < 2 || !worth(part, kind) {
			for _, m := range part {
				k.gone = append(k.gone, m.key())
				m.tie = nil
			}
			continue
		}
		id := problem
		if kept {
			k.fresh++
			id = -k.fresh
		}
		kept = true
		for _, m := range part {
			if m.tie.problem != id {
				m.tie.problem, m.tie.dirty = id, true
			}
		}
		k.problems[id] = part
	}
}

// components parts nodes by what ties them to each other.
func components(nodes []*node) (parts [][]*node) {
	done := map[*node]bool{}
	for _, start := range nodes {
		if done[start] {
			continue
		}
		done[start] = true
		part := []*node{start}
		for i := 0; i < len(part); i++ {
			for _, o := range nodes {
				if x := part[i]; !done[o] && (x.tie.other == o.row.seq || o.tie.other == x.row.seq || judge(x, o).verdict == same) {
					done[o] = true
					part = append(part, o)
				}
			}
		}
		parts = append(parts, part)
	}
	return parts
}

// store writes the ties that came, changed and went.
func (k *knot) store() error {
	for _, key := range k.gone {
		if _, err := k.tx.Exec("DELETE FROM hub_ties WHERE finding = ? AND claim = ?", key.finding, key.claim); err != nil {
			return fmt.Errorf("writing ties: %w", err)
		}
	}
	var list []*node
	for _, n := range k.nodes {
		if n.tie != nil && n.tie.dirty {
			list = append(list, n)
		}
	}
	if len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, compareNodes)
	last := int64(0)
	if k.fresh > 0 {
		var err error
		if last, err = next(k.tx, "problem", int(k.fresh)); err != nil {
			return err
		}
	}
	return insert(k.tx, "hub_ties", "finding, claim, problem, kind, reason, other, who, at",
		"ON CONFLICT (finding, claim) DO UPDATE SET problem = excluded.problem, kind = excluded.kind, reason = excluded.reason, other = excluded.other, who = excluded.who, at = excluded.at", len(list), func(i int) []any {
			n := list[i]
			t := n.tie
			problem := t.problem
			if problem < 0 {
				problem = last - k.fresh - problem // -1 is the first of them
			}
			return []any{n.row.seq, n.claim.name, problem, t.kind, clean(finding.Shorten(t.reason, 1024)), t.other, clean(t.who), t.at}
		})
}

// tieStored ties findings that were stored before there were ties, the newest first, some hundred a time;
// it tells whether there are more.
func (b *batch) tieStored() (more bool, err error) {
	left, err := db.One(b.tx, db.Value[int64], "SELECT value FROM hub_counters WHERE name = 'unclaimed'")
	if err != nil || left <= 0 {
		return false, err
	}
	from := max(left-importChunk, 0)
	seqs, err := db.All(b.tx, db.Value[int64], "SELECT seq FROM hub_findings WHERE seq > ? AND seq <= ? ORDER BY seq", from, left)
	if err != nil {
		return false, err
	}
	if b.claims, err = b.bySeq(seqs); err != nil {
		return false, err
	}
	if err := b.tieClaims(); err != nil {
		return false, err
	}
	b.claims = nil
	_, err = b.tx.Exec("UPDATE hub_counters SET value = ? WHERE name = 'unclaimed'", from)
	return from > 0, err
}
