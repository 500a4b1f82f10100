// Package match tells which EventBridge event patterns an event matches, and why.
//
// # What it understands
//
// The whole grammar of EventBridge's event patterns: exact values, prefix,
// suffix, equals-ignore-case, wildcard, anything-but, numeric, cidr, exists,
// exactly, and $or. What EventBridge would refuse, Parse refuses, with the
// place and a hint. Where its documentation leaves a choice:
//
//   - Numbers are compared by their exact value: 300, 300.0 and 3.0e2 are the
//     same, and long integers that a float64 cannot tell apart are not.
//   - A text that is an IPv6 address is compared as an address, unless it is
//     given with exactly. The families of cidr and of the address must agree.
//   - Case is ignored by Unicode's simple folding: ß is not SS.
//   - Of repeated names in a pattern the last one counts; in an event all do.
//   - exists: false is judged for each choice of array elements: it holds if
//     there is no such leaf in the elements that the other clauses chose.
//
// # How it works
//
// A pattern is parsed into branches: one for each choice among the objects of
// its $or's, a list of clauses that must all hold, sorted by path.
//
// An event is read once, as bytes. A trie of the wanted names (names.go)
// leads the scan (scan.go, scan_json.go) to the leaves that some clause is
// about; all the rest is checked to be JSON and passed over, eight bytes of text at
// a time. A leaf is kept as a range of bytes with the number of its path and its spot:
// where it stands among the arrays. Nothing is decoded, and nothing allocated.
//
// A branch is verified clause by clause (clause.go). If an array has several
// elements with leaves, it must also be shown that one choice of elements suits all
// clauses (choose.go): this goes down the tree of arrays and looks at each leaf
// once. It is a search only where a name is repeated within an object, and then
// it is bounded.
//
// A Set files every branch under atoms of its most selective clause (index.go):
// a text, a prefix, a suffix, a number, a literal, or a piece of a wildcard.
// Texts and numbers are looked up in a map for each path, prefixes and suffixes
// once for each length that occurs there, pieces all at once by an automaton after Aho
// and Corasick (index_pieces.go). The few branches that come up are verified.
// Patterns that say the same share one node. A Set is immutable; its rules lie
// in levels, each much larger than the next, so that adding one indexes only a
// small level anew (set.go).
package match
