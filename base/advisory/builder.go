package advisory

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/word/fault"
)

// Builder collects documents and writes them as an index.
type Builder struct {
	advisories []Advisory
	claims     map[string][]claim
	seen       map[string]int // id: its advisory
	ecosystems map[string]int
	latest     map[string]string
	exact      map[string]int // with release: how many claims
	withdrawn  int
	kev        map[string]Exploited // by CVE
	epss       map[string]Odds
}

// NewBuilder is an empty one.
func NewBuilder() *Builder {
	return &Builder{claims: map[string][]claim{}, seen: map[string]int{}, ecosystems: map[string]int{}, latest: map[string]string{}, exact: map[string]int{}, kev: map[string]Exploited{}, epss: map[string]Odds{}}
}

// Add reads one OSV document. A document that was withdrawn is counted and left
// out; the same id again adds its packages to what is there.
func (b *Builder) Add(text []byte) error {
	d, err := parse(text)
	if err != nil {
		return err
	}
	if d.Withdrawn != "" {
		b.withdrawn++
		return nil
	}
	if d.bugOnly() {
		return nil
	}
	index, again := b.seen[d.ID]
	if !again {
		index = len(b.advisories)
		b.seen[d.ID] = index
		b.advisories = append(b.advisories, d.advisory())
	}
	counted := map[string]bool{}
	for _, a := range d.Affected {
		c := claim{advisory: index, versions: a.Versions}
		for _, r := range a.Ranges {
			if r.Type != "GIT" && len(r.Events) > 0 {
				c.ranges = append(c.ranges, r)
			}
		}
		if a.Package.Ecosystem == "" || a.Package.Name == "" || len(c.ranges)+len(c.versions) == 0 {
			continue
		}
		b.exact[a.Package.Ecosystem]++
		key := keyOf(a.Package.Ecosystem, a.Package.Name)
		b.claims[key] = append(b.claims[key], c)
		if base, _, _ := strings.Cut(a.Package.Ecosystem, ":"); !counted[base] {
			counted[base] = true
			b.ecosystems[base]++
			b.latest[base] = max(b.latest[base], d.Modified)
		}
	}
	return nil
}

func keyOf(ecosystem, name string) string {
	return ecosystem + "\x00" + Normal(ecosystem, name)
}

// About says what an index holds.
type About struct {
	Built      time.Time      `json:"built"`
	Sources    []string       `json:"sources"`    // what it was made of
	Ecosystems map[string]int `json:"ecosystems"` // without release: how many advisories
	Advisories int            `json:"advisories"`
	Packages   int            `json:"packages"`
	Newest     string         `json:"newest"` // the latest change of an advisory

	Latest    map[string]string `json:"latest,omitzero"`   // the same of each ecosystem
	Releases  map[string]int    `json:"releases,omitzero"` // ecosystems as advisories name them, with release
	KEV       int               `json:"kev,omitzero"`      // bugs that are known to be exploited
	EPSS      int               `json:"epss,omitzero"`     // bugs with a likelihood
	Withdrawn int               `json:"withdrawn"`
}

// Bytes is the index as its file holds it.
func (b *Builder) Bytes(built time.Time, sources ...string) ([]byte, error) {
	about := About{Built: built.UTC(), Sources: sources, Ecosystems: b.ecosystems, Advisories: len(b.advisories), Packages: len(b.claims), Withdrawn: b.withdrawn, Latest: b.latest, Releases: b.exact, KEV: len(b.kev), EPSS: len(b.epss)}
	for _, a := range b.advisories {
		about.Newest = max(about.Newest, a.Modified)
	}
	meta, err := json.Marshal(about, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	keys := make([]string, 0, len(b.claims))
	for k := range b.claims {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := []byte(magic)
	out = append(out, make([]byte, 8)...)
	out = append(binary.LittleEndian.AppendUint32(out, uint32(len(meta))), meta...)
	keyTable := len(out) + 4
	out = append(binary.LittleEndian.AppendUint32(out, uint32(len(keys))), make([]byte, 4*len(keys))...)
	advisoryTable := len(out) + 4
	out = append(binary.LittleEndian.AppendUint32(out, uint32(len(b.advisories))), make([]byte, 4*len(b.advisories))...)
	for i, k := range keys {
		binary.LittleEndian.PutUint32(out[keyTable+4*i:], uint32(len(out)))
		out = appendText(out, k)
		out = binary.AppendUvarint(out, uint64(len(b.claims[k])))
		for _, c := range b.claims[k] {
			out = appendClaim(out, c)
		}
	}
	for i, a := range b.advisories {
		b.told(&a)
		binary.LittleEndian.PutUint32(out[advisoryTable+4*i:], uint32(len(out)))
		out = appendAdvisory(out, a)
	}
	if len(out) > 1<<32-1 {
		return nil, fault.Limit.Errorf("the advisories take %d bytes, more than an index can hold", len(out))
	}
	binary.LittleEndian.PutUint64(out[len(magic):], uint64(len(out)-headerSize))
	return out, nil
}

// Index is the index in memory, without a file.
func (b *Builder) Index(built time.Time, sources ...string) (*Index, error) {
	data, err := b.Bytes(built, sources...)
	if err != nil {
		return nil, err
	}
	return read(data)
}

// WriteFile writes the index beside path and moves it there in one step: who has
// the old one open goes on with it.
func (b *Builder) WriteFile(path string, built time.Time, sources ...string) error {
	data, err := b.Bytes(built, sources...)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".advisories-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is there any more after the rename
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
