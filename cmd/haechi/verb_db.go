package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/advisory"
)

func dbVerb() verb {
	return verb{name: "db", args: "update [URL] | import FILE|FOLDER|ZIP | show", summary: "the data on vulnerabilities", help: `
  haechi db import osv/          a folder of OSV documents, or of zips of them
  haechi db import all.zip
  haechi db update               download what osv.dev, CISA and FIRST publish
  haechi db update -ecosystems npm,Go https://mirror.example/osv
  haechi db show                 what is loaded

New data take the place of what was there, in one step: scans under way go on
with the former. CISA's catalogue of known exploited vulnerabilities (JSON) and
FIRST's table of likelihoods (EPSS, CSV) are taken beside OSV documents. Nothing
but update downloads. A mirror is laid out as osv.dev's: <ecosystem>/all.zip; it
may be one zip. An address of the own network must be named in -allow.`, run: runDB}
}

func runDB(ctx context.Context, c call, flags *flag.FlagSet) error {
	config := app.Default(c.env)
	config.Environment(c.env)
	data := flags.String("data", config.Data, "the data folder (HAECHI_DATA)")
	file := flags.String("db", "", "the file of the advisories ("+app.AdvisoryFile+" in the data folder)")
	ecosystems := flags.String("ecosystems", "", "of update: only these, separated by commas")
	kev := flags.String("kev", "", "of update: where CISA's catalogue lies; none to go without")
	epss := flags.String("epss", "", "of update: where FIRST's table lies; none to go without")
	allow := flags.String("allow", "", "of update: addresses of the own network, such as mirror.corp:443")
	rest, err := parse(c, flags, 1, 2)
	if err != nil {
		return err
	}
	path := *file
	if path == "" {
		path = filepath.Join(*data, app.AdvisoryFile)
	}
	switch {
	case rest[0] == "import" && len(rest) == 2:
		return importDB(ctx, c, rest[1], path)
	case rest[0] == "import":
		return usagef("db import needs a file, a folder or a zip of OSV documents")
	case rest[0] == "update":
		feed := app.PublicFeed()
		if len(rest) == 2 { // a mirror of one's own goes without the rest unless it is named
			feed = app.Feed{OSV: rest[1]}
		}
		feed.Allow = commas(*allow)
		feed.Ecosystems = commas(*ecosystems)
		for given, into := range map[*string]*string{kev: &feed.KEV, epss: &feed.EPSS} {
			if *given == "none" {
				*into = ""
			} else if *given != "" {
				*into = *given
			}
		}
		return updateDB(ctx, c, feed, path)
	case rest[0] == "show" && len(rest) == 1:
		return showDB(c, *file, path)
	}
	return unknown(rest[0], "update", "import", "show")
}

func commas(list string) []string {
	var all []string
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}

// updateDB downloads a feed and imports it. Whatever fails, the former data stay.
func updateDB(ctx context.Context, c call, feed app.Feed, to string) error {
	dir, err := os.MkdirTemp("", "haechi-db-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	err = feed.Fetch(ctx, dir, func(address string) { fmt.Fprintln(c.stderr, "fetching", address) })
	if err != nil {
		return err
	}
	return importDB(ctx, c, dir, to)
}

func importDB(ctx context.Context, c call, from, to string) error {
	start := time.Now()
	progress, done := countLine(c.stderr)
	r, err := advisory.Import(ctx, from, to, start, progress)
	done()
	for _, p := range r.Refused {
		fmt.Fprintf(c.stderr, "left out: %s: %s\n", p, p.Why)
	}
	if more := r.Wrong - len(r.Refused); more > 0 {
		fmt.Fprintf(c.stderr, "left out: %d more\n", more)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "%d documents, %d advisories on %d packages, in %.1f s: %s\n", r.Read, r.About.Advisories, r.About.Packages, time.Since(start).Seconds(), to)
	if r.Wrong > 0 {
		return exit(exitWrong)
	}
	return nil
}

// countLine shows how many documents were read, on a terminal.
func countLine(w io.Writer) (show func(read int), done func()) {
	if terminal(w) == 0 {
		return nil, func() {}
	}
	return func(read int) {
		if read%500 == 0 {
			fmt.Fprintf(w, "\r%d documents ", read)
		}
	}, func() { fmt.Fprint(w, "\r\x1b[K") }
}

func showDB(c call, asked, imported string) error {
	index, few, err := openAdvisories(asked, imported)
	if err != nil {
		return err
	}
	defer index.Close()
	about := index.About()
	if few {
		fmt.Fprintln(c.stdout, "nothing was imported: these are the few that come with Haechi")
	}
	fmt.Fprintf(c.stdout, "built      %s\nfrom       %v\nnewest     %s\nadvisories %d, %d withdrawn left out\npackages   %d\n", about.Built.Format(time.RFC3339), about.Sources, about.Newest, about.Advisories, about.Withdrawn, about.Packages)
	for _, name := range slices.Sorted(maps.Keys(about.Ecosystems)) {
		fmt.Fprintf(c.stdout, "%-10s %d, the newest of %.10s\n", name, about.Ecosystems[name], about.Latest[name])
	}
	if about.KEV+about.EPSS > 0 {
		fmt.Fprintf(c.stdout, "known to be exploited %d, with a likelihood %d\n", about.KEV, about.EPSS)
	}
	return nil
}
