package match

// tableKind says what the keys of a table are. Whole texts, prefixes and
// suffixes follow each other, plain and folded.
type tableKind uint8

const (
	texts tableKind = iota
	prefixes
	suffixes
	foldedTexts
	foldedPrefixes
	foldedSuffixes
	addresses // 16 bytes
	numbers   // see number.appendKey
	literals  // the first letter
	tableKinds
	// These are not tables.
	pieces  // texts that occur somewhere: see automaton
	anyLeaf // what every leaf at the path has
)

// longestKey is where prefixes, suffixes and pieces are cut off in the index,
// so that the number of look-ups for a text is bounded.
const longestKey = 128

// An atom is something about one leaf that can be looked up: where the test is
// true, the atom is there.
type atom struct {
	path int32
	kind tableKind
	key  string
}

// atom is the atom of a test, if there is one.
func (t *test) atom(path int32) (a atom, ok bool) {
	a = atom{path: path, key: t.text}
	switch t.op {
	case opText:
		a.kind = texts
		return a, true
	case opFoldText:
		a.kind = foldedTexts
		return a, true
	case opPrefix:
		a.kind, a.key = prefixes, cutEnd(t.text)
	case opFoldPrefix:
		a.kind, a.key = foldedPrefixes, cutEnd(t.text)
	case opSuffix:
		a.kind, a.key = suffixes, cutStart(t.text)
	case opFoldSuffix:
		a.kind, a.key = foldedSuffixes, cutStart(t.text)
	case opWildcard:
		a.kind, a.key = t.arg.longestPiece()
	case opAddress:
		b := t.arg.network.Addr().As16()
		a.kind, a.key = addresses, string(b[:])
	case opNumber:
		a.kind, a.key = numbers, string(t.arg.low.appendKey(nil))
	case opTrue:
		a.kind, a.key = literals, "t"
	case opFalse:
		a.kind, a.key = literals, "f"
	case opNull:
		a.kind, a.key = literals, "n"
	default:
		return a, false
	}
	return a, a.key != ""
}

// longestPiece is the piece of a wildcard that says most.
func (a *argument) longestPiece() (tableKind, string) {
	best := 0
	for i, p := range a.pieces {
		if len(p) > len(a.pieces[best]) {
			best = i
		}
	}
	key := string(a.pieces[best])
	switch {
	case len(a.pieces) == 1:
		return texts, key
	case best == 0:
		return prefixes, cutEnd(key)
	case best == len(a.pieces)-1:
		return suffixes, cutStart(key)
	}
	return pieces, cutEnd(key)
}

func cutEnd(key string) string   { return key[:min(len(key), longestKey)] }
func cutStart(key string) string { return key[max(0, len(key)-longestKey):] }
