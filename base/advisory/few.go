package advisory

import (
	"embed"
	"io/fs"
	"time"
)

// few are some advisories on packages that everybody knows, in our own words,
// with the facts of the GitHub Advisory Database and the Go and Python
// vulnerability databases (CC-BY-4.0): ids, ranges and ratings are those of the
// documents as published, so that what nobody rated there is not rated here.
//
//go:embed few/*.json
var few embed.FS

// Few is the index of the few advisories that come with Haechi. They let one try
// it without data; they are no ground for saying that something is not vulnerable.
func Few() *Index {
	b := NewBuilder()
	names, err := fs.Glob(few, "few/*.json")
	if err != nil {
		panic("advisory: " + err.Error())
	}
	for _, name := range names {
		text, err := few.ReadFile(name)
		if err == nil {
			err = b.Add(text)
		}
		if err != nil {
			panic("advisory: " + name + ": " + err.Error()) // part of the program, and a test reads them
		}
	}
	x, err := b.Index(time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC), "the few that come with Haechi")
	if err != nil {
		panic("advisory: " + err.Error())
	}
	return x
}
