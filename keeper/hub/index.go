package hub

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// index is what queries look at first: some fifty bytes a finding, in columns.
// What few values occur of is kept once: a row's class stands for its
// product, account, region, severity and states together, so that a query
// decides each class once and then reads one number a row.
//
// It follows the database by rev, and so on every node: whoever is about to
// ask reads, in the same transaction, what was changed since.
type index struct {
	loading sync.Mutex   // one loads at a time; taken before mu
	warm    atomic.Bool  // it was brought up to date once; from then on that is quick
	seen    atomic.Int64 // the rev up to which it knows everything

	mu        sync.RWMutex
	class     []uint32 // by seq-1; 0 is no finding
	generator []uint32
	types     []uint32
	resources []uint32
	id        []uint64                     // hash of the Id
	times     [len(timeAttributes)][]int64 // microseconds; unknown is the least

	classRows  []int // how many rows each class has
	classes    dictionary
	generators dictionary
	typeLists  dictionary
	resLists   dictionary

	rankings [len(timeAttributes)]ranking
	ids      resourceIDs
	spare    sync.Pool // of looks' notes
}

// timeAttributes are the times that the index keeps, in the order in which they are written.
var timeAttributes = [...]string{"CreatedAt", "UpdatedAt", "FirstObservedAt", "LastObservedAt"}

// dictionary keeps each text once, under a number. 0 is the empty text.
type dictionary struct {
	numbers map[string]uint32
	texts   []string
}

func newDictionary() dictionary {
	return dictionary{numbers: map[string]uint32{"": 0}, texts: []string{""}}
}

func (d *dictionary) number(text []byte) uint32 {
	if n, ok := d.numbers[string(text)]; ok {
		return n
	}
	n := uint32(len(d.texts))
	s := string(text)
	d.texts = append(d.texts, s)
	d.numbers[s] = n
	return n
}

func newIndex() *index {
	ix := &index{classes: newDictionary(), generators: newDictionary(), typeLists: newDictionary(), resLists: newDictionary()}
	ix.rankings[slices.Index(timeAttributes[:], "UpdatedAt")].wanted.Store(true) // as pages of people and of GetFindings ask
	return ix
}

// classAttributes are what a class stands for, in the order in which it is written.
var classAttributes = [...]string{"SeverityLabel", "SeverityNormalized", "WorkflowStatus", "RecordState", "ComplianceStatus", "VerificationState",
	"ProductArn", "AwsAccountId", "Region", "ProductName", "CompanyName"}

func classOf(f *finding.Finding) []byte {
	normalized := 0
	if f.Severity != nil && f.Severity.Normalized != nil {
		normalized = *f.Severity.Normalized
	}
	return pack(string(f.Label()), strconv.Itoa(normalized), string(f.Status()), string(f.RecordState), compliance(f), f.Verification,
		f.ProductARN, f.AccountID, f.Region, f.ProductName, f.CompanyName)
}

// pack writes texts one after the other, each with its length before it.
func pack(texts ...string) (out []byte) {
	for _, t := range texts {
		out = binary.AppendUvarint(out, uint64(len(t)))
		out = append(out, t...)
	}
	return out
}

// unpack takes the first text off packed.
func unpack(packed string) (text, rest string, ok bool) {
	n, size := uint64(0), 0
	for shift := uint(0); size < len(packed) && size < 5; shift += 7 {
		b := packed[size]
		size++
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if n > uint64(len(packed)-size) {
				return "", "", false
			}
			return packed[size : size+int(n)], packed[size+int(n):], true
		}
	}
	return "", "", false
}

// facetsOf is what the index keeps of a finding.
func facetsOf(f *finding.Finding) []byte {
	var resources []string
	for _, r := range f.Resources {
		resources = append(resources, r.Type, r.ID)
	}
	out := pack(string(classOf(f)), f.GeneratorID, string(pack(f.Types...)), string(pack(resources...)))
	for _, t := range [len(timeAttributes)]string{f.CreatedAt, f.UpdatedAt, f.FirstObservedAt, f.LastObservedAt} {
		out = binary.BigEndian.AppendUint64(out, uint64(micros(t)))
	}
	return binary.BigEndian.AppendUint64(out, hashID(f.ID))
}

// never is a time that is not said.
const never = math.MinInt64

func micros(text string) int64 {
	t, ok := parseTime(text)
	if !ok {
		return never
	}
	return t.UnixMicro()
}

func hashID(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64()
}

type indexRow struct {
	seq, rev int64
	facets   []byte
}

