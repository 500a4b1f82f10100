package git

import "testing"

// No commit, list of files or comparison, however odd, makes the readers panic.
func FuzzParse(f *testing.F) {
	f.Add("tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nparent x\nauthor A <a@b> 1700000000 +0900\n\nsubject\n\nbody")
	f.Add("100644 blob e69de29bb2d1d6434b8b29ae775ad8c2e48c5391       0\ta/b\x00040000 tree x -\ta\x00")
	f.Add("c0ffee\x00::100644 100644 000000 a b c MD\x00path\x00:100644 100644 a b M\x00p\x00")
	f.Fuzz(func(t *testing.T, text string) {
		_ = parseCommit(text).Subject()
		_ = new(Tree).list(text)
		_ = eachRaw([]byte(text), func(string, Change) {})
	})
}
