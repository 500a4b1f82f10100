// Package scan walks a tree of files once and shows each file to every scanner that wants it.
package scan

import (
	"context"
	"io"
	"io/fs"

	"github.com/haechi-dev/haechi/word/asset"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// Scanner looks for one kind of thing in a tree. It keeps nothing between two
// trees: what belongs to one lives in its Pass.
type Scanner interface {
	// Name is what findings and gates call it: secret, deps …
	Name() string
	// Wants tells by the path alone whether the scanner has to see a file.
	Wants(path string) bool
	// Begin is called once a tree, before its first file. tree is for what
	// files refer to; what is read there is not bounded by Options.
	Begin(ctx context.Context, tree fs.FS, out Out) Pass
}

// Pass is one scanner at work on one tree.
type Pass interface {
	// File is called once for each file that the scanner wants, from several
	// goroutines at a time and in no order. An error is about that file alone:
	// it is reported as not looked at, and the scan as incomplete.
	File(File) error
	// End is called once, after the last File: for what needs the whole tree.
	End() error
}

// LargePass is what a Pass may be besides: one that looks into large binaries
// where they lie, however large they are, instead of being handed their content.
type LargePass interface {
	Pass
	// Large is called in the place of File, and as it is. It answers false where
	// it has to see the content after all.
	Large(LargeFile) (done bool, err error)
}

// LargeFile is a binary of more than LargeFrom bytes.
type LargeFile struct {
	Path    string
	Size    int64
	Content io.ReaderAt // until Large returns
}

// LargeFrom is how large a binary is at least that a LargePass looks into where it lies.
const LargeFrom = 1 << 20

// Out takes what a scanner finds; every function may be called from any goroutine until End returns.
type Out struct {
	Finding   func(finding.Finding)
	Component func(component.Component)
	Item      func(asset.Item)
	Unread    func(diag.Place) // a place that could not be looked at, and why: the scan is then incomplete
}

// File is one file of the tree.
type File struct {
	Path    string // slash-separated, relative to the tree
	Content []byte // valid until Pass.File returns; text in UTF-16 arrives as UTF-8
	Binary  bool   // its beginning is not text
}

// Version is what a Scanner may tell besides: of itself and its rules.
type Version interface{ Version() string }

// Targeted is what a Scanner may be besides: another one for each target, as
// that of secrets is, which hashes them with a salt of the repository.
type Targeted interface{ For(target string) Scanner }

// Ruled is what a Scanner may be besides: one whose rules repositories bring. Under
// is the scanner for a change to a repository: the rules that stand in base, which is
// the protected branch, count; those of the tree that is scanned are proposals. base
// is nil where there is nothing yet that counts.
type Ruled interface{ Under(base fs.FS) Scanner }