// sync reads what was changed since the index was last brought up to date.
func (ix *index) sync(tx *db.Tx) error {
	rev, err := db.One(tx, db.Value[int64], "SELECT value FROM hub_counters WHERE name = 'rev'")
	if err != nil {
		return err
	}
	if ix.seen.Load() >= rev {
		return nil
	}
	ix.loading.Lock()
	defer ix.loading.Unlock()
	at, seq := ix.seen.Load(), int64(math.MaxInt64) // only a loader changes it
	if at < rev {
		if err := ix.reserve(tx); err != nil {
			return err
		}
	}
	for at < rev {
		const part = 1000 // a query waits while one is put in
		rows, err := db.All(tx, func(scan db.Scan) (r indexRow, err error) {
			return r, scan(&r.seq, &r.rev, &r.facets)
		}, "SELECT seq, rev, facets FROM hub_findings WHERE rev > ? OR (rev = ? AND seq > ?) ORDER BY rev, seq LIMIT ?", at, at, seq, part)
		if err != nil {
			return err
		}
		if err := ix.apply(rows); err != nil {
			return err
		}
		if len(rows) < part {
			break
		}
		at, seq = rows[len(rows)-1].rev, rows[len(rows)-1].seq
	}
	ix.absorb()
	ix.seen.Store(max(ix.seen.Load(), rev))
	ix.warm.Store(true)
	return nil
}

func (ix *index) apply(rows []indexRow) error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	for _, r := range rows {
		if r.seq < 1 || r.seq > math.MaxInt32 {
			return fault.Internal.Errorf("finding number %d", r.seq)
		}
		i := int(r.seq - 1)
		isNew := i >= len(ix.class) || ix.class[i] == 0
		if n := int(r.seq) - len(ix.class); n > 0 {
			ix.grow(n)
		}
		if !ix.set(i, string(r.facets), isNew) {
			return fault.Internal.Errorf("facets of finding %d are broken", r.seq)
		}
	}
	return nil
}

// grow makes room for n more rows, and for some to come.
func (ix *index) grow(n int) {
	ix.class, ix.generator, ix.types, ix.resources = longer(ix.class, n, 0), longer(ix.generator, n, 0), longer(ix.types, n, 0), longer(ix.resources, n, 0)
	for c := range ix.times {
		ix.times[c] = longer(ix.times[c], n, never)
	}
	ix.id = longer(ix.id, n, 0)
}

func longer[T any](column []T, n int, empty T) []T {
	if need := len(column) + n; need > cap(column) {
		column = append(make([]T, 0, need+need/16+64), column...)
	}
	for range n {
		column = append(column, empty)
	}
	return column
}

// reserve makes all the room there is need for at once, while nobody is waiting yet.
func (ix *index) reserve(tx *db.Tx) error {
	last, err := db.One(tx, db.Value[int64], "SELECT value FROM hub_counters WHERE name = 'seq'")
	if err != nil {
		return err
	}
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if n := int(last) - len(ix.class); n > 0 && last < math.MaxInt32 {
		ix.grow(n)
	}
	return nil
}

func (ix *index) set(i int, facets string, isNew bool) bool {
	was := ix.class[i]
	for _, c := range []struct {
		d  *dictionary
		to []uint32
	}{{&ix.classes, ix.class}, {&ix.generators, ix.generator}, {&ix.typeLists, ix.types}, {&ix.resLists, ix.resources}} {
		text, rest, ok := unpack(facets)
		if !ok {
			return false
		}
		c.to[i], facets = c.d.number([]byte(text)), rest
	}
	for len(ix.classRows) < len(ix.classes.texts) {
		ix.classRows = append(ix.classRows, 0)
	}
	ix.classRows[was]--
	ix.classRows[ix.class[i]]++
	if len(facets) != 40 {
		return false
	}
	n := []byte(facets)
	for c := range ix.times {
		at := int64(binary.BigEndian.Uint64(n[8*c:]))
		if isNew || at != ix.times[c][i] {
			ix.times[c][i] = at
			ix.rankings[c].touch(i)
		}
	}
	ix.id[i] = binary.BigEndian.Uint64(n[32:])
	return true
}

// classValue is the value of the n-th attribute of a class.
func classValue(class string, n int) value {
	for range n {
		_, class, _ = unpack(class)
	}
	text, _, _ := unpack(class)
	if classAttributes[n] == "SeverityNormalized" {
		number, err := strconv.Atoi(text)
		return value{number: float64(number), isNumber: err == nil}
	}
	return value{text: text}
}

// valuesOf is a class's value as a test sees it: none where it is empty.
func valuesOf(class string, n int) []value {
	v := classValue(class, n)
	if v.text == "" && !v.isNumber {
		return nil
	}
	return []value{v}
}

// each calls visit for each text of a packed list.
func each(packed string, visit func(i int, text string)) {
	for i := 0; packed != ""; i++ {
		text, rest, ok := unpack(packed)
		if !ok {
			return
		}
		visit(i, text)
		packed = rest
	}
}
