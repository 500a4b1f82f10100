package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// What a run is of is called as people call it, and meant by that name.
func TestBranchName(t *testing.T) {
	for ref, want := range map[string]string{"main": "main", "release/1": "release/1", "refs/pull/7/head": "pull/7", "refs/tags/v1": "tag/v1", "refs/tags/a/b": "tag/a/b"} {
		if got := branchName(ref); got != want {
			t.Errorf("%s is called %s, not %s", ref, got, want)
		}
		if got := branchMeant(want); got != ref {
			t.Errorf("%s means %s, not %s", want, got, ref)
		}
	}
	for name, want := range map[string]string{"refs/heads/pull/7": "pull/7", "pull/fast": "pull/fast", "refs/pull/7/head": "refs/pull/7/head", "pull/7/head": "refs/pull/7/head"} {
		if got := branchMeant(name); got != want {
			t.Errorf("%s means %s, not %s", name, got, want)
		}
	}
}

// A line is no wider than the terminal, in characters, and whole where there is none.
func TestWriteCut(t *testing.T) {
	line := strings.Repeat("해치", 60) + "\n"
	var narrow, whole strings.Builder
	if err := writeCut(&narrow, "short\n"+line, 80); err != nil {
		t.Fatal(err)
	}
	if got := narrow.String(); utf8.RuneCountInString(got) != 6+81 || !strings.HasPrefix(got, "short\n") || !strings.HasSuffix(got, "…\n") {
		t.Errorf("%q", got)
	}
	if err := writeCut(&whole, line, 0); err != nil || whole.String() != line {
		t.Errorf("%q %v", whole.String(), err)
	}
}
